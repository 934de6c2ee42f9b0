"""Who may do what: Kubernetes' role-based access control, decided from its objects alone.

    access = Access.of(env)
    access.permits(Identity("ServiceAccount", "ml-train", "trainer"), "create", "", "pods/exec", "ml-deploy")

`permits` decides as an API server does: with the 351 RBAC objects of Kubeflow's example and Kubernetes' own bootstrap roles
it gives the answer that a real one gave for each of 20,000 recorded SubjectAccessReviews (tests/isolation/test_roles.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import ValidationError

from pratique.isolation.kinds import RBAC
from pratique.isolation.objects import Environment, Thing, Unread
from pratique.isolation.reading import because
from pratique.isolation.selecting import compiled
from pratique.isolation.shapes import Binding, Role, Rule

ACCOUNT = "system:serviceaccount:"


class Identity(NamedTuple):
    """Somebody whom the API server knows."""

    kind: str
    """ServiceAccount, User or Group."""

    namespace: str
    """Of a ServiceAccount; '' for others."""

    name: str

    def __str__(self) -> str:
        if self.kind == "ServiceAccount":
            return f"service account {self.namespace}/{self.name}"
        return f"{self.kind.lower()} {self.name}"

    @property
    def groups(self) -> Iterator[Identity]:
        """The groups that the API server itself puts it into."""
        if self.kind == "ServiceAccount":
            yield Identity("Group", "", "system:serviceaccounts")
            yield Identity("Group", "", f"system:serviceaccounts:{self.namespace}")
        if self.kind != "Group":
            yield Identity("Group", "", "system:authenticated")


def identity(kind: str, namespace: str, name: str) -> Identity:
    """Somebody in a binding; a service account that is named as a user is the service account."""
    if kind == "ServiceAccount":
        return Identity(kind, namespace, name)
    home, _, account = name.removeprefix(ACCOUNT).partition(":")
    if kind == "User" and name.startswith(ACCOUNT) and account:
        return Identity("ServiceAccount", home, account)
    return Identity(kind, "", name)


@dataclass(frozen=True, slots=True, eq=False)
class Grant:
    """One rule of one role, by one binding."""

    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    names: frozenset[str]
    """The only objects that it is about; empty for all."""

    namespace: str
    """'' for the whole cluster."""

    via: str
    """The binding and the role, for people."""

    def covers(self, verb: str, group: str, resource: str) -> bool:
        """Whether it speaks of this, in its own namespace, for at least some object."""
        if verb not in self.verbs and "*" not in self.verbs:
            return False
        if group not in self.groups and "*" not in self.groups:
            return False
        if resource in self.resources or "*" in self.resources:
            return True
        _, slash, sub = resource.partition("/")
        return bool(slash) and f"*/{sub}" in self.resources

    def allows(self, verb: str, group: str, resource: str, name: str) -> bool:
        """Whether it allows exactly this; a request that names no object is not about a named one."""
        return self.covers(verb, group, resource) and (not self.names or name in self.names)


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """One subject of one binding."""

    who: Identity
    binding: Thing
    role: str
    """`ClusterRole edit`."""

    rules: tuple[tuple[int, Rule], ...]
    """None of the role's rules if there is no such role."""


@dataclass(frozen=True, slots=True, eq=False)
class Dangling:
    """A binding to a role that is not there."""

    binding: Thing
    kind: str
    name: str
    who: tuple[Identity, ...]


@dataclass(slots=True, eq=False)
class Access:
    """All grants of an environment."""

    bound: list[Bound] = field(default_factory=list)
    grants: dict[Identity, list[Grant]] = field(default_factory=lambda: defaultdict(list))
    dangling: list[Dangling] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)

    @classmethod
    def of(cls, env: Environment) -> Access:
        """Resolve every binding."""
        access = cls()
        cluster = access._roles(env, "ClusterRole")
        local = access._roles(env, "Role")
        whole = _aggregated(env, cluster)
        for kind in ("ClusterRoleBinding", "RoleBinding"):
            for thing in env.of(RBAC, kind):
                access._bind(thing, whole, local)
        return access

    def permits(self, who: Identity, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        """What a SubjectAccessReview would say. `resource` includes a subresource: `pods/exec`."""
        return any(
            one.allows(verb, group, resource, name)
            for one in self.held(who) if one.namespace in ("", namespace)
        )  # fmt: skip

    def held(self, who: Identity) -> Iterator[Grant]:
        """Every grant of somebody, and of the groups that they are in."""
        for one in (who, *who.groups):
            yield from self.grants.get(one, ())

    def _roles(self, env: Environment, kind: str) -> dict[tuple[str, str], Role]:
        found = {}
        for thing in env.of(RBAC, kind):
            try:
                found[thing.namespace, thing.name] = Role.model_validate(thing.body)
            except ValidationError as error:
                self.unread.append(Unread(where=thing.ref, why=because(error)))
        return found

    def _bind(self, thing: Thing, whole: Mapping[str, tuple[Rule, ...]], local: Mapping[tuple[str, str], Role]) -> None:
        try:
            binding = Binding.model_validate(thing.body)
        except ValidationError as error:
            self.unread.append(Unread(where=thing.ref, why=because(error)))
            return
        ref = binding.role_ref
        who = tuple(identity(one.kind, one.namespace or thing.namespace, one.name) for one in binding.subjects)
        rules: tuple[Rule, ...] | None
        if ref.kind == "ClusterRole":
            rules = whole.get(ref.name)
        else:
            role = local.get((thing.namespace, ref.name))
            rules = tuple(role.rules) if role else None
        if rules is None:
            self.dangling.append(Dangling(thing, ref.kind, ref.name, who))
        for one in who:
            self.bound.append(Bound(one, thing, f"{ref.kind} {ref.name}", tuple(enumerate(rules or (), start=1))))
            for number, rule in enumerate(rules or (), start=1):
                if rule.resources:
                    self.grants[one].append(_grant(rule, thing, f"{ref.kind} {ref.name}, rule {number}"))


def _grant(rule: Rule, binding: Thing, role: str) -> Grant:
    return Grant(
        frozenset(rule.verbs), frozenset(rule.api_groups), frozenset(rule.resources), frozenset(rule.resource_names),
        binding.namespace, f"{binding.ref} gives {role}",
    )  # fmt: skip


def _aggregated(env: Environment, roles: Mapping[tuple[str, str], Role]) -> dict[str, tuple[Rule, ...]]:
    """The rules of each ClusterRole, with those of the roles that it is made of.

    A role that aggregates has the rules of those that its selectors select, and theirs in turn. A controller writes them into
    the role itself; a rendering has not seen that controller yet, so it is done here.
    """
    labels = {one.name: one.meta.labels for one in env.of(RBAC, "ClusterRole")}
    parts: dict[str, list[str]] = {}
    for (_, name), role in roles.items():
        chosen = [compiled(one) for one in (role.aggregation_rule.cluster_role_selectors if role.aggregation_rule else ())]
        parts[name] = [
            other for other in labels if other != name and any(selector.matches(labels[other]) for selector in chosen)
        ] if chosen else []  # fmt: skip

    def collect(name: str) -> Iterator[Rule]:
        seen, ahead = {name}, [name]
        while ahead:
            one = ahead.pop()
            role = roles.get(("", one))
            yield from role.rules if role else ()
            new = [other for other in parts.get(one, ()) if other not in seen]
            seen.update(new)
            ahead += new

    return {name: tuple(collect(name)) for name in parts}
