"""NumPy in a pickle: types and arrays are read by C code that trusts what it is told, so it is held to what NumPy writes.

A type (`numpy.dtype`) is made of a code such as `f8` and then gets a state with flags. NumPy takes the flags over as they are:
`f8` with the flags of an object array makes it follow numbers as if they were pointers. Here, flags and sizes must belong to
the code. NumPy: numpy/_core/src/multiarray/descriptor.c (arraydescr_reduce), methods.c (array_setstate).
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from pratique.checks.artifact.opcodes import Op
from pratique.checks.artifact.stack import Gap, Stack
from pratique.checks.artifact.values import Box, Leaf, Made, Value

_CODE = re.compile(r"[<>|=]?([?a-zA-Z])(\d{0,9})\Z")
_OBJECT_FLAGS = 63
_POINTER_FLAGS = 7
"""Of NumPy's item flags: holds references, is pickled as a list, is a pointer."""

_DTYPE = ("numpy", "dtype")
_DEEPEST = 8


class Objection(Exception):
    """Why a call or a state is not as its library writes it: the rest of a sentence."""


class Kind(NamedTuple):
    """What matters of a type."""

    letter: str
    size: int
    """Bytes of one element."""

    objects: bool
    """Whether its elements are references to Python objects."""


def kind_of(stack: Stack, value: Value | None, depth: int = 0) -> Kind:
    """The type that a value stands for.

    Raises:
        Objection: it is no type, or not one that is known here.
    """
    if not (isinstance(value, Made) and value.origin and (value.origin.module, value.origin.name) == _DTYPE):
        raise Objection("with something else than a type where a type belongs")
    given = value.arguments.items if value.arguments else []
    match = _CODE.match(stack.text(given[0]) or "") if given else None
    if match is None or depth > _DEEPEST:
        raise Objection("with a type of no known code")
    letter, digits = match[1], match[2]
    if letter == "O":
        return Kind("O", 8, True)
    if letter not in "biufcSUVMm?" or not digits:
        raise Objection("with a type of no known code")
    return Kind(letter, int(digits) * (4 if letter == "U" else 1), False)


def dtype_made(stack: Stack, op: Op, value: Made) -> None:
    """numpy.dtype(code, False, True)."""
    given = value.arguments.items if value.arguments else []
    kind_of(stack, value)
    if len(given) != 3 or not all(isinstance(one, Leaf) and one.value in (0, 1) for one in given[1:]):
        raise Objection("with something else than a code and two truth values")
    if _number(given[2]) != 1:
        raise Objection("without asking for a copy: its state would change that type for the whole process")


def dtype_built(stack: Stack, op: Op, value: Made) -> None:
    """(version, byte order, base and shape, names, fields, size, alignment, flags[, metadata])."""
    kind = kind_of(stack, value)
    state = _tuple(value.state)
    if not 8 <= len(state) <= 9 or _number(state[0]) not in (3, 4):
        raise Objection("that is not laid out as NumPy 1 and 2 do")
    order, base, names, fields, size, flags = stack.text(state[1]), state[2], state[3], state[4], state[5], _number(state[7])
    if order not in ("<", ">", "|", "="):
        raise Objection("of no known byte order")
    if _number(size) not in (-1, kind.size):
        raise Objection("of another size than its code")
    if kind.objects:
        if flags != _OBJECT_FLAGS or not all(map(_none, (base, names, fields))):
            raise Objection("with flags that do not belong to its code")
        return
    if flags is None or flags < 0 or flags & _POINTER_FLAGS:
        raise Objection("with flags that do not belong to its code")
    if not _none(base):
        inner, shape = (*_tuple(base), None, None)[:2]
        if kind.letter != "V" or _size(stack, inner) * _product(shape) != kind.size:
            raise Objection("whose base does not fill it")
    if _none(names) and _none(fields):
        return
    if kind.letter != "V":
        raise Objection("with fields, which its code has not")
    _ensure_fields(stack, _tuple(names), fields, kind.size)


def _ensure_fields(stack: Stack, names: list[Value], fields: Value, size: int) -> None:
    if not (isinstance(fields, Box) and fields.kind == "dict" and len(fields.items) == 2 * len(names)):
        raise Objection("with other fields than names")
    known = [stack.text(name) for name in names]
    for key, value in zip(fields.items[::2], fields.items[1::2], strict=True):
        inner = _tuple(value)
        if stack.text(key) not in known or len(inner) != 2:
            raise Objection("with other fields than names")
        offset = _number(inner[1])
        if offset is None or offset < 0 or offset + _size(stack, inner[0]) > size:
            raise Objection("with a field outside of it")


def scalar_made(stack: Stack, op: Op, value: Made) -> None:
    """numpy's scalar(type, bytes)."""
    given = value.arguments.items if value.arguments else []
    if len(given) != 2 or kind_of(stack, given[0]).objects:
        raise Objection("with something else than a type of numbers and its bytes")


def array_made(stack: Stack, op: Op, value: Made) -> None:
    """numpy's _reconstruct(class, (0,), b"b"): an empty array that gets its state later."""
    given = value.arguments.items if value.arguments else []
    if len(given) != 3 or _product(given[1]) != 0:
        raise Objection("with something else than a class and the shape (0,)")


def array_built(stack: Stack, op: Op, value: Made) -> None:
    """(version, shape, type, whether in Fortran's order, bytes or a list of objects)."""
    state = _tuple(value.state)
    if len(state) != 5:
        return  # a subclass has a state of its own, which its __setstate__ takes apart
    kind, count = kind_of(stack, state[2]), _product(state[1])
    last = state[4]
    if kind.objects != (isinstance(last, Box) and last.kind == "list"):
        raise Objection("whose values are not what its type says")
    if isinstance(last, Leaf) and last.kind == "bytes":
        have = last.end - last.at - {ord("C"): 2, ord("B"): 5}.get(stack.data[last.at], 9)
        if have != count * kind.size:
            raise Objection(f"of {have:,} bytes, where its shape and type take {count * kind.size:,}")
    elif isinstance(last, Box) and len(last.items) != count:
        raise Objection(f"of {len(last.items):,} values, where its shape takes {count:,}")


def frombuffer_made(stack: Stack, op: Op, value: Made) -> None:
    """numpy's _frombuffer(bytes, type, shape, order)."""
    given = value.arguments.items if value.arguments else []
    if len(given) < 2 or kind_of(stack, given[1]).objects:
        raise Objection("with something else than bytes and a type of numbers")


def joblib_built(stack: Stack, op: Op, value: Made) -> None:
    """joblib reads the array itself, from behind this opcode: a pickle if it holds objects, else padding and raw bytes."""
    state = value.state
    if not (isinstance(state, Box) and state.kind == "dict"):
        raise Objection("that is not a dict")
    fields = {stack.text(key): one for key, one in zip(state.items[::2], state.items[1::2], strict=True)}
    kind, count = kind_of(stack, fields.get("dtype")), _product(fields.get("shape"))
    if op.framed:
        raise Objection("inside of a frame, so that two loaders read on in two places")
    if stack.joblib == "no":
        raise Objection("where joblib is not the loader")
    if kind.objects:
        stack.gap = Gap(op.end, None)
        return
    start = op.end
    if "numpy_array_alignment_bytes" in fields and not _none(fields["numpy_array_alignment_bytes"]):
        if start >= len(stack.data):
            raise Objection("and ends where an array should follow")
        start += 1 + stack.data[start]
    if start + count * kind.size > len(stack.data):
        raise Objection(f"whose array of {count * kind.size:,} bytes is longer than the file")
    stack.gap = Gap(op.end, start + count * kind.size)


def _size(stack: Stack, value: Value | None) -> int:
    kind = kind_of(stack, value)
    if kind.objects:
        raise Objection("that holds references among its fields")
    return kind.size


def _tuple(value: Value | None) -> list[Value]:
    return value.items if isinstance(value, Box) and value.kind == "tuple" else []


def _number(value: Value | None) -> int | None:
    return value.value if isinstance(value, Leaf) else None


def _none(value: Value | None) -> bool:
    return isinstance(value, Leaf) and value.kind == "none"


def _product(shape: Value | None) -> int:
    """How many elements a shape has. Numbers of NumPy's own count as well, as joblib writes them."""
    if isinstance(shape, Leaf) and shape.kind == "int":
        sizes: list[int | None] = [shape.value]
    elif isinstance(shape, Box) and shape.kind == "tuple":
        sizes = [_number(one) for one in shape.items]
    else:
        raise Objection("with something else than a shape where a shape belongs")
    plain = [size for size in sizes if size is not None]
    if len(plain) != len(sizes) or any(size < 0 for size in plain):
        raise Objection("with a shape that is not made of natural numbers")
    return math.prod(plain)


