"""`s3://`, `gs://`, `abfs://` and whatever else fsspec has a driver for.

    s3://bucket/model                      a folder: whatever its newest objects are, each by its version id
    s3://bucket/model.bin?versionId=...    one object at one version

In the order of the code:

1. List, once: names, sizes, and what the store itself calls each object (version id, generation, ETag).
2. Names before bytes: an unsafe name, a twin or an object too many costs no download.
3. Get every object, counting as it arrives; in a versioned S3 bucket, the very version that was listed.
4. List again. An object that is not what it was meanwhile is an error, unless it was fetched by its version.

Object stores know no version of a folder, so no URI pins one: what pins it is the artifact's digest. The versions are recorded.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pratique.errors import ArtifactChanged, ArtifactError, ArtifactRefused
from pratique.sources.connecting import PATIENCE
from pratique.sources.many import one_at_a_time, together
from pratique.sources.naming import Names, place
from pratique.sources.plans import Limits, Plan, Progress, Resolution
from pratique.sources.redacting import redact

MOST_LISTED = 100
"""Objects whose versions are recorded one by one; of larger folders, only the digest over all of them is."""

_VERSION = re.compile(r"(?P<uri>s3a?://[^?]+)\?versionId=(?P<version>[\w.-]+)\Z", re.IGNORECASE)
_IDS = {
    "VersionId": "version", "version_id": "version", "generation": "generation", "ETag": "etag", "etag": "etag",
    "created": "created", "mtime": "modified", "LastModified": "modified", "last_modified": "modified",
}  # fmt: skip
"""What drivers call the ids of an object, best first, and what we call them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Object:
    """One object of a listing."""

    name: str
    """As the driver calls it."""

    path: str
    """Inside of the artifact; '' if the object is the artifact."""

    size: int | None

    id: str
    """What the store calls its content, as `version:abc` or `etag:abc`; '' if it does not say."""

    @property
    def version(self) -> str:
        """Its version id; '' if the bucket keeps none, or the object is older than the versioning."""
        kind, _, value = self.id.partition(":")
        return value if kind == "version" else ""


def scheme(uri: str) -> str:
    """The scheme of a URI, in lower case."""
    return uri.partition("://")[0].lower() if "://" in uri else ""


def plan(uri: str) -> Plan:
    """List what a URI means at this moment."""
    shown = redact(uri)
    match = _VERSION.match(uri)
    plain, version = (match["uri"], match["version"]) if match else (uri, "")
    version = "" if version == "null" else version  # S3's word for what was written last without one
    store = _Store(plain, shown)
    listed = store.listed(version)  # 1
    if not listed:
        raise ArtifactError(f"there is nothing at {shown}", hint="is the path right, and may this machine list it?")
    single = listed[0].path == ""
    versioned = store.versioned and listed[0].version
    resolution = Resolution(
        uri=shown, pinned=f"{redact(plain)}?versionId={listed[0].version}" if single and versioned else shown,
        scheme=scheme(uri), mutable=not version, ids=_ids(listed), notes=_notes(listed, folder=not single),
    )  # fmt: skip

    def fetch(target: Path, limits: Limits, progress: Progress) -> None:
        names = Names(limits, shown)
        for one in listed:  # 2
            names.file(one.path or one.name.rpartition("/")[2], one.size or 0)
        tell, stop = one_at_a_time(progress), threading.Event()
        together(  # 3
            [
                partial(store.get, one, place(target, one.path) if one.path else target, limits.bytes, tell, stop)
                for one in listed
            ],
            stop,
        )
        store.ensure_unchanged(listed, version)  # 4

    return Plan(resolution=resolution, name=plain.rstrip("/").rpartition("/")[2], fetch=fetch)


class _Store:
    """A driver, behind one error boundary: drivers raise whatever their client library raises."""

    def __init__(self, uri: str, shown: str) -> None:
        self.uri = uri
        self.shown = shown
        self.versioned = scheme(uri) in ("s3", "s3a")
        self._connect()

    def _connect(self) -> None:
        from fsspec.core import url_to_fs

        try:
            options = {"version_aware": True} if self.versioned else {}
            self.driver, path = url_to_fs(self.uri, **options)
            self.base = str(self.driver._strip_protocol(path)).rstrip("/")
            inner = getattr(self.driver, "fs", self.driver)  # behind a cache
            protocols = inner.protocol if isinstance(inner.protocol, tuple) else (inner.protocol,)
        except (ImportError, ValueError) as error:  # not installed, or not known to fsspec at all
            raise ArtifactRefused(
                f"no driver for {self.shown}: {error}", hint="pip install the fsspec driver, e.g. s3fs or gcsfs"
            ) from error
        except Exception as error:
            raise self._unreachable(error) from error
        if "file" in protocols:  # its driver would follow symbolic links
            raise ArtifactRefused(f"{self.shown} is on this machine's own disk", hint="pass the path itself")

    def listed(self, version: str = "") -> list[_Object]:
        """Every object, once the driver has forgotten what it knew."""
        try:
            self.driver.invalidate_cache()
            if version:
                return [self._object(self.base, self.driver.info(self.base, version_id=version), version)]
            found = self.driver.find(self.base, detail=True, withdirs=False)
            if not isinstance(found, dict) or not found:  # some drivers (adlfs) find nothing below a single object
                info = self.driver.info(self.base)
                found = {self.base: info} if info.get("type") == "file" else {}
        except FileNotFoundError:
            return []
        except PermissionError as error:
            if not self.versioned:
                raise self._unreachable(error) from error
            self.versioned = False  # listing versions is a right of its own (s3:ListBucketVersions)
            from fsspec.core import url_to_fs

            self.driver, _ = url_to_fs(self.uri)
            return self.listed()
        except Exception as error:
            raise self._unreachable(error) from error
        return [self._object(str(name), info) for name, info in sorted(found.items()) if not self._is_marker(str(name), info)]

    def get(self, one: _Object, target: Path, most: int, progress: Progress, stop: threading.Event) -> None:
        """One object, at its version if it has one."""
        options = {"version_id": one.version} if self.versioned and one.version else {}
        counted = _counted(one, self.shown, most, progress, stop)
        try:
            self.driver.get_file(one.name, str(target), callback=counted, **options)
            arrived = target.stat().st_size
        except (ArtifactError, ArtifactRefused):
            raise
        except FileNotFoundError as error:
            raise ArtifactChanged(f"{one.path or self.shown} was listed, and is gone", hint="fetch it again") from error
        except Exception as error:
            raise self._unreachable(error) from error
        if one.size is not None and arrived != one.size:
            raise ArtifactError(f"{one.path or self.shown} was listed with {one.size:,} bytes, and {arrived:,} arrived")
        if arrived > most:
            raise ArtifactRefused(f"{one.path or self.shown} is {arrived:,} bytes; the limit is {most:,}")

    def ensure_unchanged(self, before: list[_Object], version: str) -> None:
        """Whether what was fetched without naming its version is still what was listed."""
        if all(one.version for one in before) and self.versioned:
            return
        if self.listed(version) != before:
            raise ArtifactChanged(f"{self.shown} changed while it was fetched", hint="fetch it again when nobody writes to it")

    def _object(self, name: str, info: Mapping[str, Any], version: str = "") -> _Object:
        full = str(self.driver._strip_protocol(name)).partition("?versionId=")[0]
        path = full[len(self.base) :].lstrip("/")
        if full != self.base and not full.startswith(self.base + "/"):
            raise ArtifactRefused(f"{self.shown} lists {name!r}, which is not below it")
        size = info.get("size")
        # `null` is what S3 calls the version of an object without one: it says nothing about its content.
        ids = (f"{ours}:{info[theirs]}" for theirs, ours in _IDS.items() if info.get(theirs) not in (None, "", "null"))
        known = f"version:{version}" if version else next(ids, "")
        return _Object(name=full, path=path, size=int(size) if size is not None else None, id=known.replace('"', ""))

    def _is_marker(self, name: str, info: Mapping[str, Any]) -> bool:
        """The empty object that consoles leave where people made a folder."""
        return name.endswith("/") and not info.get("size")

    def _unreachable(self, error: Exception) -> ArtifactError:
        return ArtifactError(f"cannot reach {self.shown}: {type(error).__name__}: {redact(str(error))}")


def _counted(one: _Object, shown: str, most: int, progress: Progress, stop: threading.Event) -> Any:
    """A callback for the driver that ends a download which is too long or too slow, or of no more use."""
    from fsspec.callbacks import Callback

    class Counted(Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.value = 0
            self.since, self.then = time.monotonic(), 0

        def relative_update(self, inc: int = 1) -> None:
            self.absolute_update(self.value + inc)

        def absolute_update(self, value: int) -> None:
            if stop.is_set():
                raise ArtifactError(f"stopped fetching {one.path or shown}: another object failed")
            progress(value - self.value)
            self.value = value
            if value > (most if one.size is None else one.size):
                raise ArtifactRefused(f"{one.path or shown} goes on after the {one.size or most:,} bytes that were expected")
            if (now := time.monotonic()) - self.since >= PATIENCE.window:
                if value - self.then < PATIENCE.least:
                    raise ArtifactError(f"{one.path or shown} arrives too slowly to wait for")
                self.since, self.then = now, value

    return Counted()


def _ids(listed: list[_Object]) -> dict[str, str]:
    """The objects' own ids: each, if there are few; and a digest over the lines `<id>  <path>`, which covers all."""
    lines = "".join(f"{one.id}  {one.path}\n" for one in listed)
    every = {f"object {one.path}".rstrip(): one.id for one in listed if one.id} if len(listed) <= MOST_LISTED else {}
    return {"objects": str(len(listed)), "listing": "sha256:" + hashlib.sha256(lines.encode()).hexdigest(), **every}


def _notes(listed: list[_Object], *, folder: bool) -> tuple[str, ...]:
    notes = []
    if folder:
        notes.append("a folder in a bucket has no version of its own; the ids name what its newest objects were")
    if not all(one.version for one in listed):
        notes.append("the store keeps no versions of these objects, so what is there now may be gone tomorrow")
    if not all(one.id for one in listed):
        notes.append("the store has no ids for these objects; a change while they were fetched would go unnoticed")
    return tuple(notes)
