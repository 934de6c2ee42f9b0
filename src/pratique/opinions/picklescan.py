"""The loader that asks picklescan, inside the sandbox: extra `second-opinions`. Nothing else imports this module.

By suffix, as picklescan does it: a file called .bin or .pt is read as a PyTorch checkpoint, one called .npy as an array, and
any other as a zip archive or a pickle.
"""

from __future__ import annotations

import io
import json
import logging
import pickle
import zipfile
from contextlib import suppress
from typing import Any, BinaryIO

MAX_DANGERS = 50
"""As many are named."""


def prepare() -> None:
    """Let it do once what it will have to do, so that whatever it imports late is there: no file can be opened later."""
    from picklescan import scanner

    logging.getLogger("picklescan").setLevel(logging.CRITICAL + 1)
    inner = pickle.dumps({"a": 1.5})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        writer.writestr("ü/data.pkl", inner)
    "é".encode("cp437")  # names in archives
    for data, suffix in ((inner, ".pkl"), (archive.getvalue(), ".zip"), (archive.getvalue(), ".pt"), (_checkpoint(), ".pt")):
        scanner.scan_bytes(io.BytesIO(data), "warm-up", suffix)
    with suppress(ImportError):  # without numpy it cannot read arrays, and says so of each
        import numpy

        stream = io.BytesIO()
        numpy.save(stream, numpy.array([{}], dtype=object))
        scanner.scan_bytes(io.BytesIO(stream.getvalue()), "warm-up", ".npy")


def plain(stream: BinaryIO, answer: BinaryIO) -> None:
    """A pickle, an archive, or what may be one."""
    _scan(stream, answer, ".pkl")


def checkpoint(stream: BinaryIO, answer: BinaryIO) -> None:
    """A PyTorch checkpoint."""
    _scan(stream, answer, ".pt")


def array(stream: BinaryIO, answer: BinaryIO) -> None:
    """A NumPy array."""
    _scan(stream, answer, ".npy")


def _scan(stream: BinaryIO, answer: BinaryIO, suffix: str) -> None:
    from picklescan import scanner

    found: Any = scanner.scan_bytes(stream, "the file", suffix)
    dangers = sorted({f"{one.module} {one.name}" for one in found.globals if one.safety.value == "dangerous"})
    if found.issues_count and not dangers:
        dangers = [f"{found.issues_count} issues"]
    said = {
        "dangers": [one[:200] for one in dangers[:MAX_DANGERS]],
        "doubts": found.suspicious_count,
        "complete": not found.scan_err,
    }
    answer.write(json.dumps(said).encode("ascii"))


def _checkpoint() -> bytes:
    """A checkpoint as PyTorch wrote it before 1.6: five pickles in a row, without tensors."""
    numbers: tuple[Any, ...] = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, [])
    return b"".join(pickle.dumps(one, protocol=2) for one in numbers)
