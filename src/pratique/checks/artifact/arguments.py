"""Arguments of pickle's opcodes: how each is spelled, and what a pickler would never write.

A reader gets the file and the offset behind the opcode. It returns the argument where it matters (else None), the offset of
the next opcode, and a fault: why no pickler writes it like this, '' if one does. It raises Malformed for what no loader
reads. Text and bytes are looked at, and left where they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from pratique.checks.artifact.viewing import Bytes
from pratique.errors import Malformed

Reader = Callable[[Bytes, int], tuple[Any, int, str]]
TextReader = Callable[[Bytes, int], tuple[str, int, str]]

_INT = re.compile(rb"(0|-?[1-9][0-9]{0,4299})\Z")
"""4,300 digits are the most that Python turns into an integer (CVE-2020-10735)."""
_FLOAT = re.compile(rb"(-?[0-9]+(\.[0-9]+)?(e[-+][0-9]+)?|-?inf|nan)\Z")
_NUMBER = re.compile(rb"\s*[-+]?[0-9]")
_NUMBER_OR_NOTHING = re.compile(rb"\s*[-+]?[0-9]|\0")
"""INT alone takes a zero byte for the end of a number without digits, which is 0."""
_REAL = re.compile(rb"\s*[-+]?([0-9.]|inf|nan)", re.IGNORECASE)
"""How every number begins that a loader takes, be it by strtol, PyLong_FromString, PyOS_string_to_double or float."""
_INDEX = re.compile(rb"(0|[1-9][0-9]{0,17})\Z")
_DIGITS_FIRST = re.compile(rb"\s*[-+]?[0-9_]{1,18}")
_STRING = re.compile(rb"""(?:[ -\[\]-~]|\\['"\\nrt]|\\x[0-7][0-9a-f])*\Z""")


def nothing(data: Bytes, at: int) -> tuple[None, int, str]:
    """The opcode stands alone."""
    return None, at, ""


def fixed(count: int) -> Reader:
    """`count` bytes whose value does not matter."""

    def read(data: Bytes, at: int) -> tuple[None, int, str]:
        _take(data, at, count)
        return None, at + count, ""

    return read


def number(count: int) -> Reader:
    """An unsigned little-endian integer."""

    def read(data: Bytes, at: int) -> tuple[int, int, str]:
        return int.from_bytes(_take(data, at, count), "little"), at + count, ""

    return read


def signed_number(data: Bytes, at: int) -> tuple[int, int, str]:
    """A signed little-endian integer of four bytes."""
    return int.from_bytes(_take(data, at, 4), "little", signed=True), at + 4, ""


def long_number(count: int) -> Reader:
    """A signed little-endian integer behind its own length of `count` bytes; None if it takes more than eight."""
    skip = counted(count, signed=count == 4)

    def read(data: Bytes, at: int) -> tuple[int | None, int, str]:
        _, end, _ = skip(data, at)
        size = end - at - count
        return (int.from_bytes(data[end - size : end], "little", signed=True) if size <= 8 else None), end, ""

    return read


def counted(count: int, *, signed: bool = False) -> Reader:
    """Bytes behind their own length of `count` bytes."""

    def read(data: Bytes, at: int) -> tuple[None, int, str]:
        size = int.from_bytes(_take(data, at, count), "little", signed=signed)
        if size < 0 or at + count + size > len(data):
            raise Malformed(f"claims {size:,} bytes, more than there are")
        return None, at + count + size, ""

    return read


def counted_text(count: int) -> TextReader:
    """Text in UTF-8 behind its own length of `count` bytes."""
    skip = counted(count)

    def read(data: Bytes, at: int) -> tuple[str, int, str]:
        _, end, _ = skip(data, at)
        try:
            return data[at + count : end].decode("utf-8", "surrogatepass"), end, ""
        except UnicodeDecodeError as error:
            raise Malformed("holds text that is not UTF-8") from error

    return read


def counted_string(count: int) -> TextReader:
    """A Python 2 string behind its own length of `count` bytes. What is not ASCII depends on how the loader was called."""
    skip = counted(count)

    def read(data: Bytes, at: int) -> tuple[str, int, str]:
        _, end, _ = skip(data, at)
        text = data[at + count : end].decode("latin-1")
        return text, end, "" if text.isascii() else "holds text that is not ASCII, as only Python 2 wrote it"

    return read


def quoted(data: Bytes, at: int) -> tuple[str, int, str]:
    """A string in quotes, as Python 2 wrote it, up to the end of the line."""
    line, end = _line(data, at)
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise Malformed("has an argument without quotes")
    if _STRING.match(line[1:-1]):
        return line[1:-1].decode("unicode-escape"), end, ""
    return line[1:-1].decode("latin-1"), end, "spells its text as no pickler does"


def escaped(data: Bytes, at: int) -> tuple[str, int, str]:
    """Text up to the end of the line, with escapes."""
    line, end = _line(data, at)
    try:
        return line.decode("raw-unicode-escape"), end, ""
    except UnicodeDecodeError as error:
        raise Malformed("holds a broken escape") from error


def forgotten(read: TextReader) -> Reader:
    """Check a text, and keep nothing of it: millions of strings would cost more than the file."""

    def check(data: Bytes, at: int) -> tuple[None, int, str]:
        _, end, fault = read(data, at)
        return None, end, fault

    return check


def decimal(data: Bytes, at: int) -> tuple[int | None, int, str]:
    """An integer in decimal, or `00` and `01` for False and True."""
    line, end = _line(data, at)
    fault = "" if line in (b"00", b"01") or _INT.match(line) else _other_spelling(line, _NUMBER_OR_NOTHING)
    return _short(line, fault), end, fault


def long_decimal(data: Bytes, at: int) -> tuple[int | None, int, str]:
    """An integer in decimal, with an `L` behind it or without."""
    line, end = _line(data, at)
    fault = "" if _INT.match(line.removesuffix(b"L")) else _other_spelling(line, _NUMBER)
    return _short(line.removesuffix(b"L"), fault), end, fault


def float_text(data: Bytes, at: int) -> tuple[None, int, str]:
    """A float as `repr` writes it."""
    line, end = _line(data, at)
    if _FLOAT.match(line) and (math.isfinite(float(line)) or line[-1:] in b"fn"):
        return None, end, ""
    return None, end, _other_spelling(line, _REAL)


def index(data: Bytes, at: int) -> tuple[int, int, str]:
    """A memo index in decimal."""
    line, end = _line(data, at)
    if _INDEX.match(line):
        return int(line), end, ""
    fault = _other_spelling(line, _NUMBER)
    digits = _DIGITS_FIRST.match(line)
    return int(digits[0].replace(b"_", b"")) if digits else -1, end, fault


def two_lines(data: Bytes, at: int) -> tuple[tuple[str, str], int, str]:
    """A module and a name in it."""
    module, middle = _line(data, at)
    name, end = _line(data, middle)
    return (module.decode("utf-8", "replace"), name.decode("utf-8", "replace")), end, ""


def one_line(data: Bytes, at: int) -> tuple[None, int, str]:
    """Anything up to the end of the line."""
    return None, _line(data, at)[1], ""


def _take(data: Bytes, at: int, count: int) -> bytes:
    if at + count > len(data):
        raise Malformed("is cut off by the end of the file")
    return data[at : at + count]


def _line(data: Bytes, at: int) -> tuple[bytes, int]:
    end = data.find(b"\n", at)
    if end < 0:
        raise Malformed("is cut off by the end of the file")
    return data[at:end], end + 1


def _short(line: bytes, fault: str) -> int | None:
    """The integer, unless it is too long to matter or spelled in a strange way."""
    return int(line) if not fault and len(line) < 20 else None


def _other_spelling(line: bytes, possible: re.Pattern[bytes]) -> str:
    """What a loader may take for a number although no pickler writes it: `0x10`, `010`, ` 1`, `1_0`, `1` before a zero byte."""
    if not possible.match(line):
        raise Malformed("has an argument that is not a number")
    return f"spells a number {ascii(line[:40])[2:-1]}, as no pickler does"
