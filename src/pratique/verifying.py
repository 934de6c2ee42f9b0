"""Check anything signed, offline, and say step by step why it holds: `pratique verify`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pratique import checking, documents, promotion, signing
from pratique.artifacts import Subject, open_artifact
from pratique.checking import Setting, Severity
from pratique.errors import ArtifactError, Malformed, SignatureInvalid
from pratique.signing import Trusted
from pratique.statements import (
    PROVENANCE,
    TEST_RESULT,
    VERIFICATION_SUMMARY,
    Clearance,
    Evidence,
    TrainingRecord,
    stamp,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Why something holds."""

    steps: tuple[str, ...]
    """One sentence per step, in order."""

    data: Mapping[str, Any]
    """The same for machines."""


def path(target: Path, trusted: Sequence[Trusted]) -> Proof:
    """Verify a signed folder, or a signed statement in a file.

    Raises:
        EvidenceError: it does not hold, and why. ArtifactError: it cannot be read.
    """
    return _folder(target, trusted) if target.is_dir() else _statement(target, trusted)


def channel(destination: str, name: str, trusted: Sequence[Trusted]) -> Proof:
    """Verify a promotion's channel, then the bytes that it points to.

    Raises:
        EvidenceError, StoreError, ArtifactError: it does not hold, and why.
    """
    vouched = promotion.read_channel(destination, name, trusted)
    one = vouched.statement
    artifact = promotion.verify_promoted(one, destination)
    signers = signing.names_of(vouched.signers, trusted)
    return Proof(
        steps=(
            f"1. channel {name} holds promotion number {one.sequence}, signed by {', '.join(signers)}",
            f"2. it clears {one.subject.digest} until {stamp(one.expires)}, for: {', '.join(one.levels)}",
            f"3. the {len(artifact.entries)} files at the destination have exactly that digest",
        ),
        data={"subject": one.subject.digest, "signers": signers, "sequence": one.sequence, "expires": stamp(one.expires)},
    )


def _folder(target: Path, trusted: Sequence[Trusted]) -> Proof:
    provenance = checking.load("provenance")
    artifact = open_artifact(target)
    trust = {key.name: key for key in trusted}
    options = checking.options_for(provenance, {"signers": list(trust)}, Setting(trust=trust))
    report = checking.run(provenance, artifact, options)
    grave = [finding for finding in report.findings if finding.severity >= Severity.HIGH]
    if grave:
        where = f" (at {grave[0].where})" if grave[0].where else ""
        raise SignatureInvalid(f"{grave[0].message}{where}; {len(grave)} findings in all", hint=grave[0].fix)
    count = int(report.measures["signed_files"])
    return Proof(
        steps=(
            f"1. the folder's signature was made by one of: {', '.join(sorted(trust))}",
            f"2. all {count} signed files are there, unchanged, and there is nothing else",
            f"3. the folder's digest is {artifact.subject.digest}",
        ),
        data={"subject": artifact.subject.digest, "signed_files": count},
    )


def _statement(target: Path, trusted: Sequence[Trusted]) -> Proof:
    try:
        bundle = target.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot read {target}: {error.strerror}", hint="pass a folder or a .sigstore.json file") from error
    verified = signing.verify(bundle, trusted, what=str(target))
    outer = documents.parse(verified.payload, what="the statement")
    kind = outer.get("predicateType") if isinstance(outer, dict) else None
    if kind not in _READERS:
        raise Malformed(f"{target} is signed, but a {kind!r} is nothing that we can read")
    subject, says = _READERS[kind](verified.payload)
    signers = signing.names_of(verified.signers, trusted)
    return Proof(
        steps=(
            f"1. {target} is a Sigstore bundle of the form v0.3 with an in-toto statement in it",
            f"2. the signature fits the bytes; signed by {', '.join(signers)}",
            f"3. it is about {subject.name}, {subject.digest}",
            f"4. it says: {says}",
        ),
        data={"predicate": kind, "subject": subject.digest, "signers": signers, "says": says},
    )


def _evidence(payload: bytes) -> tuple[Subject, str]:
    one = Evidence.parse(payload)
    worst = one.report.worst.name.lower()
    count = len(one.report.findings)
    return (
        one.subject,
        f"the check {one.check} (version {one.check_version}) saw {count} findings, the worst {worst}, on {stamp(one.made_at)}",
    )


def _record(payload: bytes) -> tuple[Subject, str]:
    one = TrainingRecord.parse(payload)
    used = ", ".join(f"{material.role} {material.subject.digest[:19]}…" for material in one.materials)
    return one.subject, f"{one.builder} made it from {used}, finished {stamp(one.finished_at)}"


def _clearance(payload: bytes) -> tuple[Subject, str]:
    one = Clearance.parse(payload)
    return one.subject, f"{one.verifier} cleared it under policy {one.policy_digest[:19]}… until {stamp(one.expires)}"


_READERS: dict[str, Callable[[bytes], tuple[Subject, str]]] = {
    TEST_RESULT: _evidence,
    PROVENANCE: _record,
    VERIFICATION_SUMMARY: _clearance,
}
