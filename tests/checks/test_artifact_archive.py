"""Zip archives: refused whatever is in them, and what is in them is named."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from pratique.checking import Finding, Severity
from pratique.checks.artifact import archives
from pratique.checks.artifact.viewing import opened

COMMAND = b"\x80\x02cposix\nsystem\n(Vtrue\ntR."
DATA = b"\x80\x02}q\x00X\x01\x00\x00\x00aK\x01s."


def zipped(files: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return stream.getvalue()


def look(tmp_path: Path, data: bytes) -> tuple[Finding, ...]:
    path = tmp_path / "m.pt"
    path.write_bytes(data)
    with opened(path, "m.pt") as view:
        return archives.look(view).findings


def test_a_real_checkpoint(tmp_path: Path) -> None:
    """Honest, and still a program: its pickle calls torch's functions. The supplier has safetensors, or can make them."""
    import torch

    torch.save({"w": torch.zeros(2, 3), "b": torch.zeros(3)}, tmp_path / "c.pt")
    first, second = look(tmp_path, (tmp_path / "c.pt").read_bytes())
    assert (first.rule, first.severity) == ("pickle-in-archive", Severity.CRITICAL)
    assert "torch._utils._rebuild_tensor_v2" in first.message and first.where.endswith("data.pkl")
    assert second.rule == "archive-not-allowed" and "a PyTorch checkpoint" in second.message


def test_a_real_checkpoint_of_the_old_kind(tmp_path: Path) -> None:
    """Five pickles in a row and raw tensors behind them; the fourth one holds the state."""
    import torch

    from pratique.checks.artifact import pickles

    torch.save({"w": torch.zeros(2, 3)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with opened(tmp_path / "old.pt", "old.pt") as view:
        found = pickles.look(view).findings
    assert any("torch._utils._rebuild_tensor_v2" in one.message for one in found)
    assert any("follow the end of the pickle" in one.message for one in found)


@pytest.mark.parametrize("name", ["a/data.pkl", "a/DATA.PKL", "a/data", "weights.bin"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_command_in_an_archive(tmp_path: Path, name: str, method: int) -> None:
    found = look(tmp_path, zipped([("a/version", b"3\n"), (name, COMMAND)], method))
    assert [one.rule for one in found] == ["pickle-in-archive", "archive-not-allowed"]
    assert "os.system" in found[0].message and found[0].where == f"m.pt, member {name}"


def test_data_in_an_archive(tmp_path: Path) -> None:
    assert [one.rule for one in look(tmp_path, zipped([("a/data.pkl", DATA)]))] == ["archive-not-allowed"]
    assert [one.rule for one in look(tmp_path, zipped([]))] == ["archive-not-allowed"]


def broken(sign: bytes, at: int, value: bytes) -> bytes:
    data = bytearray(zipped([("a/data.pkl", COMMAND)]))
    start = data.find(sign) + at
    data[start : start + len(value)] = value
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04",
        b"PK\x05\x06" + b"\0" * 18,
        zipped([("a/data.pkl", COMMAND)])[:-30],
        broken(b"PK\x01\x02", 8, b"\x01\x00"),  # encrypted, says the directory
        broken(b"PK\x03\x04", 6, b"\x01\x00"),  # encrypted, says the member
        broken(b"PK\x01\x02", 10, b"\x63\x00"),  # unknown compression
        broken(b"PK\x01\x02", 16, b"\xde\xad\xbe\xef"),  # another checksum
        broken(b"PK\x01\x02", 42, b"\xff\xff\xff\x00"),  # a member outside of the file
        broken(b"PK\x03\x04", 30, b"b"),  # two names
        zipped([("a/data.pkl", COMMAND)], zipfile.ZIP_BZIP2),  # decompressors without bounds are not started
        zipped([("a/data.pkl", COMMAND)], zipfile.ZIP_LZMA),
        zipped([("a.pkl", b"\0" * 50_000_000)], zipfile.ZIP_DEFLATED),  # 1,000 times larger inside
        zipped([("a/data.pkl", COMMAND)])[:-10] + struct.pack("<I", 0x7FFFFFFF) + b"\0" * 6,
    ],
)
def test_an_archive_that_cannot_be_read_is_refused_like_any_other(tmp_path: Path, data: bytes) -> None:
    assert look(tmp_path, data)[-1].rule == "archive-not-allowed"


def test_a_directory_that_would_fill_the_memory(tmp_path: Path) -> None:
    """The standard library reads the whole directory into objects: 16 MiB of it are the most that it is given."""
    one = zipped([("a", b"")])
    entry = one[one.find(b"PK\x01\x02") : one.find(b"PK\x05\x06")]
    count = (17 << 20) // len(entry)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    size, start = count * len(entry), one.find(b"PK\x01\x02")
    big = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, start + size, 1)
    (found,) = look(tmp_path, one[:start] + entry * count + big + locator + end)
    assert "too large" in found.message


def test_where_a_zip_reader_would_look() -> None:
    plain = zipped([("a", b"b")])
    for data in (plain, b"x" * 100_000 + plain, plain[:-2] + b"\x05\x00hello"):
        assert zipfile.is_zipfile(io.BytesIO(data)) and archives.ends_like_one(data)
    for data in (b"", b"PK\x05\x06", b"PK\x05\x06" * 1000, plain + b"\0" * 70_000, plain.replace(b"PK\x01\x02", b"PK\x01\x00")):
        assert not archives.ends_like_one(data)
