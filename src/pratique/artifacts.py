"""What is being judged: a private copy of somebody's bytes, and the digest that names it.

    artifact = open_artifact("s3://models/base", kind="model")
    artifact.root      # a read-only private copy; nobody can swap it between the check and the use
    artifact.subject   # Subject(digest="sha256:...", name="base")

The digest of a file is the sha256 of its bytes. The digest of a directory is the sha256 over the lines
`<sha256 of file>  <relative path>\\n`, sorted by path (Go's dirhash H1, in hex); an empty directory is a line too, as
an empty file whose path ends in `/`. See docs/decisions/0003-digest.md for the coreutils commands that recompute it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Literal

from pratique import files, hashing, listing, settings, sources
from pratique.errors import ArtifactChanged, ArtifactError, ArtifactRefused
from pratique.hashing import Progress as Progress
from pratique.listing import Limits as Limits
from pratique.listing import Listing
from pratique.sources import Resolution

Kind = Literal["model", "dataset", "environment"]
_Local = tuple[Path, str, Resolution | None, Progress | None]
"""A path to copy from, the artifact's name, what its URI was resolved to, and whom to tell about bytes copied."""

_EMPTY = hashlib.sha256().hexdigest()
_LISTING = re.compile(rb"[0-9a-f]{64}  [^\n]+\n")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Subject:
    """Names an artifact by its content. Two are equal if their digests are."""

    digest: str
    """`sha256:<64 hex digits>`."""

    name: str = "artifact"
    """For people only; never compared."""

    def __post_init__(self) -> None:
        if not _DIGEST.match(self.digest):
            raise ArtifactRefused(f"{self.digest!r} is not a digest", hint="a digest is sha256: and 64 hex digits")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Subject) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def hex(self) -> str:
        """The 64 hex digits alone."""
        return self.digest.removeprefix("sha256:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file (or empty directory) of an artifact."""

    path: str
    """Relative, with `/`; an empty directory's ends in `/`."""

    size: int
    """Bytes."""

    sha256: str
    """Hex digest of the content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A private, read-only, hashed copy of a model, a dataset or an environment description."""

    root: Path
    """The directory, or the one file."""

    subject: Subject
    """Digest and name of exactly these bytes."""

    kind: Kind
    """What it claims to be."""

    uri: str
    """Where the copy was taken from, without credentials."""

    entries: tuple[Entry, ...]
    """Everything in it, sorted by path."""

    limits: Limits = field(default_factory=Limits)
    """What it was opened under."""

    origin: Resolution | None = None
    """What the URI meant when the copy was taken; None for a local path."""

    @property
    def pinned(self) -> str:
        """The URI that means the same bytes tomorrow, as far as there is one."""
        return self.origin.pinned if self.origin else self.uri

    @property
    def is_file(self) -> bool:
        """Whether the artifact is one file rather than a directory."""
        return self.root.is_file()

    def path(self, entry: Entry) -> Path:
        """Where an entry lies in the private copy."""
        return self.root if self.is_file else self.root / entry.path

    def ensure_unchanged(self) -> None:
        """Look at the names and sizes of the copy again, then hash all of it again; docs/decisions/0010 says why all of it.

        Raises:
            ArtifactChanged: somebody with our own user's rights wrote into the private copy.
        """
        found = _list(self.root, self.root.name, self.limits)
        changed = _difference(self.entries, found) or _difference(self.entries, found, _read(found))
        if changed:
            raise ArtifactChanged(f"the private copy {self.root} is not what it was: {changed}")


def open_artifact(
    uri: str | os.PathLike[str],
    *,
    kind: Kind = "model",
    limits: Limits | None = None,
    into: Path | None = None,
    progress: Progress | None = None,
    preview: Callable[[Listing], None] | None = None,
) -> Artifact:
    """Copy an artifact while hashing it, into a private content-addressed snapshot.

    Args:
        uri: a local path, or a URI that `pratique.sources` knows: `hf://`, `oci://`, `models:/`, `s3://` ...
        kind: what the artifact claims to be.
        limits: how much to copy at most.
        into: folder of snapshots; `$PRATIQUE_HOME/snapshots` by default.
        progress: called with bytes copied, for a progress bar.
        preview: called with all names and sizes before a byte is read (of a remote artifact: after it was fetched); it may
            raise, and only that: what it saw may have changed by the time it is read.

    Raises:
        ArtifactError: not there, unreadable, unreachable.
        ArtifactRefused: symlinks, special files, names that are unsafe or equal after case folding, empty, over a limit.
    """
    shelf = into or settings.snapshots()
    limits = limits or Limits()
    try:
        shelf.mkdir(parents=True, exist_ok=True, mode=0o700)
        with files.workshop(shelf, ".incoming-") as work:
            return _snapshot(str(uri), kind, limits, shelf, work, progress, preview)
    except OSError as error:
        why = error.strerror or error
        raise ArtifactError(
            f"cannot copy {sources.redact(str(uri))} to {shelf}: {why}", hint="is there room? PRATIQUE_HOME says where"
        ) from error


def scan(root: Path, limits: Limits | None = None) -> tuple[Entry, ...]:
    """Hash a local file or directory in place, by the rules of a snapshot. For what nobody else can write to."""
    try:
        return _read(_list(root, root.name, limits or Limits()))
    except OSError as error:
        raise ArtifactError(f"cannot read {root}: {error.strerror or error}") from error


def digest_of(entries: tuple[Entry, ...], *, is_file: bool) -> str:
    """The digest that names these entries."""
    if is_file:
        return "sha256:" + entries[0].sha256
    lines = "".join(f"{entry.sha256}  {entry.path}\n" for entry in entries)
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def _snapshot(
    uri: str, kind: Kind, limits: Limits, shelf: Path, work: Path, progress: Progress | None,
    preview: Callable[[Listing], None] | None,
) -> Artifact:  # fmt: skip
    """The private copy, made in the order of the code: names first, then the bytes, then its place."""
    source, name, origin, progress = _localise(uri, work, limits, progress)
    uri = sources.redact(uri)
    is_file = source.is_file()
    found = _list(source, name, limits, follow=False)
    if not found.files:
        raise ArtifactRefused(f"{uri} holds no file", hint="an empty artifact proves nothing; pass the folder with the files")
    if preview is not None:
        preview(found)
    copy = work / "copy"
    entries = _read(found, copy, progress)
    if is_file and looks_like_listing(copy / name):
        raise ArtifactRefused(
            f"{uri} is a list of digests: as a file it would share its digest with the directory that it lists",
            hint="pass the directory itself",
        )
    subject = Subject(digest=digest_of(entries, is_file=is_file), name=name)
    address = f"{subject.hex}-{hashlib.sha256(name.encode()).hexdigest()[:8]}" if is_file else subject.hex
    root = _settle(copy, shelf / "sha256" / address, name if is_file else "", entries, limits)
    return Artifact(root=root, subject=subject, kind=kind, uri=uri, entries=entries, limits=limits, origin=origin)


def _settle(copy: Path, home: Path, name: str, entries: tuple[Entry, ...], limits: Limits) -> Path:
    """Move a finished copy to its content address, unless the same bytes already stand there."""
    home.parent.mkdir(exist_ok=True, mode=0o700)
    root = home / (name or "content")
    if home.exists():
        if root.exists() and _same(root, entries, limits):
            return root
        os.replace(home, copy.parent / "broken")  # somebody wrote into an older snapshot: never reuse it
    ready = copy
    if not name:
        ready = copy.parent / "ready"
        ready.mkdir(mode=0o700)
        os.replace(copy, ready / root.name)
        _seal(ready / root.name)
    try:
        os.replace(ready, home)
    except OSError:  # another process was faster with the same bytes
        if not _same(root, entries, limits):
            raise
    return root


def _same(root: Path, entries: tuple[Entry, ...], limits: Limits) -> bool:
    try:
        found = _list(root, root.name, limits)
        return not _difference(entries, found) and _read(found) == entries
    except ArtifactError:
        return False


def _list(source: Path, name: str, limits: Limits, *, follow: bool = True) -> Listing:
    if source.is_file() and not source.is_symlink():
        return listing.single(source, name, limits)
    return listing.tree(source, limits, follow=follow)


def _read(found: Listing, copy: Path | None = None, progress: Progress | None = None) -> tuple[Entry, ...]:
    """Hash what was listed, copying it on the way."""
    return entries_of(found, hashing.digests(found, copy=copy, progress=progress))


def entries_of(found: Listing, digests: Sequence[str]) -> tuple[Entry, ...]:
    """What was listed, with the sha256 (hex) of each of its files."""
    entries = [Entry(path=one.path, size=one.size, sha256=digest) for one, digest in zip(found.files, digests, strict=True)]
    entries += [Entry(path=path, size=0, sha256=_EMPTY) for path in found.empty]
    return tuple(sorted(entries, key=attrgetter("path")))  # code points sort as their UTF-8 does


def _difference(entries: tuple[Entry, ...], found: Listing, now: tuple[Entry, ...] = ()) -> str:
    """What differs first from these entries: in names and sizes, or in content once that was read; '' if nothing does."""
    sizes = {one.path: one.size for one in entries}
    there = {one.path: one.size for one in found.files} | dict.fromkeys(found.empty, 0)
    for path in sorted(sizes.keys() ^ there.keys()):
        return f"{path} is {'missing' if path in sizes else 'new'}"
    for path, size in sizes.items():
        if there[path] != size:
            return f"{path} had {size:,} bytes, and now has {there[path]:,}"
    return next((f"the content of {old.path}" for old, new in zip(entries, now, strict=False) if old != new), "")


def _localise(uri: str, work: Path, limits: Limits, progress: Progress | None) -> _Local:
    """A local path to copy from. What is remote is fetched beside the snapshot first, within the limits."""
    name = sources.local(uri)
    if name is None:
        plan = sources.obtain(uri, work / "download", limits, progress or _silent)
        return work / "download", plan.name, plan.resolution, None  # its bytes were counted as they arrived
    path = Path(name)  # never by fsspec, which follows symbolic links
    if not name.strip():
        raise ArtifactRefused("the path of the artifact is empty", hint="is a variable, or a template, not set?")
    if path.is_symlink():
        hint = f"pass what it points to: {os.readlink(path)}"
        raise ArtifactRefused(f"{uri} is a symbolic link", hint=hint, rule="symlink")
    if not path.exists():
        raise ArtifactError(f"there is nothing at {uri}", hint="pass a file, a folder or a URI such as s3://bucket/model")
    return path, path.resolve().name, None, progress


def looks_like_listing(path: Path) -> bool:
    """Whether a file could be what a folder's digest is made of."""
    with path.open("rb") as stream:
        return _LISTING.match(stream.read(2048)) is not None


def _seal(root: Path) -> None:
    """Take away write permission, so that an honest mistake cannot change a snapshot. Its files were made without."""
    for folder, _, _ in os.walk(root, topdown=False):
        os.chmod(folder, 0o500)


def _silent(count: int) -> None:
    """No progress bar."""
