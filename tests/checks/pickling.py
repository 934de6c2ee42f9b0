"""What tests of pickles share: streams written opcode by opcode, and a look at them with allow-lists."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from pratique.checking import Finding
from pratique.checks.artifact import packs, pickles
from pratique.checks.artifact.granting import grants
from pratique.checks.artifact.looking import Asked
from pratique.checks.artifact.looking import look as look_at_file
from pratique.checks.artifact.viewing import View, opened

ALL = packs.NAMES
EVERYTHING = ("csv", "json", "npy", "parquet", "pickle", "safetensors", "text", "torch")


def text(word: str) -> bytes:
    """SHORT_BINUNICODE, or BINUNICODE where it is too long for that."""
    raw = word.encode()
    return b"\x8c" + bytes([len(raw)]) + raw if len(raw) < 256 else b"X" + struct.pack("<I", len(raw)) + raw


def name(module: str, one: str) -> bytes:
    """STACK_GLOBAL."""
    return text(module) + text(one) + b"\x93"


def call(target: bytes, *arguments: bytes) -> bytes:
    """REDUCE."""
    return target + b"(" + b"".join(arguments) + b"tR"


def stream(body: bytes, protocol: int = 4) -> bytes:
    """A whole pickle."""
    return b"\x80" + bytes([protocol]) + body + b"."


def look(data: bytes, chosen: Iterable[str] = ALL, lines: Iterable[str] = (), file: str = "w.pkl") -> list[Finding]:
    """Look at a pickle."""
    return list(pickles.look(View(name=file, path=Path(file), data=data), grants(chosen, lines)).findings)


def look_at(path: Path, chosen: Iterable[str] = ALL, formats: tuple[str, ...] = EVERYTHING) -> list[Finding]:
    """Look at a file of any format."""
    asked = Asked(formats=formats, max_json_bytes=1 << 26, max_text_bytes=1 << 26, grants=grants(chosen, ()))
    with opened(path, path.name) as view:
        return list(look_at_file(view, asked).findings)
