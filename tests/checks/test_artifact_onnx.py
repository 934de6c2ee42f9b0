"""ONNX: operators that every runtime has, over tensors that lie where the model says, within the artifact."""

from __future__ import annotations

from pathlib import Path

import pytest

from pratique.checks.artifact import onnx, wire
from pratique.checks.artifact.viewing import Sight, View
from pratique.checks.artifact.wire import TEXTS, Schema
from pratique.errors import Malformed

from .test_artifact import check, rules
from .writing import ensure_nothing_stumbles, number, part, varint

FLOAT = 1


def entry(key: str, value: str) -> bytes:
    return part(1, key) + part(2, value)


def tensor(name: str = "W", *, shape: tuple[int, ...] = (2,), kind: int = FLOAT, raw: bytes | None = b"\0" * 8) -> bytes:
    packed = b"".join(map(varint, shape))
    return part(1, packed) + number(2, kind) + part(8, name) + (b"" if raw is None else part(9, raw))


def outside(location: str, name: str = "W", **facts: str) -> bytes:
    entries = {"location": location, **facts}
    return tensor(name, raw=None) + b"".join(part(13, entry(*one)) for one in entries.items()) + number(14, 1)


def node(kind: str = "Identity", domain: str = "", *attributes: bytes) -> bytes:
    named = part(7, domain) if domain else b""
    return part(1, "W") + part(2, "y") + part(4, kind) + b"".join(part(5, one) for one in attributes) + named


def graph(*nodes: bytes, tensors: tuple[bytes, ...] = ()) -> bytes:
    return b"".join(part(1, one) for one in nodes) + part(2, "g") + b"".join(part(5, one) for one in tensors)


def function(domain: str, name: str, *nodes: bytes) -> bytes:
    return part(1, name) + b"".join(part(7, one) for one in nodes) + part(10, domain)


def model(body: bytes, *more: bytes, version: int = 8) -> bytes:
    return number(1, version) + part(7, body) + part(8, number(2, 17)) + b"".join(more)


HONEST = model(
    graph(node("If", "", part(1, "then_branch") + part(6, graph(node("Neg"))) + number(20, 5)), node("Twice", "mine"),
          tensors=(tensor(), tensor("H", kind=10, raw=b"\0" * 4), tensor("I", kind=22, raw=b"\0"))),
    part(25, function("mine", "Twice", node("Add"))), part(14, entry("a", "b")),
)  # fmt: skip


def look(data: bytes, *domains: str) -> Sight:
    return onnx.look(View(name="m.onnx", path=Path("m.onnx"), data=data), domains)


def test_an_honest_model(tmp_path: Path) -> None:
    assert rules(tmp_path / "a", "m.onnx", HONEST, formats=["onnx"]) == []
    assert rules(tmp_path / "b", "m.onnx", HONEST) == ["format-not-allowed"]
    assert rules(tmp_path / "c", "m.bin", HONEST, formats=["onnx"]) == []
    assert rules(tmp_path / "d", "m.pt", HONEST, formats=["onnx"]) == ["extension-mismatch"]
    assert look(HONEST).counts == {"tensors": 3, "parameters": 6}


def nested(inner: bytes) -> bytes:
    """An operator within the branch of another."""
    return model(graph(node("If", "", part(1, "then_branch") + part(6, graph(inner)))))


FOREIGN = {
    "an operator of a library": model(graph(node("PyOp", "com.evil"))),
    "in a branch": nested(node("PyOp", "com.evil")),
    "in a list of graphs": model(graph(node("X", "", part(1, "g") + part(11, graph(node("PyOp", "com.evil")))))),
    "in a function": model(graph(node("F", "f")), part(25, function("f", "F", node("PyOp", "com.evil")))),
    "in a function that nobody uses": model(graph(), part(25, function("f", "F", node("PyOp", "com.evil")))),
    "in a default of a function": model(
        graph(), part(25, function("f", "F") + part(11, part(1, "a") + part(6, graph(node("PyOp", "com.evil")))))
    ),
    "in the training": model(graph(), part(20, part(1, graph(node("PyOp", "com.evil"))))),
    "of the runtime's own extensions": model(graph(node("PyOp", "ai.onnx.contrib"))),
    "of a function that is not there": model(graph(node("Other", "mine")), part(25, function("mine", "Twice"))),
    "a function in the place of an operator": model(graph(node("Relu")), part(25, function("", "Relu", node("Neg")))),
    "a file for a device": model(graph(node("EPContext", "com.microsoft"))),
}


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN.keys())
def test_an_operator_that_a_library_brings_along(tmp_path: Path, data: bytes) -> None:
    assert rules(tmp_path, "m.onnx", data, formats=["onnx"]) == ["onnx-operator"]


def test_a_domain_that_a_policy_names() -> None:
    (found,) = look(model(graph(node("FusedMatMul", "com.microsoft")))).findings
    assert "onnx_domains: [com.microsoft]" in found.message
    assert not look(model(graph(node("FusedMatMul", "com.microsoft"))), "com.microsoft").findings
    assert look(model(graph(node("EPContext", "com.microsoft"))), "com.microsoft").findings, "whatever a policy says"


ATTACKS = {
    "a path above": model(graph(tensors=(outside("../../../etc/passwd"),))),
    "a path of the system": model(graph(tensors=(outside("/etc/passwd"),))),
    "a path that comes back": model(graph(tensors=(outside("a/../w.bin"),))),
    "a path of another system": model(graph(tensors=(outside("..\\w.bin"),))),
    "a path with a drive": model(graph(tensors=(outside("C:w.bin"),))),
    "a path that is encoded": model(graph(tensors=(outside("..%2fw.bin"),))),
    "no path": model(graph(tensors=(outside(""),))),
    "a file that is not there": model(graph(tensors=(outside("w.bin"),))),
    "a tensor of a node elsewhere": model(graph(node("Constant", "", part(1, "value") + part(5, outside("/etc/passwd"))))),
    "a tensor of a branch in another file": nested(node("Constant", "", part(1, "value") + part(5, outside("/etc/passwd")))),
    "a sparse tensor in another file": model(graph() + part(15, part(1, outside("/etc/passwd")))),
    "a file that is named and not used": model(graph(tensors=(tensor() + part(13, entry("location", "/etc/passwd")),))),
    "a place that nobody knows": model(graph(tensors=(tensor() + number(14, 2),))),
    "two places": model(graph(tensors=(outside("w.bin") + part(13, entry("location", "/etc/passwd")),))),
    "more bytes than its shape": model(graph(tensors=(tensor(raw=b"\0" * 9),))),
    "a shape that overflows": model(graph(tensors=(tensor(shape=(1 << 40, 1 << 40)),))),
    "a negative shape": model(graph(tensors=(tensor(shape=((1 << 64) - 1,)),))),
    "a type that nobody knows": model(graph(tensors=(tensor(kind=99),))),
    "a field that nobody knows": model(graph(), part(77, "x")),
    "two graphs": model(graph(), part(7, graph(node("PyOp", "com.evil")))),
    "no graph": number(1, 8) + part(8, number(2, 17)),
    "another version": model(graph(), version=99),
    "bytes behind it": model(graph()) + b"PK\3\4",
    "a length beyond the end": number(1, 8) + varint(7 << 3 | 2) + varint(1 << 40),
    "a length that overflows": number(1, 8) + varint(7 << 3 | 2) + b"\xff" * 10 + b"\1",
    "a number that is longer than it need be": model(graph())[:1] + b"\x88\x00" + model(graph())[2:],
    "a function that uses itself": model(graph(), part(25, function("f", "F", node("F", "f")))),
}  # fmt: skip


@pytest.mark.parametrize("data", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_model_that_is_not_what_it_says(tmp_path: Path, data: bytes) -> None:
    assert "onnx-malformed" in rules(tmp_path, "m.onnx", data, formats=["onnx"])


def test_graphs_in_graphs_have_an_end() -> None:
    inner = graph()
    for _ in range(200):
        inner = graph(node("If", "", part(1, "then_branch") + part(6, inner)))
    assert [one.rule for one in look(model(inner)).findings] == ["onnx-malformed"]


def beside(tmp_path: Path, data: bytes, name: str = "w.bin", **facts: str) -> list[str]:
    files = {"onnx/m.onnx": model(graph(tensors=(outside(name, **facts),))), f"onnx/{name}": data}
    return [found.rule for found in check(tmp_path, files, formats=["onnx", "text", "pickle"]).findings]


def test_tensors_beside_the_model(tmp_path: Path) -> None:
    """Raw numbers have no format; they are what the model says, to the last byte, and nothing else as well."""
    numbers = b"\x01\x02\x03\x04\x05\x06\xf7\xff"
    assert beside(tmp_path / "a", numbers) == []
    assert beside(tmp_path / "b", b"\0" * 4096 + numbers, offset="4096", length="8") == []
    assert beside(tmp_path / "c", numbers[:-1]) == ["unknown-format", "onnx-malformed"][::-1]
    assert beside(tmp_path / "d", numbers + b"\x01\xff") == ["raw-data-hidden"]
    assert beside(tmp_path / "e", numbers * 2, offset="8") == ["raw-data-hidden"]
    assert beside(tmp_path / "f", numbers, length="4") == ["onnx-malformed", "unknown-format"]
    assert beside(tmp_path / "g", numbers, offset="-1") == ["onnx-malformed", "unknown-format"]
    assert beside(tmp_path / "h", numbers, basepath="/etc") == ["onnx-malformed", "unknown-format"]
    assert beside(tmp_path / "i", numbers, "w.pt") == ["extension-mismatch"]
    assert beside(tmp_path / "j", numbers, "w.so") == ["code-file"]


def test_a_pickle_that_a_model_calls_its_tensor(tmp_path: Path) -> None:
    """`torch.load` would not care what the ONNX model says about the file."""
    command = b"\x80\x02cos\ns\nR"
    assert "pickle-global" in beside(tmp_path, command)


def test_mutants_are_refused_or_read_but_never_stumbled_over() -> None:
    ensure_nothing_stumbles(look, HONEST, seed=3, count=2_000)


def test_a_message_is_walked_only_as_its_schema_says() -> None:
    schema = Schema("thing", {1: TEXTS})
    assert wire.message(part(1, "é") * 2, schema).texts(1) == ["é", "é"]
    for data in (
        part(1, b"\xff"),
        number(1, 1),
        part(2, "x"),
        part(1, "x")[:-1],
        b"\x0b\x0c",
        part(1, "x" * (wire.MAX_TEXT + 1)),
    ):
        with pytest.raises(Malformed):
            wire.message(data, schema)


def test_what_the_reference_library_writes(tmp_path: Path) -> None:
    """The onnx package, where it is installed."""
    library = pytest.importorskip("onnx")
    import numpy as np

    helper = library.helper
    weights = library.numpy_helper.from_array(np.ones((8, 8), np.float32), "W")
    x, y = (helper.make_tensor_value_info(name, FLOAT, [None, 8]) for name in "xy")
    body = helper.make_graph([helper.make_node("MatMul", ["x", "W"], ["y"])], "g", [x], [y], [weights])
    whole = helper.make_model(body)
    library.save(whole, tmp_path / "m.onnx", save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(files) == {"m.onnx", "m.onnx.data"}
    assert not check(tmp_path / "check", files, formats=["onnx"]).findings
