"""Check anything signed, offline, and say step by step why it holds: `pratique verify`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pratique import checking, documents, files, manifests, oms, promotion, signing
from pratique.artifacts import Subject, open_artifact
from pratique.checking import Severity
from pratique.clearing import SKEW, ensure_clearance
from pratique.errors import ArtifactError, Malformed, SignatureInvalid, Stale, WrongSigner
from pratique.signing import TrustedKey, Verified
from pratique.statements import (
    PROVENANCE,
    TEST_RESULT,
    VERIFICATION_SUMMARY,
    Clearance,
    Evidence,
    TrainingRecord,
    Vouched,
    stamp,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Why something holds."""

    steps: tuple[str, ...]
    """One sentence per step, in order."""

    data: Mapping[str, Any]
    """The same for machines."""


def path(target: Path, trusted: Sequence[TrustedKey], *, now: datetime | None = None) -> Proof:
    """Verify a signed folder, or a signed statement in a file. A clearance must hold now.

    Raises:
        EvidenceError: it does not hold, and why. ArtifactError: it cannot be read.
    """
    if os.path.isdir(target):
        return _folder(target, trusted)
    return _statement(target, trusted, now or datetime.now(timezone.utc))


def channel(destination: str, name: str, trusted: Sequence[TrustedKey], *, now: datetime | None = None) -> Proof:
    """Verify a promotion's channel, then the bytes that it points to.

    Raises:
        EvidenceError, StoreError, ArtifactError: it does not hold, and why.
    """
    vouched = promotion.read_channel(destination, name, trusted, now=now)
    one = vouched.statement
    artifact = promotion.verify_promoted(one, destination)
    signers = signing.names_of(vouched.signers, trusted)
    return _proof(
        f"channel {name} holds promotion number {one.sequence}, signed by {', '.join(signers)}",
        f"it clears {one.subject.digest} until {stamp(one.expires)}, for: {', '.join(one.levels)}",
        f"the {len(artifact.entries)} files at the destination have exactly that digest",
        data={"subject": one.subject.digest, "signers": signers, "sequence": one.sequence, "expires": stamp(one.expires)},
    )


def _folder(target: Path, trusted: Sequence[TrustedKey]) -> Proof:
    provenance = checking.load("provenance")
    artifact = open_artifact(target)
    by_manifest = not (target / oms.SIGNATURE).exists() and (target / manifests.SIGNATURE).exists()
    signature = manifests.SIGNATURE if by_manifest else oms.SIGNATURE
    options = checking.options_for(provenance, {"signers": list(trusted), "signature": signature})
    report = checking.run(provenance, artifact, options)
    grave = [finding for finding in report.findings if finding.severity > Severity.NOTE]
    if grave:
        where = f" (at {grave[0].where})" if grave[0].where else ""
        kind = WrongSigner if grave[0].rule == "wrong-signer" else SignatureInvalid
        raise kind(f"{grave[0].message}{where}; {len(grave)} findings in all", hint=grave[0].fix)
    count = int(report.measures["signed_files"])
    marks = {key.fingerprint for key in trusted}
    signers = signing.names_of((one.digest for one in report.materials if one.digest in marks), trusted)
    return _proof(
        f"the folder's signature was made by {', '.join(signers)}",
        f"all {count} signed files are there, unchanged, and there is nothing else",
        f"the folder's digest is {artifact.subject.digest}",
        data={"subject": artifact.subject.digest, "signers": signers, "signed_files": count},
    )


def _statement(target: Path, trusted: Sequence[TrustedKey], now: datetime) -> Proof:
    try:
        bundle = files.read(target, most=documents.MAX_BYTES)
    except OSError as error:
        raise ArtifactError(f"cannot read {target}: {error.strerror}", hint="pass a folder or a .sigstore.json file") from error
    verified = signing.verify(bundle, trusted, what=str(target))
    outer = documents.parse(verified.payload, what="the statement")
    kind = str(outer.get("predicateType") if isinstance(outer, dict) else None)
    if kind not in _READERS:
        raise Malformed(f"{target} is signed, but a {kind[:80]!r} is nothing that can be verified on its own")
    subject, says = _READERS[kind](verified, documents.sha256(bundle), now)
    signers = signing.names_of(verified.signers, trusted)
    return _proof(
        f"{target} is a Sigstore bundle of the form v0.3 with an in-toto statement in it",
        f"the signature fits the bytes; signed by {', '.join(signers)}",
        f"it is about {subject.name}, {subject.digest}",
        f"it says: {says}",
        data={"predicate": kind, "subject": subject.digest, "signers": signers, "says": says},
    )


def _proof(*steps: str, data: Mapping[str, Any]) -> Proof:
    return Proof(steps=tuple(f"{number}. {documents.line(step)}" for number, step in enumerate(steps, 1)), data=data)


def _evidence(verified: Verified, digest: str, now: datetime) -> tuple[Subject, str]:
    one = Evidence.parse(verified.payload)
    if one.made_at > now + SKEW:
        raise Stale(f"the evidence is from {stamp(one.made_at)}, which is not yet", hint="are the clocks right?")
    worst = one.report.worst.name.lower()
    count = len(one.report.findings)
    source = f", in a copy taken from {one.origin.pinned}" if one.origin else ""
    saw = f"saw {count} findings, the worst {worst}, on {stamp(one.made_at)}"
    return one.subject, f"the check {one.check} (version {one.check_version}) {saw}{source}"


def _record(verified: Verified, digest: str, now: datetime) -> tuple[Subject, str]:
    one = TrainingRecord.parse(verified.payload)
    if one.builder.removeprefix("urn:pratique:trainer:") not in verified.signers:
        raise WrongSigner(f"the record names {one.builder} as its trainer, whose trusted key did not sign it")
    used = ", ".join(f"{material.role} {material.subject.digest[:19]}…" for material in one.materials)
    return one.subject, f"{one.builder} made it from {used}, finished {stamp(one.finished_at)}"


def _clearance(verified: Verified, digest: str, now: datetime) -> tuple[Subject, str]:
    one = Clearance.parse(verified.payload)
    ensure_clearance(Vouched(statement=one, signers=verified.signers, digest=digest), one.subject, now=now)
    return one.subject, f"{one.verifier} cleared it under policy {one.policy_digest[:19]}… until {stamp(one.expires)}"


def _manifest(verified: Verified, digest: str, now: datetime) -> tuple[Subject, str]:
    one = manifests.Claim.parse(verified.payload)
    if one.made_at > now + SKEW:
        raise Stale(f"the manifest is from {stamp(one.made_at)}, which is not yet", hint="are the clocks right?")
    much = f"{one.count:,} files and empty folders, {one.size:,} bytes"
    return one.subject, f"{much}, under the Merkle root {one.root}, on {stamp(one.made_at)}"


_READERS: dict[str, Callable[[Verified, str, datetime], tuple[Subject, str]]] = {
    TEST_RESULT: _evidence,
    PROVENANCE: _record,
    VERIFICATION_SUMMARY: _clearance,
    manifests.PREDICATE: _manifest,
}
