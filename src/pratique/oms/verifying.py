"""A signed folder or file held against its signature, where it lies: as a whole, or only the files that are about to be used.

    oms.verify("model", bundle, [supplier])
    oms.verify_files("model", manifest, ["weights-00001.safetensors"], into=Path("private"))

In the order of the code:

1. The signature: whose it is, and one manifest in it that everybody reads alike.
2. The names in the folder, all of them, against those in the manifest. Nothing is read yet.
3. The bytes, only if the names agree.

What lies there can change after it was looked at. Where somebody else may write, take a private copy first
(`artifacts.open_artifact`) and verify and use that, or have `verify_files` copy what it verifies.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path

from pratique.errors import ArtifactError, UsageError, WrongSubject
from pratique.oms import names, trees
from pratique.oms.allowing import Allow
from pratique.oms.comparing import Differences, by_bytes, by_name, ignored_paths
from pratique.oms.hashing import open_regular
from pratique.oms.manifests import Manifest
from pratique.oms.reading import read
from pratique.signing import Trusted

Progress = Callable[[int], None]


def verify(
    folder: str | os.PathLike[str],
    bundle: bytes,
    trusted: Iterable[Trusted],
    *,
    signature: str = "",
    ignore: Collection[str] = (),
    allow: AbstractSet[Allow] = frozenset(),
    progress: Progress | None = None,
) -> Manifest:
    """Verify a whole folder or a single file; returns what was signed.

    Args:
        folder: where it lies.
        bundle: the bytes of its signature.
        trusted: whose signature counts.
        signature: relative path of the signature file, if it lies in the folder.
        ignore: relative paths that the caller leaves out, with all that is in them, unless they are signed.
        allow: what is accepted for the format's sake.
        progress: called with bytes read.

    Raises:
        EvidenceError: the signature, see `read`; WrongSubject if the folder is not what was signed.
        ArtifactError: it cannot be read, or holds something that is ambiguous.
    """
    manifest = read(bundle, trusted, allow=allow)  # 1
    left_out = [*ignore, *ignored_paths(manifest, allow), *([signature] if signature else [])]
    on_the_way = {folder for path in manifest.entries for folder in names.folders_of(path)}
    tree = trees.listing(  # 2
        Path(folder),
        skip=frozenset(left_out) - manifest.entries.keys() - on_the_way,
        follow=manifest.allow_symlinks and Allow.SYMLINKS in allow,
        tolerant=Allow.UNSIGNED_FILES in allow,
        allow=allow,
    )
    if tree.is_file:
        manifest = manifest.of_file(tree.name)
    apart = by_name(
        manifest, tree.sizes, folders=tree.folders, signature=signature, left_out=[] if tree.is_file else ignore, allow=allow
    )
    if apart:
        raise WrongSubject(f"{tree.name} is not what was signed: {_first(apart)}", hint=_AGAIN, rule="names-differ")
    _refuse_changed(manifest, {path: tree.files[path] for path in apart.common}, progress)  # 3
    return manifest


def verify_files(
    folder: str | os.PathLike[str],
    manifest: Manifest,
    paths: Collection[str],
    *,
    into: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Path, ...]:
    """Verify only these files, for instance the one shard of a large model that is about to be loaded.

    It says nothing about the rest of the folder: a file beside these may be missing, changed or nobody's.

    Args:
        folder: where the model or dataset lies.
        manifest: what was signed, from `read`.
        paths: relative paths of the files.
        into: an empty or new folder of the caller's own; each file is copied there first, and the copy is what is verified and
            returned. Without it, what is returned lies where it lay, and can change between now and its use.
        progress: called with bytes read.

    Raises:
        UsageError: no path, or one that the manifest does not name; `into` is not empty.
        WrongSubject: a file is not what was signed. Nothing is left in `into` then.
        ArtifactError: a file cannot be read, or is a link or a special file.
    """
    root = Path(folder)
    manifest = manifest.of_file(root.name) if root.is_file() else manifest
    if not paths:
        raise UsageError("no file is named", hint="name at least one: to verify none proves nothing")
    if unknown := sorted(set(paths) - manifest.entries.keys()):
        raise UsageError(f"nobody signed {unknown[0]!r}", hint="verify only files that the manifest names")
    places = {path: _inside(root, path) for path in sorted(set(paths))}
    if into is None:
        _refuse_changed(manifest, places, progress)
        return tuple(places.values())
    if into.exists() and any(into.iterdir()):
        raise UsageError(f"{into} is not empty", hint="pass a folder of your own that holds nothing")
    try:
        copies = {path: _copy(place, into / path) for path, place in places.items()}
        _refuse_changed(manifest, copies, progress)
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise
    return tuple(copies.values())


_AGAIN = "get it again from the publisher, and ask them what they signed if that does not help"


def _refuse_changed(manifest: Manifest, places: dict[str, Path], progress: Progress | None) -> None:
    sizes = {path: place.lstat().st_size for path, place in places.items()}
    resized = [path for path, size in sizes.items() if manifest.sizes.get(path, size) != size]
    changed = resized or by_bytes(manifest, manifest.hashing.digest_files(places, sizes=sizes, progress=progress))
    if changed:
        more = f", and so were {len(changed) - 1:,} more" if len(changed) > 1 else ""
        raise WrongSubject(f"{changed[0]} was changed after it was signed{more}", hint=_AGAIN, rule="file-changed")


def _first(apart: Differences) -> str:
    for paths, says in (
        (apart.missing, "was signed, but is not there"),
        (apart.git, "is there, but was not signed"),
        (apart.unsigned, "is there, but was not signed"),
        (apart.empty_files, "is an empty file, which shards cannot cover"),
        (apart.empty_folders, "is an empty folder, which no signature covers"),
        (apart.resized, "has another size than was signed"),
    ):
        if paths:
            return f"{paths[0]} {says}" + (f" (and {len(paths) - 1:,} more)" if len(paths) > 1 else "")
    raise AssertionError("asked about no difference")


def _inside(root: Path, path: str) -> Path:
    """Where a signed file lies; refuses to go through a link on the way."""
    place = root
    for part in [] if root.is_file() else path.split("/"):
        place = place / part
        if place.is_symlink():
            raise ArtifactError(f"{path} is, or lies behind, a symbolic link", rule="symlink")
    if not place.is_file():
        raise ArtifactError(f"{path} was signed, but is no file there")
    return place


def _copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with open(open_regular(source, source.name), "rb") as inside, target.open("xb") as outside:
            shutil.copyfileobj(inside, outside, 1 << 20)
    except OSError as error:
        raise ArtifactError(f"cannot copy {source}: {error.strerror}") from error
    return target
