"""The rule AD-1: `no-admission-gate`. The API server itself refuses what was not promoted, and what would open the sides.

What a ValidatingAdmissionPolicy lets through is written in CEL, and no reading of names or labels says what an expression
means: `true` under the name of ours would pass. So a policy counts only if its whole spec is known: one of those of
`charts/pratique`, whose digests `admission.json` lists, or one that somebody reviewed (`pratique check isolation` prints the
digest of each). Where installations differ, the chart's policies have variables that are literal lists; those are taken out
before the digest is made, and read here instead.

1. For each of the four purposes there is a policy that is known to serve it.
2. Its lists name these very sides.
3. A binding puts it into force: it denies, everywhere where it must, and denies as well where the promotion list is missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from pydantic import ValidationError

from pratique import documents
from pratique.isolation.kinds import ADMISSION
from pratique.isolation.objects import Breach, Question, Thing
from pratique.isolation.selecting import compiled
from pratique.isolation.shapes import Selector

PURPOSES = {
    "promoted-only": "refuses models that were not promoted",
    "pods": "refuses images without a digest, and volumes that can be written to",
    "bindings": "refuses to bind training in deployment",
    "lock": "keeps the promotion list, network policies and labels as they are",
}
LISTS = ("train", "guarded", "isolated", "brokers", "promoters", "admins", "registries", "platformImages")
"""Variables of the chart's policies that hold what differs between installations."""

_LIST = re.compile(r"\[('[^'\\]*'(, ?'[^'\\]*')*)?\]\Z")
_ITEM = re.compile(r"'([^'\\]*)'")
_EVERYBODY = frozenset({"system:authenticated", "system:unauthenticated", "system:serviceaccounts"})


@cache
def known() -> Mapping[str, frozenset[str]]:
    """Digests of the policies of the chart, by purpose."""
    data = resources.files("pratique.isolation").joinpath("admission.json").read_bytes()
    return {purpose: frozenset(digests) for purpose, digests in json.loads(data).items()}


def digest(thing: Thing) -> str:
    """Names what a policy does, whatever it is called and whoever it is about."""
    return documents.sha256(documents.canonical(_bare(_spec(thing))))


def no_gates(question: Question) -> Iterator[Breach]:
    """AD-1: each purpose is served, for these sides."""
    policies = [(one, digest(one)) for one in question.env.of(ADMISSION, "ValidatingAdmissionPolicy")]
    others = any(question.env.of(ADMISSION, "ValidatingWebhookConfiguration"))
    for purpose, words in PURPOSES.items():
        fit = [one for one, name in policies if name in known()[purpose] or f"{purpose}={name}" in question.admission_policies]
        if not fit:  # 1
            near = [f"{one.name} ({name})" for one, name in policies if one.name.endswith(purpose)]
            steps = [f"no policy that is known {words}"]
            steps += [f"{one} has the name of one that would, but is none that is known" for one in near]
            steps += ["a webhook may do it, but what a webhook does, no manifest says"] if others else []
            yield Breach(rule="no-admission-gate", where=purpose, steps=tuple(steps), certain=not others or bool(near))
            continue
        whys = [_why_not(one, purpose, question) for one in fit]
        if all(whys):
            yield Breach(rule="no-admission-gate", where=purpose, steps=tuple(why for why in whys if why))


def _why_not(policy: Thing, purpose: str, question: Question) -> str:
    """What keeps a policy from serving its purpose; '' if nothing does."""
    lists = _lists(_spec(policy))
    sides = question.sides
    needed = {"train": sides.train, "guarded": sides.guarded, "isolated": sides.all, "brokers": sides.broker}
    for name, namespaces in needed.items():  # 2
        if name in lists and not namespaces <= set(lists[name]):
            missing = ", ".join(sorted(namespaces - set(lists[name])))
            return f"{policy.name}: its list {name} does not name {missing}"
    for one in lists.get("promoters", ()):
        home = one.removeprefix("system:serviceaccount:").partition(":")[0]
        if one.startswith("system:serviceaccount:") is False or (sides.broker and home not in sides.broker):
            return f"{policy.name}: {one} may promote, and is nobody of the broker"
    for one in lists.get("admins", ()):
        if one in _EVERYBODY or one.startswith("system:serviceaccounts"):
            return f"{policy.name}: {one} counts as an admin"
    bindings = [
        one for one in question.env.of(ADMISSION, "ValidatingAdmissionPolicyBinding")
        if _spec(one).get("policyName") == policy.name
    ]  # fmt: skip
    whys = [_unbound(one, purpose, question) for one in bindings]  # 3
    if not whys:
        return f"{policy.name}: no binding puts it into force"
    return "" if "" in whys else whys[0]


def _unbound(binding: Thing, purpose: str, question: Question) -> str:
    """What keeps a binding from putting its policy into force where it must be; '' if nothing does."""
    spec = _spec(binding)
    actions = spec.get("validationActions")
    if not isinstance(actions, list) or "Deny" not in actions:
        return f"binding {binding.name} does not deny"
    if purpose == "promoted-only":
        ref = spec.get("paramRef")
        ref = ref if isinstance(ref, Mapping) else {}
        if ref.get("parameterNotFoundAction") != "Deny" or ref.get("selector"):
            return f"binding {binding.name} lets everything pass where the promotion list is missing"
        home = str(ref.get("namespace") or "")
        if (home not in question.sides.broker) if question.sides.broker else (home in question.sides.train or not home):
            return f"binding {binding.name} takes its promotion list from {home}, which is not the broker"
    match = spec.get("matchResources")
    match = dict(match) if isinstance(match, Mapping) else {}
    selector = match.pop("namespaceSelector", None)
    match = {key: value for key, value in match.items() if value and not (key == "matchPolicy" and value == "Equivalent")}
    if match:
        return f"binding {binding.name} is not about everything ({', '.join(sorted(match))})"
    if selector and purpose in ("bindings", "lock"):
        return f"binding {binding.name} is about some namespaces only, and {purpose} must hold for the whole cluster"
    return _misses(binding, selector, question)


def _misses(binding: Thing, selector: Any, question: Question) -> str:
    try:
        chosen = compiled(Selector.model_validate(selector or {}))
    except ValidationError:
        return f"binding {binding.name} has a selector that cannot be read"
    for name in sorted(question.sides.deploy):
        if not chosen.sound or not chosen.matches(question.env.namespaces.get(name, {})):
            return f"binding {binding.name} does not select {name}"
    return ""


def _bare(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec without what differs between installations, and without what the API server fills in."""
    bare = dict(spec)
    match = bare.get("matchConstraints")
    if isinstance(match, Mapping):
        rest = {key: value for key, value in match.items() if value not in ({}, None) and (key, value) != _POLICY}
        rules = match.get("resourceRules")
        if isinstance(rules, list):
            rest["resourceRules"] = [_without_scope(one) for one in rules]
        bare["matchConstraints"] = rest
    variables = bare.get("variables")
    if isinstance(variables, list):
        bare["variables"] = [_hollow(one) for one in variables]
    return bare


_POLICY = ("matchPolicy", "Equivalent")


def _without_scope(rule: Any) -> Any:
    return {key: one for key, one in rule.items() if (key, one) != ("scope", "*")} if isinstance(rule, Mapping) else rule


def _hollow(variable: Any) -> Any:
    """A list that is a literal, taken out; anything else stays, and makes another digest."""
    if isinstance(variable, Mapping) and variable.get("name") in LISTS and _LIST.match(str(variable.get("expression"))):
        return {"name": variable["name"]}
    return variable


def _lists(spec: Mapping[str, Any]) -> dict[str, list[str]]:
    variables = spec.get("variables")
    found = {}
    for one in variables if isinstance(variables, list) else ():
        if isinstance(one, Mapping) and one.get("name") in LISTS:
            found[str(one["name"])] = _ITEM.findall(str(one.get("expression")))
    return found


def _spec(thing: Thing) -> Mapping[str, Any]:
    spec = thing.body.get("spec")
    return spec if isinstance(spec, Mapping) else {}
