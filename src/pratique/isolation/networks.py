"""The rules NW-1 to NW-4: `no-default-deny`, `network-flow`, `host-network`, `network-bridge`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from pratique.isolation.objects import Breach, Question
from pratique.isolation.pods import pods
from pratique.isolation.policies import Direction, Network
from pratique.isolation.reaching import ways, words
from pratique.isolation.shapes import Service

OTHER_POLICIES = (
    ("cilium.io", "CiliumNetworkPolicy"), ("cilium.io", "CiliumClusterwideNetworkPolicy"),
    ("crd.projectcalico.org", "NetworkPolicy"), ("crd.projectcalico.org", "GlobalNetworkPolicy"),
    ("projectcalico.org", "NetworkPolicy"), ("projectcalico.org", "GlobalNetworkPolicy"),
    ("policy.networking.k8s.io", "AdminNetworkPolicy"), ("policy.networking.k8s.io", "BaselineAdminNetworkPolicy"),
    ("policy.networking.k8s.io", "ClusterNetworkPolicy"), ("crd.antrea.io", "ClusterNetworkPolicy"),
)  # fmt: skip
"""Policies of network plugins, which can open what a NetworkPolicy keeps shut, and which are not read here."""


def default_denies(question: Question, network: Network) -> Iterator[Breach]:
    """NW-1: in every namespace of every side a policy selects every pod, in each direction."""
    for namespace in sorted(question.sides.all):
        for direction in ("Ingress", "Egress"):
            way: Direction = "Ingress" if direction == "Ingress" else "Egress"
            if not any(one.selects.everything for one in network.policies.get((way, namespace), ())):
                yield Breach(
                    rule="no-default-deny", where=f"{namespace} {direction.lower()}",
                    steps=(f"no policy with an empty podSelector guards {direction.lower()} of {namespace}",
                           "whoever labels a pod as no policy expects is open in that direction"),
                )  # fmt: skip


def flows(question: Question, network: Network) -> Iterator[Breach]:
    """NW-2: no pod that one side may start, with whatever labels, can connect to any that another may."""
    cidrs = [ipaddress.ip_network(one) for one in question.pod_cidrs]
    for source_side, direction, target_side in question.sides.pairs():
        for source in sorted(source_side):
            for target in sorted(target_side):
                for way in ways(network, source, target, cidrs):
                    ends = f"a pod of {source}{_with(way.source)} can connect to one of {target}{_with(way.target)}"
                    last = f"{ends} on {words(way.ports)}"
                    if not way.certain:
                        last = f"whether {last} depends on the network plugin, or was not found out"
                    yield Breach(
                        rule="network-flow", where=f"{direction}: {source} to {target}, {way.key}",
                        steps=(*way.steps, last), certain=way.certain,
                    )  # fmt: skip


def strange_policies(question: Question) -> Iterator[Breach]:
    """NW-2, where a network plugin has policies of its own."""
    for group, kind in OTHER_POLICIES:
        for thing in question.env.of(group, kind):
            if not thing.namespace or thing.namespace in question.sides.all:
                yield Breach(
                    rule="network-flow", where=thing.ref, certain=False,
                    steps=(f"{thing.ref} ({group}) can open what network policies keep shut, and is not read",),
                )  # fmt: skip


def host_networks(question: Question) -> Iterator[Breach]:
    """NW-3: nobody uses the network of a node, where network policies do not reach."""
    for pod in pods(question.env, question.sides.all):
        if pod.spec.host_network:
            yield Breach(
                rule="host-network", where=pod.ref,
                steps=(f"{pod.ref} uses the network of its node, to which network policies do not apply",),
            )  # fmt: skip


def bridges(question: Question) -> Iterator[Breach]:
    """NW-4: no Service or EndpointSlice leads out of a side, or into it from outside of the cluster."""
    env, sides = question.env, question.sides
    for thing in env.of("", "Service", sides.all):
        try:
            spec = Service.model_validate(thing.body).spec
        except ValidationError:
            yield Breach(rule="network-bridge", where=thing.ref, steps=(f"{thing.ref} cannot be read",), certain=False)
            continue
        if spec.type == "ExternalName":
            yield _bridge(thing.ref, f"it is another name for {spec.external_name}")
        elif thing.namespace in sides.guarded and (spec.type in ("NodePort", "LoadBalancer") or spec.external_ips):
            how = spec.type if spec.type != "ClusterIP" else "external addresses"
            yield _bridge(thing.ref, f"it can be reached from outside of the cluster, past its namespace ({how})")
    for group, kind in (("", "Endpoints"), ("discovery.k8s.io", "EndpointSlice")):
        for thing in env.of(group, kind, sides.all):
            if not _managed(thing.meta.labels, thing.meta.annotations):
                yield _bridge(thing.ref, "somebody wrote by hand where its Service leads")
    for thing in env.of("gateway.networking.k8s.io", "ReferenceGrant", sides.all):
        for home in sorted(_granted(thing.body) & sides.all - {thing.namespace}):
            yield _bridge(thing.ref, f"it lets {home} refer to what is in {thing.namespace}")


def _granted(body: Mapping[str, Any]) -> frozenset[str]:
    """The namespaces that a ReferenceGrant of the Gateway API is for."""
    spec = body.get("spec")
    named = spec.get("from") if isinstance(spec, Mapping) else None
    ones = [one.get("namespace") for one in named if isinstance(one, Mapping)] if isinstance(named, list) else []
    return frozenset(one for one in ones if isinstance(one, str))


def _managed(labels: Mapping[str, str], annotations: Mapping[str, str]) -> bool:
    """Whether one of Kubernetes' own controllers keeps it, which leads to the pods that the Service selects."""
    by = labels.get("endpointslice.kubernetes.io/managed-by") or labels.get("endpoints.kubernetes.io/managed-by", "")
    return (
        by.endswith(".k8s.io")
        or by == "endpoint-controller"
        or "endpoints.kubernetes.io/last-change-trigger-time" in annotations
    )


def _bridge(ref: str, why: str) -> Breach:
    return Breach(rule="network-bridge", where=ref, steps=(f"{ref}: {why}",))


def _with(labels: Mapping[str, str]) -> str:
    told = ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return f" labelled {told}" if told else ""
