"""FlatBuffers without generated code: tables, vectors and texts, each held to lie within the file.

A table knows its fields by a second table, which says where each lies. Fields that the reader did not name are refused: they
may be what an attacker adds, or what a newer library reads.

Format: https://flatbuffers.dev/internals.
"""

from __future__ import annotations

from collections.abc import Collection

from pratique.checks.artifact.viewing import Bytes
from pratique.errors import Malformed

_MAX_TEXT = 64 << 10
_MOST = 1_000_000
"""Tables and numbers that are looked at in one file: many lists may lead to the same ones."""


class Table:
    """One table."""

    __slots__ = ("_at", "_data", "_fields", "_left", "_what")

    def __init__(self, data: Bytes, at: int, what: str, known: Collection[int], left: list[int] | None = None) -> None:
        self._data, self._at, self._what = data, at, what
        self._left = [_MOST] if left is None else left
        behind = at - _signed(data, at)
        size, length = uint(data, behind, 2), uint(data, behind + 2, 2)
        if size < 4 or size % 2 or behind + size > len(data) or at + length > len(data):
            raise Malformed(f"a {what} that is cut off, at byte {at:,}")
        self._fields = {
            number: offset for number in range((size - 4) // 2) if (offset := uint(data, behind + 4 + 2 * number, 2))
        }
        if strange := self._fields.keys() - set(known):
            raise Malformed(f"a {what} with the field {min(strange)}, which is not known here, at byte {at:,}")
        if any(not 4 <= offset < length for offset in self._fields.values()):
            raise Malformed(f"a {what} whose fields lie elsewhere, at byte {at:,}")

    def has(self, number: int) -> bool:
        """Whether a field is there."""
        return number in self._fields

    def number(self, number: int, size: int, default: int = 0) -> int:
        """A natural number of that many bytes."""
        return uint(self._data, self._at + self._fields[number], size) if self.has(number) else default

    def vector(self, number: int, size: int) -> tuple[int, int]:
        """Where the elements of a vector begin, and how many there are; none if it is not there."""
        if not self.has(number):
            return 0, 0
        at = self._target(number)
        count = uint(self._data, at, 4)
        if at + 4 + count * size > len(self._data):
            raise Malformed(f"a {self._what} with a list that is cut off, at byte {at:,}")
        return at + 4, count

    def numbers(self, number: int) -> list[int]:
        """Signed numbers of four bytes."""
        at, count = self.vector(number, 4)
        self._spend(count)
        return [_signed(self._data, at + 4 * index) for index in range(count)]

    def text(self, number: int) -> str:
        """A text; '' if it is not there."""
        at, count = self.vector(number, 1)
        if count > _MAX_TEXT:
            raise Malformed(f"a {self._what} with a text of {count:,} bytes")
        try:
            return self._data[at : at + count].decode("utf-8") if count else ""
        except UnicodeDecodeError as error:
            raise Malformed(f"a {self._what} with a text that is not UTF-8, at byte {at:,}") from error

    def tables(self, number: int, what: str, known: Collection[int]) -> list[Table]:
        """The tables in a vector."""
        at, count = self.vector(number, 4)
        self._spend(count)
        places = (at + 4 * index for index in range(count))
        return [Table(self._data, place + uint(self._data, place, 4), what, known, self._left) for place in places]

    def ensure_table(self, number: int, what: str) -> None:
        """A table of any fields lies within the file."""
        if self.has(number):
            self._spend(1)
            Table(self._data, self._target(number), what, range(1 << 15), self._left)

    def _spend(self, count: int) -> None:
        self._left[0] -= count
        if self._left[0] < 0:
            raise Malformed(f"more than {_MOST:,} tables and numbers")

    def _target(self, number: int) -> int:
        place = self._at + self._fields[number]
        return place + uint(self._data, place, 4)


def root(data: Bytes, what: str, known: Collection[int]) -> Table:
    """The table that a file begins with.

    Raises:
        Malformed: it does not lie within the file.
    """
    return Table(data, uint(data, 0, 4), what, known)


def uint(data: Bytes, at: int, size: int) -> int:
    """A natural number, little-endian.

    Raises:
        Malformed: it does not lie within the file.
    """
    if not 0 <= at <= len(data) - size:
        raise Malformed(f"an offset that leads out of the file, to byte {at:,}")
    return int.from_bytes(data[at : at + size], "little")


def _signed(data: Bytes, at: int) -> int:
    value = uint(data, at, 4)
    return value - (1 << 32) if value >> 31 else value
