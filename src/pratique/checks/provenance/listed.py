"""From an artifact to the manifest whose root somebody trusted signed, or to the one finding that says why there is none."""

from __future__ import annotations

from collections.abc import Sequence

from pratique import documents, manifests, oms
from pratique.artifacts import Artifact, Entry
from pratique.checking import Finding, Severity
from pratique.checks.provenance.reading import signature_in, vouched
from pratique.errors import EvidenceError, Malformed
from pratique.manifests import lines
from pratique.signing import TrustedKey


def manifest_in(artifact: Artifact, signature: Entry, keys: Sequence[TrustedKey]) -> oms.Manifest | Finding:
    """What the signed manifest lists, in the form that is compared; or why it says nothing.

    1. Somebody trusted signed the statement.
    2. The manifest beside it is the one that the statement is about, and agrees with all that it says.
    """
    signed = vouched(artifact, signature, keys, manifests.verify)  # 1
    if isinstance(signed, Finding):
        return signed
    path = manifests.manifest_of(signature.path)
    try:
        manifest = manifests.read(_bytes(artifact, path), signed.claim, what=path)  # 2
    except EvidenceError as error:
        fix = error.hint or "get the delivery again from the publisher"
        return Finding(rule="manifest-changed", severity=Severity.CRITICAL, message=str(error), where=path, fix=fix)
    return oms.Manifest(
        model=signed.claim.subject.name,
        entries={one.path: one.sha256 for one in manifest.entries},
        root="sha256:" + manifest.root,
        ignore_paths=(),
        signers=signed.signers,
    )


def without_manifest(entries: Sequence[Entry], signature: str) -> tuple[Entry, ...]:
    """The entries apart from the manifest, which its own signature binds."""
    path = manifests.manifest_of(signature)
    return tuple(one for one in entries if one.path != path)


def _bytes(artifact: Artifact, path: str) -> bytes:
    entry = signature_in(artifact, path)
    if entry is None:
        raise Malformed(f"the manifest {path} is not there", hint="get it from the publisher: it belongs to the signature")
    if entry.size > lines.MAX_BYTES:
        raise Malformed(f"{path} is {entry.size:,} bytes; at most {lines.MAX_BYTES:,} are read")
    data = artifact.path(entry).read_bytes()
    if documents.sha256(data) != f"sha256:{entry.sha256}":
        raise Malformed(f"{path} changed while it was read")
    return data
