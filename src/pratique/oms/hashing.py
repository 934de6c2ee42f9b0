"""How the bytes of files become the digests of a manifest: whole files or shards, by one of three hashes.

    how = Hashing(hash_type="blake3", shard_size=64_000_000)
    digests = how.digest_files({"weights.bin": Path("model/weights.bin")})
    digests["weights.bin"]           # one hex digest per 64 MB

Specification: OMS v1.0, sections 6.3 (files and shards) and 7 (the registry of algorithms). Every worker reads into one buffer
of its own, so memory does not grow with the files. Large files keep all cores busy only in shards, or by blake3's speed.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pratique.errors import ArtifactChanged, ArtifactError, CheckUnavailable, UsageError

SHARD_SIZE = 1_000_000_000
"""Bytes; what the specification recommends for a signer who asks for shards (section 6.3.2)."""

HEX_DIGITS = {"sha256": 64, "blake2b": 128, "blake3": 64}
"""The algorithms of the specification's registry, and how long their digests are."""

_BLOCK = 1 << 20
_BATCH = 128
_MOST_SHARD = 1 << 53
"""A larger shard is no exact number in JSON (RFC 8259, section 6)."""

_local = threading.local()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashing:
    """What a manifest's `serialization` says about digests."""

    hash_type: str = "sha256"
    """sha256, blake2b or blake3."""

    shard_size: int = 0
    """Bytes of a shard; 0 for whole files."""

    def __post_init__(self) -> None:
        if self.hash_type not in HEX_DIGITS:
            raise UsageError(f"unknown hash {self.hash_type!r}", hint=f"one of {', '.join(HEX_DIGITS)}")
        if not 0 <= self.shard_size < _MOST_SHARD:
            raise UsageError(f"a shard of {self.shard_size} bytes makes no sense", hint=f"usual are {SHARD_SIZE:,}")

    def __str__(self) -> str:
        return f"{self.hash_type} of " + (f"shards of {self.shard_size:,} bytes" if self.shard_size else "whole files")

    @property
    def is_ours(self) -> bool:
        """Whether these digests are those that name an artifact's entries anyway."""
        return self == Hashing()

    def hasher(self) -> Any:
        """A fresh hash object.

        Raises:
            CheckUnavailable: the package for it is not installed.
        """
        return _maker(self.hash_type)()

    def ranges(self, size: int) -> Iterator[tuple[int, int]]:
        """The parts of a file that have a digest each, first byte and the byte after the last. An empty file has no shard."""
        if not self.shard_size:
            yield 0, size
            return
        for start in range(0, size, self.shard_size):
            yield start, min(start + self.shard_size, size)

    def digest_files(
        self,
        files: Mapping[str, Path],
        *,
        sizes: Mapping[str, int] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> dict[str, tuple[str, ...]]:
        """The hex digests of each file, in the order of its parts.

        Args:
            files: where each lies, by any name.
            sizes: bytes of each, as somebody saw it before; now if left out.
            progress: called with the number of bytes read since the last call, from several threads.

        Raises:
            ArtifactError: one cannot be read, or is no regular file; ArtifactChanged if one changes meanwhile.
            CheckUnavailable: the package for the hash is not installed.
        """
        self.hasher()  # say what is missing before anything is read
        sizes = sizes or {name: _size(path, name) for name, path in files.items()}
        parts = [_Part(name, start, end) for name in files for start, end in self.ranges(sizes[name])]
        jobs = list(_jobs(parts))

        def work(job: list[_Part]) -> dict[_Part, str]:
            return {part: self._digest(files[part.name], part, sizes[part.name], progress or _silent) for part in job}

        with ThreadPoolExecutor(min(os.cpu_count() or 1, len(jobs) or 1)) as pool:
            done = {part: digest for made in pool.map(work, jobs) for part, digest in made.items()}
        found: dict[str, list[str]] = {name: [] for name in files}
        for part in parts:
            found[part.name].append(done[part])
        return {name: tuple(one) for name, one in found.items()}

    def _digest(self, path: Path, part: _Part, size: int, progress: Callable[[int], None]) -> str:
        hasher, at, block, descriptor = self.hasher(), part.start, _buffer(), open_regular(path, part.name)
        try:
            while at < part.end and (count := os.preadv(descriptor, [block[: min(_BLOCK, part.end - at)]], at)):
                hasher.update(block[:count])
                at += count
                progress(count)
            now = os.fstat(descriptor)
        except OSError as error:
            raise ArtifactError(f"cannot read {part.name}: {error.strerror}") from error
        finally:
            os.close(descriptor)
        if at < part.end or now.st_size != size or not stat.S_ISREG(now.st_mode):
            raise ArtifactChanged(f"{part.name} changed while it was read", rule="changed-meanwhile")
        return str(hasher.hexdigest())


class _Part(NamedTuple):
    """A range of bytes that has a digest of its own."""

    name: str
    start: int
    end: int


def _jobs(parts: Sequence[_Part]) -> Iterator[list[_Part]]:
    """Large parts one by one, the largest first; small ones by the hundred, for handing them out costs more than doing them."""
    yield from ([part] for part in sorted(parts, key=lambda part: part.start - part.end) if part.end - part.start > _BLOCK)
    small = [part for part in parts if part.end - part.start <= _BLOCK]
    yield from (small[at : at + _BATCH] for at in range(0, len(small), _BATCH))


def _maker(name: str) -> Callable[[], Any]:
    if name == "blake3":
        try:
            from blake3 import blake3
        except ImportError as error:
            raise CheckUnavailable("blake3 digests need the package blake3", hint="pip install 'pratique[blake3]'") from error
        return blake3
    return hashlib.sha256 if name == "sha256" else hashlib.blake2b


def open_regular(path: Path, name: str) -> int:
    """A descriptor to read from; of a link, nothing, and of a pipe, without waiting for anybody.

    Raises:
        ArtifactError: it cannot be read.
    """
    try:
        return os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise ArtifactError(f"cannot read {name}: {error.strerror}") from error


def _size(path: Path, name: str) -> int:
    try:
        found = path.lstat()
    except OSError as error:
        raise ArtifactError(f"cannot read {name}: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise ArtifactError(f"{name} is not a regular file")
    return found.st_size


def _buffer() -> memoryview:
    """This thread's own buffer."""
    if not hasattr(_local, "buffer"):
        _local.buffer = memoryview(bytearray(_BLOCK))
    found: memoryview = _local.buffer
    return found


def _silent(count: int) -> None:
    """No progress bar."""
