"""TensorFlow's SavedModel: graphs of operators that only compute, and the two functions that restore and save variables.

    saved_model.pb | fingerprint.pb | variables/variables.index | variables/variables.data-00000-of-00001

A graph is a program, and TensorFlow says so: operators read and write files, load libraries, run Python. So each operator, in
the graph and in every function, must be one of `savedmodel_ops.yaml`, or a function of the model. What saves and restores
variables does open files. Therefore:

1. It stands in functions that hold nothing else, and the path is the function's first argument, with the usual endings at most.
2. Only the graph itself calls such a function, with the placeholder that the saver names; no signature feeds this placeholder,
   and no object of the model offers the function.

Refused as well: assets (operators read them as files), registered gradients, savers and classes, constants that are handles of
resources, and graphs with the savers of TensorFlow 1. Formats: tensorflow/core/protobuf/{saved_model,meta_graph}.proto,
tensorflow/core/framework/{graph,node_def,function,attr_value}.proto.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from itertools import islice

import yaml

from pratique import documents
from pratique.checking import Finding
from pratique.checks.artifact import keras, wire
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Sight, View, shown
from pratique.checks.artifact.wire import (
    BYTES,
    FIXED32,
    FIXED32S,
    FIXED64S,
    INT,
    INTS,
    MANY_BYTES,
    TEXT,
    TEXTS,
    Message,
    Schema,
    many,
    one,
)  # fmt: skip
from pratique.errors import Malformed

MAGIC = b"\x08\x01\x12"
"""The version of the schema, which is 1, and the first graph."""

FINGERPRINT = "fingerprint.pb"

_ENOUGH = 100
_FILES = frozenset({"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"})
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_ENDINGS = frozenset({b"", b".part", b"_temp/part"})
"""What a saver appends to the path it is given, while it writes."""

_OWN = frozenset({"tf.StaticHashTable", "tf.TrackableConstant"})
"""Classes that TensorFlow itself registers, for tables and constants in memory."""

_DIMENSION = Schema("dimension", {1: INT, 2: TEXT})
_SHAPE = Schema("shape", {2: many(lambda: _DIMENSION), 3: INT})
_TENSOR = Schema("tensor", {
    1: INT, 2: one(lambda: _SHAPE), 3: INT, 4: BYTES, 5: FIXED32S, 6: FIXED64S, 7: INTS, 8: MANY_BYTES, 9: FIXED32S,
    10: INTS, 11: INTS, 12: FIXED64S, 13: INTS, 16: INTS, 17: INTS, 18: BYTES,
})  # fmt: skip
_LIST = Schema("list", {
    2: MANY_BYTES, 3: INTS, 4: FIXED32S, 5: INTS, 6: INTS, 7: many(lambda: _SHAPE), 8: many(lambda: _TENSOR),
    9: many(lambda: _CALL),
})  # fmt: skip
_VALUE: Schema = Schema("attribute", {
    1: one(lambda: _LIST), 2: BYTES, 3: INT, 4: FIXED32, 5: INT, 6: INT, 7: one(lambda: _SHAPE), 8: one(lambda: _TENSOR),
    9: TEXT, 10: one(lambda: _CALL),
})  # fmt: skip
_ATTRIBUTE = Schema("map entry", {1: TEXT, 2: one(lambda: _VALUE)})
_CALL: Schema = Schema("function that is called", {1: TEXT, 2: many(lambda: _ATTRIBUTE)})
_NODE = Schema("node", {1: TEXT, 2: TEXT, 3: TEXTS, 4: TEXT, 5: many(lambda: _ATTRIBUTE), 6: BYTES, 7: BYTES})
_ARGUMENT = Schema("argument", {
    1: TEXT, 2: TEXT, 3: INT, 4: TEXT, 5: TEXT, 6: TEXT, 7: MANY_BYTES, 16: INT, 17: BYTES,
})  # fmt: skip
_SIGNATURE = Schema("signature of a function", {
    1: TEXT, 2: many(lambda: _ARGUMENT), 3: many(lambda: _ARGUMENT), 4: MANY_BYTES, 5: TEXT, 6: TEXT, 8: BYTES, 16: INT,
    17: INT, 18: INT, 19: INT, 20: TEXTS, 21: INT,
})  # fmt: skip
_FUNCTION = Schema("function", {
    1: one(lambda: _SIGNATURE), 3: many(lambda: _NODE), 4: MANY_BYTES, 5: many(lambda: _ATTRIBUTE), 6: MANY_BYTES,
    7: MANY_BYTES, 8: MANY_BYTES,
})  # fmt: skip
_LIBRARY = Schema("library of functions", {1: many(lambda: _FUNCTION)})
_GRAPH = Schema("graph", {1: many(lambda: _NODE), 2: one(lambda: _LIBRARY), 3: INT, 4: BYTES, 5: BYTES})
_ABOUT = Schema("description", {1: TEXT, 2: BYTES, 3: BYTES, 4: TEXTS, 5: TEXT, 6: TEXT, 7: INT, 8: MANY_BYTES})
_SAVER = Schema("saver", {1: TEXT, 2: TEXT, 3: TEXT, 4: INT, 5: INT, 6: FIXED32, 7: INT})
_INFO = Schema("tensor of a signature", {1: TEXT, 2: INT, 3: BYTES, 4: BYTES, 5: BYTES})
_NAMED_INFO = Schema("map entry", {1: TEXT, 2: one(lambda: _INFO)})
_SIGNED = Schema("signature", {1: many(lambda: _NAMED_INFO), 2: many(lambda: _NAMED_INFO), 3: TEXT, 4: MANY_BYTES})
_NAMED_SIGNED = Schema("map entry", {1: TEXT, 2: one(lambda: _SIGNED)})
_NAMED = Schema("map entry", {1: TEXT, 2: BYTES})
_USER = Schema("object of a class", {1: TEXT, 2: BYTES, 3: TEXT})
_OBJECT = Schema("object", {
    1: MANY_BYTES, 3: MANY_BYTES, 4: one(lambda: _USER), 6: BYTES, 7: BYTES, 8: BYTES, 9: BYTES, 10: BYTES, 11: MANY_BYTES,
    12: BYTES, 13: TEXT, 15: MANY_BYTES, 16: TEXT,
})  # fmt: skip
_OBJECTS = Schema("graph of objects", {1: many(lambda: _OBJECT), 2: many(lambda: _NAMED)})
_META = Schema("graph with all about it", {
    1: one(lambda: _ABOUT), 2: one(lambda: _GRAPH), 3: one(lambda: _SAVER), 4: MANY_BYTES, 5: many(lambda: _NAMED_SIGNED),
    7: one(lambda: _OBJECTS),
})  # fmt: skip
_MODEL = Schema("model", {1: INT, 2: many(lambda: _META)})
_PRINT = Schema("fingerprint", {1: INT, 2: INT, 3: INT, 4: INT, 5: INT, 6: BYTES, 7: TEXT})


def look(view: View) -> Sight:
    """Walk a model, or its fingerprint."""
    findings: list[Finding] = []
    try:
        if posixpath.basename(view.name) == FINGERPRINT:
            wire.message(view.data, _PRINT)
            return Sight()
        model = wire.message(view.data, _MODEL)
        if model.number(1) != 1:
            raise Malformed("it is of another version than 1")
        for meta in model.messages(2):
            findings += islice(_objections(meta, view.name), _ENOUGH)
        _ensure_variables(model, view)
    except Malformed as error:
        message = f"not a SavedModel of parts that are known here: {error}"
        findings.append(finding("savedmodel-malformed", view.name, message))
    return Sight(findings=tuple(findings))


def resembles(head: bytes) -> bool:
    """Whether a file begins as SavedModels do."""
    return head.startswith(MAGIC)


def _objections(meta: Message, where: str) -> Iterator[Finding]:
    graph, objects = meta.message(2), meta.message(7)
    library = graph.message(2) if graph else None
    functions = _functions(library)
    bodies = {name: list(function.messages(3)) for name, function in functions.items()}
    main = list(graph.messages(1)) if graph else []
    savers = {name for name, nodes in bodies.items() if any(node.text(2) in _FILES for node in nodes)}
    for place, nodes in (("", main), *bodies.items()):
        allowed = _operators()["saver" if place in savers else "data"]
        names = {node.text(2) for node in nodes} - allowed - (functions.keys() - savers)
        inside = f"{where}, function {shown(place)}" if place else where
        for name in sorted(names):
            yield finding("savedmodel-operator", inside, f"the operator {shown(name)} is not one of those that only compute")
    for name in sorted(savers):
        inside = f"{where}, function {shown(name)}"
        for what in (*_saving(functions[name], bodies[name]), *_calling(name, meta, main, bodies)):
            yield finding("savedmodel-files", inside, f"this function opens files, and {what}")
    yield from _revived(objects, where)


def _functions(library: Message | None) -> dict[str, Message]:
    found: dict[str, Message] = {}
    for function in library.messages(1) if library else ():
        signature = function.message(1)
        name = signature.text(1) if signature else ""
        if not name or name in found or name in _operators()["data"]:
            raise Malformed(f"a function without a name of its own: {shown(name)!r}")
        found[name] = function
    return found


def _saving(function: Message, nodes: list[Message]) -> Iterator[str]:
    """What a function does with paths beside saving under, and restoring from, the one that it is given."""
    signature = function.message(1)
    given = next((one.text(1) for one in signature.messages(2)), "") if signature else ""
    kinds = {node.text(1): node.text(2) for node in nodes}
    if len(kinds) != len(nodes) or not given or given in kinds:
        yield "its parts have no names of their own"
        return
    expected = {"RestoreV2": (given,), "StringJoin": (given, "Select"), "ShardedFilename": ("StringJoin",),
                "SaveV2": ("ShardedFilename",), "MergeV2Checkpoints": ("Pack", given)}  # fmt: skip
    named = {node.text(1): node for node in nodes}
    for node in nodes:
        inputs = [name for name in node.texts(3) if not name.startswith("^")]
        from_ = [name if name == given else kinds.get(name.split(":")[0], "") for name in inputs]
        wanted = ("ShardedFilename",) * len(from_) if node.text(2) == "Pack" else expected.get(node.text(2), ())
        if tuple(from_[: len(wanted)]) != wanted:
            yield f"{shown(node.text(2))} does not get its path from the first argument"
        for name, kind in zip(inputs[1:], from_[1:], strict=True) if node.text(2) == "Select" else ():
            if kind != "Const" or set(_texts(named[name.split(":")[0]])) - _ENDINGS:
                yield "it appends something else than the usual endings to a path"


def _texts(node: Message) -> Iterator[bytes]:
    """The texts that a constant holds."""
    for entry in node.messages(5):
        value = entry.message(2)
        tensor = value.message(8) if value else None
        for number, span in tensor or ():
            if number == 8 and isinstance(span, wire.Span):
                yield node.data[span.start : span.end]


def _calling(name: str, meta: Message, main: list[Message], bodies: Mapping[str, list[Message]]) -> Iterator[str]:
    """Who calls a function that opens files, beside the saver."""
    saver, objects = meta.message(3), meta.message(7)
    path = saver.text(1).removesuffix(":0") if saver else ""
    kinds = {node.text(1): node.text(2) for node in main}
    for node in (node for nodes in (main, *bodies.values()) for node in nodes if name in _called(node)):
        inputs = node.texts(3)
        is_saver = any(node is one for one in main) and node.text(2) in _CALLS and inputs[:1] == [path]
        if not is_saver or kinds.get(path) != "Placeholder":
            yield f"{shown(node.text(1))} calls it, which is not the saver"
    if objects and any(entry.text(1) == name for entry in objects.messages(2)):
        yield "an object of the model offers it"
    for entry in meta.messages(5):
        signature = entry.message(2)
        for named in signature.messages(1) if signature else ():
            info = named.message(2)
            if info and info.text(1).split(":")[0] == path:
                yield f"the signature {shown(entry.text(1))} feeds its path"


def _called(node: Message) -> set[str]:
    """Names of the functions that a node calls, or hands on."""
    parts = wire.everything(node)
    return {node.text(2), *(part.text(1) for part in parts if part.schema is _CALL)}


def _revived(objects: Message | None, where: str) -> Iterator[Finding]:
    """Objects for which a loader looks for a class that somebody registered, or that Keras makes by a configuration."""
    for thing in objects.messages(1) if objects else ():
        user = thing.message(4)
        for number, what in ((13, "class"), (16, "saver")):
            if (text := thing.text(number)) and text not in _OWN:
                message = f"an object asks for the {what} {shown(text)}, which somebody has to register: custom code"
                yield finding("savedmodel-object", where, message)
        if user and user.text(3):
            yield from keras.objections(documents.parse(user.text(3).encode(), what="metadata"), where)


def _ensure_variables(model: Message, view: View) -> None:
    """A model with variables needs them beside it."""
    has = any(part.schema is _NODE and part.text(2) == "VarHandleOp" for part in wire.everything(model))
    index = posixpath.join(posixpath.dirname(view.name), "variables/variables.index")
    if has and index not in view.beside:
        raise Malformed(f"it has variables, and there is no {index}")


@cache
def _operators() -> Mapping[str, frozenset[str]]:
    text = resources.files("pratique.checks.artifact").joinpath("savedmodel_ops.yaml").read_text(encoding="utf-8")
    return {kind: frozenset(names.split()) for kind, names in yaml.safe_load(text).items()}
