"""Where signed statements are kept: append-only, content-addressed, over fsspec. No database: the store is the truth.

    evidence/sha256/<subject>/<check>/<digest>.sigstore.json
    records/sha256/<subject>/<digest>.sigstore.json         training records
    clearances/sha256/<subject>/<digest>.sigstore.json

A name says the sha256 of its bytes. Nothing here is trusted: whoever reads verifies (`vouching`). A local folder by
default; `s3://`, `gs://`, `abfs://` by installing the fsspec driver.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pratique import documents, files, settings
from pratique.artifacts import Subject
from pratique.errors import StoreConflict, StoreError, UsageError
from pratique.sources import redact

Shelf = Literal["evidence", "records", "clearances"]

SUFFIX = ".sigstore.json"
"""How every signed statement's name ends."""

MAX_BUNDLE = 8 << 20
"""Bytes of one statement. A report of 20,000 findings fits; whoever can write to the store cannot fill our memory."""

_NO_FILE = (errno.EFBIG, errno.EINVAL, errno.ENXIO, errno.ELOOP, errno.ENOENT)
"""Too large, a pipe, a socket, a link in a circle or to nothing: what somebody put there, and no trouble of the disk's."""

_HEX = re.compile(r"[0-9a-f]{64}\Z")
_CHECK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


class Store:
    """An evidence store at a URI."""

    def __init__(self, uri: str = "") -> None:
        """Open the store; nothing is touched until something is read or written.

        `uri` is what opens it again; `shown` is the same without passwords, for people and for what is signed.

        Raises:
            UsageError: no driver is installed for the URI's scheme.
            StoreError: its driver cannot be started.
        """
        self.uri = uri or settings.store_uri()
        self.shown = redact(self.uri)
        self._fs, self._root = connect(self.uri, "the store")

    def add(self, shelf: Shelf, subject: Subject, bundle: bytes, *, check: str = "") -> str:
        """Keep one bundle; the same bytes again change nothing.

        Returns:
            `sha256:<hex>`, the bundle's digest and name.

        Raises:
            StoreConflict: other bytes stand under its name, or it is larger than anybody reads.
            StoreError: it could not be written; nothing half-written is left under its name.
        """
        digest = documents.sha256(bundle)
        if len(bundle) > MAX_BUNDLE or (check and not _CHECK.match(check)):
            raise StoreConflict(f"a statement of {len(bundle):,} bytes by {check[:99]!r} is none that would be read again")
        name = digest.removeprefix("sha256:") + SUFFIX
        path = "/".join((self._root, shelf, "sha256", subject.hex, *([check] if check else []), name))
        try:
            write_new(self._fs, path, bundle)
        except StoreError:
            raise
        except Exception as error:  # fsspec drivers raise whatever their client library raises
            raise StoreError(f"cannot write to the store {self.shown}: {why(error)}") from error
        return digest

    def read(self, shelf: Shelf, subject: Subject) -> Iterator[tuple[str, bytes]]:
        """Every bundle about a subject as (path within the store, bytes), in order of path. None of it is verified.

        What is too large, or no file at all, comes as no bytes: that proves nothing either.

        Raises:
            StoreError: the store could not be read. A store without the folder is simply empty.
        """
        folder = "/".join((self._root, shelf, "sha256", subject.hex))
        try:
            for name, size in names_in(self._fs, folder):
                if name.endswith(SUFFIX):
                    yield name[len(self._root) :].lstrip("/"), get(self._fs, name, size)
        except Exception as error:
            raise StoreError(f"cannot read the store {self.shown}: {why(error)}") from error

    def everything(self, shelf: Shelf) -> Iterator[tuple[Subject, str, bytes]]:
        """Every bundle on a shelf as (subject by its place, path within the store, bytes), in order of path; none verified.

        Raises:
            StoreError: the store could not be read.
        """
        folder = f"{self._root}/{shelf}/sha256"
        try:
            for name, size in names_in(self._fs, folder):
                place = name[len(folder) :].lstrip("/").partition("/")[0]
                if name.endswith(SUFFIX) and _HEX.match(place):
                    yield Subject(digest=f"sha256:{place}"), name[len(self._root) :].lstrip("/"), get(self._fs, name, size)
        except Exception as error:
            raise StoreError(f"cannot read the store {self.shown}: {why(error)}") from error


def connect(uri: str, what: str) -> tuple[Any, str]:
    """The file system behind a URI and the path in it, without a slash at its end.

    Raises:
        UsageError: there is nothing to open, or no driver is installed for the URI's scheme.
        StoreError: the driver cannot be started.
    """
    from fsspec.core import url_to_fs

    if not uri.strip() or "\0" in uri:
        raise UsageError(f"{uri!r} is no place for {what}", hint="pass a folder, or a URI such as s3://bucket/folder")
    try:
        fs, root = url_to_fs(uri)
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"no driver for {what} {redact(uri)}: {redact(str(error))}", hint="pip install its fsspec driver, e.g. s3fs"
        ) from error
    except Exception as error:
        raise StoreError(f"cannot open {what} {redact(uri)}: {why(error)}") from error
    return fs, str(root).rstrip("/")


def known_as(fs: Any, root: str, uri: str) -> str:
    """The one name of a folder, however it was spelled and without secrets; what is signed about it says this name.

    Args:
        fs, root: what `connect` made of the URI.
        uri: the URI of a folder that is no local one.
    """
    return Path(os.path.realpath(root or "/")).as_uri() if is_local(fs) else redact(uri).rstrip("/")


def is_local(fs: Any) -> bool:
    """Whether a file system is this machine's own."""
    return "file" in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,))


def names_in(fs: Any, folder: str) -> list[tuple[str, int]]:
    """Every file in a folder and below, with its size (-1 if unknown), in order of name; none if there is no folder."""
    if is_local(fs):
        return sorted((name, -1) for name in _walked(folder))
    fs.invalidate_cache()
    found = fs.find(folder, detail=True) if fs.exists(folder) else {}
    return sorted((name, -1 if info.get("size") is None else int(info["size"])) for name, info in found.items())


def _walked(folder: str) -> Iterator[str]:
    """fsspec's own walk leaves out in silence what it may not list."""

    def complain(error: OSError) -> None:
        if not (isinstance(error, FileNotFoundError) and error.filename == folder):
            raise error

    for above, _, names in os.walk(folder, onerror=complain):
        yield from (os.path.join(above, name) for name in names)


def get(fs: Any, path: str, size: int) -> bytes:
    """A statement's bytes; none if it is too large, or no regular file."""
    if size < 0 and not is_local(fs):
        size = int(fs.info(path).get("size") or 0)  # before a stranger's object fills our memory
    if size > MAX_BUNDLE:
        return b""
    if not is_local(fs):
        data = bytes(fs.cat_file(path))
        return data if len(data) <= MAX_BUNDLE else b""
    try:
        return files.read(path, most=MAX_BUNDLE, regular=True)
    except OSError as error:
        if error.errno in _NO_FILE:
            return b""
        raise


def write_new(fs: Any, path: str, data: bytes) -> None:
    """Put a whole file under a name that says its digest, or nothing; the same bytes again change nothing.

    Raises:
        StoreConflict: other bytes stand there.
        Exception: whatever the driver raises.
    """
    fs.invalidate_cache()
    if not fs.exists(path):
        try:
            files.create(Path(path), data) if is_local(fs) else fs.pipe_file(path, data)  # object stores show whole objects
            return
        except FileExistsError:
            pass  # somebody was faster, with the same bytes or with others
    if get(fs, path, -1) != data:
        raise StoreConflict(f"other bytes stand at {path}", hint="somebody wrote there: look into it, then remove that file")


def replace(fs: Any, path: str, data: bytes) -> None:
    """Swap the content of a name in one step: a reader sees the old bytes or the new ones, never anything between."""
    if is_local(fs):
        files.replace(Path(path), data)
    else:
        fs.pipe_file(path, data)


def why(error: Exception) -> str:
    """What a driver's error says, in one line."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
    return documents.line(redact(said[:500]))
