"""Differential fuzzing: whatever our reader of pickles accepts, the C unpickler loads without asking for a single import.

A disagreement is a hole (or a bug in CPython). Seeds and sizes are fixed, so that a failure can be repeated.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import warnings

import pytest

from pratique.checks.artifact import tensors
from pratique.checks.artifact.machine import read
from pratique.checks.artifact.tensors import _parse
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
                Denying(file).load()
            except Exception as error:
                pytest.fail(f"we accept {stream!r}, C says {error!r}")
        assert file.tell() == reading.end, stream
    return accepted


def test_what_we_accept_is_data_to_the_c_unpickler() -> None:
    assert compare(seed=1, count=20_000) > 1000


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
