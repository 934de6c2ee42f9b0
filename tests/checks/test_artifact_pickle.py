"""Pickles: everything that could run code is named, and plain data passes."""

from __future__ import annotations

import io
import pickle
import struct
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique.checking import Finding, Severity
from pratique.checks.artifact import opcodes, pickles
from pratique.checks.artifact.machine import read
from pratique.checks.artifact.stack import MAX_DEPTH
from pratique.checks.artifact.viewing import View

POSIX = b"\x8c\x05posix\x8c\x06system\x93"
CALL = POSIX + b"\x8c\x04true\x85R"
GLOBAL_CALL = b"cposix\nsystem\n(Vtrue\ntR"


def look(data: bytes) -> list[Finding]:
    return list(pickles.look(View(name="w.pkl", path=Path("w.pkl"), data=data)).findings)


def proto(number: int, body: bytes) -> bytes:
    return b"\x80" + bytes([number]) + body


def frame(body: bytes, length: int | None = None) -> bytes:
    return b"\x95" + struct.pack("<Q", len(body) if length is None else length) + body


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        (GLOBAL_CALL + b".", "GLOBAL imports it (as posix), REDUCE at byte 22 calls it"),
        (proto(2, GLOBAL_CALL + b"."), "GLOBAL imports it (as posix), REDUCE"),
        (proto(4, CALL + b"."), "STACK_GLOBAL imports it (as posix), REDUCE"),
        (proto(4, frame(CALL + b".")), "STACK_GLOBAL imports it (as posix), REDUCE"),
        (b"(S'true'\niposix\nsystem\n.", "INST imports it (as posix), and calls it"),
        (b"(cposix\nsystem\nVtrue\no.", "OBJ at byte 21 calls it"),
        (proto(2, b"cposix\nsystem\n)\x81."), "NEWOBJ at byte 17 makes an instance of it"),
        (proto(4, POSIX + b")}\x92."), "NEWOBJ_EX at byte"),
        (proto(4, POSIX + b"}b."), "BUILD at byte"),
        (proto(4, CALL + b"0N."), "REDUCE"),  # thrown away again: the command has run
        (proto(4, b"(" + CALL + b"1N."), "REDUCE"),
        (proto(4, CALL), "REDUCE"),  # cut off behind the command
        (proto(4, CALL + b"\xff\xff"), "REDUCE"),
        (proto(4, b"N0" * 1000 + CALL + b"."), "REDUCE"),
        (b"I0x10\n0" + GLOBAL_CALL + b".", "REDUCE"),  # C reads it, pickletools raises
        (b"I0o7\n0" + GLOBAL_CALL + b".", "REDUCE"),
        (b"I010\n0" + GLOBAL_CALL + b".", "REDUCE"),
        (b"I1\0 and more\n0" + GLOBAL_CALL + b".", "REDUCE"),
        (b"I\0no digits\n0" + GLOBAL_CALL + b".", "REDUCE"),  # zero, says C
        (b"L1\0 and more\n0" + GLOBAL_CALL + b".", "REDUCE"),
        (b"F1\0 and more\n0" + GLOBAL_CALL + b".", "REDUCE"),
        (b"Np01\n0g 1\n0" + GLOBAL_CALL + b".", "REDUCE"),
        (b"N(e0" + GLOBAL_CALL + b".", "REDUCE"),  # nothing is appended to None
        (b"N(u0" + GLOBAL_CALL + b".", "REDUCE"),
        (b"](NeI0\nNs0" + GLOBAL_CALL + b".", "REDUCE"),  # an item of a list is set
        (b"NNb0" + GLOBAL_CALL + b".", "REDUCE"),  # no state is set on None
        (proto(5, b"\x96\0\0\0\0\0\0\0\0K\x01a0" + GLOBAL_CALL + b"."), "REDUCE"),  # a number is put into a bytearray
        (b"(" * 200 + b"N" + b"t" * 200 + b"0" + GLOBAL_CALL + b".", "REDUCE"),
        (b"L0x10L\n0" + GLOBAL_CALL + b".", "REDUCE"),
        (b"F 1_0\n0" + GLOBAL_CALL + b".", "REDUCE"),
        (b"S'\\q'\n0" + GLOBAL_CALL + b".", "REDUCE"),
        (proto(2, b"U\x01\xe90" + GLOBAL_CALL + b"."), "REDUCE"),  # loads with encoding="latin1"
        (proto(4, b"]\x94" + CALL + b"a."), "REDUCE"),
        (proto(4, b"}\x94N" + CALL + b"s."), "REDUCE"),
        (b"K\x01." + GLOBAL_CALL + b".", "REDUCE"),  # a second pickle behind the first
        (proto(4, b"\x8c\x05posix\x94\x8c\x06system\x9400h\x00h\x01\x93\x8c\x04true\x85R."), "REDUCE"),
        (proto(4, b"\x8c\x05posix2\x8c\x06system0\x8c\x06system\x93)R."), "REDUCE"),
        (proto(4, b"\x8c\x05posix\x8c\x06system(\x8c\x01a\x8c\x01b1\x93)R."), "REDUCE"),
    ],
)
def test_a_command_however_it_is_written(stream: bytes, says: str) -> None:
    found = [finding for finding in look(stream) if finding.rule == "pickle-global"]
    assert found, look(stream)
    assert found[0].severity is Severity.CRITICAL
    assert "os.system" in found[0].message and says in found[0].message


@pytest.mark.parametrize(
    ("stream", "name"),
    [
        (proto(4, b"\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R."), "collections.OrderedDict"),
        (proto(4, b"\x8c\x05torch\x8c\x17serialization.os.system\x93)R."), "torch.serialization.os.system"),
        (proto(2, b"c__builtin__\neval\n."), "builtins.eval"),
        (proto(2, b"\x82\x01."), "(copyreg extension).1"),
        (proto(2, b"\x83\x01\x01."), "(copyreg extension).257"),
        (proto(2, b"\x84\x01\x00\x00\x00."), "(copyreg extension).1"),
        (proto(4, POSIX + b")R\x8c\x06system\x93."), "(computed).system"),
    ],
)
def test_no_import_is_innocent(stream: bytes, name: str) -> None:
    assert any(finding.rule == "pickle-global" and name in finding.message for finding in look(stream))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", [OrderedDict(a=1), Counter("abc"), Path("x"), complex(1, 2), range(3), {"k": [Exception()]}])
def test_an_object_is_not_data(value: object, protocol: int) -> None:
    assert any(finding.rule == "pickle-global" for finding in look(pickle.dumps(value, protocol)))


def test_bytes_need_a_function_before_protocol_3() -> None:
    """Not an attack, but not data either: protocols 0 to 2 have no opcode for bytes."""
    assert "_codecs.encode" in look(pickle.dumps(b"\xff", 2))[0].message
    assert look(pickle.dumps(b"\xff", 3)) == []


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        (b"", "without STOP"),
        (b"N", "without STOP"),
        (b".", "finds nothing on the stack"),
        (b"\xffN.", "0xff is not an opcode"),
        (b"NN.", "more than one value"),
        (b"(N.", "more than one value"),
        (b"N..", "1 bytes follow"),
        (b"N." + b"\0" * 16, "16 bytes follow"),
        (proto(4, b"") + proto(4, b"N."), "PROTO stands in the middle"),
        (b"\x80\x06N.", "names protocol 6"),
        (b"I0x10\n.", "spells a number 0x10,"),
        (b"I 1\n.", "spells a number"),
        (b"I-0\n.", "spells a number"),
        (b"I1_0\n.", "spells a number"),
        (b"I" + b"9" * 5000 + b"\n.", "spells a number"),
        (b"Ix\n.", "not a number"),
        (b"I1", "cut off"),
        (b"L0x1L\n.", "spells a number"),
        (b"F1e999\n.", "spells a number"),
        (b"Fnan2\n.", "spells a number"),
        (b"Fx\n.", "not a number"),
        (b"J\0\0", "cut off"),
        (b"S'a\n.", "without quotes"),
        (b"S'\\777'\n.", "spells its text"),
        (b"V\\u12\n.", "broken escape"),
        (b"X\x01\0\0\0\xff.", "not UTF-8"),
        (b"X\xff\xff\xff\x7fa.", "claims 2,147,483,647 bytes"),
        (b"\x8b\xff\xff\xff\xff.", "claims -1 bytes"),
        (proto(4, frame(b"N", 1) + b"N."), "more than one value"),
        (proto(4, frame(b"X\x02\0\0\0ab.", 3)), "straddles the end of its frame"),
        (proto(4, frame(b"N.", 99)), "longer than the file"),
        (proto(4, frame(b"N." + b"N.", 4)), "before the end of its frame"),
        (proto(4, frame(frame(b"N."))), "a frame inside a frame"),
        (b"N0N.", "POP throws a value away"),
        (b"(N1N.", "POP_MARK throws values away"),
        (b"N2\x86.", "DUP repeats a value"),
        (b"]q\x00(q\x01t.", "finds nothing on the stack"),
        (b"](K\x01q\x00K\x02q\x00e.", "the number 0 to a second value"),
        (b"Nr\xff\xff\xff\x7f.", "uses the number 2,147,483,647"),
        (b"h\x07.", "asks for the number 7"),
        (b"Ng-1\n.", "asks for the number -1"),
        (b"Pabc\n.", "an object that is not in the file"),
        (b"NQ.", "an object that is not in the file"),
        (proto(5, b"\x97."), "a buffer that is not in the file"),
        (proto(5, b"N\x98."), "a buffer that is not in the file"),
        (b"NNR.", "finds plain data"),
        (b"N}b.", "sets the state of plain data"),
        (b"NNa.", "does not find a list"),
        (b"NN\x93.", "finds no text"),
        (b"(o.", "finds nothing above the mark"),
        (b"N\x85e.", "finds no mark"),
        (b"}NNa.", "does not find a list"),
        (b"}Na.", "does not find a list"),
        (b"])K\x01s.", "does not find a dict"),
        (b"}]Ns.", "as a key what cannot be one"),
        (b"}]\x85Ns.", "as a key what cannot be one"),
        (proto(4, b"\x8f(]\x90."), "as a key what cannot be one"),
        (proto(4, b"(]\x91."), "as a key what cannot be one"),
        (proto(5, b"}\x96\0\0\0\0\0\0\0\0Ns."), "as a key what cannot be one"),
        (b"}(Nu.", "a key without a value"),
        (b"(Nd.", "a key without a value"),
    ],
)
def test_a_stream_that_no_pickler_writes(stream: bytes, says: str) -> None:
    found = look(stream)
    assert found and all(finding.rule == "pickle-malformed" and finding.severity is Severity.HIGH for finding in found)
    assert any(says in finding.message for finding in found), [finding.message for finding in found]


def test_billion_laughs() -> None:
    """Each list holds the one before it ten times: 400 bytes that stand for ten to the twentieth values."""
    body = b"]q\x00"
    for level in range(20):
        body += b"](" + b"h%c" % level * 10 + b"eq%c" % (level + 1)
    bomb = proto(2, b"(" + body + b"t.")
    assert len(bomb) < 1000 and any("written out" in finding.message for finding in look(bomb))


def test_billion_laughs_filled_from_the_outside_in() -> None:
    """Empty lists are put into each other first and filled later, so that none is large when it is put in."""
    body = b"".join(b"]q%c" % level for level in range(30))
    body += b"".join(b"h%c(h%ch%ce" % (level, level + 1, level + 1) for level in range(29))
    found = look(proto(2, b"(" + body + b"t."))
    assert found and all("that another value holds" in one.message or "more such faults" in one.message for one in found)


def test_a_shared_value_is_no_bomb() -> None:
    shared = ["row"] * 1000
    assert look(pickle.dumps([shared] * 1000)) == []


@pytest.mark.parametrize("protocol", range(6))
def test_a_value_that_holds_itself(protocol: int) -> None:
    itself: list[Any] = [1]
    itself.append(itself)
    assert any("cycle" in finding.message for finding in look(pickle.dumps(itself, protocol)))


def test_too_deep() -> None:
    def nest(depth: int) -> list[Any]:
        value: list[Any] = []
        for _ in range(depth - 1):
            value = [value]
        return value

    assert look(pickle.dumps(nest(MAX_DEPTH))) == []
    assert any("deep" in finding.message for finding in look(pickle.dumps(nest(MAX_DEPTH + 1))))


def test_too_many_opcodes(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = b"](" + b"N" * 1000 + b"e."
    assert look(stream) == []
    monkeypatch.setattr(opcodes, "MAX_OPCODES", 1000)
    assert "more than 1,000 opcodes" in look(stream)[0].message


def test_a_flood_of_oddities_is_counted_not_kept() -> None:
    reading = read(b"N0" * 10_000 + (b"cos\nsystem\n0" * 1000) + b"N.")
    assert (len(reading.faults), reading.faulty) == (5, 11_000)
    assert (len(reading.uses), reading.used) == (1, 1000)


def test_a_flood_of_globals_ends_the_reading() -> None:
    reading = read(b"".join(b"cm%d\nn\n0" % number for number in range(1001)) + b"N.")
    assert reading.given_up and len(reading.uses) == 1000


def leaves(protocol: int) -> st.SearchStrategy[Any]:
    text = st.text(st.characters(), max_size=20)  # with surrogates: pickles carry them
    plain = st.none() | st.booleans() | st.integers() | st.floats() | text
    return plain | st.binary(max_size=300) if protocol >= 3 else plain


def data(protocol: int) -> st.SearchStrategy[Any]:
    """Anything built of plain values. Before protocol 3 there is no opcode for bytes."""
    keys = st.recursive(leaves(protocol), lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)

    def holding(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        lists = st.lists(inner, max_size=4)
        plain = lists | lists.map(tuple) | st.dictionaries(keys, inner, max_size=4) | lists.map(lambda one: [one, one])
        return plain | st.sets(keys, max_size=3) | st.frozensets(keys, max_size=3) if protocol >= 4 else plain

    return st.recursive(leaves(protocol), holding, max_leaves=15)


DATA = [data(protocol) for protocol in range(6)]


@pytest.mark.parametrize("protocol", range(6))
@given(draw=st.data())
@settings(max_examples=120, deadline=None)
def test_plain_data_passes(protocol: int, draw: st.DataObject) -> None:
    value = draw.draw(DATA[protocol])
    assert look(pickle.dumps(value, protocol)) == []
    if protocol >= 4:
        assert look(python_pickle(value, protocol)) == []


def python_pickle(value: object, protocol: int) -> bytes:
    """By the pickler in pure Python, whose frames differ from C's."""
    stream = io.BytesIO()
    pickle._Pickler(stream, protocol).dump(value)  # type: ignore[attr-defined]
    return stream.getvalue()


@pytest.mark.parametrize("protocol", range(6))
@given(draw=st.data())
@settings(max_examples=60, deadline=None)
def test_one_object_among_plain_data_is_found(protocol: int, draw: st.DataObject) -> None:
    value = draw.draw(DATA[protocol])
    stream = pickle.dumps([value, {"deep": (value, [OrderedDict()])}, value], protocol)
    assert any(finding.rule == "pickle-global" and "OrderedDict" in finding.message for finding in look(stream))


def test_large_data_passes() -> None:
    """Batches of a thousand, frames of 64 KiB, texts and bytes outside of frames, long memo numbers."""
    rows = [{"id": number, "name": f"name {number}", "score": number / 7} for number in range(3000)]
    value = {"rows": rows, "text": "x" * 200_000, "bytes": b"y" * 200_000, "number": 1 << 5000}
    for protocol in range(3, 6):
        assert look(pickle.dumps(value, protocol)) == []
