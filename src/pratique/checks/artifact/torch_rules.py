"""PyTorch in a pickle: storages lie elsewhere in the file, and tensors are views of them, which must stay within.

PyTorch: torch/serialization.py (persistent_id), torch/_utils.py (_rebuild_*). CVE-2025-32434 and CVE-2026-24747 are what comes
of trusting the loader with it.
"""

from __future__ import annotations

from pratique.checks.artifact.array_rules import Objection
from pratique.checks.artifact.opcodes import Op
from pratique.checks.artifact.stack import Stack
from pratique.checks.artifact.values import Box, Leaf, Made, Use, Value

_SIZES = {
    "FloatStorage": 4, "DoubleStorage": 8, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8, "IntStorage": 4,
    "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1, "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16, "QInt8Storage": 1, "QUInt8Storage": 1, "QInt32Storage": 4, "QUInt4x2Storage": 1,
    "QUInt2x4Storage": 1, "UntypedStorage": 1,
}  # fmt: skip
"""Bytes of an element, by the class that a persistent id names."""

_DTYPES = {
    "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1,
    "uint16": 2, "uint32": 4, "uint64": 8, "bool": 1, "complex32": 4, "complex64": 8, "complex128": 16, "float8_e4m3fn": 1,
    "float8_e4m3fnuz": 1, "float8_e5m2": 1, "float8_e5m2fnuz": 1, "float8_e8m0fnu": 1, "float4_e2m1fn_x2": 1,
}  # fmt: skip

_MOST = 1 << 50


def storage(stack: Stack, op: Op, key: Value) -> bool:
    """Note a storage that the loader is asked for: ("storage", class, key, location, elements[, None])."""
    parts = key.items if isinstance(key, Box) and key.kind == "tuple" else []
    if len(parts) not in (5, 6) or stack.text(parts[0]) != "storage":
        return False
    size, name, elements = element_size(parts[1]), stack.text(parts[2]), natural(parts[4])
    if size is None or name is None or stack.text(parts[3]) is None or elements is None or not 0 <= elements < _MOST:
        return False
    if len(parts) == 6 and not (isinstance(parts[5], Leaf) and parts[5].kind == "none"):
        stack.odd(op, "asks for a view of a storage, as PyTorch before 1.0 did")
    if stack.reading.storages.setdefault(name, (elements, size)) != (elements, size):
        stack.odd(op, f"asks for the storage {name[:40]!r} in two sizes")
    return True


def source(stack: Stack, key: Value) -> Use | None:
    """The class in ("module", class, path, source): checkpoints of before 1.6 carry its source along, for a warning."""
    parts = key.items if isinstance(key, Box) and key.kind == "tuple" else []
    if len(parts) != 4 or stack.text(parts[0]) != "module" or not all(isinstance(one, Leaf) for one in parts[2:]):
        return None
    return parts[1] if isinstance(parts[1], Use) else None


def view(stack: Stack, op: Op, value: Made) -> None:
    """_rebuild_tensor_v2(storage, offset, size, stride, ...): every element must lie within the storage."""
    _ensure_within(_given(value, 4), None)


def lazy_hook(stack: Stack, op: Op, value: Made) -> None:
    """getattr(layer, "_infer_parameters"): how a method of a layer that has no weights yet is written. Nothing else is."""
    given = value.arguments.items if value.arguments else []
    owner = given[0].origin if len(given) == 2 and isinstance(given[0], Made) else None
    lazy = owner is not None and owner.module.startswith("torch.nn.modules.") and owner.name.startswith("Lazy")
    if not lazy or stack.text(given[1]) not in ("_infer_parameters", "_lazy_load_hook"):
        raise Objection("for something else than a hook of a lazy layer")


def view_of_bytes(stack: Stack, op: Op, value: Made) -> None:
    """_rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype, ...)."""
    given = _given(value, 7)
    dtype = given[6]
    size = _DTYPES.get(dtype.name) if isinstance(dtype, Use) and dtype.module == "torch" else None
    if size is None:
        raise Objection("with something else than a type of PyTorch where one belongs")
    _ensure_within(given, size)


def _ensure_within(given: list[Value], size: int | None) -> None:
    held = given[0]
    key = held.storage.items if isinstance(held, Made) and held.storage else []
    if len(key) < 5:
        raise Objection("with something else than a storage of this file")
    offset, shape, strides = natural(given[1]), naturals(given[2]), naturals(given[3])
    if offset is None or offset < 0 or len(shape) != len(strides):
        raise Objection("with an offset, a size or strides that are not natural numbers")
    if all(shape):
        last = offset + sum((count - 1) * stride for count, stride in zip(shape, strides, strict=True))
        element = element_size(key[1]) or 1
        if (last + 1) * (element if size is None else size) > (natural(key[4]) or 0) * element:
            raise Objection("for a tensor that reaches beyond its storage")


def _given(value: Made, least: int) -> list[Value]:
    given = value.arguments.items if value.arguments else []
    if len(given) < least:
        raise Objection(f"with fewer than {least} arguments")
    return given


def element_size(value: Value) -> int | None:
    """Bytes of an element of the storages of a class; None if it is none of PyTorch's."""
    return _SIZES.get(value.name) if isinstance(value, Use) and value.module.split(".")[0] == "torch" else None


def natural(value: Value) -> int | None:
    """The integer that a value is."""
    return value.value if isinstance(value, Leaf) else None


def naturals(value: Value) -> list[int]:
    """A size or strides. Raises Objection."""
    parts = value.items if isinstance(value, Box) and value.kind == "tuple" else None
    if parts is None and isinstance(value, Made) and value.origin and value.origin.name == "Size" and value.arguments:
        parts = value.arguments.items[0].items if value.arguments.items and isinstance(value.arguments.items[0], Box) else None
    numbers = [natural(part) for part in parts or ()]
    plain = [number for number in numbers if number is not None and 0 <= number < _MOST]
    if parts is None or len(plain) != len(numbers):
        raise Objection("with a size or strides that are not natural numbers")
    return plain
