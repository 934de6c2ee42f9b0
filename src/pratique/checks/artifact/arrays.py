"""Arrays of NumPy in files: .npy, and .npz, which is a zip archive of them.

    \\x93NUMPY | version | length of the header | {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4)} | raw bytes

An array of objects has a pickle in the place of raw bytes. Format: numpy/lib/_format_impl.py.
"""

from __future__ import annotations

import ast
import math
import re
from typing import Any

from pratique.checking import Finding
from pratique.checks.artifact import machine, pickles, zips
from pratique.checks.artifact.granting import NOTHING, Grants
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Bytes, Sight, View, shown
from pratique.errors import Malformed

MAGIC = b"\x93NUMPY"

_MAX_HEADER = 10_000
"""Characters; numpy.lib.format refuses longer ones unless it is told to trust the file."""

_CODE = re.compile(r"[<>|=]?([biufcSUVMm?])(\d{0,9})(\[[\w/]{1,20}\])?\Z", re.ASCII)
_ALIKE = 8
"""Levels of types within types."""


def look(view: View, grants: Grants = NOTHING) -> Sight:
    """One array."""
    findings, used = _array(view.name, view.data, 0, view.size, grants)
    return Sight(findings=tuple(findings), counts={"pickle_globals": used})


def look_at_archive(view: View, members: list[zips.Member], grants: Grants = NOTHING) -> Sight:
    """An archive of arrays."""
    findings: list[Finding] = []
    used = 0
    for member in members:
        where = f"{view.name}, member {shown(member.name)}"
        try:
            with zips.opened(view.data, member) as (data, start, end):
                found, count = _array(where, data, start, end, grants)
        except Malformed as error:
            found, count = [_malformed(where, str(error))], 0
        findings += found
        used += count
    return Sight(findings=tuple(findings), counts={"pickle_globals": used})


def is_archive(members: list[zips.Member]) -> bool:
    """Whether an archive is one of arrays, by the names of its members."""
    return bool(members) and all(member.name.endswith(".npy") for member in members)


def _array(where: str, data: Bytes, start: int, end: int, grants: Grants) -> tuple[list[Finding], int]:
    """Hold an array against its header, between two offsets; and how many globals it imports."""
    try:
        head, begin = header(data, start, end)
        size = _itemsize(head["descr"])
        count = math.prod(head["shape"])
        if size is not None and begin + size * count != end:
            raise Malformed(f"{end - begin:,} bytes behind its header, which speaks of {size * count:,}")
    except Malformed as error:
        return [_malformed(where, str(error))], 0
    if size is not None:
        return [], 0
    reading = machine.read(data, begin, joblib="no")
    found = [*pickles.refusals(where, reading, grants, start), *pickles.faults(where, reading, start)]
    found += pickles.nested(where, data, reading, grants)
    if reading.end is not None and reading.end != end:
        found.append(_malformed(where, f"{end - reading.end:,} bytes behind the pickle of its objects"))
    return found, reading.used


def header(data: Bytes, start: int, end: int) -> tuple[dict[str, Any], int]:
    """The header of an array, and where its numbers begin. Raises Malformed."""
    head = data[start : start + 12]
    if not head.startswith(MAGIC) or len(head) < 12 or head[6:8] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise Malformed("no array of version 1, 2 or 3")
    width = 2 if head[6] == 1 else 4
    length = int.from_bytes(head[8 : 8 + width], "little")
    begin = start + 8 + width
    if length > _MAX_HEADER or begin + length > end:
        raise Malformed(f"a header of {length:,} bytes")
    try:
        found = ast.literal_eval(data[begin : begin + length].decode("utf-8" if head[6] == 3 else "latin-1"))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError) as error:
        raise Malformed("a header that is no literal of Python") from error
    if not isinstance(found, dict) or found.keys() != {"descr", "fortran_order", "shape"}:
        raise Malformed("a header without just descr, fortran_order and shape")
    if not isinstance(found["fortran_order"], bool) or not _is_shape(found["shape"]):
        raise Malformed("a header whose shape or order is none")
    return found, begin + length


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, tuple) and len(shape) <= 64 and all(type(one) is int and 0 <= one < 1 << 62 for one in shape)


def _itemsize(descr: Any, depth: int = 0) -> int | None:
    """Bytes of an element; None if it is, or holds, a reference to an object."""
    if depth > _ALIKE:
        raise Malformed("a type of too many levels")
    if isinstance(descr, str):
        if descr in ("O", "|O", "|O8", "O8"):
            return None
        match = _CODE.match(descr)
        if match is None or not match[2]:
            raise Malformed(f"the type {shown(descr)!r}, which is not known here")
        return int(match[2]) * (4 if match[1] == "U" else 1)
    if isinstance(descr, tuple) and len(descr) == 2 and _is_shape(descr[1]):
        inner = _itemsize(descr[0], depth + 1)
        return None if inner is None else inner * math.prod(descr[1])
    if not isinstance(descr, list):
        raise Malformed("a type that is none")
    sizes = [_field(one, depth + 1) for one in descr]
    plain = [size for size in sizes if size is not None]
    return sum(plain) if len(plain) == len(sizes) else None


def _field(field: Any, depth: int) -> int | None:
    if not isinstance(field, tuple) or len(field) not in (2, 3) or not isinstance(field[0], str):
        raise Malformed("a type with a field that is none")
    size = _itemsize(field[1], depth)
    if len(field) == 2 or size is None:
        return size
    if not _is_shape(field[2]):
        raise Malformed("a type with a field that is none")
    return size * math.prod(field[2])


def _malformed(name: str, message: str) -> Finding:
    return finding("checkpoint-malformed", name, f"not as NumPy writes arrays: {message}")
