"""Small writers of binary formats for tests: bytes as a library would write them, and as none would."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator


def varint(value: int) -> bytes:
    """A number of protocol buffers."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    """A field of protocol buffers that is a number."""
    return varint(field << 3) + varint(value)


def part(field: int, value: bytes | str) -> bytes:
    """A field of protocol buffers that has a length."""
    raw = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(raw)) + raw


def mutants(honest: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Files with a few bytes flipped, taken out or put in, and files that are cut off."""
    dice = random.Random(seed)
    for turn in range(count):
        data = bytearray(honest)
        if turn % 5 == 0:
            del data[dice.randrange(len(data)) :]
        for _ in range(dice.choice((1, 1, 2, 4))):
            at, way = dice.randrange(len(data) + 1), dice.random()
            if way < 0.7 and at < len(data):
                data[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
            elif way < 0.85:
                del data[at : at + dice.randrange(1, 9)]
            else:
                data[at:at] = bytes(dice.randrange(256) for _ in range(dice.randrange(1, 9)))
        yield bytes(data)


def ensure_nothing_stumbles(look: Callable[[bytes], object], honest: bytes, seed: int, count: int) -> None:
    """Whatever is in a file, a reader comes to an end and says what it sees."""
    for data in mutants(honest, seed, count):
        try:
            look(data)
        except BaseException as error:
            raise AssertionError(f"a reader stumbled over {data!r}") from error
