"""Little-endian binary formats, read forwards within bounds: what is cut off is malformed, and nothing is copied unasked."""

from __future__ import annotations

import struct

from pratique.checks.artifact.viewing import Bytes, shown
from pratique.errors import Malformed


class Cursor:
    """A place in bytes."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: Bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    def skip(self, size: int) -> int:
        """Step over that many bytes; where they begin.

        Raises:
            Malformed: there are not as many left.
        """
        at = self.at
        if size < 0 or size > self.end - at:
            raise Malformed(f"it is cut off: {size:,} bytes are asked for at byte {at:,}, and it ends at {self.end:,}")
        self.at = at + size
        return at

    def take(self, size: int) -> bytes:
        """That many bytes."""
        at = self.skip(size)
        return self.data[at : at + size]

    def uint(self, size: int) -> int:
        """A natural number of that many bytes."""
        return int.from_bytes(self.take(size), "little")

    def unpack(self, form: str) -> tuple[int, ...]:
        """Numbers by a format of `struct`, little-endian."""
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))


def text(raw: bytes, what: str) -> str:
    """UTF-8 as text.

    Raises:
        Malformed: it is something else.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"{what} is not UTF-8: {shown(raw[:40].decode('latin-1'))!r}") from error
