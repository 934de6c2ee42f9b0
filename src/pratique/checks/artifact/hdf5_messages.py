"""What an object of HDF5 says about itself, message by message: space, type, layout, filters, attributes.

Format: HDF5 File Format Specification 3.0, section IV.A.2. Only versions and classes that h5py writes by default are read; see
`hdf5` for what is refused and why.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from pratique.checks.artifact.cursor import Cursor, text
from pratique.errors import Malformed

UNDEFINED = (1 << 64) - 1
"""An address that leads nowhere."""

_MAX_RANK = 32
_FIXED, _FLOAT, _STRING, _OPAQUE, _ENUM, _VARIABLE = 0, 1, 3, 5, 8, 9
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32"}
"""Filters of the library itself that every build has. All others are plug-ins: shared libraries, found by a path."""


class Type(NamedTuple):
    """What an element is."""

    kind: int
    size: int
    """Bytes."""


class Layout(NamedTuple):
    """Where a dataset's bytes lie."""

    kind: str
    """compact, contiguous or chunked."""

    address: int = UNDEFINED
    size: int = 0
    rank: int = 0
    """Of chunks: one more than that of the dataset."""

    chunk: int = 0
    """Bytes of a chunk."""


class Attribute(NamedTuple):
    """A named value of an object."""

    name: str
    type: Type
    elements: int
    value: bytes


def dataspace(cursor: Cursor) -> int:
    """How many elements there are."""
    version, rank, flags = cursor.take(3)
    if version not in (1, 2) or rank > _MAX_RANK or flags & ~1:
        raise Malformed("a space of a kind that is not known here")
    kind = cursor.uint(1)
    if version == 1:
        cursor.skip(4)
    shape = cursor.unpack("Q" * rank)
    cursor.skip(8 * rank if flags & 1 else 0)
    if version == 2 and kind == 2:
        return 0
    count = math.prod(shape)
    if count >= 1 << 56:
        raise Malformed("a shape whose product overflows")
    return count


def datatype(cursor: Cursor) -> Type:
    """What the elements are: numbers, texts, opaque bytes, truth values; of what varies in length only texts."""
    first = cursor.uint(1)
    kind, version = first & 15, first >> 4
    bits, size = cursor.uint(3), cursor.uint(4)
    if version not in (1, 3) or not 0 < size < 1 << 24:
        raise Malformed("a type of a version or size that is not known here")
    if kind in (_FIXED, _FLOAT):
        cursor.skip(4 if kind == _FIXED else 12)
    elif kind == _OPAQUE:
        cursor.skip(bits & 0xFF)
    elif kind == _ENUM:
        if datatype(cursor) != Type(_FIXED, size):
            raise Malformed("an enumeration of something else than numbers")
    elif kind == _VARIABLE:
        inner = datatype(cursor)
        if bits & 15 != 1 or size != 16 or inner.size != 1:
            raise Malformed("a type of varying length that is no text")
    elif kind != _STRING:
        raise Malformed(f"a type of the class {kind}: references, compounds and the like are not read here")
    return Type(kind, size)


def layout(cursor: Cursor) -> Layout:
    """Where the bytes lie. Version 4 and its virtual datasets, which lie in other files, are not known here."""
    version, kind = cursor.take(2)
    if version != 3 or kind > 2:
        raise Malformed(f"a dataset whose layout is of version {version} and class {kind}: it may lie in other files")
    if kind == 0:
        size = cursor.uint(2)
        return Layout("compact", cursor.skip(size), size)
    if kind == 1:
        address, size = cursor.unpack("QQ")
        return Layout("contiguous", address, size)
    rank = cursor.uint(1)
    if not 2 <= rank <= _MAX_RANK + 1:
        raise Malformed("chunks of a rank that cannot be")
    address = cursor.uint(8)
    return Layout("chunked", address, 0, rank, math.prod(cursor.unpack("I" * rank)))


def ensure_filters(cursor: Cursor) -> None:
    """Filters must be those of the library itself."""
    version, count = cursor.take(2)
    if version not in (1, 2) or count > 32:
        raise Malformed("filters of a version that is not known here")
    cursor.skip(6 if version == 1 else 0)
    for _ in range(count):
        number = cursor.uint(2)
        if number not in _FILTERS:
            raise Malformed(f"the filter {number:,}, which is a plug-in: a shared library that the reader would load")
        length = cursor.uint(2) if version == 1 else 0
        _, values = cursor.unpack("HH")
        cursor.skip(_padded(length) if version == 1 else length)
        cursor.skip(4 * values + (4 if version == 1 and values % 2 else 0))


def attribute(cursor: Cursor) -> Attribute:
    """A named value."""
    version, flags = cursor.take(2)
    sizes = cursor.unpack("HHH")
    if version not in (1, 2, 3) or (flags and version > 1):
        raise Malformed("an attribute of a version that is not known here, or with a type that lies elsewhere")
    cursor.skip(1 if version == 3 else 0)
    pad: Callable[[int], int] = _padded if version == 1 else int
    name = text(cursor.take(pad(sizes[0])).split(b"\0")[0], "the name of an attribute")
    parts = [Cursor(cursor.data, start := cursor.skip(pad(size)), start + size) for size in sizes[1:]]
    kind, count = datatype(parts[0]), dataspace(parts[1])
    return Attribute(name, kind, count, cursor.take(kind.size * count))


def is_variable(kind: Type) -> bool:
    """Whether the elements lie in the global heap."""
    return kind.kind == _VARIABLE


def is_text(kind: Type) -> bool:
    """Whether the elements are texts of a fixed length."""
    return kind.kind == _STRING


def _padded(size: int) -> int:
    return -(-size // 8) * 8
