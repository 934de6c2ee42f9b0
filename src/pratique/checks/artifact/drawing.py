"""Where the tensors of a checkpoint lie in its file, and what they are called: found by following the pickle, never loading it.

    {"model": OrderedDict(weight=...), "epoch": 3}      ->  the tensor `model.weight`; `epoch` is no tensor and is left out

Whoever calls this has had the file looked at first (`looking`) and refused it if anything was found. What is drawn is complete:
a storage that belongs to no drawn tensor is an error, never a loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

from pratique.checks.artifact import arrays, machine, torches, zips
from pratique.checks.artifact.array_rules import Objection
from pratique.checks.artifact.opcodes import text_at
from pratique.checks.artifact.torch_rules import element_size, natural, naturals
from pratique.checks.artifact.values import Box, Leaf, Made, Reading, Use, Value
from pratique.checks.artifact.viewing import View, shown
from pratique.errors import Malformed, Unsupported

_STORAGES = {
    "FloatStorage": "F32", "DoubleStorage": "F64", "HalfStorage": "F16", "BFloat16Storage": "BF16", "LongStorage": "I64",
    "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8", "BoolStorage": "BOOL",
}  # fmt: skip
_DTYPES = {
    "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64", "int8": "I8", "int16": "I16", "int32": "I32",
    "int64": "I64", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
}  # fmt: skip
_NUMPY = {
    "|b1": "BOOL", "|i1": "I8", "|u1": "U8", "<i2": "I16", "<i4": "I32", "<i8": "I64", "<u2": "U16", "<u4": "U32", "<u8": "U64",
    "<f2": "F16", "<f4": "F32", "<f8": "F64",
}  # fmt: skip
SIZES = {
    "BOOL": 1, "I8": 1, "U8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4,
    "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip
"""Bytes of an element, by the names that safetensors has for types."""

_MOST_VALUES = 2_000_000
"""References expand: a few hundred bytes can name a billion values."""

_DEEPEST = 100
_LONGEST_NAME = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One tensor as a view of the bytes of its file."""

    name: str
    dtype: str
    """As safetensors calls it."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """In elements."""

    start: int
    """Offset of the first element in the file."""

    storage: str
    """Key of the storage; two tensors of one storage share memory when PyTorch loads them."""

    @property
    def size(self) -> int:
        """Bytes, written out."""
        return prod(self.shape) * SIZES[self.dtype]


@dataclass(slots=True, kw_only=True)
class Drawing:
    """What one file holds."""

    tensors: dict[str, Drawn] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    """Names of values that are no tensors."""


def draw(view: View) -> Drawing:
    """Find the tensors of a PyTorch checkpoint, an array or an archive of arrays.

    Raises:
        Unsupported: it holds something that safetensors cannot say: complex or quantised numbers, arrays of objects ...
        Malformed: it is not of a form that is known here, or two tensors have one name.
    """
    if torches.resembles(view.data):
        reading, places = _legacy(view)
        return _checkpoint(view, reading, places)
    if view.data[:6] == arrays.MAGIC:
        drawing = Drawing()
        _add(drawing, _array(view, "array", 0, view.size))
        return drawing
    if view.data[:2] == b"PK":
        members = zips.members(view.data)
        if torches.is_checkpoint(members):
            reading, places = _zipped(view, members)
            return _checkpoint(view, reading, places)
        if arrays.is_archive(members):
            return _archive(view, members)
    raise Unsupported(f"{view.name} is neither a PyTorch checkpoint nor an array of NumPy")


def kind_of_archive(view: View) -> str:
    """torch or npy; '' if a zip archive is neither, or none that two readers would see in one way."""
    try:
        members = zips.members(view.data)
    except Malformed:
        return ""
    return "torch" if torches.is_checkpoint(members) else "npy" if arrays.is_archive(members) else ""


def _zipped(view: View, members: list[zips.Member]) -> tuple[Reading, dict[str, int]]:
    inside = {one.name.partition("/")[2]: one for one in members}
    order = inside.get("byteorder")
    if order and view.data[order.start : order.end] != b"little":
        raise Unsupported(f"{view.name} was written with the most significant byte first")
    reading = machine.read(view.data, inside["data.pkl"].start, persistent=True)
    return reading, {name[5:]: one.start for name, one in inside.items() if name.startswith("data/")}


def _legacy(view: View) -> tuple[Reading, dict[str, int]]:
    position, readings = 0, []
    for number in range(5):
        readings.append(machine.read(view.data, position, persistent=number == 3))
        end = readings[-1].end
        if end is None:
            raise Malformed(f"{view.name} is cut off")
        position = end
    places, keys = {}, readings[4].result
    for key in keys.items if isinstance(keys, Box) else ():
        name = text_at(view.data, key.at) if isinstance(key, Leaf) and key.kind == "text" else ""
        elements, size = readings[3].storages[name]
        places[name] = position + 8
        position += 8 + elements * size
    return readings[3], places


def _checkpoint(view: View, reading: Reading, places: dict[str, int]) -> Drawing:
    """Walk the values, and make sure that no storage is left over."""
    drawing = Drawing()
    for seen, (name, value) in enumerate(_leaves(view, reading.result)):
        if seen > _MOST_VALUES:
            raise Malformed(f"{view.name} names more than {_MOST_VALUES:,} values: an expansion bomb?")
        tensor = _tensor(view, name, value, places)
        if tensor is None:
            drawing.dropped.append(shown(name))
        else:
            _add(drawing, tensor)
    if lost := sorted(places.keys() - {one.storage for one in drawing.tensors.values()}):
        raise Unsupported(f"{view.name}: the storage {shown(lost[0])!r} is part of something that is no plain tensor")
    return drawing


def _leaves(view: View, top: Value | None) -> Iterator[tuple[str, Value]]:
    """Whatever is no dictionary, list or tuple, by its path. An empty container is nothing that could be lost."""
    waiting: list[tuple[str, Value, int]] = [("", top, 0)] if top is not None else []
    while waiting:
        name, value, depth = waiting.pop()
        parts = _parts(view, value)
        if parts is None:
            yield name, value
            continue
        if depth > _DEEPEST or len(name) > _LONGEST_NAME:
            raise Malformed(f"{view.name} nests values too deep at {shown(name)}")
        if isinstance(value, Made) and value.state is not None:
            yield _joined(name, "(attributes)"), Leaf(1, "none")
        if len(waiting) + len(parts) > _MOST_VALUES:
            raise Malformed(f"{view.name} names more than {_MOST_VALUES:,} values: an expansion bomb?")
        waiting += [(_joined(name, key), part, depth + 1) for key, part in reversed(parts)]


def _joined(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _parts(view: View, value: Value) -> list[tuple[str, Value]] | None:
    """What a container holds, with names; None if it is no container, or not one that can be named in parts."""
    if isinstance(value, Box) and value.kind in ("list", "tuple"):
        return [(str(number), one) for number, one in enumerate(value.items)]
    if isinstance(value, Box) and value.kind == "dict":
        return _pairs(view, value.items)
    if isinstance(value, Made) and value.origin and (value.origin.module, value.origin.name) == ("collections", "OrderedDict"):
        if value.arguments and value.arguments.items:
            raise Unsupported(f"{view.name} has an OrderedDict as Python 2 wrote it")
        return _pairs(view, value.filled)
    return None


def _pairs(view: View, items: list[Value]) -> list[tuple[str, Value]]:
    return [(_key(view, key), value) for key, value in zip(items[::2], items[1::2], strict=True)]


def _key(view: View, key: Value) -> str:
    if isinstance(key, Leaf) and key.kind == "text":
        return text_at(view.data, key.at)
    if isinstance(key, Leaf) and key.kind == "int" and key.value is not None:
        return str(key.value)
    raise Unsupported(f"{view.name} has a key that is neither text nor a number")


def _tensor(view: View, name: str, value: Value, places: dict[str, int]) -> Drawn | None:
    """A tensor out of the call that rebuilds it; None if the value is none."""
    if not (isinstance(value, Made) and value.origin and value.origin.module == "torch._utils"):
        return None
    given, call = value.arguments.items if value.arguments else [], value.origin.name
    where = f"{view.name}: {shown(name) or 'the tensor'}"
    if value.state is not None or value.filled:
        raise Unsupported(f"{where} has attributes of its own")
    if call == "_rebuild_parameter" and len(given) == 3:
        _ensure_plain(where, given[2])
        return _tensor(view, name, given[0], places)
    if call not in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3") or len(given) < 4:
        raise Unsupported(f"{where} is made by torch._utils.{shown(call)}: quantised, sparse or of a class of its own")
    for one in given[5:6] + given[7 if call.endswith("v3") else 6 :]:
        _ensure_plain(where, one)
    try:
        return _view(view, where, name, given, given[6] if call.endswith("v3") else None, places)
    except (Objection, KeyError) as error:  # the look at the file has ruled it out
        raise Malformed(f"{where} is no view of a storage") from error


def _view(
    view: View, where: str, name: str, given: list[Value], named: Value | None, places: dict[str, int]
) -> Drawn:  # fmt: skip
    storage = given[0].storage if isinstance(given[0], Made) else None
    kind, key, offset = (storage.items[1], storage.items[2], natural(given[1])) if storage else (None, None, None)
    if not isinstance(kind, Use) or not isinstance(key, Leaf) or offset is None or element_size(kind) is None:
        raise Objection("with something else than a storage of this file")
    dtype = _STORAGES.get(kind.name) if named is None else _DTYPES.get(named.name if isinstance(named, Use) else "")
    if dtype is None:
        what = named.name if isinstance(named, Use) else kind.name
        raise Unsupported(f"{where} is of {shown(what)}, for which safetensors has no type: complex or quantised")
    found = text_at(view.data, key.at)
    return Drawn(
        name=name, dtype=dtype, shape=tuple(naturals(given[2])), strides=tuple(naturals(given[3])),
        start=places[found] + offset * SIZES[dtype], storage=found,
    )  # fmt: skip


def _ensure_plain(where: str, value: Value) -> None:
    """Hooks and metadata: empty, or the values in the storage are not yet those of the tensor (`neg`, `conj`)."""
    if isinstance(value, Leaf) and value.kind == "none":
        return
    empty = isinstance(value, Box) and not value.items
    if isinstance(value, Made):
        empty = not value.filled and value.state is None and not (value.arguments and value.arguments.items)
    if not empty:
        raise Unsupported(f"{where} has hooks or flags that change what it is")


def _archive(view: View, members: list[zips.Member]) -> Drawing:
    drawing = Drawing()
    for member in members:
        if member.method != zips.STORED:
            raise Unsupported(f"{view.name} is compressed; write it with numpy.savez")
        _add(drawing, _array(view, member.name.removesuffix(".npy"), member.start, member.end))
    return drawing


def _array(view: View, name: str, start: int, end: int) -> Drawn:
    header, begin = arrays.header(view.data, start, end)
    descr, shape = header["descr"], header["shape"]
    dtype = _NUMPY.get(descr) if isinstance(descr, str) else None
    if dtype is None:
        raise Unsupported(f"{view.name}: {shown(name)} is of the type {shown(str(descr))}, for which safetensors has none")
    dense = [1] * len(shape)
    order = range(1, len(shape)) if header["fortran_order"] else range(len(shape) - 2, -1, -1)
    step = -1 if header["fortran_order"] else 1
    for axis in order:
        dense[axis] = dense[axis + step] * shape[axis + step]
    return Drawn(name=name, dtype=dtype, shape=shape, strides=tuple(dense), start=begin, storage=name)


def _add(drawing: Drawing, tensor: Drawn) -> None:
    name = tensor.name or "tensor"
    if not name.isprintable() or name == "__metadata__":
        raise Malformed(f"a tensor is called {shown(name)!r}, which is no name to write down")
    if name in drawing.tensors:
        raise Malformed(f"two tensors would be called {shown(name)!r}")
    drawing.tensors[name] = tensor
