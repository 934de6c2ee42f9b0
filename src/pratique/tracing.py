"""What an artifact was made of, and what was made of it: `pratique trace DIGEST`.

    found = trace(chart(Store(), trusted), "sha256:...")
    found.downstream                      # every model that descends from it, the nearest first
    [one for one in found.downstream if one.places]      # those of them that were promoted, and where to

It follows signed training records only, each verified as anywhere else. So it shows what somebody trusted said, and cannot show
what nobody recorded or somebody deleted: an artifact without a descendant here may have some.

In the order of the code: read and verify all records and promotions of a store, once; walk from the artifact, up and down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pratique.artifacts import Subject
from pratique.errors import EvidenceError
from pratique.signing import Trusted
from pratique.statements import Clearance, TrainingRecord, Vouched
from pratique.store import Store
from pratique.vouching import collect_all


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One thing that one training used."""

    material: str
    """Digest of what was used."""

    product: str
    """Digest of what came out."""

    role: Literal["base", "dataset"]
    at: datetime
    """When the training finished."""

    by: str
    """Who says so: the builder in the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something was promoted to."""

    uri: str
    channel: str
    sequence: int
    until: datetime
    latest: bool
    """Whether no later promotion to this channel is known here. The channel itself says for certain: `pratique verify`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """All the lineage of a store that somebody trusted signed."""

    links: tuple[Link, ...]
    names: Mapping[str, str]
    """What people call an artifact, by its digest; the last that a record says."""

    places: Mapping[str, tuple[Place, ...]]
    """By digest, newest first."""

    refused: tuple[str, ...]
    """What lies in the store, too, and why it proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One artifact on the way."""

    digest: str
    name: str
    distance: int
    """Trainings between it and the artifact that was asked for; at least 1."""

    through: tuple[Link, ...]
    """The links that lead one step back towards that artifact."""

    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What is known about an artifact's family."""

    digest: str
    name: str
    places: tuple[Place, ...]
    upstream: tuple[Step, ...]
    """What it was made of, the nearest first."""

    downstream: tuple[Step, ...]
    """What was made of it, the nearest first."""

    refused: tuple[str, ...]

    @property
    def affected(self) -> tuple[Step, ...]:
        """Descendants that were promoted."""
        return tuple(one for one in self.downstream if one.places)


def chart(store: Store, trusted: Iterable[Trusted], each: Callable[[], None] = lambda: None) -> Chart:
    """Read and verify all the lineage of a store.

    Args:
        store: where records and clearances are.
        trusted: whose word counts.
        each: called after each statement, for a progress bar.

    Raises:
        StoreError: the store cannot be read.
    """
    keys = tuple(trusted)
    records = collect_all(store, "records", keys, TrainingRecord.parse, each)
    clearances = collect_all(store, "clearances", keys, Clearance.parse, each)
    links, names, unnamed = [], dict[str, str](), list[str]()
    for one in sorted(records.vouched, key=lambda one: one.statement.finished_at):
        record = one.statement
        if record.builder.removeprefix("urn:pratique:trainer:") not in one.actors:
            unnamed.append(f"the record {one.digest} names {record.builder}, who did not sign it")
            continue
        for subject in (record.subject, *(material.subject for material in record.materials)):
            names[subject.digest] = subject.name
        links += [
            Link(
                material=used.subject.digest, product=record.subject.digest, role=used.role, at=record.finished_at,
                by=record.builder,
            )
            for used in dict.fromkeys(record.materials)
        ]  # fmt: skip
    promotions = [one for one in clearances.vouched if one.statement.channel]
    for promoted in clearances.vouched:
        names.setdefault(promoted.statement.subject.digest, promoted.statement.subject.name)
    return Chart(
        links=tuple(links), names=names, places=_places(promotions), refused=(*records.refused, *unnamed, *clearances.refused)
    )


def trace(everything: Chart, digest: str) -> Trace:
    """Walk up and down from an artifact.

    Raises:
        ArtifactRefused: that is no digest.
        EvidenceError: nobody trusted has said anything about it.
    """
    Subject(digest=digest)
    up, down = _by(everything.links, "product"), _by(everything.links, "material")
    if digest not in everything.names:
        more = f"; {len(everything.refused)} statements by others lie there" if everything.refused else ""
        raise EvidenceError(f"no record and no promotion by anybody trusted names {digest}{more}")
    return Trace(
        digest=digest, name=everything.names[digest], places=everything.places.get(digest, ()),
        upstream=_walk(everything, digest, up, lambda link: link.material),
        downstream=_walk(everything, digest, down, lambda link: link.product), refused=everything.refused,
    )  # fmt: skip


def _walk(everything: Chart, start: str, links: Mapping[str, Sequence[Link]], far: Callable[[Link], str]) -> tuple[Step, ...]:
    """Breadth first, so that the nearest come first; what was met is not met again, whatever circles a liar records."""
    found: dict[str, int] = {start: 0}
    through: dict[str, list[Link]] = {}
    waiting = [start]
    for here in waiting:  # it grows as it goes
        for link in links.get(here, ()):
            there = far(link)
            if there not in found:
                found[there] = found[here] + 1
                waiting.append(there)
            if found[there] == found[here] + 1:
                through.setdefault(there, []).append(link)
    return tuple(
        Step(
            digest=one, name=everything.names.get(one, ""), distance=found[one], through=tuple(dict.fromkeys(through[one])),
            places=everything.places.get(one, ()),
        )
        for one in waiting[1:]
    )  # fmt: skip


def _by(links: Iterable[Link], end: Literal["product", "material"]) -> dict[str, list[Link]]:
    found: dict[str, list[Link]] = {}
    for link in links:
        found.setdefault(link.product if end == "product" else link.material, []).append(link)
    return found


def _places(promotions: Iterable[Vouched[Clearance]]) -> dict[str, tuple[Place, ...]]:
    kept = [one.statement for one in promotions]
    latest: dict[tuple[str, str], int] = {}
    for one in kept:
        line = (_destination(one), one.channel)
        latest[line] = max(latest.get(line, 0), one.sequence)
    found: dict[str, list[Place]] = {}
    for one in sorted(kept, key=lambda one: one.made_at, reverse=True):
        place = Place(
            uri=one.resource_uri, channel=one.channel, sequence=one.sequence, until=one.expires,
            latest=latest[_destination(one), one.channel] == one.sequence,
        )  # fmt: skip
        found.setdefault(one.subject.digest, []).append(place)
    return {digest: tuple(places) for digest, places in found.items()}


def _destination(one: Clearance) -> str:
    return one.resource_uri.rpartition("/sha256/")[0]
