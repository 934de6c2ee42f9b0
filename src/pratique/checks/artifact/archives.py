"""Zip archives: never accepted, but looked into, so that a finding can name what hides in a PyTorch checkpoint.

PyTorch's `.pt` and `.bin` are zip archives with a pickle in them, which always imports something. The archive is read by
the standard library, which may see other members than another reader does: that is no matter while every archive is refused.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection, Iterator

from pratique.checking import Finding
from pratique.checks.artifact import pickles
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Bytes, Sight, View, shown

MAGICS = (b"PK\x03\x04", b"PK\x05\x06")

_END = b"PK\x05\x06"
_CENTRAL = b"PK\x01\x02"
_LOCATOR = b"PK\x06\x07"
_END64 = b"PK\x06\x06"
_END_SIZE = 22
_LONGEST_COMMENT = 0xFFFF
_MAX_DIRECTORY = 16 << 20
_MAX_PICKLE = 32 << 20
"""Bytes of one pickle, and of all together."""

_NAMED = 10
"""Globals that one message names."""


def ends_like_one(data: Bytes, members: Collection[int] = ()) -> bool:
    """Whether a reader of zip archives would find one at the end of the file: it looks there, not at the beginning.

    The record's own figures must lead to a directory, so that the four letters alone mean nothing. Readers differ in whether
    they count from the beginning of the file or back from the record, and in sizes of 64 bits the figures are elsewhere.

    Args:
        members: where members of a file that are zip archives themselves end. They have been looked at, so what a reader finds
            there is no news, unless it counts from the beginning of the file.
    """
    for at in _ends(data):
        size, start, locator = _number(data, at + 12, 4), _number(data, at + 16, 4), at - 20
        wide = locator >= 0 and data[locator : locator + 4] == _LOCATOR
        record = _number(data, locator + 8, 8) if wide else 0
        if data[start : start + 4] == _CENTRAL or (wide and data[record : record + 4] == _END64):
            return True
        if at + _END_SIZE in members:
            continue
        if wide or (size <= at and data[at - size : at - size + 4] == _CENTRAL):
            return True
    return False


def look(view: View) -> Sight:
    """Name what is inside; refuse it."""
    names: list[str] = []
    imported: dict[str, list[str]] = {}
    trouble = ""
    try:
        if _directory_size(view.data) > _MAX_DIRECTORY:
            raise zipfile.BadZipFile("its directory is too large")
        with zipfile.ZipFile(view.path) as archive:
            names = archive.namelist()
            for member, found in _pickles(archive):
                imported[member] = found
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, OSError, EOFError, ValueError) as error:
        trouble = f", and part of it was not looked into ({shown(str(error))})"
    findings = [_pickle(view.name, member, found) for member, found in imported.items() if found]
    findings.append(_refused(view.name, names, trouble))
    return Sight(findings=tuple(findings), counts={"pickle_globals": sum(map(len, imported.values()))})


def _ends(data: Bytes) -> Iterator[int]:
    """Where an end-of-directory record may stand, last first."""
    first = max(0, len(data) - _END_SIZE - _LONGEST_COMMENT)
    at = data.rfind(_END, first)
    while at >= 0:
        if at + _END_SIZE <= len(data):
            yield at
        at = data.rfind(_END, first, at + len(_END) - 1)


def _directory_size(data: Bytes) -> int:
    """The most bytes that a reader would take for the directory: each becomes about ten in memory."""
    sizes = [0]
    for at in _ends(data):
        sizes.append(_number(data, at + 12, 4))
        locator = at - 20
        if locator >= 56 and data[locator : locator + 4] == _LOCATOR:  # zip64: the true size is elsewhere
            records = (locator - 56, _number(data, locator + 8, 8))
            sizes += [_number(data, one + 40, 8) for one in records if data[one : one + 4] == _END64]
    return max(size for size in sizes if size != 0xFFFFFFFF)


def _number(data: Bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _pickles(archive: zipfile.ZipFile) -> Iterator[tuple[str, list[str]]]:
    """The globals of each member that is a pickle, by its name or by its first bytes."""
    left = _MAX_PICKLE
    for member in archive.infolist():
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # the others decompress without bounds
            raise zipfile.BadZipFile(f"compression method {member.compress_type}")
        with archive.open(member) as stream:
            head = stream.read(3)
            if not pickles.has_header(head) and not member.filename.casefold().endswith((".pkl", ".pickle")):
                continue
            data = head + stream.read(left)
        left -= len(data)
        if left <= 0:
            raise zipfile.BadZipFile(f"more than {_MAX_PICKLE:,} bytes of pickles")
        uses = [use for reading in pickles.streams(data) for use in reading.uses]
        yield shown(member.filename), list(dict.fromkeys(pickles.plain_name(use) for use in uses))


def _pickle(name: str, member: str, imported: list[str]) -> Finding:
    more = f" and {len(imported) - _NAMED} more" if len(imported) > _NAMED else ""
    message = f"loading this archive can run code: its pickle imports {', '.join(imported[:_NAMED])}{more}"
    return finding("pickle-in-archive", f"{name}, member {member}", message)


def _refused(name: str, names: list[str], trouble: str) -> Finding:
    what = "a PyTorch checkpoint" if any(one.endswith("/data.pkl") for one in names) else "an archive"
    message = f"this is {what} of {len(names):,} members{trouble}; archives are not accepted, whatever is in them"
    return finding("archive-not-allowed", name, message)
