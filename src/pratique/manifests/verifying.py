"""Files against what was signed about them: all of a folder, or some of it without the rest."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pratique import hashing, listing
from pratique.artifacts import Entry, Limits
from pratique.errors import ArtifactChanged, ArtifactError, SignatureInvalid, UsageError
from pratique.hashing import Progress
from pratique.listing import Listing
from pratique.manifests.claims import Claim
from pratique.manifests.lines import Manifest, Proof

_AGAIN = "do not load it; get it again from the publisher"


def verify_folder(
    folder: Path, claim: Claim, manifest: Manifest, *, own: Iterable[str] = (), progress: Progress | None = None
) -> None:
    """Whether a folder holds exactly what was signed: names and sizes first, then every byte.

    Args:
        folder: where the files lie. They are read in place, so nobody else should be able to write there.
        claim: what was signed.
        manifest: its lines, as `manifests.read` returned them for this claim.
        own: paths of the signature and of the manifest, which are no part of it.
        progress: called with bytes read.

    Raises:
        SignatureInvalid: a file is new, missing or changed. ArtifactError: it cannot be read.
    """
    ensure_of(claim, manifest)
    found = names_agree(folder, manifest, own)
    hashed = hashing.digests(found, progress=progress)
    ensure_same({file.path: digest for file, digest in zip(found.files, hashed, strict=True)}, manifest.entries)


def verify_file(folder: Path, path: str, claim: Claim, source: Manifest | Proof, *, into: Path | None = None) -> Path:
    """Verify one file, when it is loaded; see `verify_files`. Returns where it lies: in the copy, if there is one."""
    verify_files(folder, [path], claim, source, into=into)
    return (into or folder) / path


def verify_files(
    folder: Path, names: Sequence[str], claim: Claim, source: Manifest | Proof, *, into: Path | None = None,
    own: Iterable[str] = (), progress: Progress | None = None,
) -> tuple[Entry, ...]:  # fmt: skip
    """Verify some files without the rest.

    1. The manifest or the proof leads to the signed root.
    2. It says what each file must be. A name that ends in `/` stands for all below that folder: the proof must show that it is
       all, and nothing else may be there.
    3. Each file is opened without following symbolic links, must have the signed size, and is hashed.

    Args:
        folder: where the files lie.
        names: paths of files, or of folders ending in `/`, relative to the folder.
        claim: what was signed.
        source: the manifest, or a proof about these names.
        into: a folder that does not exist yet, for a private copy of what is verified. Without one, whoever loads a file
            afterwards must be sure that nobody can write to it meanwhile.
        own: paths of the signature and of the manifest.
        progress: called with bytes read.

    Raises:
        SignatureInvalid: a file is not what was signed, or was not signed. Nothing is left in `into` then.
        Malformed: the proof proves nothing. ArtifactError: a file cannot be read.
    """
    ensure_of(claim, source)  # 1
    wanted: dict[str, Entry] = {}
    for name in names:  # 2
        if name.endswith("/"):
            inside = source.below(name)
            _ensure_nothing_else(folder, name, inside, set(own))
            wanted |= {one.path: one for one in inside}
        else:
            wanted[name] = source.entry(name)
    entries = tuple(one for one in wanted.values() if not one.path.endswith("/"))
    found = listing.expected(folder, [(one.path, one.size) for one in entries])
    with _private_copy(into) as copy:  # 3
        try:
            hashed = hashing.digests(found, copy=copy, progress=progress)
        except ArtifactChanged as error:
            raise SignatureInvalid(f"not what was signed: {error}", hint=_AGAIN) from error
        ensure_same(dict(zip((one.path for one in entries), hashed, strict=True)), entries)
    return entries


def names_agree(folder: Path, manifest: Manifest, own: Iterable[str]) -> Listing:
    """List a folder that must hold what a manifest says, by name and size. Raises SignatureInvalid."""
    found, left_out = listing.tree(folder, Limits(), follow=True), set(own)
    files = tuple(file for file in found.files if file.path not in left_out)
    there = {file.path: file.size for file in files} | dict.fromkeys(found.empty, 0)
    signed = {one.path: one.size for one in manifest.entries}
    _ensure_names(signed, there)
    for path, size in signed.items():
        if there[path] != size:
            raise SignatureInvalid(f"{path} has {there[path]:,} bytes; what was signed has {size:,}", hint=_AGAIN)
    return Listing(root=found.root, folders=found.folders, files=files, empty=found.empty)


def ensure_same(hashed: dict[str, str], entries: Iterable[Entry]) -> None:
    """Raise SignatureInvalid unless every file has its signed digest."""
    changed = [one.path for one in entries if not one.path.endswith("/") and hashed[one.path] != one.sha256]
    if changed:
        more = f", nor are {len(changed) - 1:,} others" if len(changed) > 1 else ""
        raise SignatureInvalid(f"{changed[0]} is not what was signed{more}", hint=_AGAIN)


def ensure_of(claim: Claim, source: Manifest | Proof) -> None:
    """Raise SignatureInvalid unless a manifest or a proof leads to what was signed."""
    count = source.count if isinstance(source, Proof) else len(source.entries)
    if (source.root, count) != (claim.root, claim.count):
        raise SignatureInvalid("the proof does not lead to what was signed", hint="make it again from the signed manifest")


def _ensure_nothing_else(folder: Path, name: str, inside: Iterable[Entry], own: set[str]) -> None:
    if any(part in ("", ".", "..") for part in name[:-1].split("/")):
        raise ArtifactError(f"{name[:100]!r} is no normal relative path")
    found = listing.tree(folder / name, Limits())
    there = {name + file.path: file.size for file in found.files if name + file.path not in own}
    there |= {name + path: 0 for path in found.empty}
    if not found.files and not found.empty:
        there[name] = 0
    _ensure_names({one.path: one.size for one in inside}, there)


def _ensure_names(signed: dict[str, int], there: dict[str, int]) -> None:
    for path in sorted(there.keys() - signed.keys()):
        raise SignatureInvalid(f"{path} was not signed", hint="remove it, or ask the publisher whether it belongs there")
    for path in sorted(signed.keys() - there.keys()):
        raise SignatureInvalid(f"{path} was signed, but is not there", hint="get all of it again from the publisher")


@contextmanager
def _private_copy(into: Path | None) -> Iterator[Path | None]:
    """A place for a copy, which takes its name only once all of it was verified."""
    if into is None:
        yield None
        return
    if into.exists() or into.is_symlink():
        raise UsageError(f"{into} exists; a copy of what was verified needs a folder of its own")
    try:
        with tempfile.TemporaryDirectory(prefix=".unverified-", dir=into.parent) as work:
            yield Path(work, "copy")
            os.rename(Path(work, "copy"), into)
    except OSError as error:
        raise ArtifactError(f"cannot copy to {into}: {error.strerror or error}") from error
