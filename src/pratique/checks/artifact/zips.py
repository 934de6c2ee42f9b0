"""Zip archives read strictly by our own reader: where two readers could see different members, the archive is malformed.

Zip says everything twice, at each member and in the directory at the end, and readers differ in whom they believe. So both must
agree; members must lie one behind the other from the first byte of the file to the directory, and the directory up to the
last byte. Nothing can stand before, between or behind.

Format: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 and 4.4.
"""

from __future__ import annotations

import struct
import tempfile
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pratique.checks.artifact.viewing import Bytes, View, mapped, shown
from pratique.errors import Malformed

STORED, DEFLATED = 0, 8

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")

_MAX_DIRECTORY = 16 << 20
_MAX_FLAGS = 0x0808
"""A descriptor behind the data; names in UTF-8. Encryption, patches and the like are other bits."""

_FREE_INFLATION = 64 << 20
_MAX_RATIO = 200
"""A member may take 64 MiB when inflated, or two hundred times what it takes here if that is more."""

_BLOCK = 1 << 20
_UNKNOWN32 = 0xFFFFFFFF
_EXTRAS = frozenset({0x0001, 0x4246})
"""Extra fields: sizes of 64 bits; padding, by which PyTorch aligns storages. Others give members another name or owner."""
_NOTES = frozenset({0x5455, 0x7875})
"""Times and owners, as Info-ZIP notes them in archives of any kind."""

_FILE, _FOLDER = 0o10, 0o4
"""The first bits of a mode of Unix."""


class Member(NamedTuple):
    """One file in an archive."""

    name: str
    method: int
    crc: int
    size: int
    """Bytes, inflated."""

    stored: int
    """Bytes in the archive."""

    header: int
    """Offset of its header."""

    start: int
    """Offset of its data."""

    @property
    def end(self) -> int:
        """Offset behind its data."""
        return self.start + self.stored


def members(data: Bytes, *, general: bool = False) -> list[Member]:
    """All members, in the order of the file. In `general` there may be folders, times and owners, which no library writes.

    Raises:
        Malformed: readers of zip archives might see something else than we do.
    """
    start, count, end = _directory(data)
    entries = _entries(data, start, count, end, general)
    found = sorted((_member(data, *entry, general) for entry in entries), key=lambda one: one.header)
    position = 0
    for member in found:
        if member.header != position:
            raise Malformed(f"bytes that belong to no member at {min(position, member.header):,}, or members that overlap")
        position = _behind(data, member)
    if position != start:
        raise Malformed(f"bytes that belong to no member at {position:,}")
    folded = [unicodedata.normalize("NFC", member.name).casefold().rstrip("/") for member in found]
    if len(set(folded)) != len(folded):
        raise Malformed("two members of one name")
    return found


def blocks(data: Bytes, member: Member) -> Iterator[bytes]:
    """A member's bytes, inflated, a block at a time.

    Raises:
        Malformed: they are not what the archive says about them.
    """
    crc = size = 0
    for block in _raw(data, member) if member.method == STORED else _inflated(data, member):
        crc, size = zlib.crc32(block, crc), size + len(block)
        if size > member.size:
            raise Malformed(f"{shown(member.name)} is larger than the directory says")
        yield block
    if size != member.size or crc != member.crc:
        raise Malformed(f"{shown(member.name)} has another size or checksum than the directory says")


@contextmanager
def opened(data: Bytes, member: Member) -> Iterator[tuple[Bytes, int, int]]:
    """A member's bytes where they lie, or inflated into a file of no name, and where they begin and end."""
    if member.method == STORED:
        for _ in blocks(data, member):
            pass
        yield data, member.start, member.end
        return
    with tempfile.TemporaryFile(prefix="pratique-") as file:
        for block in blocks(data, member):
            file.write(block)
        file.flush()
        with mapped(file) as inner:
            yield inner, 0, len(inner)


@contextmanager
def extracted(data: Bytes, member: Member, name: str) -> Iterator[View]:
    """A member as a file of its own, for as long as somebody looks at it."""
    with tempfile.NamedTemporaryFile(prefix="pratique-") as file:
        for block in blocks(data, member):
            file.write(block)
        file.flush()
        with mapped(file) as inner:
            yield View(name=name, path=Path(file.name), data=inner)


def _raw(data: Bytes, member: Member) -> Iterator[bytes]:
    for start in range(member.start, member.end, _BLOCK):
        yield data[start : min(member.end, start + _BLOCK)]


def _inflated(data: Bytes, member: Member) -> Iterator[bytes]:
    inflate = zlib.decompressobj(-15)
    try:
        for block in _raw(data, member):
            while block:
                yield inflate.decompress(block, _BLOCK)
                block = inflate.unconsumed_tail
        yield inflate.flush()
    except zlib.error as error:
        raise Malformed(f"{shown(member.name)} cannot be inflated") from error
    if not inflate.eof or inflate.unused_data:
        raise Malformed(f"{shown(member.name)} does not end where the directory says")


def _directory(data: Bytes) -> tuple[int, int, int]:
    """Where the directory begins, how many entries it has, and where it ends."""
    at = len(data) - _END.size
    if at < 0 or data[at : at + 4] != b"PK\x05\x06":
        raise Malformed("bytes behind its directory, or none of it")
    _, disk, first, here, count, size, start, comment = _END.unpack(data[at:])
    end = at
    if comment or disk or first or here != count:
        raise Malformed("a comment, or more than one disk")
    locator = at - _LOCATOR.size
    if locator >= 0 and data[locator : locator + 4] == b"PK\x06\x07":
        end, wide = _wide(data, locator)
        narrow = (count, size, start)
        if any(
            one not in (two, 0xFFFF if index == 0 else _UNKNOWN32)
            for index, (one, two) in enumerate(zip(narrow, wide, strict=True))
        ):
            raise Malformed("two directories that do not agree")
        count, size, start = wide
    if size > _MAX_DIRECTORY or start + size != end:
        raise Malformed("a directory that does not end where it should, or is too large")
    return start, count, end


def _wide(data: Bytes, locator: int) -> tuple[int, tuple[int, int, int]]:
    _, disk, at, disks = _LOCATOR.unpack(data[locator : locator + _LOCATOR.size])
    if disk or disks != 1 or at + _END64.size != locator or data[at : at + 4] != b"PK\x06\x06":
        raise Malformed("a second directory that is not where it should be")
    _, length, _, _, this, first, here, count, size, start = _END64.unpack(data[at:locator])
    if length != _END64.size - 12 or this or first or here != count:
        raise Malformed("a second directory that is not as it should be")
    return at, (count, size, start)


def _entries(data: Bytes, start: int, count: int, end: int, general: bool) -> Iterator[tuple[tuple[int, ...], bytes, int]]:
    """The directory's entries: fields, name, offset of the header."""
    at = start
    for _ in range(count):
        fields = _CENTRAL.unpack(data[at : at + _CENTRAL.size]) if at + _CENTRAL.size <= end else (b"",)
        if fields[0] != b"PK\x01\x02":
            raise Malformed("a directory that is cut off")
        named, extra, comment = fields[10], fields[11], fields[12]
        name = data[at + _CENTRAL.size : at + _CENTRAL.size + named]
        after = at + _CENTRAL.size + named
        size, stored, header = _sizes(data[after : after + extra], fields[9], fields[8], fields[16], general)
        if comment or fields[13]:
            raise Malformed("a member with a comment, or on another disk")
        if fields[15] >> 28 not in (0, _FILE, _FOLDER):
            raise Malformed(f"{shown(name.decode('utf-8', 'replace'))}, a link or a device")
        yield (*fields[3:5], fields[7], stored, size), name, header
        at = after + extra
    if at != end:
        raise Malformed("more in its directory than it counts")


def _member(data: Bytes, facts: tuple[int, ...], name: bytes, header: int, general: bool) -> Member:
    """Hold the header at the member against its entry in the directory."""
    flags, method, crc, stored, size = facts
    what = shown(name.decode("utf-8", "replace"))
    raw = data[header : header + _LOCAL.size]
    if len(raw) < _LOCAL.size or raw[:4] != b"PK\x03\x04":
        raise Malformed(f"{what} is not where the directory says")
    _, _, local_flags, local_method, _, _, local_crc, local_stored, local_size, named, extra = _LOCAL.unpack(raw)
    behind = header + _LOCAL.size + named
    if flags & ~_MAX_FLAGS or (flags, method) != (local_flags, local_method) or method not in (STORED, DEFLATED):
        raise Malformed(f"{what} is encrypted, of an unknown compression, or described in two ways")
    if data[header + _LOCAL.size : behind] != name:
        raise Malformed(f"{what} has two names")
    local_size, local_stored, _ = _sizes(data[behind : behind + extra], local_size, local_stored, 0, general)
    given = (local_crc, local_stored, local_size)
    if given != (crc, stored, size) and not (flags & 8 and given == (0, 0, 0)):
        raise Malformed(f"{what} has two sizes or checksums")
    if method == STORED and stored != size:
        raise Malformed(f"{what} is not compressed and has two sizes")
    if size > max(_FREE_INFLATION, _MAX_RATIO * stored):
        raise Malformed(f"{what} claims to be {size // max(1, stored):,} times larger inside: a decompression bomb")
    if behind + extra + stored > len(data):
        raise Malformed(f"{what} is cut off")
    if not (name.isascii() or flags & 0x0800):
        raise Malformed(f"{what}, a name in an alphabet that is not said")
    folder = general and name.endswith(b"/") and not size
    return Member(_proper(name[:-1] if folder else name) + "/" * folder, method, crc, size, stored, header, behind + extra)


def _sizes(extra: bytes, size: int, stored: int, header: int, general: bool) -> tuple[int, int, int]:
    """Sizes and offset, from the extra field where they do not fit into 32 bits."""
    at, wide = 0, b""
    while at < len(extra):
        kind, length = struct.unpack("<HH", extra[at : at + 4]) if at + 4 <= len(extra) else (0, 0)
        if not (kind in _EXTRAS or (general and kind in _NOTES)) or at + 4 + length > len(extra) or (kind == 1 and wide):
            raise Malformed("a member with extra fields that some readers act on")
        wide = extra[at + 4 : at + 4 + length] if kind == 1 else wide
        at += 4 + length
    found = []
    for value in (size, stored, header):
        if value == _UNKNOWN32 and len(wide) >= 8:
            value, wide = int.from_bytes(wide[:8], "little"), wide[8:]
        found.append(value)
    if wide and wide.strip(b"\0"):
        raise Malformed("a member with sizes that nobody asks for")
    return found[0], found[1], found[2]


def _behind(data: Bytes, member: Member) -> int:
    """Where the next member must begin: behind the descriptor, if there is one."""
    flags = int.from_bytes(data[member.header + 6 : member.header + 8], "little")
    if not flags & 8:
        return member.end
    for form in ("<4sIII", "<4sIQQ"):
        size = struct.calcsize(form)
        raw = data[member.end : member.end + size]
        if len(raw) == size and struct.unpack(form, raw) == (b"PK\x07\x08", member.crc, member.stored, member.size):
            return member.end + size
    raise Malformed(f"{shown(member.name)} has two sizes or checksums")


def _proper(raw: bytes) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("a name that is not UTF-8") from error
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or ":" in name or "" in parts or ".." in parts or "." in parts:
        raise Malformed(f"{shown(name)!r}, a name that leads elsewhere, or of a folder")
    return name
