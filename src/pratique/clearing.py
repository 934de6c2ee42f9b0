"""Whether a clearance still clears an artifact: for whoever relies on one (training, a deployment, the `lineage` check)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from pratique.artifacts import Subject
from pratique.errors import EvidenceError, Revoked, Stale, WrongSigner, WrongSubject
from pratique.statements import Clearance, Vouched, stamp

SKEW = timedelta(minutes=5)
"""How far apart the clocks of two machines may be before a statement counts as coming from the future."""


def ensure_clearance(
    vouched: Vouched[Clearance],
    subject: Subject,
    *,
    now: datetime,
    revoked: frozenset[str],
    policy_digest: str = "",
    signers: frozenset[str] | None = None,
) -> None:
    """A consumer's side of a SLSA verification summary (https://slsa.dev/spec/v1.0/verification_summary, "How to verify").

    The signature was verified and the result is PASSED, else there would be no `Vouched[Clearance]`. What is left:
    the subject, the verifier and its key, the policy, the date, and what was revoked since.

    Args:
        vouched: the clearance, as somebody trusted signed it.
        subject: what it must clear.
        now: when it must hold.
        revoked: what the reader's policy has revoked: artifacts, evidence, keys. Nobody's, only if the reader has no policy.
        policy_digest: the policy under which it must have been given; any, if left out.
        signers: fingerprints of which one must have signed; all that are trusted, if left out.

    Raises:
        WrongSubject, WrongSigner, Revoked, Stale, EvidenceError: it does not clear this artifact now.
    """
    one = vouched.statement
    if one.subject != subject:
        raise WrongSubject(f"the clearance is about {one.subject.digest}")
    fingerprint = one.verifier.rpartition(":sha256:")[2]
    if f"sha256:{fingerprint}" not in (vouched.actors if signers is None else vouched.actors & signers):
        raise WrongSigner(f"the clearance names {one.verifier} as its verifier, whose trusted key did not sign it")
    if policy_digest and one.policy_digest != policy_digest:
        raise EvidenceError(f"the clearance was given under another policy ({one.policy_digest[:19]}…)")
    leant_on = {one.subject.digest, one.policy_digest, vouched.digest, *one.evidence, *vouched.marks}
    ensure_not_revoked(leant_on, revoked, what="the clearance")
    if not one.made_at - SKEW <= now < one.expires:
        raise Stale(f"the clearance held from {stamp(one.made_at)} to {stamp(one.expires)}", hint="run the gate again")


def ensure_not_revoked(leant_on: Iterable[str], revoked: frozenset[str], *, what: str) -> None:
    """Refuse what leans on something that was revoked, whoever signed it and when.

    Raises:
        Revoked: which one it is.
    """
    for mark in sorted(revoked & set(leant_on)):
        raise Revoked(f"{what} leans on {mark}, which the policy has revoked", hint="do not use it")
