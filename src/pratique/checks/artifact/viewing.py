"""One file of an artifact as bytes that are not in memory, and what somebody who looked at it brings back."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pratique.checking import Finding
from pratique.errors import CheckError

Bytes = bytes | mmap.mmap
"""What can be sliced, searched and measured alike."""

_LONGEST = 80
"""Characters of a stranger's word in a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A file as the system maps it: a slice reads only what it asks for."""

    name: str
    """Path inside the artifact, for people and for rules about names."""

    path: Path
    """Where it lies."""

    data: Bytes
    """All its bytes."""

    beside: Mapping[str, int] = field(default_factory=dict)
    """Paths and bytes of all files of the artifact, for formats of several files."""

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What one look at one file saw."""

    findings: tuple[Finding, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """What adds up to the measures: tensors, parameters, pickle_globals."""


@contextmanager
def opened(path: Path, name: str, beside: Mapping[str, int] | None = None) -> Iterator[View]:
    """Map a file for as long as somebody looks at it.

    Raises:
        CheckError: it cannot be read.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise CheckError(f"cannot read {name}: {error.strerror}") from error
    with stream, mapped(stream) as data:
        yield View(name=name, path=path, data=data, beside=beside or {})


@contextmanager
def mapped(stream: IO[bytes]) -> Iterator[Bytes]:
    """All bytes of an open file, none of them in memory."""
    if stream.seek(0, 2) == 0:  # nothing can be mapped of an empty file
        yield b""
        return
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def shown(word: str) -> str:
    """A stranger's word as a message may carry it: short, and without anything that a terminal or UTF-8 minds."""
    short = word if len(word) <= _LONGEST else word[:_LONGEST] + "…"
    return short if short.isprintable() else ascii(short)[1:-1]
