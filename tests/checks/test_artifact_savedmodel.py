"""SavedModel: operators that only compute, a saver that opens what it is given, and variables as their index describes them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pratique.checks.artifact import bundles, savedmodel
from pratique.checks.artifact.viewing import Sight, View

from .test_artifact import COMMAND, check, rules
from .writing import ensure_nothing_stumbles, number, part, varint

FORMATS = ["savedmodel", "text", "json"]


def attribute(name: str, value: bytes) -> bytes:
    return part(5, part(1, name) + part(2, value))


def call(function: str) -> bytes:
    return attribute("f", part(10, part(1, function)))


def constant(*texts: str) -> bytes:
    return attribute("value", part(8, number(1, 7) + part(2, b"") + b"".join(part(8, text) for text in texts)))


def node(name: str, kind: str, *inputs: str, more: bytes = b"") -> bytes:
    return part(1, name) + part(2, kind) + b"".join(part(3, one) for one in inputs) + more


def function(name: str, *nodes: bytes, argument: str = "file_prefix") -> bytes:
    return part(1, part(1, name) + part(2, part(1, argument))) + b"".join(part(3, one) for one in nodes)


def model(*nodes: bytes, functions: tuple[bytes, ...] = (), path: str = "saver_filename", more: bytes = b"") -> bytes:
    library = b"".join(part(1, one) for one in functions)
    graph = b"".join(part(1, one) for one in nodes) + (part(2, library) if library else b"")
    return number(1, 1) + part(2, part(1, part(4, "serve")) + part(2, graph) + part(3, part(1, f"{path}:0")) + more)


SAVING = (
    node("m", "StaticRegexFullMatch", "file_prefix"), node("a", "Const", more=constant(".part")),
    node("b", "Const", more=constant("_temp/part")), node("s", "Select", "m:output:0", "a:output:0", "b:output:0"),
    node("j", "StringJoin", "file_prefix", "s:output:0"), node("f", "ShardedFilename", "j:output:0", "x"),
    node("n", "Const", more=constant("a/.ATTRIBUTES/VARIABLE_VALUE")), node("w", "SaveV2", "f:filename:0", "n:output:0"),
    node("p", "Pack", "f:filename:0", "^w"), node("g", "MergeV2Checkpoints", "p:output:0", "file_prefix"),
)  # fmt: skip
SAVE = function("traced_save", *SAVING)
RESTORE = function(
    "traced_restore", node("n", "Const", more=constant("a")), node("r", "RestoreV2", "file_prefix", "n:output:0")
)
SAVER = (
    node("saver_filename", "Placeholder"),
    node("c", "StatefulPartitionedCall", "saver_filename", "v", more=call("traced_save")),
    node("d", "StatefulPartitionedCall", "saver_filename", "v", more=call("traced_restore")),
)  # fmt: skip
HONEST = model(
    *SAVER, node("x", "Placeholder"), node("y", "StatefulPartitionedCall", "x", more=call("serve")), node("z", "serve", "x"),
    functions=(SAVE, RESTORE, function("serve", node("m", "MatMul", "x", "x"))),
)  # fmt: skip


def pairs(*entries: tuple[bytes, bytes]) -> bytes:
    return b"".join(b"\0" + varint(len(name)) + varint(len(value)) + name + value for name, value in entries)


def block(raw: bytes) -> bytes:
    return raw + struct.pack("<II", 0, 1)


def index(*entries: tuple[bytes, bytes], shards: int = 1, kind: int = 0, between: bytes = b"") -> bytes:
    data = block(pairs((b"", number(1, shards)), *entries))
    out = data + bytes([kind]) + b"\0" * 4 + between
    meta = len(out)
    out += block(b"") + b"\0" * 5
    listed = block(pairs((b"z", varint(0) + varint(len(data)))))
    where = len(out)
    out += listed + b"\0" * 5
    footer = varint(meta) + varint(8) + varint(where) + varint(len(listed))
    return out + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def entry(offset: int, size: int, *shape: int, kind: int = 1, shard: int = 0) -> bytes:
    dimensions = b"".join(part(2, number(1, one)) for one in shape)
    return number(1, kind) + part(2, dimensions) + number(3, shard) + number(4, offset) + number(5, size)


NUMBERS = b"\x00\x00\x80\x3f\xff\xff\x7f\x7f\x01\x02\x03\x04"
VARIABLES = {
    "m/variables/variables.index": index((b"a", entry(0, 8, 2)), (b"b", entry(8, 4))),
    "m/variables/variables.data-00000-of-00001": NUMBERS,
}


def look(data: bytes) -> Sight:
    return savedmodel.look(View(name="saved_model.pb", path=Path("saved_model.pb"), data=data))


def found(tmp_path: Path, files: dict[str, bytes]) -> list[str]:
    return [one.rule for one in check(tmp_path, files, formats=FORMATS).findings]


def test_an_honest_model(tmp_path: Path) -> None:
    files = {"m/saved_model.pb": HONEST, "m/fingerprint.pb": number(1, 1 << 63) + part(7, "1"), **VARIABLES}
    assert found(tmp_path / "a", files) == []
    assert set(rules(tmp_path / "b", "saved_model.pb", HONEST)) == {"format-not-allowed"}
    assert rules(tmp_path / "c", "saved_model.bin", HONEST, formats=FORMATS) == []
    assert rules(tmp_path / "d", "saved_model.pt", HONEST, formats=FORMATS) == ["extension-mismatch"]


OPERATORS = ["PyFunc", "EagerPyFunc", "ReadFile", "WriteFile", "LoadLibrary", "PrintV2", "DebugIdentityV3", "SaveV2",
             "RestoreV2",
             "ShardedFilename", "MatchingFiles", "ImmutableConst", "InitializeTableFromTextFileV2", "GenerateVocabRemapping",
             "XlaCallModule", "TFRecordDataset", "Send", "RpcClient", "AcmeCustom", ""]  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_that_does_more_than_compute(name: str) -> None:
    """In the graph, and in a function that nobody seems to call."""
    assert {one.rule for one in look(model(node("n", name))).findings} == {"savedmodel-operator"}
    inner = model(functions=(function("f", node("n", name), node("m", "Add"), argument="x"),))
    assert look(inner).findings and {one.rule for one in look(inner).findings} <= {"savedmodel-operator", "savedmodel-files"}


def saving(*changes: tuple[int, bytes]) -> bytes:
    nodes = list(SAVING)
    for place, other in changes:
        nodes[place] = other
    return model(*SAVER, functions=(function("traced_save", *nodes), RESTORE))


def offered() -> bytes:
    return part(7, part(2, part(1, "traced_save") + part(2, b"")))


def fed() -> bytes:
    return part(5, part(1, "serving_default") + part(2, part(1, part(1, "x") + part(2, part(1, "saver_filename:0")))))


FILES = {
    "a path that is written down": saving((7, node("w", "SaveV2", "a:output:0", "n:output:0"))),
    "an ending that leads elsewhere": saving((1, node("a", "Const", more=constant("/../../../etc/cron.d/x")))),
    "an ending of several": saving((1, node("a", "Const", more=constant(".part", "/../x")))),
    "an ending that is read": saving((3, node("s", "Select", "m:output:0", "v:value:0", "b:output:0"))),
    "a prefix that is written down": saving((4, node("j", "StringJoin", "b:output:0", "s:output:0"))),
    "a shard that is written down": saving((5, node("f", "ShardedFilename", "a:output:0", "x"))),
    "a checkpoint to delete": saving((8, node("p", "Pack", "f:filename:0", "a:output:0"))),
    "a target that is written down": saving((9, node("g", "MergeV2Checkpoints", "p:output:0", "a:output:0"))),
    "a file to read": model(*SAVER, functions=(SAVE, function("traced_restore", node("r", "RestoreV2", "n:output:0")))),
    "another caller": model(*SAVER, node("e", "PartitionedCall", "x", more=call("traced_save")), functions=(SAVE, RESTORE)),
    "a caller in a function": model(
        *SAVER, functions=(SAVE, RESTORE, function("f", node("e", "If", more=call("traced_save"))))
    ),
    "a caller by its name": model(*SAVER, node("e", "traced_save", "saver_filename"), functions=(SAVE, RESTORE)),
    "a placeholder that is a constant": model(
        node("saver_filename", "Const", more=constant("/etc/passwd")), *SAVER[1:], functions=(SAVE, RESTORE)
    ),
    "another placeholder": model(*SAVER, functions=(SAVE, RESTORE), path="x"),
    "an object that offers it": model(*SAVER, functions=(SAVE, RESTORE), more=offered()),
    "a signature that feeds it": model(*SAVER, functions=(SAVE, RESTORE), more=fed()),
    "names that are not its own": saving((2, node("a", "Const", more=constant("_temp/part")))),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
def test_a_saver_that_opens_another_file(data: bytes) -> None:
    assert "savedmodel-files" in {one.rule for one in look(data).findings}
    assert not look(model(*SAVER, functions=(SAVE, RESTORE))).findings


ODD = {
    "another version": number(1, 2) + part(2, b""),
    "a gradient": model(more=b"", functions=()) [:2] + part(2, part(2, part(2, part(2, part(1, "f") + part(2, "g"))))),
    "assets": model(more=part(6, part(2, "vocabulary.txt"))),
    "a function twice": model(functions=(SAVE, SAVE)),
    "a function in the place of an operator": model(functions=(function("MatMul", node("a", "Add")),)),
    "a constant that is a handle": model(node("a", "Const", more=attribute("value", part(8, number(1, 20) + part(14, b""))))),
    "a field that nobody knows": model() + part(9, "x"),
    "variables that are not there": model(node("v", "VarHandleOp")),
    "half a file": HONEST[:-3],
}  # fmt: skip


@pytest.mark.parametrize("data", ODD.values(), ids=ODD.keys())
def test_a_model_of_parts_that_are_not_known(data: bytes) -> None:
    assert "savedmodel-malformed" in {one.rule for one in look(data).findings}


def test_objects_of_registered_classes_and_layers_of_keras() -> None:
    def objects(thing: bytes) -> set[str]:
        return {one.rule for one in look(model(more=part(7, part(1, thing)))).findings}

    assert objects(part(13, "acme.Net")) == {"savedmodel-object"} == objects(part(16, "acme.Saver"))
    assert objects(part(13, "tf.StaticHashTable")) == set() == objects(part(4, part(1, "_generic_user_object")))
    assert objects(part(4, part(3, '{"class_name": "Lambda", "config": {}}'))) == {"keras-object"}
    assert objects(part(4, part(3, '{"class_name": "Dense", "config": {}}'))) == set()


def test_variables_that_are_not_as_their_index_says(tmp_path: Path) -> None:
    place, shard = VARIABLES
    assert found(tmp_path / "a", VARIABLES) == []
    assert found(tmp_path / "b", {**VARIABLES, shard: NUMBERS + b"\1\xff"}) == ["raw-data-hidden"]
    assert found(tmp_path / "c", {**VARIABLES, shard: NUMBERS[:-1]}) == ["savedmodel-malformed"]
    assert "savedmodel-malformed" in found(tmp_path / "d", {place: VARIABLES[place]})
    assert found(tmp_path / "e", {shard: NUMBERS}) == ["unknown-format"]
    pickled = {**VARIABLES, shard: COMMAND, place: index((b"a", entry(0, len(COMMAND), len(COMMAND), kind=4)))}
    assert "pickle-global" in found(tmp_path / "f", pickled), "another loader would not ask the index"


INDICES = {
    "another size than the shape": index((b"a", entry(0, 8, 3))),
    "a type that is a handle": index((b"a", entry(0, 0, kind=20))),
    "a shard that is not there": index((b"a", entry(0, 8, 2, shard=1))),
    "an offset beyond the shard": index((b"a", entry(1 << 40, 8, 2))),
    "many shards": index((b"a", entry(0, 8, 2)), shards=1 << 20),
    "names twice": index((b"a", entry(0, 8, 2)), (b"a", entry(0, 8, 2))),
    "names that are not in order": index((b"b", entry(0, 8, 2)), (b"a", entry(0, 8, 2))),
    "compressed": index((b"a", entry(0, 8, 2)), kind=1),
    "bytes between blocks": index((b"a", entry(0, 8, 2)), between=b"PK\3\4"),
    "bytes before blocks": b"\0" + index((b"a", entry(0, 8, 2))),
}


@pytest.mark.parametrize("data", INDICES.values(), ids=INDICES.keys())
def test_an_index_that_is_not_what_it_says(tmp_path: Path, data: bytes) -> None:
    assert "savedmodel-malformed" in found(tmp_path, {**VARIABLES, "m/variables/variables.index": data})


def test_mutants_are_refused_or_read_but_never_stumbled_over() -> None:
    ensure_nothing_stumbles(look, HONEST, seed=11, count=1_500)
    name, shard = VARIABLES
    view = {"name": name, "path": Path(name), "beside": {shard: 12}}
    ensure_nothing_stumbles(lambda data: bundles.look(View(data=data, **view)), VARIABLES[name], seed=12, count=1_500)  # type: ignore[arg-type]
