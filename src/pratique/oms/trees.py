"""What lies in a folder, by name: listed in full before a byte of any file is read.

    tree = trees.listing(Path("model"))
    tree.files                     # {"weights.safetensors": Path(...), ...}

The rules are those of an artifact (no links, no special files, no names that are one name on some file systems), unless the
caller allows what the format allows.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pratique.errors import ArtifactError, ArtifactRefused, Malformed, UsageError
from pratique.oms import names
from pratique.oms.allowing import Allow


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The names in a folder, or the one file."""

    name: str
    """What the folder or the file is called."""

    is_file: bool
    """Whether it is one file."""

    files: dict[str, Path] = field(default_factory=dict)
    """Where each regular file lies, by its path in the tree."""

    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of each, as the listing saw it."""

    folders: tuple[str, ...] = ()
    """Folders with nothing in them."""


def listing(
    root: Path,
    *,
    skip: AbstractSet[str] = frozenset(),
    follow: bool = False,
    tolerant: bool = False,
    allow: AbstractSet[Allow] = frozenset(),
) -> Tree:
    """Every name in a folder; of a single file, its own.

    Args:
        root: the folder or file.
        skip: paths that are not looked at, with all that is in them.
        follow: take what a symbolic link points to for the file or folder itself.
        tolerant: pass over links, special files and folders that cannot be listed, as if they were not there.
        allow: names that an artifact may not hold.

    Raises:
        ArtifactError: there is nothing.
        ArtifactRefused: a link, a special file, a folder that cannot be listed, names that are ambiguous.
    """
    place = place_of(root)
    name = place.name.encode("utf-8", "replace").decode() or "artifact"
    if os.path.isfile(place):
        return Tree(name=name, is_file=True, files={name: place}, sizes={name: place.stat().st_size})
    if not os.path.isdir(place):
        raise ArtifactError(f"there is nothing at {root}", hint="pass the model's or dataset's file or folder")
    files: dict[str, Path] = {}
    sizes: dict[str, int] = {}
    folders: list[str] = []
    for path, found, size in _walk(place, "", _How(skip, follow, tolerant), (place,)):
        if path.endswith("/"):
            folders.append(path.rstrip("/"))
        else:
            files[path], sizes[path] = found, size
    _ensure(list(files) + folders, allow)
    return Tree(name=name, is_file=False, files=files, sizes=sizes, folders=tuple(folders))


def place_of(path: str | os.PathLike[str]) -> Path:
    """Where a path leads.

    Raises:
        UsageError: nowhere.
    """
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError) as error:
        raise UsageError(f"{path} leads nowhere: {error}") from error


class _How(NamedTuple):
    """What `listing` was asked."""

    skip: AbstractSet[str]
    follow: bool
    tolerant: bool


def _walk(folder: Path, prefix: str, how: _How, above: tuple[Path, ...]) -> Iterator[tuple[str, Path, int]]:
    """Each file with its size, and each empty folder with a `/` at the end."""
    try:
        found = sorted(os.listdir(folder))
    except OSError as error:
        if how.tolerant and prefix:
            return
        raise ArtifactRefused(f"cannot list {prefix or folder}: {error.strerror}", rule="unlistable-folder") from error
    if not found and prefix:
        yield prefix, folder, 0
    if len(above) > names.LIMITS.depth:
        raise ArtifactRefused(f"{prefix[:60]} lies more than {names.LIMITS.depth} folders deep", rule="too-large")
    for one in found:
        path, place = prefix + one, folder / one
        if path in how.skip:
            continue
        seen = place.lstat()
        if stat.S_ISLNK(seen.st_mode):
            if how.tolerant and not how.follow:
                continue
            if not how.follow:
                raise ArtifactRefused(f"{path} is a symbolic link", hint="replace it by what it points to", rule="symlink")
            place, seen = _target(place, path, above)
        if stat.S_ISDIR(seen.st_mode):
            yield from _walk(place, path + "/", how, (*above, place))
        elif stat.S_ISREG(seen.st_mode):
            yield path, place, seen.st_size
        elif not how.tolerant:
            raise ArtifactRefused(f"{path} is a special file", hint="replace it by a regular file", rule="special-file")


def _target(link: Path, path: str, above: tuple[Path, ...]) -> tuple[Path, os.stat_result]:
    """What a link points to, which must lie in the folder and not lead back up (section 6.1.1)."""
    try:
        target = link.resolve(strict=True)
        seen = target.stat()
    except (OSError, RuntimeError) as error:
        raise ArtifactRefused(f"{path} is a symbolic link to nothing", rule="symlink") from error
    if not target.is_relative_to(above[0]) or target in above:
        raise ArtifactRefused(f"{path} is a symbolic link out of the folder, or back up in it", rule="symlink")
    return target, seen


def _ensure(paths: list[str], allow: AbstractSet[Allow]) -> None:
    if len(paths) > names.LIMITS.files:
        raise ArtifactRefused(f"more than {names.LIMITS.files:,} entries", hint="split the artifact", rule="too-large")
    try:
        names.ensure_paths(paths, "the folder", allow)
    except Malformed as error:
        raise ArtifactRefused(str(error), hint="rename it", rule=error.rule) from error
