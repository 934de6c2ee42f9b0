"""Whether a clearance still clears an artifact: for whoever relies on one (training, a deployment, the `lineage` check)."""

from __future__ import annotations

from datetime import datetime, timedelta

from pratique.artifacts import Subject
from pratique.errors import EvidenceError, Stale, WrongSigner, WrongSubject
from pratique.statements import Clearance, Vouched, stamp

SKEW = timedelta(minutes=5)
"""How far apart the clocks of two machines may be before a statement counts as coming from the future."""


def ensure_clearance(
    vouched: Vouched[Clearance],
    subject: Subject,
    *,
    now: datetime,
    policy_digest: str = "",
    signers: frozenset[str] | None = None,
) -> None:
    """A consumer's side of a SLSA verification summary (https://slsa.dev/spec/v1.0/verification_summary, "How to verify").

    The signature was verified and the result is PASSED, else there would be no `Vouched[Clearance]`. What is left:
    the subject, the verifier and its key, the policy, and the date.

    Raises:
        WrongSubject, WrongSigner, Stale, EvidenceError: it does not clear this artifact now.
    """
    one = vouched.statement
    if one.subject != subject:
        raise WrongSubject(f"the clearance is about {one.subject.digest}")
    fingerprint = one.verifier.rpartition(":sha256:")[2]
    if f"sha256:{fingerprint}" not in (vouched.actors if signers is None else vouched.actors & signers):
        raise WrongSigner(f"the clearance names {one.verifier} as its verifier, whose trusted key did not sign it")
    if policy_digest and one.policy_digest != policy_digest:
        raise EvidenceError(f"the clearance was given under another policy ({one.policy_digest[:19]}…)")
    if not one.made_at - SKEW <= now < one.expires:
        raise Stale(f"the clearance held from {stamp(one.made_at)} to {stamp(one.expires)}", hint="run the gate again")
