"""All that a store holds about an artifact, as far as somebody trusted signed it, on one page: `pratique report`.

    dossier = gather(store, Subject(digest="sha256:..."), keys)
    reports.write(Path("page.html"), as_page(dossier, now=now))

It decides nothing, and it is no proof: the signed statements are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pratique.artifacts import Subject
from pratique.clearing import ensure_clearance
from pratique.errors import EvidenceError, Revoked, Stale
from pratique.reports import badge, observed, page, quoted, table
from pratique.signing import Trusted
from pratique.statements import NEUTRALISE, Clearance, Evidence, TrainingRecord, Vouched, stamp
from pratique.store import Store
from pratique.trust import revoked
from pratique.vouching import collect


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """What was found about an artifact, each kind newest first."""

    subject: Subject
    evidence: tuple[Vouched[Evidence], ...]
    records: tuple[Vouched[TrainingRecord], ...]
    clearances: tuple[Vouched[Clearance], ...]

    revoked: frozenset[str]
    """What the readers' policy has revoked."""

    refused: tuple[str, ...]
    """What lies in the store, too, and why it proves nothing."""


def gather(store: Store, digest: str, trusted: Iterable[Trusted]) -> Dossier:
    """Read and verify everything about an artifact.

    Raises:
        ArtifactRefused: that is no digest.
        EvidenceError: nobody trusted has signed anything about it.
        StoreError: the store cannot be read.
    """
    keys, subject = tuple(trusted), Subject(digest=digest)
    evidence = collect(store, "evidence", subject, keys, Evidence.parse)
    records = collect(store, "records", subject, keys, TrainingRecord.parse)
    signed = [one for one in records.vouched if one.statement.builder.rpartition(":trainer:")[2] in one.actors]
    clearances = collect(store, "clearances", subject, keys, Clearance.parse)
    unnamed = [f"{one.digest} names a trainer who did not sign it" for one in records.vouched if one not in signed]
    refused = (*clearances.refused, *records.refused, *unnamed, *evidence.refused)
    held = [
        *(one.statement.subject for one in clearances.vouched),
        *(one.statement.subject for one in signed),
        *(one.statement.subject for one in evidence.vouched),
    ]
    if not held:
        others = f"; {len(refused)} statements by others lie there: {refused[0]}" if refused else ""
        raise EvidenceError(f"{store.shown} holds nothing about {digest} that anybody trusted signed{others}")
    return Dossier(
        subject=held[0],
        evidence=tuple(sorted(evidence.vouched, key=lambda one: one.statement.made_at, reverse=True)),
        records=tuple(sorted(signed, key=lambda one: one.statement.finished_at, reverse=True)),
        clearances=tuple(sorted(clearances.vouched, key=lambda one: one.statement.made_at, reverse=True)),
        revoked=revoked(keys),
        refused=refused,
    )


def as_page(dossier: Dossier, *, now: datetime) -> str:
    """The dossier as an HTML document."""
    return page(dossier.subject.name, as_part(dossier, now=now))


def as_part(dossier: Dossier, *, now: datetime) -> str:
    """The dossier as a part of a page."""
    subject = dossier.subject
    parts = [
        f"<h1>{quoted(subject.name)}</h1><p class=dim><code>{quoted(subject.digest)}</code></p>"
        f"<p>What a store held about it on {stamp(now)[:16]}Z, as far as somebody trusted had signed it.</p>"
    ]
    if subject.digest in dossier.revoked:
        parts.append(f"<p>{badge('revoked', False)} The policy has revoked this very artifact: do not use it.</p>")
    if dossier.clearances:
        head = ("", "by", "from", "until", "for")
        parts.append("<h2>Clearances</h2>" + table(head, [_cleared(one, now, dossier.revoked) for one in dossier.clearances]))
    parts += [_trained(one.statement, one.digest) for one in dossier.records]
    parts += [observed(one.statement, {}, one.digest) for one in dossier.evidence]
    if dossier.refused:
        listed = "".join(f"<li>{quoted(one)}</li>" for one in dossier.refused)
        parts.append(f"<h2>Proves nothing</h2><p>This lies in the store, too.</p><ul>{listed}</ul>")
    return "".join(parts)


def _cleared(vouched: Vouched[Clearance], now: datetime, gone: frozenset[str]) -> Sequence[str]:
    one = vouched.statement
    try:
        ensure_clearance(vouched, one.subject, now=now, revoked=gone)
        state = badge("holds", True)
    except EvidenceError as error:
        state = badge("lapsed" if isinstance(error, Stale) else "revoked" if isinstance(error, Revoked) else "void", False)
    levels = ", ".join(one.levels) + (f"; waived: {', '.join(one.waived)}" if one.waived else "")
    channel = f"; channel {one.channel}, number {one.sequence}" if one.channel else ""
    dates = (f"{stamp(moment)[:16]}Z" for moment in (one.made_at, one.expires))
    return (state, f"<code>{quoted(one.verifier)}</code>", *dates, quoted(levels + channel))


def _trained(record: TrainingRecord, digest: str) -> str:
    used = [
        (quoted(one.role), quoted(one.subject.name), f"<code>{quoted(one.subject.digest)}</code>", quoted(one.uri))
        for one in record.materials
    ]
    title = "Written again as safetensors" if record.build_type == NEUTRALISE else "Training"
    return (
        f"<h2>{title}</h2><p class=dim>record <code>{quoted(digest)}</code>, {stamp(record.finished_at)[:19]}Z, by "
        f"<code>{quoted(record.builder)}</code></p>" + table(("role", "name", "digest", "from"), used)
    )
