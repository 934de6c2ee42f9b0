"""Where signed statements are kept: append-only, content-addressed, over fsspec. No database: the store is the truth.

    evidence/sha256/<subject>/<check>/<digest>.sigstore.json
    records/sha256/<subject>/<digest>.sigstore.json         training records
    clearances/sha256/<subject>/<digest>.sigstore.json

A name says the sha256 of its bytes. Nothing here is trusted: whoever reads verifies (`vouching`). A local folder by
default; `s3://`, `gs://`, `abfs://` by installing the fsspec driver.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pratique import documents, settings
from pratique.artifacts import Subject
from pratique.errors import StoreError, UsageError

Shelf = Literal["evidence", "records", "clearances"]
_SUFFIX = ".sigstore.json"


class Store:
    """An evidence store at a URI."""

    def __init__(self, uri: str = "") -> None:
        """Open the store; nothing is touched until something is read or written.

        Raises:
            UsageError: no driver is installed for the URI's scheme.
        """
        from fsspec.core import url_to_fs

        self.uri = uri or settings.store_uri()
        try:
            self._fs, self._root = url_to_fs(self.uri)
        except (ImportError, ValueError) as error:
            raise UsageError(
                f"no driver for the store {self.uri}: {error}", hint="pip install its fsspec driver, e.g. s3fs"
            ) from error

    def add(self, shelf: Shelf, subject: Subject, bundle: bytes, *, check: str = "") -> str:
        """Keep one bundle; the same bytes again change nothing.

        Returns:
            `sha256:<hex>`, the bundle's digest and name.

        Raises:
            StoreError: it could not be written; nothing half-written is left under its name.
        """
        digest = documents.sha256(bundle)
        name = digest.removeprefix("sha256:") + _SUFFIX
        path = self._join(shelf, "sha256", subject.hex, *([check] if check else []), name)
        try:
            if not self._fs.exists(path):
                write_new(self._fs, path, bundle)
        except Exception as error:  # fsspec drivers raise whatever their client library raises
            raise StoreError(f"cannot write to the store {self.uri}: {type(error).__name__}: {error}") from error
        return digest

    def read(self, shelf: Shelf, subject: Subject) -> Iterator[tuple[str, bytes]]:
        """Every bundle about a subject as (path within the store, bytes), in order of path. None of it is verified.

        Raises:
            StoreError: the store could not be read. A store without the folder is simply empty.
        """
        folder = self._join(shelf, "sha256", subject.hex)
        try:
            self._fs.invalidate_cache()
            names = sorted(self._fs.find(folder)) if self._fs.exists(folder) else []
            for name in names:
                if name.endswith(_SUFFIX):
                    yield name[len(self._root) :].lstrip("/"), self._fs.cat_file(name)
        except Exception as error:
            raise StoreError(f"cannot read the store {self.uri}: {type(error).__name__}: {error}") from error

    def _join(self, *parts: str) -> str:
        return "/".join((self._root.rstrip("/"), *parts))


def write_new(fs: Any, path: str, data: bytes) -> None:
    """Put a whole file under a name, or nothing. Object stores do that by nature; a local disk by a link to a synced file."""
    if "file" not in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)):
        fs.pipe_file(path, data)
        return
    work = _synced(Path(path), data)
    try:
        os.link(work, path)
    except FileExistsError:
        pass  # content-addressed: whoever was faster wrote the same bytes
    finally:
        work.unlink()


def replace(fs: Any, path: str, data: bytes) -> None:
    """Swap the content of a name in one step: a reader sees the old bytes or the new ones, never anything between."""
    if "file" not in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)):
        fs.pipe_file(path, data)
        return
    os.replace(_synced(Path(path), data), path)


def _synced(target: Path, data: bytes) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.parent / f".{uuid.uuid4().hex}.part"
    with open(work, "xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    return work
