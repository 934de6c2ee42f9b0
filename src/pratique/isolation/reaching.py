"""Whether any pod that one side may start can connect to any pod that another may: with labels and ports of their choice.

    for way in ways(network, "ml-train", "ml-deploy"): way.source, way.target, way.ports

Decided exactly, without trying labels out. For a connection to get through, both must hold:

1. going out, no policy for egress selects the source, or one that does has a rule for the target;
2. coming in, no policy for ingress selects the target, or one that does has a rule for the source.

Each of those is a choice between a few conjunctions of selector terms over the labels of either end, so every pair of choices
is asked for labels that satisfy it (`selecting.labels_for`); the answer is a witness or there is none. Ports must overlap.
A name of a port may stand for any number, as far as anybody may start pods. A rule about addresses matches whatever the network
plugin makes of it, unless the addresses are known to be none of a pod's; what rests on one is not certain.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pratique.isolation.objects import LABEL
from pratique.isolation.policies import LAST_PORT, Direction, Net, Network, Party, Policy, Ports
from pratique.isolation.selecting import Term, Undecided, labels_without

EVERY_PORT = (Ports("TCP"), Ports("UDP"), Ports("SCTP"))


@dataclass(frozen=True, slots=True)
class Opening:
    """One way for one end to be open towards the other."""

    mine: tuple[Term, ...] = ()
    """What its own labels must be."""

    other: tuple[Term, ...] = ()
    """What those of the other end must be."""

    ports: tuple[Ports, ...] = EVERY_PORT
    says: str = ""
    """The policy and the rule."""

    key: str = "open"
    """The same, in short."""

    certain: bool = True
    closed: tuple[Policy, ...] = ()
    """Policies that must not select it."""


@dataclass(frozen=True, slots=True)
class Way:
    """A connection that gets through."""

    source: Mapping[str, str]
    """Labels with which a pod can open it."""

    target: Mapping[str, str]
    """Labels of the pods that it reaches."""

    ports: Ports
    steps: tuple[str, ...]
    certain: bool
    key: str
    """Names the policies behind it."""


def ways(network: Network, source: str, target: str, pod_cidrs: Sequence[Net] = ()) -> Iterator[Way]:
    """Every pair of openings that fit, from a namespace into another. Nothing means that nothing gets through."""
    out = list(_openings(network, "Egress", source, target, pod_cidrs))
    into = list(_openings(network, "Ingress", target, source, pod_cidrs))
    for one in out:
        for other in into:
            ports = _overlap(one.ports, other.ports)
            if ports is None:
                continue
            way = _way(one, other, ports)
            if way is not None:
                yield way


def _way(out: Opening, into: Opening, ports: Ports) -> Way | None:
    """Labels for both ends, if there are any."""
    certain, key = out.certain and into.certain, f"{out.key} to {into.key}"
    try:
        source = labels_without([*out.mine, *into.other], [one.selects for one in out.closed])
        target = labels_without([*into.mine, *out.other], [one.selects for one in into.closed])
    except Undecided:
        return Way({}, {}, ports, (out.says, into.says, "whether labels exist for it was not found out"), False, key)
    if source is None or target is None:
        return None
    return Way(source, target, ports, (out.says, into.says), certain, key)


def _openings(
    network: Network, direction: Direction, mine: str, other: str, pod_cidrs: Sequence[Net]
) -> Iterator[Opening]:  # fmt: skip
    """Every way in which a pod in `mine` can be open, in a direction, towards pods in `other`."""
    policies = network.policies.get((direction, mine), [])
    verb = "leave" if direction == "Egress" else "enter"
    if not any(one.selects.everything for one in policies):
        which = "that no policy selects" if policies else "which no policy guards"
        yield Opening(says=f"connections may {verb} pods of {mine} {which}", closed=tuple(policies))
    labels = network.labels.get(other, {LABEL: other})
    for policy in policies:
        for number, rule in enumerate(policy.rules, start=1):
            says = f"rule {number} of {policy.thing.ref} lets connections {verb}"
            for party in rule.parties or (None,):
                terms = _towards(party, mine, other, labels, pod_cidrs)
                if terms is not None:
                    sure = party is None or party.blocks is None
                    ports = rule.ports or EVERY_PORT
                    says = says if sure else says + " by address"
                    yield Opening(policy.selects.terms, terms, ports, says, f"{policy.thing.name}[{number}]", sure)


def _towards(
    party: Party | None, mine: str, other: str, labels: Mapping[str, str], pod_cidrs: Sequence[Net]
) -> tuple[Term, ...] | None:  # fmt: skip
    """What labels a pod in `other` must have for a rule to be about it; None if it is about none of them."""
    if party is None:
        return ()
    if party.blocks is not None:
        return () if _may_hold_pods(party.blocks.net, party.blocks.but, pod_cidrs) else None
    there = mine == other if party.namespaces is None else party.namespaces.matches(labels)
    return party.pods.terms if there else None


def _may_hold_pods(net: Net, but: Sequence[Net], pod_cidrs: Sequence[Net]) -> bool:
    """Whether a pod may have one of these addresses. Where nobody said which those of pods are, any pod may."""
    if not pod_cidrs:
        return True
    return any(
        one.version == net.version and one.overlaps(net) and not any(_within(one, gap) or _within(net, gap) for gap in but)
        for one in pod_cidrs
    )


def _within(inner: Net, outer: Net) -> bool:
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False


def _overlap(ones: Sequence[Ports], others: Sequence[Ports]) -> Ports | None:
    """Some ports that are among both, of TCP if there are any. Two names may stand for one number: a pod may list it twice."""
    both = [
        Ports(one.protocol, max(one.first, other.first), min(one.last, other.last), one.name or other.name)
        for one in ones for other in others if one.protocol == other.protocol
    ]  # fmt: skip
    some = [one for one in both if one.first <= one.last]
    return min(some, key=lambda one: one.protocol != "TCP", default=None)


def words(ports: Ports) -> str:
    """Ports, for people."""
    if ports.name:
        return f"{ports.protocol} port {ports.name!r}"
    if (ports.first, ports.last) == (0, LAST_PORT):
        return f"every {ports.protocol} port"
    return f"{ports.protocol} port {ports.first}" + (f" to {ports.last}" if ports.last != ports.first else "")
