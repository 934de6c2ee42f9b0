"""The only door to production. It trusts nothing that it is handed: no task state, no XCom, no earlier verdict.

    promotion = promote("models/tuned", policy=Policy.load("release.yaml"), destination="s3://models", channel="production")

In the order of the code, once it is clear that whoever runs here may promote at all (`identities`):

1. Take a private copy of the artifact and hash it: from here on, only these bytes exist.
2. Read the evidence about that digest from the store and verify every signature.
3. Decide again, under the promoter's own copy of the policy.
4. Copy by digest to `sha256/<digest>/`, never over anything else, hashing what was written (`destinations`).
5. Only then, if the evidence did not lapse meanwhile, move the channel: one signed pointer, replaced in one step
   (`channels`). A crash before leaves the old state, after it the new one.

A deployment reads `channels/<channel>.sigstore.json`, verifies it (`read_channel`) and loads `sha256/<digest>/` by its digest.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from pratique import signing
from pratique.artifacts import Artifact, Limits, Progress, Subject, open_artifact
from pratique.channels import Channel
from pratique.clearing import ensure_clearance
from pratique.destinations import Destination, place
from pratique.errors import Denied, EvidenceError, PolicyError, StoreConflict, StoreError, WrongSubject
from pratique.gate import cleared
from pratique.identities import ensure_may_promote
from pratique.judging import Verdict, decide
from pratique.policies import Policy
from pratique.signing import INTOTO, Signer, Trusted
from pratique.signing.choosing import gate_signer
from pratique.sources import redact
from pratique.statements import Clearance, Evidence, Vouched
from pratique.store import Store
from pratique.trust import revoked
from pratique.vouching import collect


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What was promoted, and where to."""

    verdict: Verdict
    uri: str
    """Where the bytes lie now: `<destination>/sha256/<digest>`, without a password that the destination's URI may hold."""

    clearance: Clearance
    """What the channel points to, signed by the promoter."""

    refused: tuple[str, ...]
    """Statements in the store that proved nothing, and why."""


def promote(
    uri: str,
    *,
    policy: Policy,
    destination: str,
    channel: str = "production",
    known_as: str = "",
    store: Store | None = None,
    signer: Signer | None = None,
    run_id: str = "",
    expect: Subject | None = None,
    after: int | None = None,
    limits: Limits | None = None,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> Promotion:
    """Put an artifact into production, or raise.

    Args:
        uri: the artifact. Its bytes are hashed here; what the gate saw elsewhere does not matter.
        policy: what must hold, as the promoter keeps it.
        destination: an fsspec folder that only the promoter can write to.
        channel: the pointer to move, such as `production`.
        known_as: the name of the destination that the pointer says, if its readers see it under another path or URI.
        store: where the evidence is.
        signer: who signs the promotion; this machine's own key if left out, which must be there. Best one that no gate and
            no training holds.
        run_id: if given, only evidence of this pipeline run counts.
        expect: if given, the artifact must be this one, whatever evidence there is about others; its name is what counts.
        after: if given, the number that the channel must have until then: a renewal must not undo a promotion.

    Raises:
        UsageError: this process may not promote (PRATIQUE_ROLE, PRATIQUE_PROMOTERS).
        Denied: the evidence does not satisfy the policy, or lapsed during the copy. The channel stands where it stood.
        WrongSubject: the artifact is not the expected one.
        StoreConflict: other bytes stand where these belong, the channel's pointer is not ours to move, or it has moved.
        ArtifactError, StoreError, PolicyError: it could not be decided or done; the old state stands.
    """
    ensure_may_promote()
    line, folder = Channel(destination, channel, known_as), Destination(destination)
    store = store or Store()
    signer = signer or gate_signer(make=False)
    own = signing.trust_in(signer, "this promoter")
    if signing.mark(signer) in policy.revoked:
        raise PolicyError(f"the policy has revoked the key that would sign this: {policy.revoked[signing.mark(signer)]}")
    now, started = now or datetime.now(timezone.utc), time.time()

    artifact = open_artifact(uri, kind=policy.subject, limits=limits, progress=progress)  # 1
    if expect is not None and artifact.subject != expect:
        raise WrongSubject(
            f"the artifact is {artifact.subject.digest[:19]}…, not {expect.digest[:19]}… as expected: it was swapped, or the "
            f"pointer to it was edited ({uri})",
            hint="promote the copy that the gate admitted",
        )
    subject = expect or artifact.subject
    seen = collect(store, "evidence", subject, policy.evidence_keys, Evidence.parse)  # 2
    absent = "; ".join(seen.refused[:3])
    absences = dict.fromkeys(policy.require, f"what the store holds proves nothing: {absent}") if absent else {}

    def judge(moment: datetime) -> Verdict:
        verdict = decide(policy, subject, seen.vouched, now=moment, run_id=run_id, absences=absences)
        if not verdict.admitted:
            raise Denied(verdict)
        return verdict

    verdict = judge(now)  # 3
    line.next(own)  # a pointer that is not ours to move: better known before anything is copied
    where = folder.keep(artifact)  # 4
    with line.turn():  # 5
        judge(now + timedelta(seconds=max(0.0, time.time() - started)))
        number = line.next(own)
        if after is not None and number != after + 1:
            raise StoreConflict(f"{channel} has moved on to number {number - 1} meanwhile; nothing was promoted")
        address = f"{line.known_as}/{place(artifact.subject, is_file=artifact.is_file)}"
        clearance = cleared(
            verdict, signer, role="promotion", resource_uri=address, run_id=run_id, channel=channel, sequence=number
        )
        bundle = signing.sign(clearance.statement(), INTOTO, signer)
        store.add("clearances", subject, bundle)
        line.move(number, bundle, own)
    return Promotion(verdict=verdict, uri=redact(where), clearance=clearance, refused=seen.refused)


def read_channel(
    destination: str,
    channel: str,
    trusted: Iterable[Trusted],
    *,
    now: datetime | None = None,
    least: int = 0,
    known_as: str = "",
) -> Vouched[Clearance]:
    """What a channel points to, verified: a deployment's first step, before it loads anything.

    Args:
        trusted: whose promotions count; what their policy has revoked counts for nothing.
        least: the highest sequence number that the deployment has seen; a lower one is an old pointer put back.
        known_as: as promoters named the destination, if its path or URI is another one there.

    Raises:
        StoreError: there is no such channel.
        EvidenceError: the pointer proves nothing, or no longer.
    """
    keys = tuple(trusted)
    vouched = Channel(destination, channel, known_as).read(keys)
    if vouched is None:
        raise StoreError(f"nothing was ever promoted to {channel} in {redact(destination)}")
    one = vouched.statement
    ensure_clearance(vouched, one.subject, now=now or datetime.now(timezone.utc), revoked=revoked(keys))
    if one.sequence < least:
        raise EvidenceError(
            f"the pointer is number {one.sequence}, but number {least} was seen before: an old one was put back"
        )
    return vouched


def verify_promoted(clearance: Clearance, destination: str) -> Artifact:
    """Hash what a channel points to again; returns a private copy of exactly the promoted bytes.

    Raises:
        EvidenceError: the bytes at the destination are not the ones that were promoted.
    """
    return Destination(destination).open(clearance)
