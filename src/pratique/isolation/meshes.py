"""The rule ME-1: `mesh-open`. Where a service mesh is used, it does not let training in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pratique.isolation.objects import Breach, Question, Thing

ISTIO = "security.istio.io"


def open_meshes(question: Question) -> Iterator[Breach]:
    """ME-1: in a namespace of deployment with Istio policies, TLS is strict and no ALLOW is for everybody or for training."""
    sides = question.sides
    for namespace in sorted(sides.guarded):
        only = frozenset({namespace})
        policies = list(question.env.of(ISTIO, "AuthorizationPolicy", only))
        if not policies:
            continue
        for policy in policies:
            why = _admits(policy, sides.train)
            if why:
                yield Breach(rule="mesh-open", where=policy.ref, steps=(f"{policy.ref} {why}",))
        modes = [_mode(one) for one in question.env.of(ISTIO, "PeerAuthentication", only) if not _spec(one).get("selector")]
        if "STRICT" not in modes:
            steps = (f"{namespace} does not insist on mutual TLS", "principals in its policies are only as good as that")
            yield Breach(rule="mesh-open", where=f"{namespace} PeerAuthentication", steps=steps)


def _admits(policy: Thing, train: frozenset[str]) -> str:
    spec = _spec(policy)
    if spec.get("action", "ALLOW") != "ALLOW":
        return ""
    rules = spec.get("rules")
    if not isinstance(rules, list):
        return ""  # nothing is allowed
    for rule in rules:
        sources = rule.get("from") if isinstance(rule, Mapping) else None
        if not isinstance(sources, list) or not sources:
            return "allows requests of everybody: it has a rule without `from`"
        for one in sources:
            found = _names(one.get("source") if isinstance(one, Mapping) else None, train)
            if found:
                return found
    return ""


def _names(source: Any, train: frozenset[str]) -> str:
    if not isinstance(source, Mapping):
        return "allows a source that says nothing"
    principals, namespaces = _texts(source.get("principals")), _texts(source.get("namespaces"))
    if not principals and not namespaces:
        return "allows sources by something else than who they are"
    for one in namespaces:
        if any(_fits(one, name) for name in train):
            return f"allows requests from the namespace {one}"
    for one in principals if not namespaces else ():
        for name in train:
            if one == "*" or f"/ns/{name}/" in one or ("*" in one and _fits(one, f"cluster.local/ns/{name}/sa/default")):
                return f"allows requests of the principal {one}"
    return ""


def _fits(pattern: str, text: str) -> bool:
    """Istio's patterns: a star at the beginning, at the end, or alone."""
    if pattern == "*":
        return True
    if pattern.startswith("*"):
        return text.endswith(pattern[1:])
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


def _texts(value: Any) -> Sequence[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else ()


def _spec(thing: Thing) -> Mapping[str, Any]:
    spec = thing.body.get("spec")
    return spec if isinstance(spec, Mapping) else {}


def _mode(thing: Thing) -> object:
    mtls = _spec(thing).get("mtls")
    return mtls.get("mode") if isinstance(mtls, Mapping) else None
