"""TensorFlow Lite: builtin operators over buffers within the file, and nothing that leads to a library or another file."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from pratique.checks.artifact import flatbuffers, tflite
from pratique.checks.artifact.viewing import Sight, View

from .test_artifact import rules
from .writing import ensure_nothing_stumbles

Fields = dict[int, Any]
"""A table: numbers as (format, value); texts and bytes; lists of numbers or of tables; tables."""


def written(table: Fields) -> bytes:
    """A FlatBuffer whose root is that table, with TensorFlow Lite's mark."""
    data = bytearray(b"\0\0\0\0TFL3")
    struct.pack_into("<I", data, 0, _table(data, table))
    return bytes(data)


def _table(data: bytearray, table: Fields) -> int:
    count = max(table, default=-1) + 1
    behind = len(data)
    data += struct.pack("<HH", 4 + 2 * count, 4 + 8 * len(table)) + b"\0" * (2 * count)
    at = len(data)
    data += struct.pack("<i", at - behind) + b"\0" * (8 * len(table))
    for place, (number, value) in enumerate(sorted(table.items())):
        offset = 4 + 8 * place
        struct.pack_into("<H", data, behind + 4 + 2 * number, offset)
        if isinstance(value, tuple):
            struct.pack_into(f"<{value[0]}", data, at + offset, value[1])
        else:
            struct.pack_into("<I", data, at + offset, _value(data, value) - at - offset)
    return at


def _value(data: bytearray, value: Any) -> int:
    if isinstance(value, dict):
        return _table(data, value)
    at = len(data)
    data += struct.pack("<I", len(value))
    if isinstance(value, bytes | str):
        data += value.encode() if isinstance(value, str) else value
    elif value and isinstance(value[0], dict):
        data += b"\0" * (4 * len(value))
        for index, one in enumerate(value):
            place = at + 4 + 4 * index
            struct.pack_into("<I", data, place, _table(data, one) - place)
    else:
        data += struct.pack(f"<{len(value)}i", *value)
    return at


def model(
    code: Fields | None = None, operator: Fields | None = None, tensor: Fields | None = None, buffer: Fields | None = None,
    **more: Any,
) -> bytes:  # fmt: skip
    weights = {0: [2], 1: ("B", 0), 2: ("I", 1), 3: "w", **(tensor or {})}
    graph = {0: [{0: [2], 3: "x"}, weights], 1: [0], 2: [0], 3: [{1: [0, 1, -1], 2: [0], 4: {}, **(operator or {})}]}
    table = {
        0: ("I", 3), 1: [code or {0: ("B", 9), 3: ("i", 9)}], 2: [graph], 3: "d", 4: [{}, buffer or {0: b"\0" * 8}],
        6: [{0: "min_runtime_version", 1: ("I", 0)}], 7: [{0: [{0: "x"}], 2: "serving_default"}],
    }  # fmt: skip
    return written({**table, **{int(key[1:]): value for key, value in more.items()}})


HONEST = model()


def look(data: bytes) -> Sight:
    return tflite.look(View(name="m.tflite", path=Path("m.tflite"), data=data))


def test_an_honest_model(tmp_path: Path) -> None:
    assert rules(tmp_path / "a", "m.tflite", HONEST, formats=["tflite"]) == []
    assert rules(tmp_path / "b", "m.tflite", HONEST) == ["format-not-allowed"]
    assert rules(tmp_path / "c", "m.pt", HONEST, formats=["tflite"]) == ["extension-mismatch"]
    assert look(HONEST).counts == {"tensors": 2, "parameters": 2}


CODES = {
    "Flex": {0: ("B", 32), 1: "FlexReadFile", 3: ("i", 32)},
    "a custom operator": {1: "Acme", 3: ("i", 32)},
    "a custom operator by the old field alone": {0: ("B", 32), 1: "Acme"},
    "a custom operator without a name": {3: ("i", 32)},
    "a name beside a builtin operator": {1: "FlexReadFile", 3: ("i", 9)},
    "a delegate": {3: ("i", 51)},
    "a call out of the graph": {3: ("i", 173)},
    "an operator that nobody knows": {3: ("i", 9999)},
    "a negative operator": {3: ("i", -1)},
}


@pytest.mark.parametrize("code", CODES.values(), ids=CODES.keys())
def test_an_operator_that_a_library_brings_along(tmp_path: Path, code: Fields) -> None:
    assert rules(tmp_path, "m.tflite", model(code), formats=["tflite"]) == ["tflite-operator"]


ODD = {
    "another version": model(f0=("I", 2)),
    "another mark": HONEST.replace(b"TFL3", b"TFL2"),
    "buffers in other files": model(f9=[{}]),
    "a tensor in another file": model(tensor={10: ("I", 1)}),
    "a code that is not there": model(operator={0: ("I", 1)}),
    "a tensor that is not there": model(operator={1: [2]}),
    "a result that is not there": model(operator={2: [7]}),
    "options of its own": model(operator={5: b"x"}),
    "options elsewhere": model(operator={9: ("Q", 64), 10: ("Q", 8)}),
    "a buffer that is not there": model(tensor={2: ("I", 9)}),
    "a buffer out of the file": model(buffer={1: ("Q", 1 << 40), 2: ("Q", 8)}),
    "a buffer in two places": model(buffer={0: b"\0" * 8, 1: ("Q", 8), 2: ("Q", 8)}),
    "a buffer of another size": model(buffer={0: b"\0" * 9}),
    "a negative shape": model(tensor={0: [-2]}),
    "a shape that overflows": model(tensor={0: [1 << 30, 1 << 30]}),
    "a type that nobody knows": model(tensor={1: ("B", 99)}),
    "a text that is not UTF-8": model(f7=[{2: b"\xff"}]),
    "metadata that is not there": model(f6=[{0: "x", 1: ("I", 9)}]),
    "a root out of the file": struct.pack("<I", 1 << 30) + HONEST[4:],
    "half a file": HONEST[: len(HONEST) // 2],
    "nothing": b"\0\0\0\0TFL3",
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD.keys())
def test_a_model_that_is_not_what_it_says(data: bytes) -> None:
    assert [one.rule for one in look(data).findings] == ["tflite-malformed"]


def test_a_buffer_behind_all_tables() -> None:
    """Models of more than 2 GiB have their numbers there."""
    grown = model(buffer={1: ("Q", len(HONEST) + 64), 2: ("Q", 8)})
    assert not look(grown.ljust(len(HONEST) + 72, b"\1")).findings
    assert look(grown).findings


def test_lists_that_lead_to_the_same_tables_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that unfolds into more than anybody reads: 300 graphs that are one, of 300 tensors that are one."""
    monkeypatch.setattr(flatbuffers, "_MOST", 10_000)
    many = struct.pack("<I", 300)
    data = bytearray(model(f2=[0] * 300))
    graphs = bytes(data).index(many) + 4
    graph = _table(data, {0: [0] * 300})
    tensors = bytes(data).index(many, graph) + 4
    tensor = _table(data, {0: [1], 1: ("B", 0)})
    for list_, target in ((graphs, graph), (tensors, tensor)):
        for index in range(300):
            struct.pack_into("<I", data, list_ + 4 * index, target - list_ - 4 * index)
    (found,) = look(bytes(data)).findings
    assert "more than 10,000" in found.message


def test_a_model_that_is_a_pickle_as_well(tmp_path: Path) -> None:
    """The offset of the root is a letter to a loader of pickles, and bytes between the parts belong to nobody."""
    head = b"TFL3\ncos\nsystem\n(S'true'\ntR."
    root = {0: ("I", 3), 4: [{}]}
    data = bytearray((b"V\0\0\0" + head).ljust(ord("V") - 4 - 2 * 5, b"\0"))  # where a list of five fields ends at byte V
    assert _table(data, root) == ord("V")
    assert "polyglot" in rules(tmp_path, "m.tflite", bytes(data), formats=["tflite"])


def test_mutants_are_refused_or_read_but_never_stumbled_over() -> None:
    ensure_nothing_stumbles(look, HONEST, seed=13, count=2_000)
