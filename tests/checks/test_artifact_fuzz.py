"""Differential fuzzing: whatever our reader of pickles accepts, the C unpickler loads without asking for a single import, to
the same values; and of streams with imports, C never asks for one, or does something to one, that our reader did not note.

A disagreement is a hole (or a bug in CPython). Seeds and sizes are fixed, so that a failure can be repeated. At length, and
from another seed each time: `python tests/checks/test_artifact_fuzz.py SEED SECONDS`.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import pickle
import random
import sys
import time
import warnings
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Collection
from typing import ClassVar

import pytest

from pratique.checks.artifact import tensors
from pratique.checks.artifact.machine import read
from pratique.checks.artifact.opcodes import text_at
from pratique.checks.artifact.spelling import translated
from pratique.checks.artifact.tensors import _parse
from pratique.checks.artifact.values import Box, Leaf, Value
from pratique.errors import Malformed

VALUES = [
    {"a": 1, "b": [1, 2.5, None, True], "c": ("x", "y", -5, 2**70)}, [1] * 5, list(range(300)), {"k": {"n": {"m": (1,)}}},
    ["é", "a" * 300], {i: str(i) for i in range(20)}, ((), [], {}, ""), [1, -1, 255, 256, 65536, -(2**31), 2**31, 1e300],
]  # fmt: skip
YOUNGER = {3: [b"x" * 10, {b"a": [b"z" * 300]}], 4: [{1, 2, (3,)}, frozenset("a")], 5: [bytearray(b"abc")]}
STREAMS = [
    pickle.dumps(value, protocol)
    for protocol in range(6)
    for value in [*VALUES, *(one for first, more in YOUNGER.items() if first <= protocol for one in more)]
]
PIECES = (
    b"()]}NK\x01a.e0 2tlduspq\x00h\x00\x94\x85\x86\x87\x88\x89J\x00\x00\x00\x00X\x01\x00\x00\x00a\x8c\x01aC\x01aI1\nL1L\nF1.0\n"
    b"S'a'\nVa\ng0\np0\n\x8a\x01\x01\x80\x04\x95\x8f\x90\x91\x96cRbio\x81\x93\x82Q"
)


class Denying(pickle.Unpickler):
    """C's unpickler, in a world without any import."""

    def find_class(self, module: str, name: str) -> object:
        raise AssertionError(f"the loader asks for {module}.{name}")

    def persistent_load(self, key: object) -> object:
        raise AssertionError(f"the loader asks for {key}")


def mutated(dice: random.Random, stock: list[bytes], pieces: bytes) -> bytes:
    """One of the streams with up to three small changes."""
    stream = bytearray(dice.choice(stock))
    for _ in range(dice.choice((1, 1, 2, 3))):
        at, way = dice.randrange(len(stream) + 1), dice.random()
        piece = dice.randrange(len(pieces))
        if way < 0.4 and at < len(stream):
            stream[at] = dice.choice(pieces) if dice.random() < 0.7 else dice.randrange(256)
        elif way < 0.6:
            stream[at:at] = bytes([dice.choice(pieces)])
        elif way < 0.75:
            del stream[at : at + dice.randrange(1, 4)]
        elif way < 0.9:
            stream[at:at] = pieces[piece : piece + dice.randrange(1, 6)]
        else:
            other = dice.choice(stock)
            start = dice.randrange(len(other))
            stream[at:at] = other[start : start + dice.randrange(1, 12)]
    return bytes(stream)


def compare(seed: int, count: int) -> int:
    """How many of the mutants our reader accepted; each of them was loaded by C."""
    dice, accepted = random.Random(seed), 0
    for _ in range(count):
        stream = mutated(dice, STREAMS, PIECES)
        reading = read(stream)
        if not reading.data_only:
            continue
        accepted += 1
        file = io.BytesIO(stream)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                value = Denying(file).load()
            except Exception as error:
                pytest.fail(f"we accept {stream!r}, C says {error!r}")
        assert file.tell() == reading.end, stream
        assert reading.result is not None and same(stream, reading.result, value), stream
    return accepted


def same(data: bytes, note: Value, value: object) -> bool:
    """Whether a note of ours says what C has made."""
    if isinstance(note, Leaf):
        if note.kind in ("bool", "int") and note.value is not None:
            return isinstance(value, int) and note.value == value
        if note.kind == "text":
            return text_at(data, note.at) == value
        return type(value).__name__ == {"none": "NoneType", "text": "str"}.get(note.kind, note.kind)
    if not isinstance(note, Box) or type(value).__name__ != note.kind:
        return False
    if isinstance(value, dict):
        last = {key_of(data, key): one for key, one in zip(note.items[::2], note.items[1::2], strict=True)}
        return len(last) == len(value) if "?" not in last else len(last) <= len(value) + 1
    if isinstance(value, list | tuple):
        return len(value) == len(note.items) and all(same(data, one, two) for one, two in zip(note.items, value, strict=True))
    return isinstance(value, set | frozenset) and len(value) <= len(note.items)


def key_of(data: bytes, note: Value) -> object:
    """A key as far as the notes tell keys apart; '?' where they do not."""
    if isinstance(note, Leaf) and note.kind in ("bool", "int") and note.value is not None:
        return note.value
    if isinstance(note, Leaf) and note.kind == "text":
        return text_at(data, note.at)
    return None if isinstance(note, Leaf) and note.kind == "none" else "?"


class Inert:
    """What a recording loader finds in the place of any class or function: it takes everything, and notes who called."""

    called: ClassVar[set[tuple[str, str]]] = set()
    key: ClassVar[tuple[str, str]] = ("", "")

    def __new__(cls, *args: object, **keywords: object) -> Inert:
        cls.called.add(cls.key)
        return super().__new__(cls)

    def __init__(self, *args: object, **keywords: object) -> None: ...
    def __call__(self, *args: object) -> Inert:
        self.called.add((*self.key, "again"))  # type: ignore[arg-type]
        return self

    def __setstate__(self, state: object) -> None:
        self.called.add((*self.key, "state"))  # type: ignore[arg-type]

    def __setitem__(self, key: object, value: object) -> None: ...
    def append(self, value: object) -> None: ...
    def extend(self, values: object) -> None: ...
    def add(self, value: object) -> None: ...


class Recording(pickle.Unpickler):
    """C's unpickler, in a world where every import succeeds and nothing does anything."""

    def __init__(self, file: io.BytesIO, noted: Collection[tuple[str, str]]) -> None:
        super().__init__(file)
        self.noted, self.asked = noted, set[tuple[str, str]]()

    def find_class(self, module: str, name: str) -> object:
        key = (module, name) if (module, name) in self.noted else translated(module, name)
        self.asked.add(key)
        return type("Inert", (Inert,), {"key": key})

    def persistent_load(self, key: object) -> object:
        return Inert()


def importing() -> list[bytes]:
    """Streams with imports in every role, written by real libraries."""
    numpy = pytest.importorskip("numpy")
    values = [
        OrderedDict(a=1), [Counter("ab"), defaultdict(list, a=[1])], numpy.arange(3.0),
        [numpy.float32(1), numpy.zeros(2, "i4")],
        {"t": datetime.datetime(2026, 1, 1), "d": numpy.zeros(1, [("a", "f8")])}, argparse.Namespace(a=OrderedDict(b=2)),
    ]  # fmt: skip
    return [pickle.dumps(value, protocol) for protocol in range(6) for value in values]


def compare_imports(seed: int, count: int) -> int:
    """How many mutants C read to the end; whatever it asked for or called, our notes have too."""
    dice, loaded, stock = random.Random(seed), 0, importing()
    for _ in range(count):
        stream = mutated(dice, stock, PIECES)
        reading = read(stream, joblib="no")
        if any("claims" in fault.message or "uses the number" in fault.message for fault in reading.faults):
            continue  # C would set gigabytes aside first
        if any("straddles" in fault.message for fault in reading.faults):
            continue  # refused, because from a file C then reads only what stands behind the frame: "ct" of "OrderedDict"
        noted = {(use.module, use.name): use for use in reading.uses}
        loader, Inert.called = Recording(io.BytesIO(stream), noted), set()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                loader.load()
                loaded += 1
            except Exception:
                pass
        assert loader.asked <= noted.keys(), (stream, loader.asked - noted.keys())
        for module, name, *deed in Inert.called:
            if module:
                wanted = set(deed) or {"call", "new", "again"}
                done = set(noted[module, name].actions)
                if name.startswith(("_reconstruct", "__newobj")):  # what these make is noted as an instance of its class
                    done = {role for use in noted.values() for role in use.actions}
                assert wanted & done, (stream, module, name, deed)
    return loaded


def test_what_we_accept_is_data_to_the_c_unpickler() -> None:
    assert compare(seed=1, count=20_000) > 1000


def test_what_c_imports_and_calls_is_noted() -> None:
    assert compare_imports(seed=4, count=6_000) > 500


@pytest.mark.slow
def test_what_c_imports_and_calls_is_noted_at_length() -> None:
    assert compare_imports(seed=5, count=100_000) > 10_000


@pytest.mark.slow
def test_what_we_accept_is_data_to_the_c_unpickler_at_length() -> None:
    assert compare(seed=2, count=300_000) > 20_000


def test_unchanged_streams_are_accepted() -> None:
    """Else the tests above would prove nothing."""
    assert all(read(stream).data_only for stream in STREAMS)


def headers() -> list[bytes]:
    tensor = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    empty = {"dtype": "I8", "shape": [0, 4], "data_offsets": [24, 24]}
    scalar = {"dtype": "BF16", "shape": [], "data_offsets": [24, 26]}
    some = [{"a": tensor}, {"a": tensor, "b": empty, "c": scalar, "__metadata__": {"format": "pt"}}]
    return [json.dumps(one, separators=(",", ":")).encode() for one in some]


def test_safetensors_that_we_accept_are_accepted_by_the_reference() -> None:
    from safetensors import SafetensorError, deserialize

    dice, stock, accepted = random.Random(3), headers(), 0
    for _ in range(20_000):
        header = mutated(dice, stock, b'{}[]",:0123456789 -aF32I8BOOLU16.eE\\u')
        file = len(header).to_bytes(8, "little") + header + b"\0" * dice.choice((24, 26, 26, 26, 25, 0))
        if not tensors.resembles(file):
            continue
        try:
            names, _ = _parse(file)
        except Malformed:
            continue
        accepted += 1
        try:
            known = [name for name, _ in deserialize(file)]
        except SafetensorError as error:
            pytest.fail(f"we accept {file!r}, the reference says {error}")
        assert sorted(known) == sorted(names)
    assert accepted > 100


if __name__ == "__main__":
    first, until, streams, accepted, loaded = int(sys.argv[1]), time.monotonic() + float(sys.argv[2]), 0, 0, 0
    while time.monotonic() < until:
        accepted += compare(first, 10_000)
        loaded += compare_imports(first, 10_000)
        first, streams = first + 1, streams + 20_000
    print(f"{streams:,} streams, {accepted:,} accepted, {loaded:,} with imports loaded by C, no disagreement")
