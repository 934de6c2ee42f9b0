"""GGUF, the format of llama.cpp: keys and values, tensors' descriptions, and tensors, each byte accounted for.

    GGUF | version | how many tensors, keys | key, type, value ... | name, shape, type, offset ... | padding | tensors, padded

The chat templates among the values go through `templates`. Where readers differ (keys twice, lengths that wrap around:
CVE-2024-23496, CVE-2024-21802) we take the narrow side. Format: docs/gguf.md of ggml-org/ggml, ggml/src/gguf.cpp.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

from pratique.checks.artifact import templates
from pratique.checks.artifact.cursor import Cursor, text
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Bytes, Sight, View, shown
from pratique.errors import Malformed

MAGIC = b"GGUF"

_VERSIONS = (2, 3)
_MAX_KEYS = 1 << 16
_MAX_TENSORS = 1 << 16
_MAX_KEY = 1 << 16
_MAX_NAME = 64
"""GGML_MAX_NAME; longer names are cut by some readers, so that two could become one."""

_MAX_TEXT = 16 << 20
_MAX_ITEMS = 1 << 24
_MAX_DIMENSIONS = 4
_MAX_ELEMENTS = 1 << 48
_BOOL, _TEXT, _ARRAY = 7, 8, 9
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value by its type: u8, i8, u16, i16, u32, i32, f32, bool, u64, i64, f64."""

_TYPES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74),
    18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2),
    26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36),
    41: (128, 18),
}  # fmt: skip
"""Types of tensors: elements of a block, and bytes of one (`GGML_QUANT_SIZES` of gguf-py)."""

_ALIGNMENT_KEY = "general.alignment"
_ALIGNMENT = 32
_LARGEST_ALIGNMENT = 1 << 16
_TEMPLATE_KEY = "tokenizer.chat_template"


def look(view: View) -> Sight:
    """Hold a file against the format, and its chat templates against what such templates do."""
    try:
        found, tensors, elements = _parse(view.data)
    except Malformed as error:
        return Sight(findings=(finding("gguf-malformed", view.name, f"not a proper GGUF file: {error}"),))
    findings = [one for key, template in found for one in templates.findings(f"{view.name}, key {shown(key)}", template)]
    return Sight(findings=tuple(findings), counts={"tensors": tensors, "parameters": elements})


def _parse(data: Bytes) -> tuple[list[tuple[str, str]], int, int]:
    """The chat templates by their keys, and how many tensors and elements there are."""
    cursor = Cursor(data)
    magic, version = cursor.take(4), cursor.uint(4)
    if magic != MAGIC or version not in _VERSIONS:
        raise Malformed(f"it is of version {version}; versions 2 and 3, little-endian, are read")
    tensors, keys = cursor.unpack("QQ")
    if tensors > _MAX_TENSORS or keys > _MAX_KEYS:
        raise Malformed(f"it claims {tensors:,} tensors and {keys:,} keys; {_MAX_TENSORS:,} and {_MAX_KEYS:,} are read")
    found, alignment = _values(cursor, keys)
    spans = _tensors(cursor, tensors, alignment)
    _ensure_tiled(data, cursor.at, alignment, spans)
    return found, tensors, sum(elements for _, _, elements in spans)


def _values(cursor: Cursor, keys: int) -> tuple[list[tuple[str, str]], int]:
    seen: set[str] = set()
    found: list[tuple[str, str]] = []
    alignment = _ALIGNMENT
    for _ in range(keys):
        key = text(_string(cursor, _MAX_KEY), "a key")
        if key in seen or not key.isprintable():
            raise Malformed(f"the key {shown(key)!r} is there twice, or is not printable")
        seen.add(key)
        kind = cursor.uint(4)
        start = cursor.at
        value = _value(cursor, kind)
        if key == _ALIGNMENT_KEY:
            alignment = _power(cursor, start, kind)
        if key.startswith(_TEMPLATE_KEY):
            found += _templates(key, kind, value)
    return found, alignment


def _templates(key: str, kind: int, value: bytes | None) -> Iterator[tuple[str, str]]:
    """A chat template; `tokenizer.chat_templates` names the others and holds no text of its own."""
    if kind == _TEXT and value is not None:
        yield key, text(value, f"the value of {shown(key)!r}")
    elif key != "tokenizer.chat_templates":
        raise Malformed(f"the value of {shown(key)!r} is no text")


def _power(cursor: Cursor, start: int, kind: int) -> int:
    value = int.from_bytes(cursor.data[start : start + 4], "little")
    if kind != 4 or not 8 <= value <= _LARGEST_ALIGNMENT or value & (value - 1):
        raise Malformed(f"an alignment that is no power of two between 8 and {_LARGEST_ALIGNMENT:,}")
    return value


def _value(cursor: Cursor, kind: int) -> bytes | None:
    """Step over a value; the bytes of a text."""
    if kind == _TEXT:
        return _string(cursor, _MAX_TEXT)
    if kind == _BOOL:
        _ensure_booleans(cursor.take(1))
    elif kind in _SIZES:
        cursor.skip(_SIZES[kind])
    elif kind == _ARRAY:
        _array(cursor)
    else:
        raise Malformed(f"a value of the type {kind}, which is not known")
    return None


def _array(cursor: Cursor) -> None:
    kind, count = cursor.unpack("IQ")
    if count > _MAX_ITEMS:
        raise Malformed(f"an array of {count:,} values; {_MAX_ITEMS:,} are read")
    if kind == _TEXT:
        _strings(cursor, count)
    elif kind == _BOOL:
        _ensure_booleans(cursor.take(count))
    elif kind in _SIZES:
        cursor.skip(_SIZES[kind] * count)
    else:  # llama.cpp reads no arrays of arrays, either
        raise Malformed(f"an array of the type {kind}, which is not known or nested")


def _strings(cursor: Cursor, count: int) -> None:
    """Step over texts: a vocabulary has hundreds of thousands, so this is written for speed."""
    data, at, end = cursor.data, cursor.at, cursor.end
    length = struct.Struct("<Q").unpack_from
    for _ in range(count):
        if at + 8 > end:
            raise Malformed("it is cut off within an array of texts")
        at += 8 + length(data, at)[0]
    if at > end:
        raise Malformed("it is cut off within an array of texts")
    cursor.at = at


def _ensure_booleans(raw: bytes) -> None:
    if raw.strip(b"\0\1"):
        raise Malformed("a truth value that is neither 0 nor 1")


def _string(cursor: Cursor, most: int) -> bytes:
    length = cursor.uint(8)
    if length > most:
        raise Malformed(f"a text of {length:,} bytes; {most:,} are read")
    return cursor.take(length)


def _tensors(cursor: Cursor, count: int, alignment: int) -> list[tuple[int, int, int]]:
    """Offset, bytes and elements of each tensor."""
    spans, seen = [], set()
    for _ in range(count):
        name = text(_string(cursor, _MAX_NAME), "the name of a tensor")
        if name in seen or not name.isprintable():
            raise Malformed(f"the tensor {shown(name)!r} is there twice, or its name is not printable")
        seen.add(name)
        dimensions = cursor.uint(4)
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise Malformed(f"tensor {shown(name)!r} has {dimensions:,} dimensions; 1 to {_MAX_DIMENSIONS} are read")
        shape = cursor.unpack("Q" * dimensions)
        kind, offset = cursor.unpack("IQ")
        block, size = _TYPES.get(kind, (0, 0))
        elements = math.prod(shape)
        if not block or not 0 < elements < _MAX_ELEMENTS or shape[0] % block or offset % alignment:
            raise Malformed(f"tensor {shown(name)!r} has a type, a shape or an offset that cannot be")
        spans.append((offset, elements // block * size, elements))
    return spans


def _ensure_tiled(data: Bytes, header: int, alignment: int, spans: list[tuple[int, int, int]]) -> None:
    """Every byte belongs to a tensor, or is a zero that pads one up to the next."""
    at = header
    begin = -header % alignment + header if spans else header
    for offset, size, _ in sorted(spans):
        _ensure_padding(data, at, begin + offset, alignment)
        at = begin + offset + size
    if at > len(data):
        raise Malformed("the last tensors are cut off")
    _ensure_padding(data, at, len(data), alignment)


def _ensure_padding(data: Bytes, start: int, end: int, alignment: int) -> None:
    if end < start:
        raise Malformed(f"tensors overlap at byte {end:,}")
    if end - start >= alignment or data[start:end].strip(b"\0"):
        raise Malformed(f"{end - start:,} bytes at byte {start:,} belong to no tensor")
