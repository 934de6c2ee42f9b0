"""OpenSSF Model Signing v1.0, key method: one signature over every file of a model's or dataset's folder.

    write_signature(Path("model"), KeySigner.load(Path("supplier.key")))    # model/model.sig
    manifest = read(Path("model/model.sig").read_bytes(), [supplier])
    manifest.entries                                                        # {"weights.safetensors": "<sha256>", ...}

What is written verifies with the package `model-signing` 1.1.1, and the other way round. On purpose it differs in this:

- Everything is signed, git's own files too. `model-signing` leaves out `.git`, `.gitattributes`, `.github` and `.gitignore`
  unless told otherwise (`ignore_git_paths=False`, on its command line `--no-ignore-git-paths`).
- A manifest is read strictly: names in order, normal, each once, none that is one with another on some file systems; no
  v0.1 predicate; no signature in the bundle that nobody trusted made.
- The signer's `ignore_paths` are read and decide nothing. What to make of a file outside the manifest is the caller's business.

Shards and other hashes than sha256 are refused as `Unsupported`. A signature by a certificate, keyless or not, is one by nobody
whom this module knows: `WrongSigner`. Specification: https://github.com/ossf/model-signing-spec, spec/v1.0.md.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from pratique import documents, signing
from pratique.artifacts import Artifact, Entry, scan
from pratique.errors import Malformed, UsageError
from pratique.oms import manifests
from pratique.oms.manifests import Manifest as Manifest
from pratique.signing import INTOTO, Signer, Trusted

SIGNATURE = "model.sig"
"""Where a folder's signature lies unless somebody says otherwise."""


def sign(what: Artifact | str | os.PathLike[str], signer: Signer, *, signature: str = SIGNATURE) -> bytes:
    """Sign a folder; returns the bundle.

    Args:
        what: the folder, or an artifact that was opened before. A folder is hashed as it lies there, so nobody else should be
            able to write to it meanwhile; an artifact is a private copy.
        signer: the publisher's key.
        signature: relative path of the file that holds the signature, left out of the manifest; '' for a detached one.

    Raises:
        UsageError: a single file, no file at all, or an empty folder in it, which this format cannot sign.
        ArtifactError: it cannot be read, or holds something that no artifact may hold.
        Malformed: an artifact was opened with raised limits, and no reader would accept its paths.
    """
    name, entries = _contents(what)
    files = {entry.path: entry.sha256 for entry in entries if entry.path != signature}
    if empty := next((path for path in files if path.endswith("/")), None):
        raise UsageError(f"{empty} is an empty folder, which the format cannot sign", hint="remove it, or put a file into it")
    if not files:
        raise UsageError(f"{name} holds nothing to sign", hint="pass the folder with the files")
    statement = manifests.statement(name, files, ignore_paths=[signature] if signature else [])
    bundle = signing.sign(statement, INTOTO, signer)
    if len(bundle) > documents.MAX_BYTES:
        raise UsageError(
            f"a signature over {len(files):,} files is too large to be read again", hint="pack small files together"
        )
    return bundle


def write_signature(folder: str | os.PathLike[str], signer: Signer, *, name: str | os.PathLike[str] = SIGNATURE) -> Path:
    """Sign a folder and write the signature, by default into it; returns where it was written.

    Args:
        folder: the model's or dataset's folder.
        signer: the publisher's key.
        name: path of the signature, relative to the folder. One that lies outside (absolute or with `..`) is detached.

    Raises:
        UsageError: that file exists (a signature is never overwritten) or cannot be written, or see `sign`.
        ArtifactError: see `sign`.
    """
    root = Path(folder).resolve()
    target = (root / name).parent.resolve() / Path(name).name
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} exists; a signature is never overwritten", hint="remove it first to sign again")
    bundle = sign(root, signer, signature=target.relative_to(root).as_posix() if target.is_relative_to(root) else "")
    try:
        with target.open("xb") as stream:
            stream.write(bundle)
    except OSError as error:
        raise UsageError(f"cannot write the signature {target}: {error.strerror}") from error
    return target


def read(bundle: bytes, trusted: Iterable[Trusted], *, what: str = "the signature") -> Manifest:
    """Verify a signature and return what it says.

    Args:
        bundle: the bytes of the signature file.
        trusted: whose signature counts.
        what: names the signature in errors.

    Raises:
        Malformed: not a bundle with a manifest that is in order; Unsupported if it is one of a kind that is not read.
        SignatureInvalid, WrongSigner: nobody trusted vouches for it.
    """
    verified = signing.verify(bundle, trusted, what=what)
    if verified.signatures != len(verified.actors):
        raise Malformed(
            f"{what} holds {verified.signatures} signatures, but only {len(verified.actors)} by different trusted keys",
            hint="list the others' keys as well, or get the signature again from the publisher",
        )
    manifest = manifests.parse(verified.payload, verified.signers, what=what)
    return dataclasses.replace(manifest, witnesses=verified.witnesses)


def claimed_signer(bundle: bytes) -> str:
    """Who a bundle says signed it, in words. Nobody has vouched for that: for messages only.

    Raises:
        Malformed: not a bundle.
    """
    return signing.claimed(signing.read(bundle))


def _contents(what: Artifact | str | os.PathLike[str]) -> tuple[str, tuple[Entry, ...]]:
    """The folder's name and what is in it."""
    if isinstance(what, Artifact):
        name, is_folder, entries = what.subject.name, not what.is_file, what.entries
    else:
        root = Path(what).resolve()
        name, is_folder = root.name, root.is_dir()
        entries = scan(root) if is_folder else ()
    if not is_folder:
        raise UsageError(f"{name} is not a folder", hint="put the file into a folder, and sign that")
    return name.encode("utf-8", "replace").decode() or "artifact", entries
