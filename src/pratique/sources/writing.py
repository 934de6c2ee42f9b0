"""A file that arrives: written once, counted and hashed on the way, and complete or an error."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pratique.errors import ArtifactError, ArtifactRefused
from pratique.sources.plans import Progress


class Incomplete(Exception):
    """Fewer bytes arrived than were promised; the rest may be had by asking again."""


class Sink:
    """Where one download goes. Open it with `with sink.opened():`; `finish` says whether it is what was promised."""

    def __init__(
        self, path: Path, *, what: str, size: int | None, most: int, digests: Mapping[str, str], progress: Progress,
        stop: threading.Event | None = None,
    ) -> None:  # fmt: skip
        """Prepare.

        Args:
            path: where to write; nothing may be there yet.
            what: what to call the file in errors.
            size: the exact number of bytes that were promised, if any.
            most: how many bytes to take where no size was promised.
            digests: what it must hash to, in hex, by `sha256` or `git` (the sha1 of a git blob; needs `size`).
            progress: called with bytes written.
            stop: once it is set, no more is taken.
        """
        self.path = path
        self.what = what
        self.size = size
        self.most = most if size is None else size
        self.digests = dict(digests)
        self.progress = progress
        self.written = 0
        self.stop = stop
        self._hashes = self._fresh()
        self._file: IO[bytes] | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Create the file for as long as the block runs."""
        try:
            self._file = open(self.path, "xb")  # noqa: SIM115
        except OSError as error:
            raise self._no_disk(error) from error
        with self._file:
            yield

    def take(self, block: bytes) -> None:
        """Write the next bytes.

        Raises:
            ArtifactRefused: more than was promised, or than we are willing to take.
        """
        if self.stop is not None and self.stop.is_set():
            raise ArtifactError(f"stopped fetching {self.what}: another file failed")
        if self.written + len(block) > self.most:
            promised = f"its {self.size:,} bytes" if self.size is not None else f"the limit of {self.most:,} bytes"
            raise ArtifactRefused(f"{self.what} goes on after {promised}", hint="do not use it: look into who serves it")
        with self._disk() as file:
            file.write(block)
        for one in self._hashes.values():
            one.update(block)
        self.written += len(block)
        self.progress(len(block))

    def promise(self, size: int) -> None:
        """What the server now says about the size of the whole file.

        Raises:
            ArtifactRefused: it is not what was promised, or over the limit.
        """
        if self.size is not None and size != self.size:
            raise ArtifactRefused(
                f"{self.what} was listed with {self.size:,} bytes, and is served with {size:,}",
                hint="the service contradicts itself: look into it before you use anything from there",
            )
        if size > self.most:
            raise ArtifactRefused(f"{self.what} is {size:,} bytes; the limit is {self.most:,}", hint="raise Limits.bytes")

    def restart(self) -> None:
        """Forget what was written."""
        if self.written:
            with self._disk() as file:
                file.seek(0)
                file.truncate()
            self.progress(-self.written)
        self.written = 0
        self._hashes = self._fresh()

    def finish(self) -> None:
        """Compare with what was promised.

        Raises:
            Incomplete: too few bytes.
            ArtifactRefused: other bytes.
        """
        if self.size is not None and self.written < self.size:
            raise Incomplete(f"{self.what} ended after {self.written:,} of {self.size:,} bytes")
        for name, expected in self.digests.items():
            found = self._hashes[name].hexdigest()
            if found != expected:
                raise ArtifactRefused(
                    f"{self.what} is served with other bytes than were listed: {name} {found[:16]}…, not {expected[:16]}…",
                    hint="do not use it; if a cache or a mirror lies in between, ask its owner, then try again",
                )

    @contextmanager
    def _disk(self) -> Iterator[IO[bytes]]:
        """An error of our own disk is nothing that asking the service again would mend."""
        assert self._file is not None, "open the sink first"
        try:
            yield self._file
        except OSError as error:
            raise self._no_disk(error) from error

    def _no_disk(self, error: OSError) -> ArtifactError:
        return ArtifactError(f"cannot write {self.what}: {error.strerror or error}", hint="is the disk full? See PRATIQUE_HOME")

    def _fresh(self) -> dict[str, hashlib._Hash]:
        return {name: self._hash(name) for name in self.digests}

    def _hash(self, name: str) -> hashlib._Hash:
        if name == "sha256":
            return hashlib.sha256()
        # Git names a blob by the sha1 over a header and the content; it is checked because it is what the Hub offers for
        # small files. Nothing rests on it: the artifact's digest is sha256 over the bytes.
        return hashlib.sha1(b"blob %d\0" % (self.size or 0), usedforsecurity=False)
