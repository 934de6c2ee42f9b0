"""NetworkPolicies, ready to be asked: which connections they let through, by the words of the Kubernetes documentation.

    network = Network.of(env)
    network.allows(End("ml-train", {"app": "x"}), End("ml-deploy", {"app": "y"}), "TCP", 8080)

A pod that no policy selects for a direction is open in it. One that some select is open to what any rule of any of them lets
through. Both ends have to agree. (https://kubernetes.io/docs/concepts/services-networking/network-policies/)
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pydantic import ValidationError

from pratique.isolation.kinds import NETWORKING
from pratique.isolation.objects import LABEL, Environment, Thing, Unread
from pratique.isolation.reading import because
from pratique.isolation.selecting import EVERYTHING, Compiled, compiled
from pratique.isolation.shapes import Block, Egress, Ingress, NetworkPolicy, Peer, PolicyPort

Direction = Literal["Ingress", "Egress"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Net = ipaddress.IPv4Network | ipaddress.IPv6Network
LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class End:
    """One end of a connection."""

    namespace: str
    labels: Mapping[str, str]
    address: Address | None = None
    """Where it is, if that is known."""

    names: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Its ports by protocol and name."""


class Ports(NamedTuple):
    """A range of ports of one protocol."""

    protocol: str
    first: int = 0
    last: int = LAST_PORT
    name: str = ""
    """The name of a port instead: each pod says which number that is."""

    def holds(self, protocol: str, port: int, names: Mapping[tuple[str, str], int]) -> bool:
        """Whether a port of a pod is among these."""
        if protocol != self.protocol:
            return False
        if self.name:
            return names.get((protocol, self.name)) == port
        return self.first <= port <= self.last


@dataclass(frozen=True, slots=True)
class Blocks:
    """Addresses, less some of them."""

    net: Net
    but: tuple[Net, ...]

    def holds(self, address: Address) -> bool:
        """Whether an address is among these."""
        return address in self.net and not any(address in one for one in self.but)


@dataclass(frozen=True, slots=True)
class Party:
    """Who a rule is about: pods of some namespaces, or addresses."""

    namespaces: Compiled | None
    """None stands for the policy's own namespace."""

    pods: Compiled = EVERYTHING
    blocks: Blocks | None = None

    def holds(self, end: End, home: str, labels: Mapping[str, str]) -> bool:
        """Whether it is about this end; `labels` are those of the end's namespace."""
        if self.blocks is not None:
            return end.address is not None and self.blocks.holds(end.address)
        there = end.namespace == home if self.namespaces is None else self.namespaces.matches(labels)
        return there and self.pods.matches(end.labels)


@dataclass(frozen=True, slots=True)
class Allowed:
    """One rule of a policy: who, and which ports. Nothing named is everything."""

    parties: tuple[Party, ...]
    ports: tuple[Ports, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A NetworkPolicy, in one direction."""

    thing: Thing
    selects: Compiled
    rules: tuple[Allowed, ...]


@dataclass(slots=True, eq=False)
class Network:
    """Every policy, by direction and namespace."""

    labels: Mapping[str, Mapping[str, str]]
    policies: dict[tuple[Direction, str], list[Policy]] = field(default_factory=lambda: defaultdict(list))
    unread: list[Unread] = field(default_factory=list)

    @classmethod
    def of(cls, env: Environment) -> Network:
        """Compile what there is."""
        network = cls(labels=env.namespaces)
        for thing in env.of(NETWORKING, "NetworkPolicy"):
            try:
                network._add(thing, NetworkPolicy.model_validate(thing.body))
            except ValidationError as error:
                network.unread.append(Unread(where=thing.ref, why=because(error)))
            except ValueError as error:
                network.unread.append(Unread(where=thing.ref, why=str(error)))
        return network

    def of_pod(self, direction: Direction, end: End) -> list[Policy]:
        """The policies that a pod is under in a direction."""
        return [one for one in self.policies.get((direction, end.namespace), ()) if one.selects.matches(end.labels)]

    def allows(self, source: End, target: End, protocol: str, port: int) -> bool:
        """Whether a connection gets through. Ports that a policy names are those of the target, in both directions."""
        return self._one_way("Egress", source, target, protocol, port, target.names) and self._one_way(
            "Ingress", target, source, protocol, port, target.names
        )

    def _one_way(
        self, direction: Direction, mine: End, other: End, protocol: str, port: int, names: Mapping[tuple[str, str], int]
    ) -> bool:  # fmt: skip
        under = self.of_pod(direction, mine)
        labels = self.labels.get(other.namespace, {LABEL: other.namespace})
        return not under or any(
            (not rule.ports or any(one.holds(protocol, port, names) for one in rule.ports))
            and (not rule.parties or any(one.holds(other, mine.namespace, labels) for one in rule.parties))
            for policy in under for rule in policy.rules
        )  # fmt: skip

    def _add(self, thing: Thing, policy: NetworkPolicy) -> None:
        spec = policy.spec
        directions = spec.policy_types or (["Ingress", "Egress"] if spec.egress else ["Ingress"])
        selects = _sound(compiled(spec.pod_selector))
        rules: dict[str, tuple[Allowed, ...]] = {
            "Ingress": tuple(_rule(one.from_, one) for one in spec.ingress),
            "Egress": tuple(_rule(one.to, one) for one in spec.egress),
        }
        for direction in directions:
            if direction not in rules:
                raise ValueError(f"it is of the type {direction!r}, which nobody knows")
        for direction in dict.fromkeys(directions):
            way: Direction = "Ingress" if direction == "Ingress" else "Egress"
            self.policies[way, thing.namespace].append(Policy(thing, selects, rules[direction]))


def _rule(peers: list[Peer], rule: Ingress | Egress) -> Allowed:
    return Allowed(tuple(_party(one) for one in peers), tuple(_ports(one) for one in rule.ports))


def _party(peer: Peer) -> Party:
    if peer.ip_block is not None:
        if peer.pod_selector is not None or peer.namespace_selector is not None:
            raise ValueError("a rule names addresses and pods in one breath")
        return Party(None, EVERYTHING, _blocks(peer.ip_block))
    namespaces = None if peer.namespace_selector is None else _sound(compiled(peer.namespace_selector))
    if namespaces is None and peer.pod_selector is None:  # the API server refuses it; whoever takes it may take it for all
        return Party(EVERYTHING)
    return Party(namespaces, _sound(compiled(peer.pod_selector)))


def _blocks(block: Block) -> Blocks:
    return Blocks(ipaddress.ip_network(block.cidr), tuple(ipaddress.ip_network(one) for one in block.except_))


def _ports(port: PolicyPort) -> Ports:
    protocol = port.protocol or "TCP"
    if port.port is None:
        return Ports(protocol)
    if isinstance(port.port, str):
        return Ports(protocol, name=port.port)
    return Ports(protocol, port.port, port.port if port.end_port is None else port.end_port)


def _sound(selector: Compiled) -> Compiled:
    if not selector.sound:
        raise ValueError("a selector has an operator that nobody knows, or values where there may be none")
    return selector
