"""An environment as a set of Kubernetes objects, and the sides that must stay apart in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pratique.isolation.shapes import Meta

LABEL = "kubernetes.io/metadata.name"
"""The label that the API server gives every namespace, and that nobody can change."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Thing:
    """One Kubernetes object."""

    group: str
    """API group; '' for the core."""

    kind: str
    """Such as `RoleBinding`."""

    meta: Meta
    """Its name, namespace, labels and annotations."""

    body: Mapping[str, Any]
    """All of it, as it was written."""

    file: str = ""
    """Where in the description it stands."""

    @property
    def name(self) -> str:
        """Its own name."""
        return self.meta.name

    @property
    def namespace(self) -> str:
        """'' for what belongs to the whole cluster."""
        return self.meta.namespace

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Names it, in a cluster."""
        return self.group, self.kind, self.namespace, self.name

    @property
    def ref(self) -> str:
        """Names it, for people."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """Something in the description that nobody could read, and that therefore proves nothing."""

    where: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    """All objects of a description."""

    things: tuple[Thing, ...]
    unread: tuple[Unread, ...] = ()

    @cached_property
    def by_kind(self) -> Mapping[tuple[str, str], tuple[Thing, ...]]:
        """Objects by group and kind."""
        found: dict[tuple[str, str], list[Thing]] = defaultdict(list)
        for one in self.things:
            found[one.group, one.kind].append(one)
        return {key: tuple(ones) for key, ones in found.items()}

    def of(self, group: str, kind: str, namespaces: frozenset[str] | None = None) -> Iterator[Thing]:
        """Objects of a kind, in these namespaces only if any are given."""
        for one in self.by_kind.get((group, kind), ()):
            if namespaces is None or one.namespace in namespaces:
                yield one

    @cached_property
    def namespaces(self) -> Mapping[str, Mapping[str, str]]:
        """Labels of every namespace that is described, or that an object lies in."""
        found: dict[str, dict[str, str]] = {one.namespace: {} for one in self.things if one.namespace}
        found |= {one.name: dict(one.meta.labels) for one in self.of("", "Namespace")}
        for name, labels in found.items():
            labels[LABEL] = name
        return found

    @cached_property
    def described(self) -> frozenset[str]:
        """Namespaces whose own object is there."""
        return frozenset(one.name for one in self.of("", "Namespace"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Who must be kept apart: the namespaces of each side."""

    train: frozenset[str]
    deploy: frozenset[str]
    broker: frozenset[str] = frozenset()

    @property
    def all(self) -> frozenset[str]:
        """Every namespace of every side."""
        return self.train | self.deploy | self.broker

    @property
    def guarded(self) -> frozenset[str]:
        """What training must never get hold of."""
        return self.deploy | self.broker

    def pairs(self) -> Iterator[tuple[frozenset[str], str, frozenset[str]]]:
        """Each direction in which nobody may get: from these namespaces, a word for what it would be, into those.

        The broker may reach both: it is the door.
        """
        yield self.train, "training into deployment", self.deploy
        if self.broker:
            yield self.train, "training into the broker", self.broker
        yield self.deploy, "deployment into training", self.train
        if self.broker:
            yield self.deploy, "deployment into the broker", self.broker


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """Why a rule is not proved."""

    rule: str
    """Which one."""

    where: str
    """Names the breach the same way each time it is looked for: an exception is made for exactly this."""

    steps: tuple[str, ...]
    """The path, a sentence for each step."""

    certain: bool = True
    """False if it could not be decided, which denies as well."""

    fix: str = ""
    """What to do, where something more fitting than the rule's own remedy is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """All that a rule may look at."""

    env: Environment
    sides: Sides
    pod_cidrs: tuple[str, ...] = ()
    """Addresses of pods, if they are known."""

    train_stores: tuple[str, ...] | None = None
    """URI prefixes that training may write to; None if nobody said."""

    known_groups: frozenset[str] = field(default_factory=frozenset)
    """API groups of custom resources that start no pods and hold no secrets, as somebody has found out."""

    admission_policies: frozenset[str] = field(default_factory=frozenset)
    """Digests of admission policies that somebody reviewed."""
