"""What was signed against what is there: names first, and bytes only of what both know."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from pratique.oms import names
from pratique.oms.allowing import GIT_PATHS, Allow
from pratique.oms.manifests import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Between the names in a manifest and those in a folder. Nothing was read to find them."""

    missing: tuple[str, ...]
    """Signed, but not there."""

    unsigned: tuple[str, ...]
    """There, but not signed."""

    git: tuple[str, ...]
    """The same, among git's own files, which many verifiers never look at."""

    empty_files: tuple[str, ...]
    """The same, without a byte and under shards, which cannot cover them."""

    empty_folders: tuple[str, ...]
    """Folders with nothing in them: no manifest names any, and some loaders take one for a module."""

    resized: tuple[str, ...]
    """There, but longer or shorter than was signed; only shards tell."""

    common: tuple[str, ...]
    """Signed and there: the files whose bytes are to be compared."""

    def __bool__(self) -> bool:
        return any((self.missing, self.unsigned, self.git, self.empty_files, self.empty_folders, self.resized))


def by_name(
    manifest: Manifest,
    sizes: Mapping[str, int],
    *,
    folders: Collection[str] = (),
    signature: str = "",
    left_out: Collection[str] = (),
    allow: AbstractSet[Allow] = frozenset(),
) -> Differences:
    """Hold the names in a manifest against a tree.

    Args:
        manifest: what was signed; `Manifest.of_file` first for a single file.
        sizes: bytes of each file that is there, by path.
        folders: those that are empty.
        signature: path of the signature itself, the one file that need not be signed.
        left_out: what else the caller leaves out, with all that is in it.
        allow: what may differ.
    """
    signed = manifest.entries
    ignored = [*left_out, *ignored_paths(manifest, allow)]
    extra = [path for path in sorted(sizes.keys() - signed.keys() - {signature}) if not names.below(path, ignored)]
    git = [path for path in extra if names.below(path, GIT_PATHS)]
    empty = [path for path in extra if manifest.hashing.shard_size and not sizes[path] and path not in set(git)]
    other = sorted(set(extra) - set(git) - set(empty))
    tolerant = Allow.UNSIGNED_FILES in allow
    return Differences(
        missing=tuple(sorted(signed.keys() - sizes.keys())),
        unsigned=() if tolerant else tuple(other),
        git=() if tolerant else tuple(git),
        empty_files=() if tolerant or Allow.EMPTY_FILES in allow else tuple(empty),
        empty_folders=()
        if Allow.EMPTY_FOLDERS in allow
        else tuple(sorted(one for one in folders if not names.below(one, ignored))),
        resized=tuple(path for path, size in sorted(manifest.sizes.items()) if sizes.get(path, size) != size),
        common=tuple(sorted(signed.keys() & sizes.keys())),
    )


def by_bytes(manifest: Manifest, there: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The files whose digests, made the manifest's way, are not those that were signed."""
    return tuple(path for path, digests in sorted(there.items()) if manifest.entries[path] != digests)


def ignored_paths(manifest: Manifest, allow: AbstractSet[Allow]) -> tuple[str, ...]:
    """What may be there unsigned, for the format's sake. A list that takes in the folder as a whole takes in nothing."""
    recorded = manifest.ignore_paths if Allow.IGNORED_PATHS in allow else ()
    git = GIT_PATHS if Allow.GIT_PATHS in allow else ()
    return tuple(one.rstrip("/") for one in (*recorded, *git) if one.rstrip("/") not in ("", "."))
