"""Unpack a tar of a stranger.

    unpack(stream, target, names, where=lambda name: name)

Files and folders only; no links, no devices, no sparse files. An archive that two readers could read differently is refused
rather than read our way: sizes that contradict each other, two values for one attribute, numbers that are not numbers, bytes
after the end. Memory does not depend on what a header claims, which is why this is not `tarfile`: it reads a member's extended
header whole, however long it says it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pratique.errors import ArtifactError, ArtifactRefused
from pratique.sources.naming import Names, place
from pratique.sources.tar_headers import Extended, Reader, Stream, entry_size, extend, parse, text

_COPY = 1 << 18


def unpack(stream: Stream, target: Path, names: Names, where: Callable[[str], str]) -> None:
    """Write every entry below a folder.

    Args:
        stream: the archive, uncompressed.
        target: the folder; entries of several archives may come together there.
        names: which names are taken, and how much more may come.
        where: the path of an entry inside of the artifact, given its name in the archive; may refuse.

    Raises:
        ArtifactRefused: anything but files and folders, an unsafe or taken name, ambiguous, cut short, over a limit.
    """
    reader = Reader(stream, names.what)
    extended = Extended()
    while block := reader.header():
        header = parse(block, names.what)
        if header.kind in (b"x", b"g", b"L"):
            extend(extended, header, reader, names.what)
            continue
        size = entry_size(header, extended, names.what)
        name = (extended.path or text(header.raw, names.what)).removeprefix("./")
        extended = Extended()
        if header.kind == b"5":
            if size:
                raise ArtifactRefused(f"{names.what} holds a folder {name!r} with content")
            if name.rstrip("/") not in ("", "."):
                (target / names.folder(where(name.rstrip("/")))).mkdir(parents=True, exist_ok=True)
        else:
            path = names.file(where(name), size)
            _write(reader, place(target, path), size)
        reader.skip_padding(size)
    if extended.seen:
        raise ArtifactRefused(f"{names.what} ends after a header about an entry that is not there")
    reader.ensure_over()


def _write(reader: Reader, path: Path, size: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError as error:
        raise ArtifactError(f"cannot write {path.name}: {error.strerror}") from error
    with open(descriptor, "wb") as file:
        left = size
        while left:
            block = reader.exactly(min(left, _COPY))
            try:
                file.write(block)
            except OSError as error:
                raise ArtifactError(f"cannot write {path.name}: {error.strerror}") from error
            left -= len(block)
