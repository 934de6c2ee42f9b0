"""Check anything signed, offline, and say step by step why it holds: `pratique verify`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timezone
from pathlib import Path

from pratique import documents, files, manifests, promotion, signing, sources
from pratique.artifacts import Artifact, Subject, digest_of, scan
from pratique.clearing import SKEW, ensure_clearance, ensure_not_revoked
from pratique.deliveries import ANY, delivery, proof
from pratique.deliveries import Expected as Expected
from pratique.deliveries import Proof as Proof
from pratique.destinations import Destination
from pratique.errors import ArtifactError, Malformed, Stale, UsageError, WrongSigner, WrongSubject
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
    expected: Expected = ANY,
    now: datetime | None = None,
) -> Proof:
    """Verify a signed folder, a signed file with its signature beside it, or a signed statement in a file.

    Args:
        target: what to verify.
        trusted: whose signature counts.
        signature: file of a folder's or file's signature, if it is not `model.sig` in it or `<file>.sig` beside it.
        allow: what is accepted of a folder or file for the format's sake.
        expected: which delivery it must be; of a statement, only the digest of what it is about can be.
        now: when a clearance must hold; this moment if left out.

    Raises:
        EvidenceError: it does not hold, and why. ArtifactError: it cannot be read. UsageError: what is expected makes no sense.
    """
    beside = target.with_name(target.name + SUFFIX) if target.name else target
    if os.path.isdir(target):
        return delivery(target, trusted, detached=signature, allow=allow, expected=expected)
    if signature is not None or os.path.isfile(beside):
        return delivery(target, trusted, detached=signature or beside, allow=allow, expected=expected)
    if expected.name or expected.min_version or allow:
        raise UsageError(
            "a name, a version and what to allow are for a signed folder or file; this is neither", hint=_FORGOTTEN
        )
    try:
        bundle = files.read(target, most=documents.MAX_BYTES)
    except OSError as error:
        raise ArtifactError(f"cannot read {target}: {error.strerror}", hint="pass a folder or a .sigstore.json file") from error
    return statement(bundle, trusted, what=str(target), digest=expected.digest, now=now)


def statement(
    bundle: bytes, trusted: Sequence[Trusted], *, what: str = "the statement", digest: str = "", now: datetime | None = None
) -> Proof:
    """Verify a signed statement: evidence, a training record, a clearance, or what is signed about a dataset's manifest.

    In the order of the code: everybody who signed it is trusted; it is of a kind that stands on its own, and says now what it
    says; what it is about is what is expected, and not revoked.

    Args:
        bundle: its bytes.
        trusted: whose signature counts.
        what: names it in errors.
        digest: what it must be about; whatever it likes if left out.
        now: when a clearance must hold; this moment if left out.

    Raises:
        EvidenceError: it does not hold, and why.
    """
    verified = signing.verify(bundle, trusted, what=what)
    if verified.signatures != len(verified.actors):
        raise Malformed(
            f"{what} holds {verified.signatures} signatures, but only {len(verified.actors)} by different trusted signers",
            hint="trust the others as well, or get the statement again",
            rule="extra-signature",
        )
    outer = documents.parse(verified.payload, what="the statement")
    kind = str(outer.get("predicateType") if isinstance(outer, dict) else None)
    if kind not in _READERS:
        raise Malformed(f"{what} is signed, but a {kind[:80]!r} is nothing that can be verified on its own")
    gone = revoked(trusted)
    subject, says = _READERS[kind](verified, documents.sha256(bundle), now or datetime.now(timezone.utc), gone)
    ensure_not_revoked({subject.digest}, gone, what=what)
    if digest and subject.digest != digest:
        raise WrongSubject(f"{what} is about {subject.digest}, not {digest}", rule="wrong-digest")
    signers, signed = signing.names_of(verified.signers, trusted), documents.sha256(verified.payload)
    return proof(
        f"{what} is a Sigstore bundle of the form v0.3 with an in-toto statement in it, signed by {', '.join(signers)}",
        *_whys(verified.witnesses),
        f"it is about {subject.name}, {subject.digest}",
        f"it says: {says}",
        f"the statement is {signed}",
        data={"predicate": kind, "subject": subject.digest, "signers": signers, "says": says, "statement": signed},
    )


def channel(
    destination: str,
    name: str,
    trusted: Sequence[Trusted],
    *,
    known_as: str = "",
    least: int = 0,
    now: datetime | None = None,
    copy: Path | None = None,
) -> Proof:
    """Verify a promotion's channel, then the bytes that it points to.

    Args:
        destination: folder of promoted artifacts, any fsspec URI.
        name: of the channel.
        trusted: whose promotions count.
        known_as: as promoters named the destination, if its path or URI is another one there.
        least: the highest number that the reader has seen; a lower one is an old pointer put back.
        now: when the promotion must hold; this moment if left out.
        copy: where to put exactly the bytes that were verified, for whoever loads them.

    Raises:
        EvidenceError, StoreError, ArtifactError: it does not hold, and why. UsageError: something else stands at `copy`.
    """
    vouched = promotion.read_channel(destination, name, trusted, now=now, known_as=known_as, least=least)
    one = vouched.statement
    artifact = promotion.verify_promoted(one, destination)
    where = sources.redact(Destination(destination).where(one))
    signers = signing.names_of(vouched.signers, trusted)
    if copy is not None:
        where = _copy(artifact, copy)
    return proof(
        f"channel {name} holds promotion number {one.sequence}, signed by {', '.join(signers)}",
        *_whys(vouched.witnesses),
        f"it clears {one.subject.digest} until {stamp(one.expires)}, for: {', '.join(one.levels)}",
        f"the {len(artifact.entries)} files at the destination have exactly that digest; load {where}",
        data={
            "subject": one.subject.digest, "signers": signers, "sequence": one.sequence, "expires": stamp(one.expires),
            "path": where,
        },
    )  # fmt: skip


def _copy(artifact: Artifact, goal: Path) -> str:
    """Put verified bytes where somebody loads them: all or nothing, and never over anything else.

    What stands there already may stay if it is the same, for a pod that starts again.
    """
    try:
        if not os.path.lexists(goal):
            goal.parent.mkdir(parents=True, exist_ok=True)
            with files.workshop(goal.parent, ".copying-") as work:
                os.replace(_written(artifact, work / "copy"), goal)
        found = digest_of(scan(goal), is_file=goal.is_file())
    except OSError as error:
        raise ArtifactError(
            f"cannot copy to {goal}: {error.strerror or error}", hint="is there room, and may we write?"
        ) from error
    if found != artifact.subject.digest or goal.is_symlink():
        raise UsageError(f"something else stands at {goal}", hint="remove it, or name another place")
    return str(goal)


def _written(artifact: Artifact, new: Path) -> Path:
    """A copy with the modes of any other file: a folder that is read-only, as in a snapshot, could not be moved."""
    if artifact.is_file:
        shutil.copyfile(artifact.root, new)
        return new
    new.mkdir()
    for path in sorted(artifact.root.rglob("*")):
        inner = new / path.relative_to(artifact.root)
        inner.mkdir() if path.is_dir() else shutil.copyfile(path, inner)
    return new


_FORGOTTEN = "is its signature missing? It lies beside the file as FILE.sig, or is named with --signature"


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
    if one.finished_at > now + SKEW:
        raise Stale(f"the training finished on {stamp(one.finished_at)}, which is not yet", hint="are the clocks right?")
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
