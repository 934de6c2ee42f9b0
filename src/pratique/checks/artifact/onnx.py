"""ONNX: a graph of operators that every runtime has, over tensors that lie in the file or in files beside it.

Refused are operators of other domains than the format's own (they come from a library that somebody has to load), unless the
model defines them as functions of the format's own operators or the policy names the domain; tensors in files that are no part
of the artifact or too small; fields that are not known here. Subgraphs and functions are walked like the graph.

Format: onnx/onnx.proto, docs/IR.md and docs/ExternalData.md of onnx/onnx, up to IR version 14. Left out on purpose: opaque
types, multi-device configurations, numbers of six bits.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Iterator
from typing import NamedTuple

from pratique.checking import Finding
from pratique.checks.artifact import wire
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Sight, View, shown
from pratique.checks.artifact.wire import BYTES, FIXED32, INT, INTS, MANY_BYTES, TEXT, TEXTS, Message, Schema, many, one
from pratique.errors import Malformed

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training"})
"""Domains of the format itself."""

_LOADERS = frozenset({("com.microsoft", "EPContext")})
"""Operators of other domains that hand a file to a native library, whatever domains are allowed."""

_VERSIONS = range(3, 15)
"""IR versions: from the first that runtimes still read."""

_TAGS = b"\x12\x1a\x22\x28\x32\x3a"
"""What may come behind the version: producer, its version, domain, version of the model, description, graph."""

_BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16, 17: 8,
    18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2,
}  # fmt: skip
"""Bits of an element by its type (TensorProto.DataType). Texts, type 8, have none."""

_TEXT_TYPE = 8
_MAX_ELEMENTS = 1 << 48
_ENOUGH = 100

_ENTRY = Schema("map entry", {1: TEXT, 2: TEXT})
_SEGMENT = Schema("segment", {1: INT, 2: INT})
_TENSOR = Schema("tensor", {
    1: INTS, 2: INT, 3: one(lambda: _SEGMENT), 4: wire.FIXED32S, 5: INTS, 6: MANY_BYTES, 7: INTS, 8: TEXT, 9: BYTES,
    10: wire.FIXED64S, 11: INTS, 12: TEXT, 13: many(lambda: _ENTRY), 14: INT, 16: many(lambda: _ENTRY),
})  # fmt: skip
_SPARSE = Schema("sparse tensor", {1: one(lambda: _TENSOR), 2: one(lambda: _TENSOR), 3: INTS})
_DIMENSION = Schema("dimension", {1: INT, 2: TEXT, 3: TEXT})
_SHAPE = Schema("shape", {1: many(lambda: _DIMENSION)})
_TENSOR_TYPE = Schema("type of tensors", {1: INT, 2: one(lambda: _SHAPE)})
_INNER_TYPE = Schema("type of others", {1: one(lambda: _TYPE)})
_MAP_TYPE = Schema("type of maps", {1: INT, 2: one(lambda: _TYPE)})
_TYPE: Schema = Schema("type", {
    1: one(lambda: _TENSOR_TYPE), 4: one(lambda: _INNER_TYPE), 5: one(lambda: _MAP_TYPE), 6: TEXT,
    8: one(lambda: _TENSOR_TYPE), 9: one(lambda: _INNER_TYPE),
})  # fmt: skip
_VALUE = Schema("value", {1: TEXT, 2: one(lambda: _TYPE), 3: TEXT, 4: many(lambda: _ENTRY)})
_ATTRIBUTE = Schema("attribute", {
    1: TEXT, 2: FIXED32, 3: INT, 4: BYTES, 5: one(lambda: _TENSOR), 6: one(lambda: _GRAPH), 7: wire.FIXED32S, 8: INTS,
    9: MANY_BYTES, 10: many(lambda: _TENSOR), 11: many(lambda: _GRAPH), 13: TEXT, 14: one(lambda: _TYPE),
    15: many(lambda: _TYPE), 20: INT, 21: TEXT, 22: one(lambda: _SPARSE), 23: many(lambda: _SPARSE),
})  # fmt: skip
_NODE = Schema("node", {
    1: TEXTS, 2: TEXTS, 3: TEXT, 4: TEXT, 5: many(lambda: _ATTRIBUTE), 6: TEXT, 7: TEXT, 8: TEXT, 9: many(lambda: _ENTRY),
})  # fmt: skip
_QUANTISED = Schema("annotation", {1: TEXT, 2: many(lambda: _ENTRY)})
_GRAPH: Schema = Schema("graph", {
    1: many(lambda: _NODE), 2: TEXT, 5: many(lambda: _TENSOR), 10: TEXT, 11: many(lambda: _VALUE), 12: many(lambda: _VALUE),
    13: many(lambda: _VALUE), 14: many(lambda: _QUANTISED), 15: many(lambda: _SPARSE), 16: many(lambda: _ENTRY),
})  # fmt: skip
_OPERATORS = Schema("operator set", {1: TEXT, 2: INT})
_FUNCTION = Schema("function", {
    1: TEXT, 4: TEXTS, 5: TEXTS, 6: TEXTS, 7: many(lambda: _NODE), 8: TEXT, 9: many(lambda: _OPERATORS), 10: TEXT,
    11: many(lambda: _ATTRIBUTE), 12: many(lambda: _VALUE), 13: TEXT, 14: many(lambda: _ENTRY),
})  # fmt: skip
_TRAINING = Schema("training", {
    1: one(lambda: _GRAPH), 2: one(lambda: _GRAPH), 3: many(lambda: _ENTRY), 4: many(lambda: _ENTRY),
})  # fmt: skip
_MODEL = Schema("model", {
    1: INT, 2: TEXT, 3: TEXT, 4: TEXT, 5: INT, 6: TEXT, 7: one(lambda: _GRAPH), 8: many(lambda: _OPERATORS),
    14: many(lambda: _ENTRY), 20: many(lambda: _TRAINING), 25: many(lambda: _FUNCTION),
})  # fmt: skip


class External(NamedTuple):
    """Bytes of a tensor in a file beside the model."""

    path: str
    """In the artifact."""

    offset: int
    size: int


def resembles(head: bytes) -> bool:
    """Whether a file begins as the format's own library writes it: the version first."""
    return len(head) > 2 and head[0] == 0x08 and head[1] in _VERSIONS and head[2] in _TAGS


def look(view: View, domains: tuple[str, ...] = ()) -> Sight:
    """Walk a model."""
    counts = {"tensors": 0, "parameters": 0}
    findings: list[Finding] = []
    try:
        model = wire.message(view.data, _MODEL)
        if model.number(1) not in _VERSIONS or model.message(7) is None:
            raise Malformed("it has no graph, or is of another version than 3 to 14")
        for where, what in _operators(model, DOMAINS | set(domains)):
            findings.append(finding("onnx-operator", f"{view.name}, {where}", what))
            if len(findings) >= _ENOUGH:
                break
        for part in wire.everything(model):
            if part.schema is _TENSOR:
                elements = _ensure_tensor(part, view)
                counts["tensors"] += 1
                counts["parameters"] += elements
    except Malformed as error:
        findings.append(finding("onnx-malformed", view.name, f"not an ONNX model of parts that are known here: {error}"))
    return Sight(findings=tuple(findings), counts=counts)


def externals(view: View) -> list[External]:
    """Where tensors of a model lie in other files; none if it cannot be read, for then it is refused."""
    try:
        parts = wire.everything(wire.message(view.data, _MODEL))
        tensors = [part for part in parts if part.schema is _TENSOR and part.number(14)]
        return [_external(tensor, view, _size(tensor)[1]) for tensor in tensors]
    except Malformed:
        return []


def _operators(model: Message, domains: frozenset[str] | set[str]) -> Iterator[tuple[str, str]]:
    """Operators that the format does not have."""
    functions: dict[tuple[str, str], Message] = {}
    for function in model.messages(25):
        domain, name = function.text(10), function.text(1)
        if domain in DOMAINS or (domain, name) in functions:
            yield f"function {shown(name)}", "a function of the model in the place of an operator of the format, or twice"
        functions[domain, name] = function
    uses = {name: set(_used(function)) for name, function in functions.items()}
    for domain, name in sorted({*_used(model), *(use for found in uses.values() for use in found)}):
        if (domain, name) not in functions and (domain not in domains or (domain, name) in _LOADERS):
            told = f"{domain}.{name}" if domain else name
            yield f"operator {shown(told)}", _refusal(domain, name)
    if _circular(uses):
        raise Malformed("functions that use themselves")


def _refusal(domain: str, name: str) -> str:
    if (domain, name) in _LOADERS:
        return f"this model uses {name}, which hands a file or bytes to the native library of a device"
    return (
        f"this model uses {shown(name)} of the domain {shown(domain)!r}, which is no part of ONNX: a runtime needs a library"
        f" for it. To allow the domain: onnx_domains: [{shown(domain)}]"
    )


def _used(part: Message) -> Iterator[tuple[str, str]]:
    """Domain and name of every operator in a part of a model; not of functions in a model."""
    for _, value in part:
        if isinstance(value, Message) and value.schema is not _FUNCTION:
            nodes = (one for one in wire.everything(value) if one.schema is _NODE)
            yield from ((one.text(7), one.text(4)) for one in nodes)


def _circular(uses: dict[tuple[str, str], set[tuple[str, str]]]) -> bool:
    """Whether functions use each other in a circle: those that use none that is left are taken away, again and again."""
    left = {name: used & uses.keys() for name, used in uses.items()}
    while ready := [name for name, used in left.items() if not used & left.keys()]:
        for name in ready:
            del left[name]
    return bool(left)


def _ensure_tensor(tensor: Message, view: View) -> int:
    """Hold a tensor's bytes against its shape; how many elements it has."""
    elements, size = _size(tensor)
    raw = tensor.span(9)
    if tensor.number(14) not in (0, 1) or (tensor.number(14) and raw is not None):
        raise Malformed(f"the tensor {_name(tensor)} lies in two places, or in none that is known")
    if tensor.number(14):
        _external(tensor, view, size)
    elif any(True for _ in tensor.messages(13)):
        raise Malformed(f"the tensor {_name(tensor)} lies in the model and names a file")
    elif raw is not None and (raw.size != size or tensor.number(2) == _TEXT_TYPE):
        raise Malformed(f"the tensor {_name(tensor)} has {raw.size:,} bytes, and its shape asks for {size:,}")
    return elements


def _size(tensor: Message) -> tuple[int, int]:
    """Elements and bytes."""
    shape, kind = tensor.numbers(1), tensor.number(2)
    elements = math.prod(shape)
    if len(shape) > 64 or any(one >= _MAX_ELEMENTS for one in shape) or elements >= _MAX_ELEMENTS:
        raise Malformed(f"the tensor {_name(tensor)} has a shape that cannot be")
    if kind not in _BITS and kind != _TEXT_TYPE:
        raise Malformed(f"the tensor {_name(tensor)} is of the type {kind:,}, which is not known")
    return elements, -(-elements * _BITS.get(kind, 0) // 8)


def _external(tensor: Message, view: View, size: int) -> External:
    """Where a tensor lies outside of the model: under a plain path, in a file of the artifact that is large enough."""
    facts: dict[str, str] = {}
    for entry in tensor.messages(13):
        if facts.setdefault(entry.text(1), entry.text(2)) != entry.text(2):
            raise Malformed(f"the tensor {_name(tensor)} names two places")
    place, name = facts.get("location", ""), _name(tensor)
    if facts.keys() - {"location", "offset", "length", "checksum"} or tensor.number(2) == _TEXT_TYPE:
        raise Malformed(f"the tensor {name} lies outside of the model in a way that is not known here")
    parts = place.split("/")
    if not place.isprintable() or "\\" in place or ":" in place or {"", ".", ".."} & set(parts):
        raise Malformed(f"the tensor {name} lies at {shown(place)!r}, a path that leads elsewhere")
    path = posixpath.join(posixpath.dirname(view.name), place)
    offset, length = (_decimal(facts.get(key), default) for key, default in (("offset", 0), ("length", size)))
    if path not in view.beside or offset + length > view.beside[path] or length != size:
        raise Malformed(f"the tensor {name} lies in {shown(path)!r}, which is no file of the artifact, or does not hold it")
    return External(path, offset, size)


def _decimal(digits: str | None, default: int) -> int:
    if digits is None:
        return default
    if not (digits.isdecimal() and digits.isascii() and len(digits) < 20):
        raise Malformed(f"an offset or a length that is no number: {shown(digits)!r}")
    return int(digits)


def _name(tensor: Message) -> str:
    return repr(shown(tensor.text(8)))
