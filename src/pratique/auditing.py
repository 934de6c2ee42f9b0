"""What is in production, looked at again: `pratique audit`.

    found = audit("s3://models", policy=Policy.load("release.yaml"), store=Store(), trusted=[promoter])
    [one for one in found if one.state != "holds"]

A promotion was right when it was made. Since then a policy may have changed, a key or an artifact may have been revoked, a
profile may have been renewed, a check may know more, bytes may have been swapped, dates pass.

In the order of the code, for each channel:

1. Verify its pointer: signature, destination, what the policy has revoked, the date, and that it is no old one that was put
   back: neither the channel's history nor an earlier audit may know a higher number.
2. Hash the bytes again; or with `recall`, on a local disk, only what seems new or changed.
3. Judge them anew under the current policy, by the evidence that the store holds. With a gate's key, the checks run again where
   that evidence does not answer the policy's question now, or is by another version of a check than the one installed.
4. With the promoter's key, renew what is admitted: the same bytes, a later date, unless the channel has moved meanwhile.
   Nothing else is ever renewed, and nothing is removed: what is not renewed lapses.

Whoever can delete in the destination can delete a channel's history along with putting an old pointer back. Only an earlier
audit (`previous`) tells then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from pratique import channels, checking, documents, promotion, sources
from pratique.artifacts import Artifact
from pratique.destinations import Destination
from pratique.errors import ArtifactError, Denied, Error, EvidenceError, Revoked, Stale, StoreError
from pratique.gate import pass_gate
from pratique.judging import Verdict, decide
from pratique.policies import Policy
from pratique.signing import Signer, Trusted
from pratique.statements import Clearance, Evidence, stamp
from pratique.store import Store
from pratique.vouching import collect

State = Literal["holds", "renewed", "lapsed", "denied", "revoked", "changed", "void", "unknown"]
"""holds: everything is as it should be · renewed: and has a later date now · lapsed: the date has passed · denied: the current
policy does not admit it · revoked: the policy says so · changed: other bytes lie there · void: the pointer proves nothing ·
unknown: it could not be looked at. All but the first two fail an audit."""

Recall = Callable[[Path, Clearance], tuple[str, int]]
"""From the destination's folder and a clearance to the digest of what lies there, and how many of its files were not read."""

GOOD: frozenset[State] = frozenset({"holds", "renewed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What was seen of one channel."""

    channel: str
    state: State
    reasons: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()
    digest: str = ""
    """Of what it points to; '' if it proves nothing."""

    name: str = ""
    sequence: int = 0
    until: str = ""
    """When it lapses, in UTC."""

    remembered: int = 0
    """Files that were not read, because they seem unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Auditor:
    destination: str
    policy: Policy
    store: Store
    trusted: tuple[Trusted, ...]
    known_as: str
    gate: Signer | None
    promoter: Signer | None
    recall: Recall | None
    now: datetime
    seen: Mapping[str, int]
    """The highest number of each channel that an earlier audit has seen."""

    def look(self, channel: str) -> Audited:
        """Steps 1 to 4, with whatever goes wrong as a state."""
        seen: list[Clearance] = []
        try:
            return self._look(channel, seen)
        except Revoked as error:
            state: State = "revoked"
            why: Error = error
        except _Changed as error:
            state, why = "changed", error
        except EvidenceError as error:
            state, why = "void", error
        except Error as error:
            state, why = "unknown", error
        return _told(channel, state, seen[0] if seen else None, [str(why)], [why.hint])

    def _look(self, channel: str, seen: list[Clearance]) -> Audited:
        lapsed = ""
        try:
            seen.append(self._read(channel, self.now))  # 1
        except Stale as error:
            lapsed = str(error)
            seen.append(self._lapsed(channel))
        one = seen[0]
        remembered = self._hash(one)  # 2
        verdict = self._judge(one)  # 3
        if not verdict.admitted:
            revoked = any(denial.rule == "revoked" for denial in verdict.denials)
            reasons, fixes = [str(denial) for denial in verdict.denials], [denial.fix for denial in verdict.denials]
            return _told(channel, "revoked" if revoked else "denied", one, reasons, fixes, remembered)
        if self.promoter is not None:
            return self._renew(channel, one, remembered)  # 4
        if lapsed:
            return _told(channel, "lapsed", one, [lapsed], ["promote it again, or audit with the promoter's key"], remembered)
        return _told(channel, "holds", one, remembered=remembered)

    def _read(self, channel: str, moment: datetime) -> Clearance:
        """The pointer, unless it is an old one: the history, or an earlier audit, knows a higher number then."""
        line = channels.Channel(self.destination, channel, self.known_as)
        least = max(self.seen.get(channel, 0), line.highest(self.trusted))
        return promotion.read_channel(
            self.destination, channel, self.trusted, now=moment, known_as=self.known_as, least=least
        ).statement

    def _lapsed(self, channel: str) -> Clearance:
        """The clearance of a pointer whose date has passed, the rest of it verified as of when it held."""
        vouched = channels.Channel(self.destination, channel, self.known_as).read(self.trusted)
        if vouched is None:
            raise StoreError(f"the pointer of {channel} went away")
        if vouched.statement.made_at > self.now:
            raise EvidenceError(f"the pointer of {channel} is from {stamp(vouched.statement.made_at)}, which is not yet")
        return self._read(channel, vouched.statement.made_at)

    def _hash(self, one: Clearance) -> int:
        try:
            if self.recall is not None and (local := sources.local(self.destination)) is not None:
                digest, remembered = self.recall(Path(local), one)
                if digest != one.subject.digest:
                    raise _Changed(f"{digest} lies where {one.subject.digest} was promoted to")
                return remembered
            promotion.verify_promoted(one, self.destination)
        except _Changed:
            raise
        except (EvidenceError, ArtifactError) as error:
            raise _Changed(str(error)) from error
        return 0

    def _judge(self, one: Clearance) -> Verdict:
        seen = collect(self.store, "evidence", one.subject, self.policy.evidence_keys, Evidence.parse)
        current = [piece for piece in seen.vouched if piece.statement.check_version == _version(piece.statement.check)]
        verdict = decide(self.policy, one.subject, current, now=self.now)
        if verdict.admitted or self.gate is None or any(denial.rule == "revoked" for denial in verdict.denials):
            return verdict
        return pass_gate(
            str(self._bytes(one).root), policy=self.policy, store=self.store, signer=self.gate, now=self.now
        ).verdict

    def _bytes(self, one: Clearance) -> Artifact:
        try:
            return Destination(self.destination).open(one)
        except EvidenceError as error:
            raise _Changed(str(error)) from error

    def _renew(self, channel: str, one: Clearance, remembered: int) -> Audited:
        artifact = self._bytes(one)  # whatever was remembered: what is promoted is read
        try:
            done = promotion.promote(
                str(artifact.root), policy=self.policy, destination=self.destination, channel=channel,
                known_as=self.known_as, store=self.store, signer=self.promoter, expect=one.subject, after=one.sequence,
                now=self.now,
            )  # fmt: skip
        except Denied as error:
            return _told(channel, "denied", one, [str(error)], [error.hint], remembered)
        return _told(channel, "renewed", done.clearance, remembered=remembered)


class _Changed(EvidenceError):
    """Other bytes lie there than were promoted, or none."""


def audit(
    destination: str,
    *,
    policy: Policy,
    store: Store,
    trusted: Iterable[Trusted],
    only: Sequence[str] = (),
    known_as: str = "",
    previous: Mapping[str, Any] | None = None,
    gate: Signer | None = None,
    promoter: Signer | None = None,
    recall: Recall | None = None,
    now: datetime | None = None,
    each: Callable[[Audited], None] = lambda one: None,
) -> tuple[Audited, ...]:
    """Look at every channel of a destination again.

    Args:
        destination: a folder of promoted artifacts, any fsspec URI.
        policy: what must hold now.
        store: where the evidence is.
        trusted: whose promotions count; with what their policy has revoked.
        only: channels to look at; all that there are if left out.
        known_as: the destination's name in its pointers, if it is not its path or URI here.
        previous: an earlier audit as JSON: its channels must still be there, with no lower numbers.
        gate: who signs evidence of checks that have to run again; without it, evidence that is missing or too old denies.
        promoter: who renews what is admitted; without it, nothing is renewed.
        recall: reads only what is new or changed (`recalling.recall`), on a local disk; without it, every byte is read.
        now: the moment of the audit; for tests.
        each: called after each channel, for a progress bar.

    Returns:
        One for each channel, in order of name. A channel that was asked for and is not there is `unknown`.

    Raises:
        StoreError, UsageError: the destination cannot be listed.
    """
    there, seen = channels.names(destination), _numbers(previous or {})
    readers = tuple(one.renamed(one.name, one.revoked | frozenset(policy.revoked)) for one in trusted)
    looker = _Auditor(
        destination=destination, policy=policy, store=store, trusted=readers, known_as=known_as, gate=gate, seen=seen,
        promoter=promoter, recall=recall, now=now or datetime.now(timezone.utc),
    )  # fmt: skip
    found = []
    for name in sorted(set(only) or {*there, *seen}):
        found.append(looker.look(name))
        each(found[-1])
    return tuple(found)


def _numbers(before: Mapping[str, Any]) -> dict[str, int]:
    """What an earlier audit has seen: each channel's number; of one that proved nothing, 0."""
    rows = [one for one in before.get("channels", []) if isinstance(one, Mapping) and isinstance(one.get("channel"), str)]
    return {one["channel"]: one["sequence"] if isinstance(one.get("sequence"), int) else 0 for one in rows}


def changes(before: Mapping[str, Any], now: Sequence[Audited]) -> list[str]:
    """What is another than in an earlier audit, a sentence each.

    Args:
        before: that audit as JSON (`as_json`).
        now: this one.
    """
    old = {str(one.get("channel")): one for one in before.get("channels", []) if isinstance(one, Mapping)}
    told = []
    for one in now:
        was = old.pop(one.channel, None)
        if was is None:
            told.append(f"{one.channel} is new: {one.state}")
            continue
        if was.get("digest") != one.digest:
            told.append(f"{one.channel} points to {one.digest or 'nothing'}, and pointed to {was.get('digest') or 'nothing'}")
        if was.get("sequence") != one.sequence and was.get("digest") == one.digest:
            told.append(f"{one.channel} is number {one.sequence}, and was number {was.get('sequence')}")
        if was.get("state") != one.state:
            told.append(
                f"{one.channel} is {one.state}, and was {was.get('state')}" + (f": {one.reasons[0]}" if one.reasons else "")
            )
    return [documents.line(one) for one in (*told, *(f"{name} is gone" for name in sorted(old)))]


def as_json(destination: str, found: Sequence[Audited], *, now: datetime) -> dict[str, Any]:
    """An audit for machines, and for the next one."""
    return {
        "destination": sources.redact(destination), "audited": stamp(now),
        "sound": bool(found) and all(one.state in GOOD for one in found),
        "channels": [
            {
                "channel": one.channel, "state": one.state, "digest": one.digest, "name": one.name, "sequence": one.sequence,
                "until": one.until, "reasons": list(one.reasons), "fixes": list(one.fixes), "remembered": one.remembered,
            }
            for one in found
        ],
    }  # fmt: skip


def _told(
    channel: str,
    state: State,
    one: Clearance | None,
    reasons: Sequence[str] = (),
    fixes: Sequence[str] = (),
    remembered: int = 0,
) -> Audited:
    named: dict[str, Any] = {}
    if one is not None:
        named = {"digest": one.subject.digest, "name": one.subject.name, "sequence": one.sequence, "until": stamp(one.expires)}
    kept = tuple(dict.fromkeys(fix for fix in fixes if fix))
    return Audited(channel=channel, state=state, reasons=tuple(reasons), fixes=kept, remembered=remembered, **named)


def _version(check: str) -> str:
    """The version of the check that is installed; nothing equals that of one that is not."""
    try:
        return str(checking.load(check).version)
    except Error:
        return ""
