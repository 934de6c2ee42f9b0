"""TensorFlow Lite: graphs of builtin operators over buffers within the file.

Refused are custom operators, by which Flex (all of TensorFlow) and libraries of others come in, delegates, buffers in other
files, and fields that are not known here. Options of operators are held to lie in the file and not read; bytes between the
parts are not accounted for. Format: tensorflow/lite/schema/schema.fbs, version 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from pratique.checking import Finding
from pratique.checks.artifact import flatbuffers
from pratique.checks.artifact.flatbuffers import Table
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Bytes, Sight, View, shown
from pratique.errors import Malformed

MAGIC = b"TFL3"
"""At the fifth byte."""

_LAST_OPERATOR = 209
_CUSTOM, _DELEGATE, _PLACEHOLDER, _CUSTOM_CALL = 32, 51, 127, 173

_BITS = {0: 32, 1: 16, 2: 32, 3: 8, 4: 64, 6: 8, 7: 16, 8: 64, 9: 8, 10: 64, 11: 128, 12: 64, 15: 32, 16: 16, 17: 4, 18: 16,
         19: 2, 20: 4}  # fmt: skip
"""Bits of an element by its type (TensorType); texts, handles and variants have none."""

_STRING, _RESOURCE, _VARIANT = 5, 13, 14

_MODEL, _CODE, _GRAPH, _TENSOR, _OPERATOR, _BUFFER = range(8), range(4), range(6), range(10), range(14), range(3)
"""Fields that are known. What came later leads to other files: external buffers of models and tensors."""


def look(view: View) -> Sight:
    """Walk a model."""
    try:
        model = flatbuffers.root(view.data, "model", _MODEL)
        if view.data[4:8] != MAGIC or model.number(0, 4) != 3:
            raise Malformed("it is of another version than 3")
        codes = model.tables(1, "operator's code", _CODE)
        findings = list(_operators(codes, view.name))
        buffers = [_buffer(one, view.data) for one in model.tables(4, "buffer", _BUFFER)]
        tensors = elements = 0
        for graph in model.tables(2, "graph", _GRAPH):
            for tensor in graph.tables(0, "tensor", _TENSOR):
                tensors, elements = tensors + 1, elements + _ensure_tensor(tensor, buffers)
            _ensure_graph(graph, len(codes))
        _ensure_rest(model, len(buffers))
    except Malformed as error:
        message = f"not a TensorFlow Lite model of parts that are known here: {error}"
        return Sight(findings=(finding("tflite-malformed", view.name, message),))
    return Sight(findings=tuple(findings), counts={"tensors": tensors, "parameters": elements})


def _operators(codes: list[Table], where: str) -> Iterator[Finding]:
    """Operators that a runtime does not have built in."""
    for code in codes:
        builtin = max(code.number(0, 1), code.number(3, 4))  # the first is of one byte, for readers of old
        name = code.text(1)
        if builtin in (_CUSTOM, _CUSTOM_CALL) or name:
            kind = "an operator of all TensorFlow (Flex)" if name.startswith("Flex") else "a custom operator"
            yield finding("tflite-operator", where, f"{kind}, {shown(name)!r}: a runtime needs a library for it")
        elif builtin > _LAST_OPERATOR or builtin in (_DELEGATE, _PLACEHOLDER):
            yield finding("tflite-operator", where, f"the operator {builtin:,} is not one that is known here")


def _buffer(buffer: Table, data: Bytes) -> int:
    """Bytes of a buffer, which lies in the table or behind all tables."""
    _, inside = buffer.vector(0, 1)
    offset, size = buffer.number(1, 8), buffer.number(2, 8)
    if (offset > 1 and inside) or offset + size > len(data):
        raise Malformed("a buffer that lies in two places, or out of the file")
    return size if offset > 1 else inside


def _ensure_tensor(tensor: Table, buffers: list[int]) -> int:
    """Hold a tensor's bytes against its shape; how many elements it has, if they are in the file."""
    kind, buffer, shape = tensor.number(1, 1), tensor.number(2, 4), tensor.numbers(0)
    name = shown(tensor.text(3))
    if kind not in _BITS and kind not in (_STRING, _RESOURCE, _VARIANT):
        raise Malformed(f"the tensor {name!r} is of the type {kind}, which is not known")
    if buffer >= len(buffers) or any(one < 0 for one in shape) or math.prod(shape) >= 1 << 40:
        raise Malformed(f"the tensor {name!r} has no buffer, or a shape that cannot be")
    tensor.ensure_table(4, "quantisation")
    tensor.ensure_table(6, "sparsity")
    elements, size = math.prod(shape), buffers[buffer]
    if not size or kind not in _BITS or tensor.has(6):
        return 0
    if size != -(-elements * _BITS[kind] // 8):
        raise Malformed(f"the tensor {name!r} has {size:,} bytes, and its shape asks for another number")
    return elements


def _ensure_graph(graph: Table, codes: int) -> None:
    """Operators use codes and tensors that are there."""
    _, tensors = graph.vector(0, 4)
    for numbers in (graph.numbers(1), graph.numbers(2)):
        _ensure_numbers(numbers, 0, tensors)
    operators = graph.tables(3, "operator", _OPERATOR)
    for operator in operators:
        _ensure_numbers([operator.number(0, 4)], 0, codes)
        for field, least in ((1, -1), (2, -1), (8, 0)):
            _ensure_numbers(operator.numbers(field), least, tensors)
        operator.ensure_table(4, "options")
        operator.ensure_table(12, "options")
        if operator.vector(5, 1)[1] or operator.number(9, 8) or operator.number(10, 8):
            raise Malformed("an operator with options of its own, as custom operators have")


def _ensure_rest(model: Table, buffers: int) -> None:
    _ensure_numbers(model.numbers(5), 0, buffers)
    for metadata in model.tables(6, "metadata", range(2)):
        _ensure_numbers([metadata.number(1, 4)], 0, buffers)
        metadata.text(0)
    for signature in model.tables(7, "signature", range(5)):
        signature.text(2)
        for field in (0, 1):
            for named in signature.tables(field, "tensor's name", range(2)):
                named.text(0)


def _ensure_numbers(numbers: list[int], least: int, most: int) -> None:
    if any(not least <= one < most for one in numbers):
        raise Malformed("a number of a part that is not there")
