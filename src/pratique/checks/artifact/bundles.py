"""TensorFlow's variables on disk: an index, which is a table of names and places, and shards of raw bytes that it describes.

    variables.index = blocks of (name, dtype, shape, shard, offset, size) | index of the blocks | footer with a magic
    variables.data-00000-of-00001 = tensors, back to back

Each block must lie behind the one before, uncompressed, up to the footer; each tensor in a shard that is there, and of the size
that its shape says. `raws` holds the shards against it. Format: tensorflow/core/protobuf/tensor_bundle.proto,
tensorflow/core/lib/io/format.cc (the tables of LevelDB).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from pratique.checks.artifact import wire
from pratique.checks.artifact.cursor import text
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Bytes, Sight, View, shown
from pratique.checks.artifact.wire import FIXED32, INT, MANY_BYTES, TEXT, Message, Schema, many, one
from pratique.errors import Malformed

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
_TRAILER = 5
"""Behind each block: how it is compressed, and a checksum."""

_MAX_ENTRIES = 1_000_000
_MAX_SHARDS = 1_000
_STRING = 7
_SIZES = {
    1: 4, 2: 8, 3: 4, 4: 1, 5: 2, 6: 1, 8: 8, 9: 8, 10: 1, 11: 1, 12: 1, 13: 4, 14: 2, 15: 2, 16: 2, 17: 2, 18: 16, 19: 2,
    22: 4, 23: 8, 24: 1, 25: 1,
}  # fmt: skip
"""Bytes of an element by its type (types.proto). Handles of resources and variants have none."""

_DIMENSION = Schema("dimension", {1: INT, 2: TEXT})
_SHAPE = Schema("shape", {2: many(lambda: _DIMENSION), 3: INT})
_HEADER = Schema("header", {1: INT, 2: INT, 3: wire.BYTES})
_ENTRY = Schema("entry", {1: INT, 2: one(lambda: _SHAPE), 3: INT, 4: INT, 5: INT, 6: FIXED32, 7: MANY_BYTES})


class Place(NamedTuple):
    """Where a tensor lies."""

    path: str
    """Of the shard, in the artifact."""

    offset: int
    size: int


def resembles(data: Bytes) -> bool:
    """Whether a file ends as an index does."""
    return len(data) > _FOOTER and data[len(data) - 8 :] == _MAGIC


def look(view: View) -> Sight:
    """Hold an index against the format and against the shards beside it."""
    try:
        places = list(_places(view))
        for one in places:
            if one.path not in view.beside or one.offset + one.size > view.beside[one.path]:
                raise Malformed(f"a tensor lies in {shown(one.path)}, which is no file of the artifact or too short")
    except Malformed as error:
        message = f"not an index of variables as TensorFlow writes it: {error}"
        return Sight(findings=(finding("savedmodel-malformed", view.name, message),))
    return Sight(counts={"tensors": len(places)})


def places(view: View) -> list[Place]:
    """Where all tensors lie; nowhere if the index is malformed, for then it is refused."""
    try:
        return list(_places(view))
    except Malformed:
        return []


def _places(view: View) -> Iterator[Place]:
    stem = view.name.removesuffix(".index")
    shards = 0
    for number, (name, value) in enumerate(_pairs(view.data)):
        if number == 0:
            header = wire.message(value, _HEADER)
            shards = header.number(1)
            if name or not 0 < shards <= _MAX_SHARDS or header.number(2):
                raise Malformed("no header, too many shards, or numbers that are big-endian")
            continue
        entry = wire.message(value, _ENTRY)
        offset, size, shard = entry.number(4), entry.number(5), entry.number(3)
        if any(field == 7 for field, _ in entry):  # a tensor in slices: they have entries of their own
            if size:
                raise Malformed(f"{shown(text(name, 'a name'))} has slices, and bytes as well")
            continue
        if shard >= shards or size != _size(entry, size):
            raise Malformed(f"{shown(name.decode('utf-8', 'replace'))} is of another size than its shape says, or in no shard")
        yield Place(f"{stem}.data-{shard:05d}-of-{shards:05d}", offset, size)


def _size(entry: Message, given: int) -> int:
    """Bytes that a tensor takes; of texts, what is said."""
    kind, shape = entry.number(1), entry.message(2)
    if kind == _STRING:
        return given
    if kind not in _SIZES:
        raise Malformed(f"a tensor of the type {kind}, which is no plain number")
    dimensions = [one.number(1) for one in shape.messages(2)] if shape else []
    return _SIZES[kind] * math.prod(dimensions)


def _pairs(data: Bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and values of all blocks."""
    if not resembles(data):
        raise Malformed("its end is missing")
    start = len(data) - _FOOTER
    footer = _numbers(data[start : start + 40], 4)
    position = 0
    for _, raw in _block(data, *footer[2:]):
        offset, size = _numbers(raw, 2)
        if offset != position:
            raise Malformed("blocks that do not lie one behind the other")
        position = offset + size + _TRAILER
        yield from _block(data, offset, size)
    for offset, size in (footer[:2], footer[2:]):
        if offset != position:
            raise Malformed("blocks that do not lie one behind the other")
        position = offset + size + _TRAILER
    if position != start or any(True for _ in _block(data, *footer[:2])):
        raise Malformed("bytes that belong to no block")


def _numbers(raw: bytes, count: int) -> list[int]:
    """Offsets and sizes of blocks; zeros may follow."""
    found, at = [], 0
    for _ in range(count):
        value, at = wire.varint(raw, at, len(raw))
        found.append(value)
    if any(raw[at:]):
        raise Malformed("a place of a block that is none")
    return found


def _block(data: Bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Names and values of one block. Names leave out what they share with the one before."""
    if offset + size + _TRAILER > len(data) or size < 4 or data[offset + size]:
        raise Malformed("a block that is cut off or compressed")
    raw = data[offset : offset + size]
    end = size - 4 - 4 * int.from_bytes(raw[-4:], "little")
    at, name = 0, b""
    for _ in range(_MAX_ENTRIES):
        if at >= end:
            break
        shared, at = wire.varint(raw, at, end)
        fresh, at = wire.varint(raw, at, end)
        length, at = wire.varint(raw, at, end)
        if shared > len(name) or fresh + length > end - at:
            raise Malformed("an entry that is cut off")
        following = name[:shared] + raw[at : at + fresh]
        if following <= name and at > 3:
            raise Malformed("names that are not in order, or twice")
        name = following
        yield name, raw[at + fresh : at + fresh + length]
        at += fresh + length
    if at != end:
        raise Malformed("an entry that is cut off")
