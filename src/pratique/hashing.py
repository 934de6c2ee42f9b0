"""Read files once, on all cores: hash them, and write the very same bytes to a private copy.

    found = listing.tree(Path("model"), Limits())
    digests(found, copy=Path("private/copy"))       # ["9f86d0...", ...], one for each of found.files

In the order of the code:

1. Large files are jobs of their own, largest first, for a thread on each core. The caller's thread does the small ones before
   it joins in, and gets help with them where storage keeps it waiting.
2. A file is opened relative to its folder's descriptor, never through a symbolic link, and must be a regular file of the size
   that was listed.
3. Blocks are read into one page-aligned buffer per thread, hashed, and written from that buffer: what is hashed is what is
   written. Memory does not grow with the files.
4. A file that grows, shrinks or is written to meanwhile is an error, and so no more is ever read than was listed.
5. The first error stops everybody, and is raised in the caller's thread; so is Ctrl-C. Progress is told in that thread, too.

Measured by `benchmarks/hash.py`; docs/decisions/0010-hashing.md says what was tried and why it is so.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import resource
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fcntl import F_SETFL, fcntl
from pathlib import Path

from pratique.errors import ArtifactChanged, ArtifactError
from pratique.listing import File, Listing

Progress = Callable[[int], None]
"""Called with the number of bytes read since the last call, always in the thread that asked for the digests."""

BLOCK = 1 << 20
"""Bytes of one thread's buffer. Smaller ones cost more system calls; larger ones do not stay in a core's own cache."""

_BATCH = 128
"""Small files in one job."""

_THREADS = 16
"""At most so many; each holds a buffer and up to `_HELD` pairs of folders open."""

_SLOW = 50e-6
"""Seconds that a small file keeps us waiting when storage is slow, and more threads are worth it. Otherwise small files are
mostly system calls around the interpreter's lock, which more threads only fight for."""

_ALONE = 8 << 20
"""Bytes below which starting threads costs more than it saves."""

_HELD = 8
"""Folders that a thread holds open; the path from the root to a file in it is opened again where it is not among them."""

_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_ZEROS = bytes(BLOCK)
_THREAD = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)
_Job = Sequence[int]
"""Files by their number in the listing."""


def digests(found: Listing, *, copy: Path | None = None, progress: Progress | None = None, threads: int = 0) -> list[str]:
    """The sha256 (hex) of every listed file, in the order of the listing.

    Args:
        found: what to read.
        copy: a folder that does not exist yet, where a copy of the tree is written, files with mode 0400. It must lie where
            nobody else can write.
        progress: called with bytes read, for a progress bar.
        threads: how many; as many as there are cores if 0.

    Raises:
        ArtifactChanged: a file is not what was listed, or was written to while it was read.
        ArtifactError: a file cannot be read. OSError: the copy cannot be written.
    """
    if copy is not None:
        for folder in found.folders:
            os.mkdir(copy / folder.path, mode=0o700)
    return _Work(found, copy, progress or _silent, threads or _cores()).done()


class _Work:
    """What is to be done, and what has been."""

    def __init__(self, found: Listing, copy: Path | None, progress: Progress, threads: int) -> None:
        self.found = found
        self.copy = copy
        self.progress = progress
        large = [number for number, file in enumerate(found.files) if file.size >= BLOCK]
        large.sort(key=lambda number: -found.files[number].size)
        self.large: deque[_Job] = deque((number,) for number in large)
        self.small = deque(_batches(found.files))
        self.digests = [""] * len(found.files)
        self.threads = min(threads, _THREADS)
        self.stopped = False
        self.failure: BaseException | None = None
        self.readers = [_Reader(self)]
        self.helpers: list[threading.Thread] = []
        self.told = 0

    def done(self) -> list[str]:
        """Do everything: helpers begin with the large files, this thread with the small ones."""
        try:
            if sum(self.found.files[job[0]].size for job in self.large) >= _ALONE:
                for _ in range(len(self.large) - (not self.small)):
                    self.call_help(self.large)
            self.readers[0].work((self.small, self.large), self.tell)
            for helper in self.helpers:
                while helper.is_alive():
                    helper.join(0.05)
                    self.tell()
        except _Stopped:
            pass  # by a helper, whose error comes below
        finally:
            self.stopped = True
            for helper in self.helpers:
                helper.join()
        if self.failure is not None:
            raise self.failure
        self.tell()
        return self.digests

    def call_help(self, jobs: deque[_Job]) -> None:
        """Start one more thread on some jobs, unless there are enough."""
        if len(self.readers) > (self.threads if jobs is self.large else _THREADS) - 1:
            return
        reader = _Reader(self)
        helper = threading.Thread(target=reader.help, args=(jobs,), name="pratique-hashing", daemon=True)
        try:
            helper.start()
        except RuntimeError:  # this machine gives us no more threads: those that there are do all
            return
        self.readers.append(reader)
        self.helpers.append(helper)

    def tell(self) -> None:
        """Tell the progress, in the caller's thread only."""
        count = sum(reader.count for reader in self.readers)
        if count > self.told:
            self.progress(count - self.told)
            self.told = count


class _Reader:
    """One thread's buffer, and the folders that it holds open."""

    def __init__(self, todo: _Work) -> None:
        self.todo = todo
        self.count = 0
        self.view = memoryview(mmap.mmap(-1, BLOCK))
        self.held: dict[int, tuple[int, int]] = {}

    def help(self, jobs: deque[_Job]) -> None:
        """Work in a thread of its own: the first error is handed to the caller's."""
        try:
            self.work((jobs,), _nothing)
        except _Stopped:
            pass
        except BaseException as error:
            if self.todo.failure is None:
                self.todo.failure = error
            self.todo.stopped = True

    def work(self, queues: tuple[deque[_Job], ...], tell: Callable[[], None]) -> None:
        """Take jobs until none is left."""
        try:
            for jobs in queues:
                while jobs:
                    try:
                        job = jobs.popleft()
                    except IndexError:  # somebody else took the last one
                        break
                    self._do(job, jobs, tell)
        finally:
            for pair in self.held.values():
                _close(*pair)

    def _do(self, job: _Job, jobs: deque[_Job], tell: Callable[[], None]) -> None:
        began, before = time.perf_counter(), resource.getrusage(_THREAD)
        for number in job:
            self.todo.digests[number] = self._take(self.todo.found.files[number], tell)
        tell()
        if jobs is self.todo.small and tell is not _nothing:
            after = resource.getrusage(_THREAD)
            busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            slept = after.ru_nvcsw - before.ru_nvcsw  # went to sleep of its own accord: not for want of a core
            if slept > len(job) // 2 and time.perf_counter() - began - busy > len(job) * _SLOW:
                self.todo.call_help(jobs)

    def _take(self, file: File, tell: Callable[[], None]) -> str:
        """Read one file once."""
        here, there = self._folder(file.folder)
        try:
            source = os.open(file.name, _READ, dir_fd=here)
        except OSError as error:
            raise _unreadable(file, error) from error
        try:
            if there < 0:
                return self._digest(file, source, -1, tell)
            target = os.open(file.path.rpartition("/")[2], _WRITE, 0o600, dir_fd=there)
            try:
                digest = self._digest(file, source, target, tell)
                os.fchmod(target, 0o400)
                return digest
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _digest(self, file: File, source: int, target: int, tell: Callable[[], None]) -> str:
        before = os.fstat(source)
        if not stat.S_ISREG(before.st_mode):
            raise ArtifactChanged(f"{file.path} turned into something that is not a regular file")
        if before.st_size != file.size:
            raise ArtifactChanged(f"{file.path} had {file.size:,} bytes when it was listed, and now has {before.st_size:,}")
        if file.size >= BLOCK:
            return self._stream(file, source, target, before, tell)
        count = _read(source, self.view, 0, file)  # one look, which ends where the file does
        if count != file.size:
            raise _written_to(file)
        block = self.view[:count]
        if target >= 0:
            _write(target, block, 0)
        self.count += count
        return hashlib.sha256(block).hexdigest()

    def _stream(self, file: File, source: int, target: int, before: os.stat_result, tell: Callable[[], None]) -> str:
        sparse = target >= 0 and before.st_blocks * 512 < file.size
        _prepare(source, target, 0 if sparse else file.size)
        digest, at = hashlib.sha256(), 0
        while at < file.size and (count := _read(source, self.view[: file.size - at], at, file)):
            if self.todo.stopped:
                raise _Stopped
            block = self.view[:count]
            digest.update(block)
            if target >= 0 and not (sparse and block.tobytes() == _ZEROS[:count]):
                _write(target, block, at)
            at += count
            self.count += count
            tell()
        if at != file.size or _read(source, self.view, at, file) or os.fstat(source).st_mtime_ns != before.st_mtime_ns:
            raise _written_to(file)
        if sparse:
            os.ftruncate(target, file.size)
        return digest.hexdigest()

    def _folder(self, number: int) -> tuple[int, int]:
        """Descriptors of a folder and of its copy (-1 if there is none)."""
        pair = self.held.get(number)
        if pair is None:
            pair = self.held[number] = self._open(number)
            if len(self.held) > _HELD:
                _close(*self.held.pop(next(iter(self.held))))
        return pair

    def _open(self, number: int) -> tuple[int, int]:
        found, copy = self.todo.found, self.todo.copy
        folder = found.folders[number]
        above = self._folder(folder.parent) if number else None
        try:
            if above is None:
                here = os.open(found.root, _FOLDER | (0 if found.follow else os.O_NOFOLLOW))
            else:
                here = os.open(folder.name, _FOLDER | os.O_NOFOLLOW, dir_fd=above[0])
        except OSError as error:
            raise ArtifactChanged(f"{folder.path or found.root} turned into something else after it was listed") from error
        if copy is None:
            return here, -1
        try:
            return here, os.open(copy / folder.path, _FOLDER | os.O_NOFOLLOW)
        except OSError:
            os.close(here)
            raise


class _Stopped(Exception):
    """Somebody else failed, or was interrupted."""


def _batches(files: Sequence[File]) -> Iterator[_Job]:
    """Small files in the order of the listing, some for each job."""
    batch: list[int] = []
    for number, file in enumerate(files):
        if file.size < BLOCK:
            batch.append(number)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _prepare(source: int, target: int, size: int) -> None:
    """Say that we read all of it, and reserve the room for the copy: cheaper than page by page, and a full disk shows early."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(source, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    if target < 0 or not size or not hasattr(os, "posix_fallocate"):
        return
    fcntl(target, F_SETFL, os.O_APPEND)  # so that glibc says EBADF where it would write zeros, on disks that cannot reserve
    try:
        os.posix_fallocate(target, 0, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
    finally:
        fcntl(target, F_SETFL, 0)


def _read(source: int, view: memoryview, at: int, file: File) -> int:
    try:
        return os.preadv(source, (view,), at)
    except OSError as error:
        raise _unreadable(file, error) from error


def _write(target: int, block: memoryview, at: int) -> None:
    written = os.pwrite(target, block, at)
    while written < len(block):
        written += os.pwrite(target, block[written:], at + written)


def _written_to(file: File) -> ArtifactChanged:
    return ArtifactChanged(f"{file.path} was written to while it was read", hint="try again when nobody writes there")


def _unreadable(file: File, error: OSError) -> ArtifactError:
    if error.errno == errno.ELOOP:
        return ArtifactChanged(f"{file.path} turned into a symbolic link")
    return ArtifactError(f"cannot read {file.path}: {error.strerror}")


def _close(here: int, there: int) -> None:
    os.close(here)
    if there >= 0:
        os.close(there)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _silent(count: int) -> None:
    """No progress bar."""


def _nothing() -> None:
    """A helper tells nobody; the caller's thread adds up."""
