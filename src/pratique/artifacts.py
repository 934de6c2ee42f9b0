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
import stat
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pratique import files, settings
from pratique.errors import ArtifactChanged, ArtifactError, ArtifactRefused

Kind = Literal["model", "dataset", "environment"]
Progress = Callable[[int], None]
"""Called with the number of bytes copied since the last call."""

_BLOCK = 1 << 20
_EMPTY = hashlib.sha256().hexdigest()
_LISTING = re.compile(rb"[0-9a-f]{64}  [^\n]+\n")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_UNSAFE_NAME = re.compile(r"[\x00-\x1f\x7f\\]")
"""Control characters and the backslash: coreutils escapes them in its listings, and terminals act on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much we are willing to copy. Each has its own error."""

    files: int = 200_000
    """Entries in one artifact (files and empty directories)."""

    bytes: int = 1 << 40
    """Bytes in one artifact, together."""

    depth: int = 32
    """Folders within folders."""

    path_length: int = 1024
    """Bytes of one relative path, in UTF-8."""


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
    """Where the copy was taken from."""

    entries: tuple[Entry, ...]
    """Everything in it, sorted by path."""

    @property
    def is_file(self) -> bool:
        """Whether the artifact is one file rather than a directory."""
        return self.root.is_file()

    def path(self, entry: Entry) -> Path:
        """Where an entry lies in the private copy."""
        return self.root if self.is_file else self.root / entry.path

    def ensure_unchanged(self) -> None:
        """Hash the copy again.

        Raises:
            ArtifactChanged: somebody with our own user's rights wrote into the private copy.
        """
        now = digest_of(scan(self.root), is_file=self.is_file)
        if now != self.subject.digest:
            raise ArtifactChanged(f"the private copy {self.root} was {self.subject.digest} and is now {now}")


def open_artifact(
    uri: str | os.PathLike[str],
    *,
    kind: Kind = "model",
    limits: Limits | None = None,
    into: Path | None = None,
    progress: Progress | None = None,
) -> Artifact:
    """Copy an artifact while hashing it, into a private content-addressed snapshot.

    Args:
        uri: a local path, or any fsspec URI (`s3://bucket/model`; install the driver for its scheme).
        kind: what the artifact claims to be.
        limits: how much to copy at most.
        into: folder of snapshots; `$PRATIQUE_HOME/snapshots` by default.
        progress: called with bytes copied, for a progress bar.

    Raises:
        ArtifactError: not there, unreadable, unreachable.
        ArtifactRefused: symlinks, special files, names that are unsafe or equal after case folding, empty, over a limit.
    """
    shelf = into or settings.snapshots()
    limits = limits or Limits()
    try:
        shelf.mkdir(parents=True, exist_ok=True, mode=0o700)
        with files.workshop(shelf, ".incoming-") as work:
            return _snapshot(str(uri), kind, limits, shelf, work, progress or _silent)
    except OSError as error:
        why = error.strerror or error
        raise ArtifactError(f"cannot copy {uri} to {shelf}: {why}", hint="is there room? PRATIQUE_HOME says where") from error


def scan(root: Path, limits: Limits | None = None) -> tuple[Entry, ...]:
    """Hash a local file or directory in place, by the rules of a snapshot. For what nobody else can write to."""
    try:
        return _sorted(_walk(root, root.name, limits or Limits(), None, _silent))
    except OSError as error:
        raise ArtifactError(f"cannot read {root}: {error.strerror or error}") from error


def digest_of(entries: tuple[Entry, ...], *, is_file: bool) -> str:
    """The digest that names these entries."""
    if is_file:
        return "sha256:" + entries[0].sha256
    lines = "".join(f"{entry.sha256}  {entry.path}\n" for entry in entries)
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def _snapshot(uri: str, kind: Kind, limits: Limits, shelf: Path, work: Path, progress: Progress) -> Artifact:
    source, name = _localise(uri, work, limits)
    copy = work / "copy"
    entries = _sorted(_walk(source, name, limits, copy, progress))
    is_file = copy.is_file()
    if not any(not entry.path.endswith("/") for entry in entries):
        raise ArtifactRefused(f"{uri} holds no file", hint="an empty artifact proves nothing; pass the folder with the files")
    if is_file and _looks_like_listing(copy):
        raise ArtifactRefused(
            f"{uri} is a list of digests: as a file it would share its digest with the directory that it lists",
            hint="pass the directory itself",
        )
    subject = Subject(digest=digest_of(entries, is_file=is_file), name=name)
    address = f"{subject.hex}-{hashlib.sha256(name.encode()).hexdigest()[:8]}" if is_file else subject.hex
    root = _settle(copy, shelf / "sha256" / address, name if is_file else "content", entries)
    return Artifact(root=root, subject=subject, kind=kind, uri=uri, entries=entries)


def _settle(copy: Path, home: Path, name: str, entries: tuple[Entry, ...]) -> Path:
    """Move a finished copy to its content address, unless the same bytes already stand there."""
    home.parent.mkdir(exist_ok=True, mode=0o700)
    root = home / name
    if home.exists():
        if root.exists() and _same(root, entries):
            return root
        os.replace(home, copy.parent / "broken")  # somebody wrote into an older snapshot: never reuse it
    ready = copy.parent / "ready"
    ready.mkdir(mode=0o700)
    os.replace(copy, ready / root.name)
    try:
        os.replace(ready, home)
    except OSError:  # another process was faster with the same bytes
        if not _same(root, entries):
            raise
    _seal(root)
    return root


def _same(root: Path, entries: tuple[Entry, ...]) -> bool:
    try:
        return scan(root) == entries
    except ArtifactError:
        return False


def _localise(uri: str, work: Path, limits: Limits) -> tuple[Path, str]:
    """A local path to copy from. Remote artifacts are downloaded next to the snapshot first, within the limits."""
    if "://" not in uri or uri.startswith(("file://", "local://")):
        path = Path(uri.partition("://")[2] if "://" in uri else uri)  # never by fsspec, which follows symbolic links
        if not uri.strip():
            raise ArtifactRefused("the path of the artifact is empty", hint="is a variable, or a template, not set?")
        if path.is_symlink():
            raise ArtifactRefused(f"{uri} is a symbolic link", hint=f"pass what it points to: {os.readlink(path)}")
        if not path.exists():
            raise ArtifactError(f"there is nothing at {uri}", hint="pass a file, a folder or a URI such as s3://bucket/model")
        return path, path.resolve().name
    return _download(uri, work, limits), uri.rstrip("/").rsplit("/", 1)[-1]


def _download(uri: str, work: Path, limits: Limits) -> Path:
    from fsspec.core import url_to_fs

    try:
        filesystem, path = url_to_fs(uri)
        found = filesystem.find(path, detail=True, withdirs=False)
        if not found:
            raise FileNotFoundError(uri)
        if len(found) > limits.files:
            raise ArtifactRefused(f"{uri} holds {len(found):,} files; the limit is {limits.files:,}")
        total = sum(int(info.get("size") or 0) for info in found.values())
        if total > limits.bytes:
            raise ArtifactRefused(f"{uri} holds {total:,} bytes; the limit is {limits.bytes:,}")
        return _fetch(filesystem, path, list(found), work / "download")
    except ArtifactError:
        raise
    except ImportError as error:
        raise ArtifactRefused(
            f"no driver for {uri}: {error}", hint="pip install the fsspec driver, e.g. s3fs or gcsfs"
        ) from error
    except Exception as error:  # fsspec drivers raise whatever their client library raises
        raise ArtifactError(f"cannot reach {uri}: {type(error).__name__}: {error}") from error


def _fetch(filesystem: Any, path: str, names: list[str], target: Path) -> Path:
    base = filesystem._strip_protocol(path).rstrip("/")
    if names == [base] or filesystem.isfile(path):
        filesystem.get_file(path, str(target))
        return target
    for name in names:
        relative = filesystem._strip_protocol(name)[len(base) :].lstrip("/")
        if not relative or any(part in ("", ".", "..") for part in relative.split("/")):
            raise ArtifactRefused(f"the remote name {name!r} leaves the artifact")
        local = target / relative
        local.parent.mkdir(parents=True, exist_ok=True)
        filesystem.get_file(name, str(local))
    return target


def _sorted(entries: Iterator[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.path.encode()))


def _walk(source: Path, name: str, limits: Limits, copy: Path | None, progress: Progress) -> Iterator[Entry]:
    """Yield every entry below `source`, copying each to `copy` on the way.

    1. Names before bytes: an entry with a bad name costs nothing.
    2. Everything is opened without following symbolic links, and only regular files are read.
    3. What is hashed is what is written to the copy.
    """
    budget = _Budget(limits)
    if source.is_file() and not source.is_symlink():
        budget.entry(name)
        yield _take(source, name, copy, budget, progress)
    else:
        yield from _walk_folder(source, "", 0, copy, budget, progress)


def _walk_folder(
    folder: Path, prefix: str, depth: int, copy: Path | None, budget: _Budget, progress: Progress
) -> Iterator[Entry]:
    budget.depth(prefix, depth)
    if copy is not None:
        copy.mkdir(mode=0o700)
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise ArtifactRefused(f"cannot list {prefix or folder}: {error.strerror}") from error
    _refuse_twins(names, prefix)
    if not names and prefix:
        budget.entry(prefix)
        yield Entry(path=prefix, size=0, sha256=_EMPTY)
    for name in names:
        budget.entry(prefix + name)
    for name in names:
        path, inner = folder / name, copy / name if copy is not None else None
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            yield from _walk_folder(path, f"{prefix}{name}/", depth + 1, inner, budget, progress)
        elif stat.S_ISREG(mode):
            yield _take(path, prefix + name, inner, budget, progress)
        else:
            what = "a symbolic link" if stat.S_ISLNK(mode) else "a special file"
            raise ArtifactRefused(f"{prefix}{name} is {what}", hint="replace it by a regular file")


def _take(path: Path, name: str, copy: Path | None, budget: _Budget, progress: Progress) -> Entry:
    """Read one file once: hash it, and write the very same bytes to the copy."""
    digest, size = hashlib.sha256(), 0
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise ArtifactError(f"cannot read {name}: {error.strerror}") from error
    with open(descriptor, "rb", buffering=0) as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ArtifactChanged(f"{name} turned into something that is not a regular file")
        target = open(copy, "xb") if copy is not None else None  # noqa: SIM115
        try:
            while block := stream.read(_BLOCK):
                budget.read(len(block), name)
                digest.update(block)
                size += len(block)
                if target is not None:
                    target.write(block)
                progress(len(block))
        finally:
            if target is not None:
                target.close()
    return Entry(path=name, size=size, sha256=digest.hexdigest())


class _Budget:
    """Counts against the limits, and knows what each one's error says."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.files = 0
        self.bytes = 0

    def entry(self, path: str) -> None:
        self.files += 1
        if self.files > self.limits.files:
            raise ArtifactRefused(f"more than {self.limits.files:,} entries", hint="split the artifact, or raise Limits.files")
        try:
            length = len(path.encode("utf-8"))
        except UnicodeEncodeError:
            raise ArtifactRefused(f"the name {path!r} is not UTF-8") from None
        if length > self.limits.path_length:
            raise ArtifactRefused(f"the path {path[:60]}... is {length} bytes long; the limit is {self.limits.path_length}")
        if _UNSAFE_NAME.search(path):
            raise ArtifactRefused(f"the name {path!r} holds a control character or a backslash")

    def depth(self, path: str, depth: int) -> None:
        if depth > self.limits.depth:
            raise ArtifactRefused(f"{path[:60]} lies more than {self.limits.depth} folders deep")

    def read(self, count: int, path: str) -> None:
        self.bytes += count
        if self.bytes > self.limits.bytes:
            raise ArtifactRefused(f"more than {self.limits.bytes:,} bytes, at {path}", hint="raise Limits.bytes")


def _refuse_twins(names: list[str], prefix: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        if folded in seen:
            raise ArtifactRefused(
                f"{prefix}{seen[folded]!r} and {name!r} are one name on some file systems", hint="rename one of them"
            )
        seen[folded] = name


def _looks_like_listing(path: Path) -> bool:
    with path.open("rb") as stream:
        return _LISTING.match(stream.read(2048)) is not None


def _seal(root: Path) -> None:
    """Take away write permission, so that an honest mistake cannot change a snapshot."""
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            os.chmod(os.path.join(folder, name), 0o400)
        os.chmod(folder, 0o500)
    if root.is_file():
        root.chmod(0o400)


def _silent(count: int) -> None:
    """No progress bar."""
