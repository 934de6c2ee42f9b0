"""Datasets at scale: a signature of less than a kilobyte over any number of files, of which each can be verified alone.

    write(Path("images"), KeySigner.load(Path("publisher.key")))
    # images/dataset.manifest.jsonl            a line for each file
    # images/dataset.manifest.sigstore.json    the signed root of the Merkle tree over these lines

    signed = verify(bundle, [publisher])                    # who says it, and what
    manifest = read(data, signed.claim)                     # the lines, once they are known to be the signed ones
    verify_folder(Path("images"), signed.claim, manifest)   # everything, and nothing else

    proof = prove(manifest, ["train/part-0007.parquet"])    # some hundred bytes, for a worker that has no manifest
    verify_file(Path("images"), "train/part-0007.parquet", signed.claim, proof, into=private)

It covers everything in the folder, empty folders too, apart from its own two files. An OpenSSF signature (`oms`) is what others
read; it takes 237 bytes a file, all of which are read to verify any. Where both are wanted in one folder, make that one first:
this one then covers it, and readers of that one must be told to leave these two files out.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

from pratique import croissant, documents, files
from pratique.artifacts import Artifact, Subject, scan
from pratique.errors import ArtifactError, Malformed, SignatureInvalid, UsageError
from pratique.manifests import claims, lines
from pratique.manifests.claims import PREDICATE as PREDICATE
from pratique.manifests.claims import Claim as Claim
from pratique.manifests.claims import Signed as Signed
from pratique.manifests.claims import Upstream as Upstream
from pratique.manifests.claims import verify as verify
from pratique.manifests.lines import Manifest as Manifest
from pratique.manifests.lines import Proof as Proof
from pratique.manifests.verifying import verify_file as verify_file
from pratique.manifests.verifying import verify_files as verify_files
from pratique.manifests.verifying import verify_folder as verify_folder
from pratique.signing import Signer, Trusted

SUFFIX = ".manifest.sigstore.json"
"""What tells the name of such a signature from that of others."""

SIGNATURE = "dataset" + SUFFIX
"""Where the signature lies in its folder, unless somebody says otherwise."""


def manifest_of(signature: str) -> str:
    """Where the manifest of a signature lies: beside it.

    Raises:
        UsageError: no signature of a manifest has such a name.
    """
    if not signature.endswith(SUFFIX):
        raise UsageError(f"{signature} does not end in {SUFFIX}", hint=f"such as {SIGNATURE}")
    return signature.removesuffix(".sigstore.json") + ".jsonl"


def build(what: Artifact | str | os.PathLike[str], *, signature: str = SIGNATURE) -> Manifest:
    """The manifest of a folder.

    Args:
        what: the folder, or an artifact that was opened before. A folder is hashed as it lies there, so nobody else should be
            able to write to it meanwhile; an artifact is a private copy.
        signature: relative path of the signature; it and the manifest beside it are left out.

    Raises:
        UsageError: a single file, or no file at all.
        ArtifactError: it cannot be read, or holds something that no artifact may hold.
    """
    if isinstance(what, Artifact):
        is_folder, entries = not what.is_file, what.entries
    else:
        root = Path(what)
        is_folder = os.path.isdir(root)
        entries = scan(root) if is_folder else ()
    if not is_folder:
        raise UsageError(f"{what} is not a folder", hint="put the file into a folder, and sign that")
    own = {signature, manifest_of(signature)}
    return Manifest.of(entry for entry in entries if entry.path not in own)


def sign(
    manifest: Manifest, signer: Signer, *, name: str, upstream: Iterable[Upstream] = (), previous: str = "",
    version: str = "", described: Subject | None = None, now: datetime | None = None,
) -> bytes:  # fmt: skip
    """Sign a manifest; returns the bundle.

    Args:
        manifest: what to sign.
        signer: the publisher's key.
        name: what the publisher calls the dataset.
        upstream: where the data came from.
        previous: hex root of the version before this.
        version: which one it is, such as `1.4.0`, so that a policy can refuse an older one in its place.
        described: the Croissant description among the files.
        now: when; for tests.

    Raises:
        UsageError: the version is none.
    """
    claim = Claim(
        subject=Subject(digest=manifest.directory, name=name), root=manifest.root, count=len(manifest.entries),
        size=manifest.size, manifest=manifest.digest, made_at=now or datetime.now(timezone.utc), previous=previous,
        version=version, croissant=described, upstream=tuple(upstream),
    )  # fmt: skip
    return claims.sign(claim, signer)


def write(
    folder: str | os.PathLike[str], signer: Signer, *, signature: str = SIGNATURE, upstream: Iterable[Upstream] = (),
    previous: str = "", version: str = "",
) -> Path:  # fmt: skip
    """Sign a folder, and write the manifest and the signature into it; returns the signature's path.

    Args:
        folder: the dataset's folder.
        signer: the publisher's key.
        signature: relative path of the signature; the manifest goes beside it.
        upstream: where the data came from.
        previous: hex root of the version before this.
        version: see `sign`.

    Raises:
        UsageError: one of the two exists (neither is ever overwritten) or cannot be written, or see `build`.
        ArtifactError: see `build`.
    """
    root = Path(os.path.realpath(folder))
    target, listing = root / signature, root / manifest_of(signature)
    for path in (target, listing):
        if os.path.lexists(path):
            raise UsageError(f"{path} exists; a signature is never overwritten", hint="remove both to sign again")
    manifest = build(root, signature=signature)
    description = croissant.find(root, manifest.entries)
    bundle = sign(
        manifest, signer, name=root.name or "dataset", upstream=upstream, previous=previous, version=version,
        described=description.subject if description else None,
    )  # fmt: skip
    try:
        files.create(listing, manifest.data)
        try:
            files.create(target, bundle)
        except OSError:
            listing.unlink()  # both or none
            raise
    except OSError as error:
        raise UsageError(f"cannot write {error.filename or root}: {error.strerror or error}") from error
    return target


def signed_in(folder: Path, trusted: Iterable[Trusted], *, signature: str = SIGNATURE) -> Signed:
    """Verify the signature that lies in a folder.

    Raises:
        ArtifactError: it cannot be read. EvidenceError: see `verify`.
    """
    return verify(_bytes(folder / signature, documents.MAX_BYTES), trusted, what=signature)


def manifest_in(folder: Path, claim: Claim, *, signature: str = SIGNATURE) -> Manifest:
    """Read the manifest that lies beside a signature.

    Raises:
        ArtifactError: it cannot be read. EvidenceError: see `read`.
    """
    path = manifest_of(signature)
    return read(_bytes(folder / path, lines.MAX_BYTES), claim, what=path)


def proof_in(path: Path) -> Proof:
    """Read a proof from its file. It proves nothing until `verify_files` has compared it with what was signed.

    Raises:
        ArtifactError: it cannot be read. Malformed: it is no proof.
    """
    return Proof.parse(_bytes(path, documents.MAX_BYTES), what=str(path))


def read(data: bytes, claim: Claim, *, what: str = "the manifest") -> Manifest:
    """Read a manifest that somebody trusted signed.

    1. Its bytes are the signed ones, before anything is made of them.
    2. It is in order.
    3. It agrees with all that the claim says: root, count, bytes, and the digest of the directory.

    Raises:
        SignatureInvalid: it is another manifest. Malformed: it is not in order, or contradicts what was signed.
    """
    if documents.sha256(data) != claim.manifest:  # 1
        raise SignatureInvalid(f"{what} is not the one that was signed", hint="get both files again from the publisher")
    manifest = Manifest.parse(data, what=what)  # 2
    says = (manifest.root, len(manifest.entries), manifest.size, manifest.directory)
    if says != (claim.root, claim.count, claim.size, claim.subject.digest):  # 3
        raise SignatureInvalid(f"{what} contradicts the statement that was signed about it: whoever signed it made a mistake")
    return manifest


def prove(manifest: Manifest, names: Iterable[str]) -> Proof:
    """A proof that some files are in a manifest, or all that are below a folder (a name that ends in `/`).

    Raises:
        SignatureInvalid: one of them is not in it. UsageError: no name.
    """
    return manifest.prove(names)


def _bytes(path: Path, most: int) -> bytes:
    try:
        return files.read(path, most=most, regular=True)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise Malformed(f"{path} is too large: {error.strerror}") from error
        raise ArtifactError(f"cannot read {path}: {error.strerror}", hint="pratique manifest sign FOLDER makes it") from error
