"""Whole files or none: how this package reads, writes and works on a local disk.

    files.read(path, most=1 << 20)           # never more than that, whatever the path turns out to be
    files.create(path, data)                 # all of it stands under its name or nothing, and never over anything
    files.replace(path, data)                # a reader sees the old bytes or the new ones
    with files.workshop(shelf, ".incoming-") as folder: ...     # gone afterwards, with what killed processes left behind
    with files.turn(path, seconds=60): ...   # one process at a time

Everything raises OSError with a `strerror` to quote; each room turns it into its own error. What was written is synced, with
its folder, before it gets its name: that holds for a power cut, too.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ABANDONED = 86_400.0
"""Seconds after which a work folder that nobody holds is what a killed process left."""

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What file systems without hard links answer (FAT, SMB, some FUSE drivers for object stores)."""


def read(path: str | os.PathLike[str], *, most: int, regular: bool = False) -> bytes:
    """A file's bytes.

    Args:
        path: the file.
        most: bytes; a larger one is refused without being read.
        regular: refuse pipes, devices and the like, which could make us wait for ever. For folders that others write to.

    Raises:
        OSError: not there, unreadable, larger than `most`, or of another kind.
    """
    flags = os.O_NONBLOCK if regular else 0
    try:
        with open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags)) as stream:
            if regular and not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file", str(path))
            data = stream.read(most + 1)
    except ValueError as error:  # a null byte in the name
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    if len(data) > most:
        raise OSError(errno.EFBIG, f"at most {most:,} bytes are read", str(path))
    return data


def create(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write a new file, and its folder if need be.

    Raises:
        FileExistsError: something stands there, and is left alone.
        OSError: it cannot be written; nothing stands there then.
    """
    work = _synced(path, data, mode)
    try:
        os.link(work, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        os.replace(work, path)
    finally:
        work.unlink(missing_ok=True)
    sync_folder(path.parent)


def replace(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Swap the content of a name in one step.

    Raises:
        OSError: it cannot be written; what stood there still does.
    """
    work = _synced(path, data, mode)
    try:
        os.replace(work, path)
    except OSError:
        work.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def workshop(shelf: Path, prefix: str) -> Iterator[Path]:
    """A private folder inside `shelf` that is removed afterwards.

    A killed process cannot remove its own. Its lock dies with it, though: whoever comes a day later removes what nobody holds.

    Raises:
        OSError: `shelf` cannot be written to.
    """
    shelf.mkdir(parents=True, exist_ok=True)
    _sweep(shelf, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=shelf))
    held = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks: then the sweeper cannot lock either, and removes nothing
            fcntl.flock(held, fcntl.LOCK_SH)
        yield folder
    finally:
        os.close(held)
        remove(folder)


@contextmanager
def turn(path: Path, *, seconds: float) -> Iterator[None]:
    """Wait for a lock that dies with its holder. Where a file system knows no locks there is none.

    Raises:
        TimeoutError: somebody else held it all the time.
        OSError: the lock's file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    held = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(held, path, time.monotonic() + seconds)
        yield
    finally:
        os.close(held)


def remove(root: Path) -> None:
    """Remove a folder, read-only ones in it too; as much as can be."""
    with suppress(OSError):
        for folder, _, _ in os.walk(root):
            os.chmod(folder, 0o700)
    shutil.rmtree(root, ignore_errors=True)


def sync_tree(root: Path) -> None:
    """Bring a file, or everything in a folder, to the disk."""
    for folder, _, names in os.walk(root):
        for name in names:
            _sync(Path(folder, name))
        sync_folder(Path(folder))
    if root.is_file():
        _sync(root)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, where the file system can."""
    with suppress(OSError):
        _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _synced(target: Path, data: bytes, mode: int) -> Path:
    """The bytes under a hidden name beside the target."""
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.parent / f".{uuid.uuid4().hex}.part"
    try:
        with open(work, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        work.unlink(missing_ok=True)
        raise
    return work


def _lock(held: int, path: Path, until: float) -> None:
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise TimeoutError(errno.ETIMEDOUT, "somebody else has held its lock all the time", str(path)) from None
            time.sleep(0.02)
        except OSError:
            return


def _sweep(shelf: Path, prefix: str) -> None:
    for path in shelf.glob(f"{prefix}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED and _is_free(path):
                remove(path)


def _is_free(folder: Path) -> bool:
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(held)
    return True
