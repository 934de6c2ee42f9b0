"""Names before bytes: all that lies below a folder, refused or accepted before a byte is read.

    found = tree(Path("model"), Limits())
    found.files[0]      # File(folder=0, name="config.json", path="config.json", size=612)

In the order of the code, folder by folder:

1. Open the folder relative to the one above it, without following a symbolic link: no path is resolved twice.
2. Refuse names that are ambiguous or unsafe, and paths that are too long or too deep.
3. Refuse everything that is neither a folder nor a regular file.
4. Refuse more files or bytes than the limits allow. A sparse giant costs nothing but its name.

Whoever reads a file afterwards (`hashing`) opens it in the same way, and insists on the size that was listed.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from pratique.errors import ArtifactChanged, ArtifactError, ArtifactRefused

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
"""How a folder is opened, always relative to the one above it."""

_UNSAFE_NAME = re.compile(r"[\x00-\x1f\x7f\\]")
"""Control characters and the backslash: coreutils escapes them in its listings, and terminals act on them."""

_SWAPPED = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)
"""What opening a folder that was just listed ends with if it is gone, or a symbolic link by now."""


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


class Folder(NamedTuple):
    """A folder; its parent stands before it in the listing."""

    parent: int
    """Index of the folder that holds it; the root's own is 0."""

    name: str
    """Its name there; the root's is empty."""

    path: str
    """Relative to the root, ending in `/`; the root's is empty."""


class File(NamedTuple):
    """A regular file that has not been read yet."""

    folder: int
    """Index of the folder that holds it."""

    name: str
    """Its name there."""

    path: str
    """What the listing calls it: relative to the root, with `/`."""

    size: int
    """Bytes, as the listing found it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Everything below a root, by name."""

    root: Path
    """The folder that `folders[0]` stands for."""

    folders: tuple[Folder, ...]
    """The root first, parents before children."""

    files: tuple[File, ...]
    """Every file, folder by folder."""

    empty: tuple[str, ...] = ()
    """Paths of empty folders, each ending in `/`."""

    follow: bool = True
    """Whether the root itself may be a symbolic link."""


def tree(root: Path, limits: Limits, *, follow: bool = False) -> Listing:
    """List a folder and everything below it.

    Args:
        root: the folder.
        limits: how much there may be.
        follow: whether the root itself (and nothing below it) may be a symbolic link.

    Raises:
        ArtifactRefused: symlinks, special files, folders that cannot be listed, bad names, over a limit.
        ArtifactChanged: a folder was swapped while we looked.
    """
    walk = _Walk(root, limits)
    try:
        descriptor = os.open(root, FOLDER & ~os.O_NOFOLLOW if follow else FOLDER)
    except OSError as error:
        raise ArtifactRefused(f"cannot list {root}: {error.strerror}", rule="unlistable-folder") from error
    try:
        walk.enter(descriptor, 0, 0)
    finally:
        os.close(descriptor)
    return Listing(root=root, folders=tuple(walk.folders), files=tuple(walk.files), empty=tuple(walk.empty), follow=follow)


def single(path: Path, name: str, limits: Limits) -> Listing:
    """The listing of one file, under the name that it shall have.

    Raises:
        ArtifactRefused: a bad name, or over a limit. ArtifactError: it is gone.
    """
    walk = _Walk(path.parent, limits)
    try:
        size = path.lstat().st_size
    except OSError as error:
        raise ArtifactError(f"cannot read {name}: {error.strerror}") from error
    walk.name("", name)
    walk.add(File(0, path.name, name, size))
    return Listing(root=path.parent, folders=tuple(walk.folders), files=tuple(walk.files))


def expected(root: Path, files: Iterable[tuple[str, int]]) -> Listing:
    """A listing of what ought to be there, by (path, size). Nothing is looked at: whoever reads the files does that.

    Raises:
        ArtifactRefused: a path that is not relative and normal.
    """
    folders, known = [Folder(0, "", "")], {"": 0}
    found = []
    for path, size in files:
        above, at = "", 0
        *parents, name = path.split("/")
        if any(part in ("", ".", "..") for part in (*parents, name)):
            raise ArtifactRefused(f"{path[:100]!r} is no normal relative path")
        for part in parents:
            above += part + "/"
            if above not in known:
                known[above] = len(folders)
                folders.append(Folder(at, part, above))
            at = known[above]
        found.append(File(at, name, path, size))
    return Listing(root=root, folders=tuple(folders), files=tuple(found))


def ensure_tree(paths: Iterable[str], limits: Limits) -> None:
    """Refuse paths that a listing never holds: those of files, and of empty folders, which end in `/`.

    Raises:
        ArtifactRefused: a name that is unsafe, not normal, or one with another on some file systems; over a limit.
    """
    walk, taken, folders = _Walk(Path(), limits), dict[str, str](), {""}

    def take(path: str) -> None:
        if path.rpartition("/")[2] in ("", ".", "..") or path[0] == "/":
            raise ArtifactRefused(f"{path[:100]!r} is no normal relative path")
        folded = path.lower() if path.isascii() else _folded(path)
        if folded in taken:
            raise ArtifactRefused(
                f"{taken[folded]!r} and {path!r} cannot both be there: they are one name on some file systems"
            )
        taken[folded] = path

    for path in paths:
        walk.name("", path)
        bare = path.removesuffix("/")
        above = bare.rpartition("/")[0]
        if above.count("/") + bool(above) + (bare != path) > limits.depth:
            raise ArtifactRefused(f"{path[:60]} lies more than {limits.depth} folders deep")
        if above not in folders:
            for part in accumulate(above.split("/"), "{}/{}".format):
                if part not in folders:
                    take(part)
                    folders.add(part)
        take(bare)


class _Walk:
    """Collects names and counts against the limits, and knows what each one's error says."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self.root = root
        self.limits = limits
        self.folders = [Folder(0, "", "")]
        self.files: list[File] = []
        self.empty: list[str] = []
        self.entries = 0
        self.bytes = 0

    def enter(self, descriptor: int, index: int, depth: int) -> None:
        """List an open folder and what is below it."""
        prefix = self.folders[index].path
        if depth > self.limits.depth:
            raise ArtifactRefused(f"{prefix[:60]} lies more than {self.limits.depth} folders deep", rule="too-deep")
        try:
            with os.scandir(descriptor) as found:
                children = sorted(found, key=attrgetter("name"))
        except OSError as error:
            raise ArtifactRefused(f"cannot list {prefix or self.root}: {error.strerror}", rule="unlistable-folder") from error
        _refuse_twins([child.name for child in children], prefix)
        for child in children:
            self.name(prefix, child.name)
        if not children and prefix:
            self.name(prefix, "")
            self.empty.append(prefix)
        for child in children:
            self._sort_out(child, descriptor, index, depth)

    def _sort_out(self, child: os.DirEntry[str], descriptor: int, index: int, depth: int) -> None:
        prefix = self.folders[index].path
        try:
            found = child.stat(follow_symlinks=False)
        except OSError as error:
            raise ArtifactChanged(f"{prefix}{child.name} vanished while its folder was listed") from error
        if stat.S_ISREG(found.st_mode):
            self.add(File(index, child.name, prefix + child.name, found.st_size))
        elif stat.S_ISDIR(found.st_mode):
            self._descend(child.name, descriptor, index, depth)
        else:
            is_link = stat.S_ISLNK(found.st_mode)
            raise ArtifactRefused(
                f"{prefix}{child.name} is a {'symbolic link' if is_link else 'special file'}",
                hint="replace it by a regular file",
                rule="symlink" if is_link else "special-file",
            )

    def _descend(self, name: str, above: int, parent: int, depth: int) -> None:
        path = f"{self.folders[parent].path}{name}/"
        try:
            descriptor = os.open(name, FOLDER, dir_fd=above)
        except OSError as error:
            if error.errno in _SWAPPED:
                raise ArtifactChanged(f"{path} turned into something else while it was listed") from error
            raise ArtifactRefused(f"cannot list {path}: {error.strerror}", rule="unlistable-folder") from error
        try:
            self.folders.append(Folder(parent, name, path))
            self.enter(descriptor, len(self.folders) - 1, depth + 1)
        finally:
            os.close(descriptor)

    def name(self, prefix: str, name: str) -> None:
        """Count one name, and refuse it if it is no good."""
        self.entries += 1
        if self.entries > self.limits.files:
            raise ArtifactRefused(
                f"more than {self.limits.files:,} entries", hint="split the artifact, or raise Limits.files", rule="too-large"
            )
        path = prefix + name
        try:
            length = len(path) if path.isascii() else len(path.encode("utf-8"))
        except UnicodeEncodeError:
            raise ArtifactRefused(f"the name {path!r} is not UTF-8", rule="name-unusual") from None
        if length > self.limits.path_length:
            raise ArtifactRefused(
                f"the path {path[:60]}... is {length} bytes long; the limit is {self.limits.path_length}", rule="name-unusual"
            )
        if _UNSAFE_NAME.search(path):
            raise ArtifactRefused(f"the name {path!r} holds a control character or a backslash", rule="name-unusual")

    def add(self, file: File) -> None:
        """Count one file's bytes, and keep it."""
        self.bytes += file.size
        if self.bytes > self.limits.bytes:
            raise ArtifactRefused(
                f"more than {self.limits.bytes:,} bytes, at {file.path}", hint="raise Limits.bytes", rule="too-large"
            )
        self.files.append(file)


def _refuse_twins(names: list[str], prefix: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        folded = name.lower() if name.isascii() else _folded(name)
        if folded in seen:
            raise ArtifactRefused(
                f"{prefix}{seen[folded]!r} and {name!r} are one name on some file systems",
                hint="rename one of them",
                rule="name-twins",
            )
        seen[folded] = name


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
