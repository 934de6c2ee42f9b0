"""Whether training can reach what was deployed, by any way that manifests show: rights, networks, storage, secrets, nodes.

    env = isolation.read({"objects.yaml": data})
    sides = isolation.Sides(train=frozenset({"ml-train"}), deploy=frozenset({"ml-deploy"}), broker=frozenset({"ml-broker"}))
    judged = isolation.judge(isolation.Question(env=env, sides=sides))
    judged.breaches     # each with its rule and its path, a sentence for each step
    judged.proved       # the rules that are silent, and so proved for everything that is described

The question is about a pair (really three: training, deployment, and the broker between them), in both directions, and about
the worst that can be put into either: pods with labels, accounts and ports of their author's choice. Custom resources of which
a controller makes pods count as pods. What could not be decided is a breach that is not certain; it denies as well.

`judge` is a pure function of the description: no cluster is asked, no clock is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pratique.isolation import (
    admission,
    completing,
    identities,
    images,
    meshes,
    networks,
    nodes,
    secrets,
    volumes,
)
from pratique.isolation.objects import Breach as Breach
from pratique.isolation.objects import Environment as Environment
from pratique.isolation.objects import Question as Question
from pratique.isolation.objects import Sides as Sides
from pratique.isolation.pods import pods, unread_pods
from pratique.isolation.policies import Network
from pratique.isolation.reading import read as read
from pratique.isolation.roles import Access
from pratique.isolation.rules import KUBERNETES as KUBERNETES


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came out."""

    breaches: tuple[Breach, ...]
    """In the order of the rules, each once."""

    rules: tuple[str, ...]
    """Every rule that was asked."""

    counts: dict[str, int]
    """How much was looked at."""

    @property
    def proved(self) -> tuple[str, ...]:
        """Rules that nothing speaks against; none, if anything could not be read or is missing."""
        broken = {one.rule for one in self.breaches}
        return () if broken & {"unreadable", "incomplete"} else tuple(one for one in self.rules if one not in broken)


def judge(question: Question, *, cluster: bool = False) -> Judged:
    """Ask every rule about manifests.

    Args:
        question: the environment and its sides.
        cluster: whether the environment claims to be all of a cluster, so that what is missing matters.
    """
    access, network = Access.of(question.env), Network.of(question.env)
    found = dict.fromkeys(_breaches(question, access, network, cluster))
    first: dict[tuple[str, str], Breach] = {}
    for one in found:
        first.setdefault((one.rule, one.where), one)
    sides = question.sides.all
    counts = {
        "objects": len(question.env.things),
        "accounts": sum(1 for _ in question.env.of("", "ServiceAccount")),
        "pods": sum(1 for _ in pods(question.env, sides)),
        "network_policies": sum(1 for _ in question.env.of("networking.k8s.io", "NetworkPolicy", sides)),
        "secrets": secrets.count(question),
    }
    return Judged(breaches=tuple(first.values()), rules=tuple(KUBERNETES), counts=counts)


def _breaches(question: Question, access: Access, network: Network, cluster: bool) -> Iterator[Breach]:
    env = question.env
    for one in (*env.unread, *access.unread, *network.unread, *unread_pods(env, question.sides.all)):
        yield Breach(rule="unreadable", where=one.where, steps=(f"{one.where}: {one.why}",), certain=False)
    yield from completing.missing(question, cluster=cluster)
    yield from identities.shared_identities(question, access)
    yield from identities.foreign_bindings(question, access)
    yield from identities.takeovers(question, access)
    yield from identities.dangling_roles(question, access)
    yield from identities.default_tokens(question)
    yield from volumes.shared_volumes(question)
    yield from volumes.shared_buckets(question)
    yield from secrets.shared_secrets(question)
    yield from secrets.shared_clouds(question)
    yield from networks.default_denies(question, network)
    yield from networks.flows(question, network)
    yield from networks.strange_policies(question)
    yield from networks.host_networks(question)
    yield from networks.bridges(question)
    yield from images.unpinned_images(question)
    yield from nodes.pod_security(question)
    yield from nodes.node_takers(question)
    yield from meshes.open_meshes(question)
    yield from admission.no_gates(question)
    yield from completing.strange_resources(question)
