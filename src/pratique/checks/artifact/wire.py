"""Protocol buffers without generated code: messages are walked by small schemas, and what no schema names is malformed.

    NODE = Schema("node", {1: TEXTS, 4: TEXT, 5: many(ATTRIBUTE)})
    for number, value in Message(data, NODE): ...

A schema gives a field's number and kind. Refused, because readers may differ: fields that it does not know, a field twice that
is there once at most, groups, numbers of more than 64 bits or longer than they need be, lengths beyond the enclosing message.
Large fields are spans: they are not copied.

Format: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from pratique.checks.artifact.viewing import Bytes
from pratique.errors import Malformed

MAX_MESSAGES = 1_000_000
"""In one file; a large graph has some hundred thousand."""

MAX_DEPTH = 64
MAX_TEXT = 64 << 10
"""Bytes of a name or a description."""


class Span(NamedTuple):
    """Bytes of a field that are left where they are."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


class Kind(NamedTuple):
    """What a field holds."""

    name: str
    """int, fixed32, fixed64, text, bytes, message, ints, fixed32s, fixed64s (the last three packed or one by one)."""

    many: bool = False
    """Whether it may be there more than once."""

    schema: Callable[[], Schema] | None = None


class Schema(NamedTuple):
    """The fields that a message may have."""

    name: str
    fields: Mapping[int, Kind]


INT, FIXED32, FIXED64, TEXT, BYTES = Kind("int"), Kind("fixed32"), Kind("fixed64"), Kind("text"), Kind("bytes")
TEXTS, MANY_BYTES = Kind("text", many=True), Kind("bytes", many=True)
INTS, FIXED32S, FIXED64S = Kind("ints", many=True), Kind("fixed32s", many=True), Kind("fixed64s", many=True)

_WIRES = {
    "int": (0,), "fixed32": (5,), "fixed64": (1,), "text": (2,), "bytes": (2,), "message": (2,), "ints": (0, 2),
    "fixed32s": (5, 2), "fixed64s": (1, 2),
}  # fmt: skip


def one(schema: Callable[[], Schema]) -> Kind:
    """A message. Schemas are given as functions because they may hold themselves."""
    return Kind("message", schema=schema)


def many(schema: Callable[[], Schema]) -> Kind:
    """Messages."""
    return Kind("message", many=True, schema=schema)


class Message(NamedTuple):
    """One message, walked whenever somebody asks for its fields."""

    data: Bytes
    schema: Schema
    start: int
    end: int

    def __iter__(self) -> Iterator[tuple[int, int | str | Span | Message]]:
        """Number and value of each field, in the order of the bytes.

        Raises:
            Malformed: it is not as the schema says.
        """
        data, at, end, fields = self.data, self.start, self.end, self.schema.fields
        seen: set[int] = set()
        while at < end:
            tag, at = varint(data, at, end)
            number, wire = tag >> 3, tag & 7
            kind = fields.get(number)
            if kind is None or wire not in _WIRES[kind.name]:
                raise Malformed(f"a {self.schema.name} with the field {number:,}, which is not known here, at byte {at:,}")
            if number in seen and not kind.many:
                raise Malformed(f"a {self.schema.name} with the field {number} twice, at byte {at:,}")
            seen.add(number)
            if wire == 0:
                value, at = varint(data, at, end)
                yield number, value
                continue
            size = 4 if wire == 5 else 8
            if wire == 2:
                size, at = varint(data, at, end)
            if size > end - at:
                raise Malformed(f"a {self.schema.name} that is cut off at byte {at:,}")
            yield number, self._value(kind, Span(at, at + size))
            at += size

    def _value(self, kind: Kind, span: Span) -> str | Span | Message:
        if kind.schema is not None:
            return Message(self.data, kind.schema(), *span)
        if kind.name != "text":
            return span
        try:
            if span.size > MAX_TEXT:
                raise Malformed(f"a {self.schema.name} with a text of {span.size:,} bytes")
            return self.data[span.start : span.end].decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed(f"a {self.schema.name} with a text that is not UTF-8, at byte {span.start:,}") from error

    def texts(self, number: int) -> list[str]:
        """All texts of a field."""
        return [value for field, value in self if field == number and isinstance(value, str)]

    def text(self, number: int) -> str:
        """A text, or '' if it is not there."""
        return next(iter(self.texts(number)), "")

    def number(self, number: int, default: int = 0) -> int:
        """A number, or what stands for it if it is not there."""
        return next((value for field, value in self if field == number and isinstance(value, int)), default)

    def numbers(self, number: int) -> list[int]:
        """All numbers of a field, packed or not."""
        found: list[int] = []
        for field, value in self:
            if field == number and isinstance(value, int):
                found.append(value)
            elif field == number and isinstance(value, Span):
                found += _packed(self.data, value)
        return found

    def messages(self, number: int) -> Iterator[Message]:
        """All messages of a field."""
        return (value for field, value in self if field == number and isinstance(value, Message))

    def message(self, number: int) -> Message | None:
        """A message, if it is there."""
        return next(self.messages(number), None)

    def span(self, number: int) -> Span | None:
        """Where the bytes of a field lie, if it is there."""
        return next((value for field, value in self if field == number and isinstance(value, Span)), None)


def message(data: Bytes, schema: Schema, start: int = 0, end: int | None = None) -> Message:
    """A message that is as its schema says in all its parts.

    Raises:
        Malformed: it is not, or has too many parts or levels.
    """
    whole = Message(data, schema, start, len(data) if end is None else end)
    for _ in everything(whole):
        pass
    return whole


def everything(whole: Message) -> Iterator[Message]:
    """A message and all that are in it, without recursion."""
    yield whole
    ahead, count = [iter(whole)], 1
    while ahead:
        for _, value in ahead[-1]:
            if isinstance(value, Message):
                count += 1
                if len(ahead) > MAX_DEPTH or count > MAX_MESSAGES:
                    raise Malformed(f"more than {MAX_DEPTH} levels, or {MAX_MESSAGES:,} messages")
                yield value
                ahead.append(iter(value))
                break
        else:
            ahead.pop()


def _packed(data: Bytes, span: Span) -> list[int]:
    found, at = [], span.start
    if span.size > MAX_TEXT:
        raise Malformed(f"a list of numbers in {span.size:,} bytes at byte {span.start:,}")
    while at < span.end:
        value, at = varint(data, at, span.end)
        found.append(value)
    return found


def varint(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """A number in base 128, and where it ends.

    Raises:
        Malformed: it is cut off, of more than 64 bits, or longer than it need be.
    """
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64 or (byte == 0 and shift):
                break
            return value, at
        shift += 7
        if shift > 63:
            break
    raise Malformed(f"a number that is cut off, too large or too long, at byte {at:,}")
