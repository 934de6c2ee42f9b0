"""Pickle's opcodes, decoded by our own reader: neither `pickle` nor `pickletools` is ever asked.

A scanner that reads a stream otherwise than the loader does is blind to what it misreads: C's `pickle` takes `I0x10` for a
number where `pickletools` raises. So every opcode is held to the one form that a pickler writes. Another form that the C
loader would take is a fault, and reading goes on as C does, to name what follows; what C rejects ends the reading.

Format: CPython, Lib/pickletools.py (protocols 0 to 5) and Modules/_pickle.c (what the loader really does); frames: PEP 3154;
protocol 5: PEP 574.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pratique.checks.artifact import arguments
from pratique.checks.artifact.arguments import Reader, TextReader, counted, fixed, forgotten, nothing, number
from pratique.checks.artifact.viewing import Bytes
from pratique.errors import Malformed

MAX_OPCODES = 5_000_000
"""Per stream: some seconds, and a memo of at most a few hundred MB."""

HIGHEST_PROTOCOL = 5


class Broken(Malformed):
    """The stream cannot be read on from `position`."""

    def __init__(self, position: int, message: str, *, given_up: bool = False) -> None:
        super().__init__(message)
        self.position = position
        self.given_up = given_up
        """Whether a loader would read on where we do not care to."""


class Op(NamedTuple):
    """One opcode and what belongs to it."""

    position: int
    """Offset of the opcode in the file."""

    name: str
    """As pickletools names it."""

    argument: Any
    """int of PROTO, FRAME, EXT, memo opcodes and short integers; (module, name) of GLOBAL and INST; else None."""

    end: int
    """Offset of the next opcode."""

    fault: str
    """Why no pickler writes it like this; '' if one does."""

    framed: bool = False
    """Whether its frame goes on behind it: a loader has read on in advance."""


def decode(data: Bytes, start: int = 0, *, goes_on: int = 0) -> Iterator[Op]:
    """Read one stream up to and including its STOP.

    `goes_on` says how many opcodes came before, where a stream is taken up again behind bytes that are no opcodes.

    Raises:
        Broken: truncated, not an opcode, an argument that no loader reads, or over MAX_OPCODES.
    """
    position, frame_end, size = start, start, len(data)
    for _ in range(MAX_OPCODES - goes_on):
        if position >= size:
            raise Broken(position, "the stream ends without STOP")
        if data[position] not in _OPCODES:
            raise Broken(position, f"0x{data[position]:02x} is not an opcode")
        name, read = _OPCODES[data[position]]
        try:
            argument, end, fault = read(data, position + 1)
        except Malformed as error:
            raise Broken(position, f"{name} {error}") from error
        if name == "PROTO":
            fault = _wrong_protocol(argument, first=position == start and not goes_on)
        elif name in ("FRAME", "STOP") or position < frame_end < end:
            fault = fault or _frame_fault(name, end, argument, frame_end if position < frame_end else 0, size)
        yield Op(position, name, argument, end, fault, end < frame_end)
        if name == "STOP":
            return
        if name == "FRAME":
            frame_end = end + argument
        position = end
    raise Broken(position, f"more than {MAX_OPCODES:,} opcodes", given_up=True)


def text_at(data: Bytes, position: int) -> str:
    """The string that the text opcode at `position` pushes. It was decoded before, so it can be decoded."""
    return _TEXTS[data[position]][1](data, position + 1)[0]


def _wrong_protocol(protocol: int, *, first: bool) -> str:
    if protocol > HIGHEST_PROTOCOL:
        return f"names protocol {protocol}"
    return "" if first else "stands in the middle of the stream"


def _frame_fault(name: str, end: int, argument: Any, frame_end: int, size: int) -> str:
    """What is wrong about an opcode inside a frame that ends at `frame_end` (0: outside of any), or about a new frame."""
    if frame_end and name == "FRAME":
        return "opens a frame inside a frame"
    if name == "FRAME":
        return "opens a frame that is longer than the file" if end + argument > size else ""
    if frame_end and end > frame_end:
        return "straddles the end of its frame"
    return "stands before the end of its frame" if end < frame_end else ""


_TEXTS: dict[int, tuple[str, TextReader]] = {
    ord("S"): ("STRING", arguments.quoted),
    ord("T"): ("BINSTRING", arguments.counted_string(4)),
    ord("U"): ("SHORT_BINSTRING", arguments.counted_string(1)),
    ord("V"): ("UNICODE", arguments.escaped),
    ord("X"): ("BINUNICODE", arguments.counted_text(4)),
    0x8C: ("SHORT_BINUNICODE", arguments.counted_text(1)),
    0x8D: ("BINUNICODE8", arguments.counted_text(8)),
}

_BARE = {
    ord("("): "MARK", ord("."): "STOP", ord("0"): "POP", ord("1"): "POP_MARK", ord("2"): "DUP", ord("N"): "NONE",
    0x88: "NEWTRUE", 0x89: "NEWFALSE", ord("]"): "EMPTY_LIST", ord("}"): "EMPTY_DICT", ord(")"): "EMPTY_TUPLE",
    0x8F: "EMPTY_SET", ord("l"): "LIST", ord("d"): "DICT", ord("t"): "TUPLE", 0x85: "TUPLE1", 0x86: "TUPLE2",
    0x87: "TUPLE3", 0x91: "FROZENSET", ord("a"): "APPEND", ord("e"): "APPENDS", ord("s"): "SETITEM", ord("u"): "SETITEMS",
    0x90: "ADDITEMS", 0x94: "MEMOIZE", ord("R"): "REDUCE", ord("b"): "BUILD", ord("o"): "OBJ", 0x81: "NEWOBJ",
    0x92: "NEWOBJ_EX", 0x93: "STACK_GLOBAL", ord("Q"): "BINPERSID", 0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER",
}  # fmt: skip

_OPCODES: dict[int, tuple[str, Reader]] = {
    **{code: (name, nothing) for code, name in _BARE.items()},
    **{code: (name, forgotten(read)) for code, (name, read) in _TEXTS.items()},
    0x80: ("PROTO", number(1)),
    0x95: ("FRAME", number(8)),
    ord("I"): ("INT", arguments.decimal),
    ord("J"): ("BININT", arguments.signed_number),
    ord("K"): ("BININT1", number(1)),
    ord("M"): ("BININT2", number(2)),
    ord("L"): ("LONG", arguments.long_decimal),
    0x8A: ("LONG1", arguments.long_number(1)),
    0x8B: ("LONG4", arguments.long_number(4)),
    ord("F"): ("FLOAT", arguments.float_text),
    ord("G"): ("BINFLOAT", fixed(8)),
    ord("C"): ("SHORT_BINBYTES", counted(1)),
    ord("B"): ("BINBYTES", counted(4)),
    0x8E: ("BINBYTES8", counted(8)),
    0x96: ("BYTEARRAY8", counted(8)),
    ord("g"): ("GET", arguments.index),
    ord("h"): ("BINGET", number(1)),
    ord("j"): ("LONG_BINGET", number(4)),
    ord("p"): ("PUT", arguments.index),
    ord("q"): ("BINPUT", number(1)),
    ord("r"): ("LONG_BINPUT", number(4)),
    ord("c"): ("GLOBAL", arguments.two_lines),
    ord("i"): ("INST", arguments.two_lines),
    0x82: ("EXT1", number(1)),
    0x83: ("EXT2", number(2)),
    0x84: ("EXT4", number(4)),
    ord("P"): ("PERSID", arguments.one_line),
}
