"""Check anything signed, offline, and say step by step why it holds: `pratique verify`."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timezone
from pathlib import Path

from pratique import documents, files, manifests, promotion, signing
from pratique.artifacts import Subject
from pratique.clearing import SKEW, ensure_clearance, ensure_not_revoked
from pratique.deliveries import Proof as Proof
from pratique.deliveries import delivery, proof
from pratique.errors import ArtifactError, Malformed, Stale, WrongSigner
from pratique.oms import SUFFIX, Allow
from pratique.signing import Trusted, Verified, Witness
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
from pratique.trust import revoked


def path(
    target: Path,
    trusted: Sequence[Trusted],
    *,
    signature: Path | None = None,
    allow: Collection[Allow] = (),
    now: datetime | None = None,
) -> Proof:
    """Verify a signed folder, a signed file with its signature beside it, or a signed statement in a file.

    Args:
        target: what to verify.
        trusted: whose signature counts.
        signature: file of a folder's or file's signature, if it is not `model.sig` in it or `<file>.sig` beside it.
        allow: what is accepted of a folder or file for the format's sake.
        now: when a clearance must hold; this moment if left out.

    Raises:
        EvidenceError: it does not hold, and why. ArtifactError: it cannot be read.
    """
    beside = target.with_name(target.name + SUFFIX) if target.name else target
    if os.path.isdir(target):
        return delivery(target, trusted, detached=signature, allow=allow)
    if signature is not None or os.path.isfile(beside):
        return delivery(target, trusted, detached=signature or beside, allow=allow)
    return _statement(target, trusted, now or datetime.now(timezone.utc))


def channel(
    destination: str, name: str, trusted: Sequence[Trusted], *, known_as: str = "", now: datetime | None = None
) -> Proof:
    """Verify a promotion's channel, then the bytes that it points to.

    Args:
        destination: folder of promoted artifacts, any fsspec URI.
        name: of the channel.
        trusted: whose promotions count.
        known_as: as promoters named the destination, if its path or URI is another one there.
        now: when the promotion must hold; this moment if left out.

    Raises:
        EvidenceError, StoreError, ArtifactError: it does not hold, and why.
    """
    vouched = promotion.read_channel(destination, name, trusted, now=now, known_as=known_as)
    one = vouched.statement
    artifact = promotion.verify_promoted(one, destination)
    signers = signing.names_of(vouched.signers, trusted)
    return proof(
        f"channel {name} holds promotion number {one.sequence}, signed by {', '.join(signers)}",
        *_whys(vouched.witnesses),
        f"it clears {one.subject.digest} until {stamp(one.expires)}, for: {', '.join(one.levels)}",
        f"the {len(artifact.entries)} files at the destination have exactly that digest",
        data={"subject": one.subject.digest, "signers": signers, "sequence": one.sequence, "expires": stamp(one.expires)},
    )


def _statement(target: Path, trusted: Sequence[Trusted], now: datetime) -> Proof:
    try:
        bundle = files.read(target, most=documents.MAX_BYTES)
    except OSError as error:
        raise ArtifactError(f"cannot read {target}: {error.strerror}", hint="pass a folder or a .sigstore.json file") from error
    verified = signing.verify(bundle, trusted, what=str(target))
    outer = documents.parse(verified.payload, what="the statement")
    kind = str(outer.get("predicateType") if isinstance(outer, dict) else None)
    if kind not in _READERS:
        raise Malformed(f"{target} is signed, but a {kind[:80]!r} is nothing that can be verified on its own")
    gone = revoked(trusted)
    subject, says = _READERS[kind](verified, documents.sha256(bundle), now, gone)
    ensure_not_revoked({subject.digest}, gone, what=str(target))
    signers = signing.names_of(verified.signers, trusted)
    return proof(
        f"{target} is a Sigstore bundle of the form v0.3 with an in-toto statement in it, signed by {', '.join(signers)}",
        *_whys(verified.witnesses),
        f"it is about {subject.name}, {subject.digest}",
        f"it says: {says}",
        data={"predicate": kind, "subject": subject.digest, "signers": signers, "says": says},
    )


def _whys(witnesses: Sequence[Witness]) -> list[str]:
    """Why each signature holds; one that fits several of those who are trusted is told once."""
    return list(dict.fromkeys(step for one in witnesses for step in one.steps))


def _evidence(verified: Verified, digest: str, now: datetime, gone: frozenset[str]) -> tuple[Subject, str]:
    one = Evidence.parse(verified.payload)
    if one.made_at > now + SKEW:
        raise Stale(f"the evidence is from {stamp(one.made_at)}, which is not yet", hint="are the clocks right?")
    ensure_not_revoked((material.digest for material in one.report.materials), gone, what="the evidence")
    worst = one.report.worst.name.lower()
    count = len(one.report.findings)
    source = f", in a copy taken from {one.origin.pinned}" if one.origin else ""
    saw = f"saw {count} findings, the worst {worst}, on {stamp(one.made_at)}"
    return one.subject, f"the check {one.check} (version {one.check_version}) {saw}{source}"


def _record(verified: Verified, digest: str, now: datetime, gone: frozenset[str]) -> tuple[Subject, str]:
    one = TrainingRecord.parse(verified.payload)
    if one.builder.removeprefix("urn:pratique:trainer:") not in verified.actors:
        raise WrongSigner(f"the record names {one.builder} as its trainer, whom nobody trusted signed it as")
    ensure_not_revoked((material.subject.digest for material in one.materials), gone, what="the record")
    used = ", ".join(f"{material.role} {material.subject.digest[:19]}…" for material in one.materials)
    return one.subject, f"{one.builder} made it from {used}, finished {stamp(one.finished_at)}"


def _clearance(verified: Verified, digest: str, now: datetime, gone: frozenset[str]) -> tuple[Subject, str]:
    one = Clearance.parse(verified.payload)
    vouched = Vouched(statement=one, digest=digest, witnesses=verified.witnesses)
    ensure_clearance(vouched, one.subject, now=now, revoked=gone)
    return one.subject, f"{one.verifier} cleared it under policy {one.policy_digest[:19]}… until {stamp(one.expires)}"


def _manifest(verified: Verified, digest: str, now: datetime, gone: frozenset[str]) -> tuple[Subject, str]:
    one = manifests.Claim.parse(verified.payload)
    if one.made_at > now + SKEW:
        raise Stale(f"the manifest is from {stamp(one.made_at)}, which is not yet", hint="are the clocks right?")
    much = f"{one.extent}, {one.size:,} bytes"
    return one.subject, f"{much}, under the Merkle root {one.root}, on {stamp(one.made_at)}"


_READERS: dict[str, Callable[[Verified, str, datetime, frozenset[str]], tuple[Subject, str]]] = {
    TEST_RESULT: _evidence,
    PROVENANCE: _record,
    VERIFICATION_SUMMARY: _clearance,
    manifests.PREDICATE: _manifest,
}
