"""Check anything signed, offline, and say step by step why it holds: `pratique verify`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from pratique import documents, promotion, signing
from pratique.artifacts import Subject
from pratique.deliveries import Proof as Proof
from pratique.deliveries import delivery
from pratique.errors import ArtifactError, Malformed
from pratique.oms import SUFFIX, Allow
from pratique.signing import Trusted, Witness
from pratique.statements import (
    PROVENANCE,
    TEST_RESULT,
    VERIFICATION_SUMMARY,
    Clearance,
    Evidence,
    TrainingRecord,
    stamp,
)


def path(
    target: Path,
    trusted: Sequence[Trusted],
    *,
    signature: Path | None = None,
    allow: Collection[Allow] = (),
) -> Proof:
    """Verify a signed folder, a signed file with its signature beside it, or a signed statement in a file.

    Args:
        target: what to verify.
        trusted: whose signature counts.
        signature: file of a folder's or file's signature, if it is not `model.sig` in it or `<file>.sig` beside it.
        allow: what is accepted of a folder or file for the format's sake.

    Raises:
        EvidenceError: it does not hold, and why. ArtifactError: it cannot be read.
    """
    beside = target.with_name(target.name + SUFFIX)
    if target.is_dir():
        return delivery(target, trusted, detached=signature, allow=allow)
    if signature is not None or beside.is_file():
        return delivery(target, trusted, detached=signature or beside, allow=allow)
    return _statement(target, trusted)


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
        steps=_numbered(
            f"channel {name} holds promotion number {one.sequence}, signed by {', '.join(signers)}",
            *_whys(vouched.witnesses),
            f"it clears {one.subject.digest} until {stamp(one.expires)}, for: {', '.join(one.levels)}",
            f"the {len(artifact.entries)} files at the destination have exactly that digest",
        ),
        data={"subject": one.subject.digest, "signers": signers, "sequence": one.sequence, "expires": stamp(one.expires)},
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
        steps=_numbered(
            f"{target} is a Sigstore bundle of the form v0.3 with an in-toto statement in it, signed by {', '.join(signers)}",
            *_whys(verified.witnesses),
            f"it is about {subject.name}, {subject.digest}",
            f"it says: {says}",
        ),
        data={"predicate": kind, "subject": subject.digest, "signers": signers, "says": says},
    )


def _whys(witnesses: Sequence[Witness]) -> list[str]:
    """Why each signature holds; one that fits several of those who are trusted is told once."""
    return list(dict.fromkeys(step for one in witnesses for step in one.steps))


def _numbered(*steps: str) -> tuple[str, ...]:
    return tuple(f"{number}. {step}" for number, step in enumerate(steps, 1))


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
