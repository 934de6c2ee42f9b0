"""Run what the policy requires, sign and store what was seen, decide, and issue a clearance that lapses.

    admission = pass_gate("models/base", policy=Policy.load("policy.yaml"))
    admission.require()          # raises Denied, with every reason
    train(admission.artifact.root)

In the order of the code:

1. Take a private, hashed copy of the artifact; of names and sizes that a check would refuse at once, not even that.
2. Run each required check on the copy. A check that cannot finish leaves no evidence, and no evidence denies.
3. Sign each report, store it, read it back and verify it as anybody else would: the gate believes its own store no more
   than a stranger does, and judges only what it has just seen (with `resume`: what this very run has seen).
4. Decide. On admission, sign and store a clearance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from pratique import checking, signing
from pratique.artifacts import Artifact, Limits, Progress, open_artifact
from pratique.errors import ArtifactRefused, CheckError, Denied, PolicyError, StoreError
from pratique.judging import NO_ANSWER, Verdict, decide
from pratique.listing import Listing
from pratique.policies import Policy
from pratique.signing import INTOTO, Signer
from pratique.signing.choosing import gate_signer
from pratique.statements import Clearance, Evidence, Vouched
from pratique.store import MAX_BUNDLE, Store
from pratique.vouching import collect

Tell = Callable[[str, str], None]
"""Called with a check's name and `started` or `done`, for a progress bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """How it went at the gate, whichever way."""

    verdict: Verdict
    artifact: Artifact
    """The private copy that was looked at; on admission, the one to use."""

    evidence: tuple[Vouched[Evidence], ...]
    """What the checks saw, signed."""

    clearance: Clearance | None
    """None unless admitted, and under a policy: a check on its own clears nothing."""

    clearance_digest: str
    """Names the stored clearance; '' without one."""

    problems: tuple[str, ...]
    """Checks that could not finish, and why."""

    def require(self) -> Admission:
        """Return self if admitted.

        Raises:
            Denied: with the verdict and all its reasons.
        """
        if not self.verdict.admitted:
            raise Denied(self.verdict)
        return self


def pass_gate(
    uri: str,
    *,
    policy: Policy | None = None,
    store: Store | None = None,
    signer: Signer | None = None,
    run_id: str = "",
    resume: bool = False,
    limits: Limits | None = None,
    now: datetime | None = None,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> Admission:
    """Hold an artifact against a policy.

    Args:
        uri: the artifact, a local path or any fsspec URI.
        policy: what must hold; the baseline policy for a model if left out.
        store: where evidence goes; `$PRATIQUE_STORE` if left out.
        signer: who signs; this machine's gate key if left out. The policy must trust it.
        run_id: names the pipeline run in the evidence.
        resume: lean on trusted evidence that other steps of this very run have stored, and run only the checks that left
            none. Needs a `run_id`; without one there is no telling which evidence belongs to this run.
        limits: how large the artifact may be.
        now: the moment of the decision; for tests.
        progress: called with bytes copied.
        tell: called as checks start and finish.

    Raises:
        ArtifactError, PolicyError, StoreError: nothing could be decided; nothing was admitted.
    """
    policy = policy or Policy.baseline()
    store = store or Store()
    signer = signer or gate_signer()
    now = now or datetime.now(timezone.utc)
    _ensure_trusted(policy, signer)

    artifact = open_artifact(  # 1
        uri, kind=policy.subject, limits=limits, progress=progress, preview=lambda found: refuse_early(found, policy, store.uri)
    )
    held, answered = _held(artifact, policy, store, run_id, now) if resume and run_id else (frozenset(), frozenset())
    made, absences = _observe(artifact, policy, store, signer, run_id, now, tell or _silent, answered)  # 2, 3
    made |= held
    seen = collect(store, "evidence", artifact.subject, policy.evidence_keys, Evidence.parse)
    fresh = tuple(one for one in seen.vouched if one.digest in made)
    if {one.digest for one in fresh} != made:
        raise StoreError(
            f"the store {store.shown} does not return what was written to it: {'; '.join(seen.refused) or 'missing'}"
        )
    verdict = decide(policy, artifact.subject, fresh, now=now, absences=absences)  # 4
    clears = verdict.admitted and policy.clears
    clearance, digest = _clear(verdict, artifact, store, signer, run_id) if clears else (None, "")
    return Admission(
        verdict=verdict, artifact=artifact, evidence=fresh, clearance=clearance, clearance_digest=digest,
        problems=tuple(f"{name}: {reason}" for name, reason in absences.items()),
    )  # fmt: skip


def refuse_early(found: Listing, policy: Policy, store: str = "") -> None:
    """Spare the reading of what a required check refuses by names and sizes alone.

    Nothing is signed about it, because nothing without a digest can be; a check does this only for what is dear to read.

    Raises:
        ArtifactRefused: with the finding's rule, message and remedy.
    """
    waived = {(one.check, one.rule) for one in policy.waivers}
    for name, requirement in policy.require.items():
        chosen, options = policy.question(name, store)
        for finding in checking.preview(chosen, found, options):
            if finding.severity >= requirement.deny_at and (name, finding.rule) not in waived:
                raise ArtifactRefused(f"{finding.message}; nothing was read", hint=finding.fix, rule=finding.rule)


def observe(
    name: str, artifact: Artifact, policy: Policy, *, store: str = "", run_id: str = "", now: datetime | None = None
) -> Evidence:
    """Run one required check and bind what it saw to the bytes it saw it in. Nothing is signed or stored."""
    chosen, options = policy.question(name, store)
    return Evidence(
        check=name, check_version=chosen.version, subject=artifact.subject, kind=artifact.kind,
        report=checking.run(chosen, artifact, options), options_digest=options.digest, policy_digest=policy.digest,
        run_id=run_id, made_at=now or datetime.now(timezone.utc), origin=artifact.origin,
    )  # fmt: skip


def _observe(
    artifact: Artifact, policy: Policy, store: Store, signer: Signer, run_id: str, now: datetime, tell: Tell,
    answered: frozenset[str] = frozenset(),
) -> tuple[set[str], dict[str, str]]:  # fmt: skip
    """The digests of what was stored, and why the other checks left nothing."""
    made: set[str] = set()
    absences: dict[str, str] = {}
    for name in (one for one in policy.require if one not in answered):
        tell(name, "started")
        try:
            evidence = observe(name, artifact, policy, store=store.uri, run_id=run_id, now=now)
            statement = _whole(evidence)
        except CheckError as error:
            absences[name] = error.diagnostics().replace("\nHint: ", "; ")
        else:
            made.add(store.add("evidence", artifact.subject, signing.sign(statement, INTOTO, signer), check=name))
        tell(name, "done")
    return made, absences


def _whole(evidence: Evidence) -> bytes:
    """The bytes to sign. Ones that nobody would read again are no evidence."""
    statement = evidence.statement()
    if len(statement) > MAX_BUNDLE // 2:  # base64 and the signature make it longer by less than a half
        count, size = len(evidence.report.findings), len(statement)
        raise CheckError(f"check {evidence.check!r} reports {count:,} findings in {size:,} bytes: more than anybody reads")
    return statement


def _held(
    artifact: Artifact, policy: Policy, store: Store, run_id: str, now: datetime
) -> tuple[frozenset[str], frozenset[str]]:
    """The digests of this run's own evidence, and the checks that it answers, whether for or against the artifact."""
    seen = collect(store, "evidence", artifact.subject, policy.evidence_keys, Evidence.parse)
    mine = [one for one in seen.vouched if one.statement.run_id == run_id]
    verdict = decide(policy, artifact.subject, mine, now=now, run_id=run_id)
    open_questions = {one.check for one in verdict.denials if one.rule in NO_ANSWER}
    return frozenset(one.digest for one in mine), frozenset(policy.require) - open_questions


def _clear(verdict: Verdict, artifact: Artifact, store: Store, signer: Signer, run_id: str) -> tuple[Clearance, str]:
    clearance = cleared(verdict, signer, role="gate", resource_uri=artifact.uri, run_id=run_id)
    bundle = signing.sign(clearance.statement(), INTOTO, signer)
    return clearance, store.add("clearances", artifact.subject, bundle)


def cleared(
    verdict: Verdict, signer: Signer, *, role: str, resource_uri: str, run_id: str, channel: str = "", sequence: int = 0
) -> Clearance:
    """The clearance that an admission is worth."""
    if not verdict.admitted:
        raise Denied(verdict)
    return Clearance(
        subject=verdict.subject, kind=verdict.kind, verifier=f"urn:pratique:{role}:{signing.mark(signer)}",
        resource_uri=resource_uri, policy_digest=verdict.policy_digest, evidence=verdict.evidence,
        levels=verdict.levels, made_at=verdict.decided_at, expires=verdict.expires, run_id=run_id, channel=channel,
        sequence=sequence, waived=verdict.waived,
    )  # fmt: skip


def _ensure_trusted(policy: Policy, signer: Signer) -> None:
    if not any(signing.accepts(one, signer) for one in policy.evidence_keys):
        names = ", ".join(key.name for key in policy.evidence_keys)
        raise PolicyError(
            f"this gate signs with {signing.mark(signer)[:19]}…, whose evidence the policy does not trust (it trusts {names})",
            file=policy.file,
            hint="pass the right key (--key, PRATIQUE_KEY), or list this key's .pub under `trust` and `evidence.signers`",
        )


def _silent(name: str, event: str) -> None:
    """No progress bar."""
