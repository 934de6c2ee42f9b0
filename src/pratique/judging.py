"""Hold evidence against a policy. Pure: no I/O, no clock; total: every input gets a verdict; monotonic: taking evidence away
never turns a denial into an admission (in-toto's attestation framework asks the same of a policy).

For each requirement, in the order of the code:

1. Only evidence about this very digest, this kind and this check counts.
2. It must answer the policy's own question: the digest of its options is the requirement's.
3. It must be fresh: not from the future, not older than `max_age`; and from the asked-for run, if one is asked for.
4. It must have no finding at or above `deny_at`, and every bounded measure within its bound, save what is waived.
5. Enough different signers must have signed evidence for which 1-4 hold: as many of those who are trusted, each by a key or an
   identity of its own.
6. Nothing that the policy has revoked may stand in it: not the artifact, not the evidence, not what the evidence leans on.

Whatever is missing, unknown or unreadable fails one of these, so it denies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pratique import documents, signing
from pratique.artifacts import Kind, Subject
from pratique.clearing import SKEW
from pratique.policies import Policy, Requirement, Waiver
from pratique.statements import Evidence, Vouched, stamp

NO_ANSWER = frozenset({"no-evidence", "other-question", "stale", "other-run", "signer"})
"""Rules of denials that object to the evidence, or to its absence, rather than to what it says."""

_Piece = Vouched[Evidence]


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """One reason to say no."""

    check: str
    rule: str
    """The finding's rule, the measure's name, or one of: no-evidence, other-question, stale, other-run, signer, revoked."""

    reason: str
    where: str = ""
    fix: str = ""

    def __str__(self) -> str:
        return documents.line(f"{self.check}: {self.reason}" + (f" (at {self.where})" if self.where else ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer, and every reason against."""

    subject: Subject
    kind: Kind
    denials: tuple[Denial, ...]
    waived: tuple[str, ...]
    """`check/rule` of every waiver that was needed."""

    policy_digest: str
    levels: tuple[str, ...]
    """One per requirement that was met: PRATIQUE_PROVENANCE, PRATIQUE_ARTIFACT ..."""

    evidence: tuple[str, ...]
    """Digests of the bundles that satisfied a requirement."""

    decided_at: datetime
    expires: datetime
    """When the admission lapses: by the policy, by the age of the evidence, or with a waiver, whichever is first."""

    @property
    def admitted(self) -> bool:
        """Whether every requirement was met."""
        return not self.denials

    def summary(self) -> str:
        """For people: the answer in the first line, one reason a line below."""
        head = f"{documents.line(self.subject.name)} ({self.subject.digest[:19]}…)"
        if self.admitted:
            return f"{head} is admitted"
        return "\n".join([f"{head} is denied", *(f"  {one}" for one in self.denials)])

    def remedy(self) -> str:
        """The first thing to do about it."""
        return next((one.fix for one in self.denials if one.fix), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """One piece of evidence held against its requirement."""

    piece: _Piece
    faults: tuple[Denial, ...]
    waivers: tuple[Waiver, ...]


def decide(
    policy: Policy,
    subject: Subject,
    evidence: Iterable[Vouched[Evidence]],
    *,
    now: datetime,
    run_id: str = "",
    absences: Mapping[str, str] | None = None,
) -> Verdict:
    """Hold the evidence against the policy.

    Args:
        policy: what must hold.
        subject: the artifact, by digest.
        evidence: statements whose signatures have been verified (`vouching.collect`).
        now: the moment of the decision, with a time zone.
        run_id: if given, only evidence of this run counts.
        absences: why a check left no evidence, for the reasons alone; it never changes the answer.
    """
    pieces = [one for one in evidence if one.statement.subject == subject and one.statement.kind == policy.subject]
    denials = _at_once(policy, subject)
    used: list[_Judged] = []
    for name, requirement in policy.require.items():
        mine = [_judge(policy, requirement, one, now, run_id) for one in pieces if one.statement.check == name]
        faults, supporting = _conclude(policy, name, requirement, mine, (absences or {}).get(name, ""))
        denials += faults
        used += supporting
    waivers = [waiver for one in used for waiver in one.waivers]
    met = [name for name in policy.require if name not in {one.check for one in denials}]
    return Verdict(
        subject=subject, kind=policy.subject, denials=tuple(denials),
        waived=tuple(sorted({f"{one.check}/{one.rule}" for one in waivers})),
        policy_digest=policy.digest,
        levels=tuple(f"PRATIQUE_{name.upper().replace('-', '_')}" for name in met),
        evidence=tuple(sorted({one.piece.digest for one in used})), decided_at=now,
        expires=min([
            now + policy.clearance,
            *(one.piece.statement.made_at + policy.require[one.piece.statement.check].max_age for one in used),
            *(one.until for one in waivers),
        ]),
    )  # fmt: skip


def _at_once(policy: Policy, subject: Subject) -> list[Denial]:
    """Reasons that no evidence changes."""
    denials = [] if policy.require else [Denial(check="policy", rule="vacuous", reason="it requires nothing")]
    if subject.digest in policy.revoked:
        reason = f"the policy has revoked this artifact: {policy.revoked[subject.digest]}"
        denials.append(Denial(check="policy", rule="revoked", reason=reason, fix="do not use it"))
    return denials


def _conclude(
    policy: Policy, name: str, requirement: Requirement, judged: list[_Judged], absence: str
) -> tuple[list[Denial], list[_Judged]]:
    """Whether the pieces meet a requirement: the denials, or the pieces that did."""
    if not judged:
        reason = f"no evidence: {absence}" if absence else "there is no evidence for this artifact"
        return [Denial(check=name, rule="no-evidence", reason=reason, fix=f"run the check: pratique check {name}")], []
    good = [one for one in judged if not one.faults]
    count = signing.votes((pair for one in good for pair in one.piece.ballots), requirement.signers)
    if count >= requirement.threshold:
        return [], good
    if good:
        voters = frozenset().union(*(one.piece.signers & requirement.signers for one in good))
        names = ", ".join(key.name for key in policy.keys(voters))
        reason = f"{count} of {requirement.threshold} signers vouch for it ({names})"
        return [Denial(check=name, rule="signer", reason=reason)], []
    newest = max(judged, key=lambda one: (-len(one.faults), one.piece.statement.made_at))
    return list(newest.faults), []


def _judge(policy: Policy, requirement: Requirement, piece: _Piece, now: datetime, run_id: str) -> _Judged:
    one = piece.statement
    faults = _formal_faults(policy, requirement, piece, now, run_id)
    if faults:  # whatever it reports, it is not an answer to this policy
        return _Judged(piece=piece, faults=tuple(faults), waivers=())
    objections = [*_finding_faults(requirement, one), *_measure_faults(requirement, one)]
    live = {(w.check, w.rule): w for w in policy.waivers if w.subject == one.subject.digest and now < w.until}
    faults = [fault for fault in objections if (fault.check, fault.rule) not in live]
    needed = {(fault.check, fault.rule) for fault in objections} & set(live)
    return _Judged(piece=piece, faults=tuple(faults), waivers=tuple(live[key] for key in sorted(needed)))


def _formal_faults(policy: Policy, requirement: Requirement, piece: _Piece, now: datetime, run_id: str) -> list[Denial]:
    one = piece.statement
    faults = []
    if one.options_digest != requirement.options_digest:
        reason = "the evidence answers another question: the check was run with other options, keys or reference files"
        faults.append(Denial(check=one.check, rule="other-question", reason=reason, fix="run the gate again under this policy"))
    if not one.made_at - SKEW <= now <= one.made_at + requirement.max_age:
        reason = f"the evidence is from {stamp(one.made_at)}; it may be at most {requirement.max_age} old"
        faults.append(Denial(check=one.check, rule="stale", reason=reason, fix="run the gate again"))
    if run_id and one.run_id != run_id:
        reason = f"the evidence is from run {one.run_id or '(none)'}, not from {run_id}"
        faults.append(Denial(check=one.check, rule="other-run", reason=reason, fix="run the gate in this run"))
    if not piece.signers & requirement.signers:
        allowed = ", ".join(key.name for key in policy.keys(requirement.signers))
        reason = f"the evidence is signed by somebody who may not sign it; allowed: {allowed}"
        faults.append(Denial(check=one.check, rule="signer", reason=reason))
    leant_on = {piece.digest, *piece.marks, *(one.digest for one in one.report.materials)}
    for mark in sorted(leant_on & policy.revoked.keys()):
        reason = f"the evidence leans on {mark[:19]}…, which the policy has revoked: {policy.revoked[mark]}"
        faults.append(Denial(check=one.check, rule="revoked", reason=reason))
    return faults


def _finding_faults(requirement: Requirement, one: Evidence) -> list[Denial]:
    return [
        Denial(check=one.check, rule=finding.rule, reason=finding.message, where=finding.where, fix=finding.fix)
        for finding in one.report.findings
        if finding.severity >= requirement.deny_at
    ]


def _measure_faults(requirement: Requirement, one: Evidence) -> list[Denial]:
    faults = []
    for name, bound in requirement.measures.items():
        value = one.report.measures.get(name)
        if value is None:
            faults.append(Denial(check=one.check, rule=name, reason=f"{name} was not measured; it must be {bound}"))
        elif not bound.min <= value <= bound.max:
            faults.append(Denial(check=one.check, rule=name, reason=f"{name} is {value:g}; it must be {bound}"))
    return faults
