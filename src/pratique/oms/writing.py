"""Signing a folder or a file, and writing the signature where others look for it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path

from pratique import documents, files, signing
from pratique.artifacts import Artifact
from pratique.errors import Malformed, UsageError
from pratique.oms import manifests, names, trees
from pratique.oms.allowing import GIT_PATHS, Allow
from pratique.oms.hashing import Hashing
from pratique.oms.trees import Tree, place_of
from pratique.signing import INTOTO, Signer

SIGNATURE = "model.sig"
"""Where a folder's signature lies unless somebody says otherwise."""

SUFFIX = ".sig"
"""A single file's signature lies beside it, under its name with this at the end."""


def sign(
    what: Artifact | str | os.PathLike[str],
    signer: Signer,
    *,
    signature: str = SIGNATURE,
    hashing: Hashing | None = None,
    ignore: Collection[str] = (),
    version: str = "",
    allow: AbstractSet[Allow] = frozenset(),
) -> bytes:
    """Sign a folder or a file; returns the bundle.

    Args:
        what: the folder or file, or an artifact that was opened before. A folder is hashed as it lies there, so nobody else
            should be able to write to it meanwhile; an artifact is a private copy.
        signer: the publisher's key.
        signature: relative path of the file that holds the signature, left out of the manifest; '' for a detached one.
        hashing: which hash, over whole files or shards; sha256 over whole files by default.
        ignore: relative paths that are left out, with all that is in them; recorded in the signature. Whoever verifies with
            Pratique sees what lies there as unsigned, unless told otherwise.
        version: which one it is, such as `1.4.0`, so that a policy can refuse an older one in its place.
        allow: what is passed over for the format's sake: git's own files, empty folders, under shards empty files.

    Raises:
        UsageError: nothing to sign, a version that is none, or an empty folder or file that this format cannot sign.
        ArtifactError: it cannot be read, or holds something that no artifact may hold.
        Malformed: an artifact was opened with raised limits, and no reader would accept its paths.
    """
    how = hashing or Hashing()
    left_out = [*_normal(ignore), *([signature] if signature else []), *(GIT_PATHS if Allow.GIT_PATHS in allow else ())]
    tree = _tree(what, frozenset(left_out), allow)
    left_out = [] if tree.is_file else left_out
    covered = {path: place for path, place in tree.files.items() if not names.below(path, left_out)}
    folders = [path for path in tree.folders if not names.below(path, left_out)]
    _refuse_uncovered(tree, covered, folders, how, allow)
    digests = _known(what, how) or how.digest_files(covered, sizes=tree.sizes)
    signed = {path: digests[path] for path in covered if tree.sizes[path] or not how.shard_size}
    if version:
        manifests.version_numbers(version)
    statement = manifests.statement(tree.name, signed, ignore_paths=left_out, hashing=how, sizes=tree.sizes, version=version)
    bundle = signing.sign(statement, INTOTO, signer)
    if len(bundle) > documents.MAX_BYTES:
        raise UsageError(
            f"a signature over {len(covered):,} files is too large to be read again", hint="pack small files together"
        )
    return bundle


def write_signature(
    folder: str | os.PathLike[str],
    signer: Signer,
    *,
    name: str | os.PathLike[str] = "",
    hashing: Hashing | None = None,
    ignore: Collection[str] = (),
    version: str = "",
    allow: AbstractSet[Allow] = frozenset(),
) -> Path:
    """Sign a folder or file and write the signature; returns where it was written.

    Args:
        folder: the model's or dataset's folder, or its one file.
        signer: the publisher's key.
        name: path of the signature, relative to the folder (`model.sig` if left out). One that lies outside (absolute or with
            `..`) is detached. A file's signature lies beside it by default, as `<file>.sig`.
        hashing: see `sign`.
        ignore: see `sign`.
        version: see `sign`.
        allow: see `sign`.

    Raises:
        UsageError: that file exists (a signature is never overwritten) or cannot be written, or see `sign`.
        ArtifactError: see `sign`.
    """
    root = place_of(folder)
    is_file = os.path.isfile(root)
    base = root.parent if is_file else root
    wanted = Path(name or (root.name + SUFFIX if is_file else SIGNATURE))
    target = place_of((base / wanted).parent) / wanted.name
    if os.path.lexists(target):
        raise UsageError(f"{target} exists; a signature is never overwritten", hint="remove it first to sign again")
    inside = target.is_relative_to(root) and target != root
    signature = target.relative_to(root).as_posix() if inside else ""
    bundle = sign(root, signer, signature=signature, hashing=hashing, ignore=ignore, version=version, allow=allow)
    try:
        os.stat(target.parent)
        files.create(target, bundle)
    except OSError as error:
        raise UsageError(f"cannot write the signature {target}: {error.strerror}") from error
    return target


def _tree(what: Artifact | str | os.PathLike[str], skip: AbstractSet[str], allow: AbstractSet[Allow]) -> Tree:
    if not isinstance(what, Artifact):
        return trees.listing(Path(what), skip=skip, allow=allow)
    entries = [one for one in what.entries if not one.path.endswith("/")]
    return Tree(
        name=what.subject.name.encode("utf-8", "replace").decode() or "artifact",
        is_file=what.is_file,
        files={one.path: what.path(one) for one in entries},
        sizes={one.path: one.size for one in entries},
        folders=tuple(one.path.rstrip("/") for one in what.entries if one.path.endswith("/")),
    )


def _known(what: Artifact | str | os.PathLike[str], how: Hashing) -> dict[str, tuple[str, ...]]:
    """An artifact's own digests, if they are those to sign."""
    return {one.path: (one.sha256,) for one in what.entries} if isinstance(what, Artifact) and how.is_ours else {}


def _refuse_uncovered(
    tree: Tree, covered: Collection[str], folders: Collection[str], how: Hashing, allow: AbstractSet[Allow]
) -> None:
    if folders and Allow.EMPTY_FOLDERS not in allow:
        raise UsageError(
            f"{min(folders)}/ is an empty folder, which the format cannot sign", hint="remove it, or put a file into it"
        )
    empty = [path for path in covered if how.shard_size and not tree.sizes[path]]
    if empty and Allow.EMPTY_FILES not in allow:
        raise UsageError(f"{empty[0]} is an empty file, which shards cannot cover", hint="sign whole files, or remove it")
    if len(empty) == len(covered):
        raise UsageError(f"{tree.name} holds nothing to sign", hint="pass the folder with the files")


def _normal(ignore: Iterable[str]) -> list[str]:
    """Relative paths as the specification wants them recorded (section 6.2.1).

    Raises:
        UsageError: one is absolute, leads out, is the folder itself, or holds a wildcard.
    """
    paths = [one.removeprefix("./").rstrip("/") for one in ignore]
    for path in paths:
        try:
            names.ensure_path(path, "the list of what to ignore")
        except Malformed as error:
            raise UsageError(str(error), hint="give paths relative to the folder, such as cache/") from error
        if any(sign in path for sign in "*?["):
            raise UsageError(f"{path!r} is a pattern", hint="what is left out is named path by path")
    return paths
