"""The headers of a tar, and reading it block by block: what `tars` unpacks by.

Reads what GNU tar, bsdtar, Go's archive/tar and Python write: POSIX ustar and pax (IEEE Std 1003.1, pax interchange format),
and GNU's long names and base-256 sizes. What two readers could read differently is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from pratique.errors import ArtifactRefused

_BLOCK = 512
_COPY = 1 << 18
_MOST_HEADER = 1 << 16
"""Bytes of one extended header; a path is at most 1 KiB, and writers add a few time stamps."""

_MAGICS = (b"ustar\x0000", b"ustar  \x00")
"""POSIX, and GNU's older one."""

_SAFE_GLOBAL = frozenset({"comment"})
"""What `git archive` puts into a global header. Anything else there would apply to every file that follows."""


class Stream(Protocol):
    """Where the archive comes from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; nothing at the end."""


@dataclass(slots=True)
class Extended:
    """What extended headers say about the entry that follows."""

    path: str = ""
    size: int | None = None
    seen: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Header:
    """One header, its checksum verified."""

    kind: bytes
    """`0` a file, `5` a folder, `x`, `g` and `L` an extended header."""

    raw: bytes
    """The name, which may be the cut beginning of one in an extended header, even in the middle of a character."""

    size: int


class Reader:
    """Reads exactly what it was asked for, or refuses."""

    def __init__(self, stream: Stream, what: str) -> None:
        self.stream = stream
        self.what = what

    def exactly(self, size: int) -> bytes:
        """So many bytes."""
        data = self._up_to(size)
        if len(data) != size:
            raise ArtifactRefused(f"{self.what} is cut short")
        return data

    def header(self) -> bytes:
        """The next header; b'' at the end: one or two blocks of zeros, or nothing where a header would begin."""
        block = self._up_to(_BLOCK)
        if block and len(block) != _BLOCK:
            raise ArtifactRefused(f"{self.what} is cut short")
        return block if block.strip(b"\0") else b""

    def skip_padding(self, size: int) -> None:
        """What fills an entry's last block."""
        if size % _BLOCK and self.exactly(_BLOCK - size % _BLOCK).strip(b"\0"):
            raise ArtifactRefused(f"{self.what} hides bytes between its entries")

    def ensure_over(self) -> None:
        """Nothing but zeros may follow."""
        while block := self.stream.read(_COPY):
            if block.strip(b"\0"):
                raise ArtifactRefused(f"{self.what} holds something after its end; another reader might go on there")

    def _up_to(self, size: int) -> bytes:
        parts, left = [], size
        while left and (part := self.stream.read(left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def parse(block: bytes, what: str) -> Header:
    """Read one block as a header.

    Raises:
        ArtifactRefused: no header, or one of a link, a device, a pipe, or of what nobody knows.
    """
    expected = _number(block[148:156], what)
    if sum(block[:148]) + sum(block[156:]) + 8 * ord(" ") != expected:
        raise ArtifactRefused(f"{what} is not a tar archive, or is damaged: a header's checksum is wrong")
    magic = block[257:265]
    if magic not in _MAGICS:
        raise ArtifactRefused(f"{what} is a tar archive of a kind that is not read", hint="pack it again as POSIX (pax) tar")
    kind = block[156:157]
    if kind == b"\0":
        kind = b"0"
    raw = block[:100].partition(b"\0")[0]
    if kind not in (b"0", b"5", b"x", b"g", b"L"):
        kinds = {b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a pipe"}
        raise ArtifactRefused(
            f"{what} holds {kinds.get(kind, 'an entry of an unknown kind')}, {raw.decode(errors='replace')!r}",
            hint="pack files and folders only",
        )
    if magic == _MAGICS[0] and (prefix := block[345:500].partition(b"\0")[0]):
        raw = prefix + b"/" + raw
    return Header(kind=kind, raw=raw, size=_number(block[124:136], what))


def entry_size(header: Header, extended: Extended, what: str) -> int:
    """A size in an extended header is for those that do not fit; if both are given, they must agree."""
    if extended.size is None:
        return header.size
    if header.size not in (0, extended.size):
        raise ArtifactRefused(f"{what} gives two sizes for {extended.path or header.raw!r}; readers differ on which counts")
    return extended.size


def extend(extended: Extended, header: Header, reader: Reader, what: str) -> None:
    """Read an extended header, and add what it says.

    Raises:
        ArtifactRefused: too long, no sense in it, something said twice, or something about all entries at once.
    """
    if header.size > _MOST_HEADER:
        raise ArtifactRefused(f"{what} holds a header of {header.size:,} bytes; at most {_MOST_HEADER:,} are read")
    data = reader.exactly(header.size)
    reader.skip_padding(header.size)
    if header.kind == b"L":
        _once(extended, "path", what)
        extended.path = text(data, what)
        return
    records = _records(data, what)
    if header.kind == b"g":
        if unknown := sorted(key for key, _ in records if key not in _SAFE_GLOBAL):
            raise ArtifactRefused(f"{what} sets {unknown[0]!r} for all of its entries at once", hint="pack it again")
        return
    for key, value in records:
        _once(extended, key, what)
        if key == "path":
            extended.path = value
        elif key == "size":
            if not (value.isascii() and value.isdigit()):
                raise ArtifactRefused(f"{what} gives {value!r} as a size")
            extended.size = int(value)
        elif key.startswith("GNU.sparse") or key in ("linkpath", "hdrcharset"):
            raise ArtifactRefused(f"{what} uses {key!r}, which is not read", hint="pack plain files, without links or holes")


def _once(extended: Extended, key: str, what: str) -> None:
    if key in extended.seen:
        raise ArtifactRefused(f"{what} gives {key!r} twice for one entry")
    extended.seen.add(key)


def _records(data: bytes, what: str) -> list[tuple[str, str]]:
    """`<length> <key>=<value>\\n`, one after the other, where the length counts the whole record."""
    records, start = [], 0
    while start < len(data):
        digits, space, _ = data[start : start + 8].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        record = data[start : start + length]
        key, equals, value = record[len(digits) + 1 : -1].partition(b"=")
        if length < 5 or len(record) != length or not record.endswith(b"\n") or not equals or not key or b"\0" in record:
            raise ArtifactRefused(f"{what} holds an extended header that makes no sense")
        try:
            records.append((key.decode("utf-8"), value.decode("utf-8")))
        except UnicodeDecodeError:
            raise ArtifactRefused(f"{what} holds an extended header that is not UTF-8") from None
        start += length
    return records


def text(field_: bytes, what: str) -> str:
    """A name: UTF-8, up to the first NUL."""
    try:
        return field_.partition(b"\0")[0].decode("utf-8")
    except UnicodeDecodeError:
        raise ArtifactRefused(f"{what} holds a name that is not UTF-8") from None


def _number(field_: bytes, what: str) -> int:
    """Octal digits between spaces and NULs, or GNU's big-endian base 256 with the first bit set."""
    if field_[0] == 0x80:
        return int.from_bytes(field_[1:], "big")
    digits = field_.strip(b" \0")
    if not digits:
        return 0
    if not all(byte in b"01234567" for byte in digits):
        raise ArtifactRefused(f"{what} is not a tar archive, or is damaged: {field_[:12]!r} is not a number")
    return int(digits, 8)
