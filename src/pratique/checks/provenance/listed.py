"""From an artifact to the manifest whose root somebody trusted signed, or to the one finding that says why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pratique import documents, manifests, oms
from pratique.artifacts import Artifact
from pratique.checking import Finding, Severity
from pratique.checks.provenance.reading import SignatureFile, vouched
from pratique.errors import EvidenceError, Malformed
from pratique.manifests import lines
from pratique.signing import Trusted

Bytes = Callable[[str], bytes]
"""Reads a file by its path in the delivery, or raises an EvidenceError."""


def manifest_in(signature: SignatureFile, trusted: Sequence[Trusted], read: Bytes) -> oms.Manifest | Finding:
    """What the signed manifest lists, in the form that is compared; or why it says nothing.

    1. Somebody trusted signed the statement.
    2. The manifest beside it is the one that the statement is about, and agrees with all that it says.
    """
    signed = vouched(signature, trusted, manifests.verify)  # 1
    if isinstance(signed, Finding):
        return signed
    path = manifests.manifest_of(signature.path)
    try:
        manifest = manifests.read(read(path), signed.claim, what=path)  # 2
    except EvidenceError as error:
        fix = error.hint or "get the delivery again from the publisher"
        return Finding(rule="manifest-changed", severity=Severity.CRITICAL, message=str(error), where=path, fix=fix)
    return oms.Manifest(
        model=signed.claim.subject.name,
        version=signed.claim.version,
        entries={one.path: (one.sha256,) for one in manifest.entries},
        sizes={one.path: one.size for one in manifest.entries},
        root="sha256:" + manifest.root,
        signers=signed.signers,
        witnesses=signed.witnesses,
    )


def reader_of(artifact: Artifact) -> Bytes:
    """Reads from the private copy."""

    def read(path: str) -> bytes:
        entry = next((one for one in artifact.entries if one.path == path and not artifact.is_file), None)
        if entry is None:
            raise Malformed(f"the manifest {path} is not there", hint="get it from the publisher: it belongs to the signature")
        if entry.size > lines.MAX_BYTES:
            raise Malformed(f"{path} is {entry.size:,} bytes; at most {lines.MAX_BYTES:,} are read")
        data = artifact.path(entry).read_bytes()
        if documents.sha256(data) != f"sha256:{entry.sha256}":
            raise Malformed(f"{path} changed while it was read")
        return data

    return read
