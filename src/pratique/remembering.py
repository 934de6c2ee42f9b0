"""Digests that an audit remembers, so that the next one need not read what has not changed. For audits, and for nothing else.

    with Memory() as memory:
        memory.digests(listing.tree(folder, Limits()))      # reads only what is new

A file is taken for unchanged if device, inode, size, mtime and ctime are those of when it was hashed. That is a good guess, and
no proof: docs/decisions/0010 names four ways in which bytes change behind all five. So the gate, the checks and the promotion
hash every byte, every time; an import contract in setup.cfg keeps this module from them.

What keeps the guess good: times within two seconds of the reading are not remembered (a later write could carry the same), and
after `max_age` a file is read again, whatever its times say.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType

from pratique import hashing, settings
from pratique.errors import ArtifactChanged, StoreError
from pratique.hashing import Progress
from pratique.listing import Listing

MAX_AGE = timedelta(days=30)
"""So long may a file rest unread."""

_FRESH = 2_000_000_000
"""Nanoseconds; FAT, the coarsest of file systems, stamps files to two seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """Digests, and how many of them were only remembered."""

    digests: tuple[str, ...]
    """In the order of the listing."""

    remembered: int
    """Files that were not read."""

    remembered_bytes: int
    """Their bytes."""


class Memory:
    """What is known of files by their inode; a SQLite file that only its owner can read."""

    def __init__(self, path: Path | None = None, *, max_age: timedelta = MAX_AGE) -> None:
        """Open the memory, and forget what is too old.

        Raises:
            StoreError: it cannot be opened.
        """
        self.path = path or settings.remembered()
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            self._base = sqlite3.connect(self.path)
            self._base.execute("CREATE TABLE IF NOT EXISTS digests (key TEXT PRIMARY KEY, sha256 TEXT, at REAL) WITHOUT ROWID")
            now = time.time()
            self._base.execute("DELETE FROM digests WHERE at < ? OR at > ?", (now - max_age.total_seconds(), now))
            self._base.commit()

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._base.close()

    def digests(self, found: Listing, *, progress: Progress | None = None) -> Recalled:
        """The sha256 (hex) of every listed file, of which only those are read that are new or changed.

        Raises:
            ArtifactError, ArtifactChanged: see `hashing.digests`. StoreError: the memory cannot be read or written.
        """
        keys = [_key(found.root / file.path, file.size) for file in found.files]
        known = self._look_up(keys)
        unread = [number for number, key in enumerate(keys) if key not in known]
        began = time.time_ns()
        fresh = replace(found, files=tuple(found.files[number] for number in unread))
        read = dict(zip(unread, hashing.digests(fresh, progress=progress), strict=True))
        self._keep(found, keys, read, began)
        digests = tuple(read[number] if number in read else known[key] for number, key in enumerate(keys))
        skipped = [file.size for number, file in enumerate(found.files) if number not in read]
        return Recalled(digests=digests, remembered=len(skipped), remembered_bytes=sum(skipped))

    def _look_up(self, keys: list[str]) -> dict[str, str]:
        known = {}
        with self._told():
            for key in keys:
                row = self._base.execute("SELECT sha256 FROM digests WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    known[key] = str(row[0])
        return known

    def _keep(self, found: Listing, keys: list[str], read: dict[int, str], began: int) -> None:
        """Remember what was read, unless it may have changed meanwhile, or may yet change unseen."""
        rows = []
        for number, digest in read.items():
            file, key = found.files[number], keys[number]
            *_, mtime, ctime = key.split(":")
            if max(int(mtime), int(ctime)) < began - _FRESH and _key(found.root / file.path, file.size) == key:
                rows.append((key, digest, began / 1e9))
        with self._told():
            self._base.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", rows)
            self._base.commit()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"cannot use what audits remember in {self.path}: {error}", hint="remove that file") from error


def _key(path: Path, size: int) -> str:
    try:
        one = os.lstat(path)
    except OSError as error:
        raise ArtifactChanged(f"{path} vanished after it was listed") from error
    if one.st_size != size:
        raise ArtifactChanged(f"{path} was written to after it was listed")
    return f"{one.st_dev}:{one.st_ino}:{one.st_size}:{one.st_mtime_ns}:{one.st_ctime_ns}"
