"""Safetensors, read strictly: the header is parsed, the tensors are never touched.

    8 bytes: length n of the header, little-endian | n bytes: JSON | the tensors, back to back

Format: https://huggingface.co/docs/safetensors (README of huggingface/safetensors, section "Format"). Where readers differ
(duplicate keys, unknown keys) we take the narrow side, so that nobody sees other tensors than we do.
"""

from __future__ import annotations

from typing import Any

from pratique import documents
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Bytes, Sight, View, shown
from pratique.errors import Malformed

MAX_HEADER = 100_000_000
"""Bytes; MAX_HEADER_SIZE of the reference implementation (safetensors/src/tensor.rs)."""

_DEEPEST = 4
"""File, tensor, list: three levels are all that the format has."""

_MAX_ELEMENTS = 1 << 63
"""The reference implementation refuses shapes whose product overflows; no file is that large."""

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip
"""Bits of an element: `Dtype::bitsize` of the reference implementation, 0.8."""


def resembles(data: Bytes) -> bool:
    """Whether a file begins as safetensors do: a length that may be, and an object behind it."""
    return len(data) > 8 and data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= MAX_HEADER


def look(view: View) -> Sight:
    """Hold a file against the format."""
    try:
        names, parameters = _parse(view.data)
    except Malformed as error:
        return Sight(findings=(finding("safetensors-malformed", view.name, f"not a proper safetensors file: {error}"),))
    odd = [name for name in names if not name.isprintable()]
    message = (
        f"{len(odd):,} names of tensors hold characters that terminals act on; the first is {shown(odd[0])}" if odd else ""
    )
    findings = (finding("unprintable-name", view.name, message),) if odd else ()
    return Sight(findings=findings, counts={"tensors": len(names), "parameters": parameters})


def _parse(data: Bytes) -> tuple[list[str], int]:
    """The names of the tensors, and how many numbers they hold together.

    Raises:
        Malformed: anything but a header that tiles the rest of the file exactly.
    """
    if len(data) < 8:
        raise Malformed(f"it is {len(data)} bytes long; the length of the header alone takes 8")
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER:
        raise Malformed(f"it claims a header of {length:,} bytes; {MAX_HEADER:,} are allowed")
    if 8 + length > len(data):
        raise Malformed(f"it claims a header of {length:,} bytes and has {len(data) - 8:,}; it was cut off")
    text = data[8 : 8 + length]
    if not text.startswith(b"{"):
        raise Malformed("its header does not begin with {")
    header = documents.parse(text, what="its header", max_bytes=MAX_HEADER, max_depth=_DEEPEST)
    _ensure_metadata(header.pop("__metadata__", {}))
    tensors = [_tensor(name, info) for name, info in header.items()]
    _ensure_tiled([(begin, end) for begin, end, _ in tensors], len(data) - 8 - length)
    return list(header), sum(elements for _, _, elements in tensors)


def _ensure_metadata(metadata: Any) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Malformed("its __metadata__ is not a map from text to text")


def _tensor(name: str, info: Any) -> tuple[int, int, int]:
    """Where a tensor begins and ends, and how many elements it has."""
    what = f"tensor {shown(name)!r}"
    if not isinstance(info, dict) or info.keys() != {"dtype", "shape", "data_offsets"}:
        raise Malformed(f"{what} does not have just dtype, shape and data_offsets")
    dtype, shape, offsets = info["dtype"], info["shape"], info["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise Malformed(f"{what} has the dtype {shown(str(dtype))!r}, which the format does not know")
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise Malformed(f"{what} has a shape or data_offsets that are not lists of natural numbers")
    elements = _product(what, shape)
    begin, end = offsets
    if elements * _BITS[dtype] != 8 * (end - begin):
        size = f"{elements * _BITS[dtype] / 8:,.10g}"
        raise Malformed(f"{what} takes {size} bytes by its shape and dtype, and {end - begin:,} by its data_offsets")
    return begin, end, elements


def _naturals(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _product(what: str, shape: list[int]) -> int:
    elements = 1
    for size in shape:
        elements *= size
        if elements >= _MAX_ELEMENTS:
            raise Malformed(f"{what} has a shape whose product overflows")
    return elements


def _ensure_tiled(spans: list[tuple[int, int]], size: int) -> None:
    """Every byte belongs to one tensor: nothing can hide in a hole, in an overlap, or behind the last one."""
    covered = 0
    for begin, end in sorted(spans):
        if begin != covered:
            what = "overlap" if begin < covered else "leave a hole"
            raise Malformed(f"its tensors {what} at byte {min(begin, covered):,} of the data")
        covered = end
    if covered != size:
        what = f"{size - covered:,} bytes follow the last tensor" if covered < size else "the last tensors are cut off"
        raise Malformed(what)
