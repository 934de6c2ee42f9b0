"""The pods of an environment: those that run, those that Kubernetes' own kinds make, and those in custom resources.

    for pod in pods(env, frozenset({"ml-deploy"})): pod.images, pod.account, pod.spec.volumes

A custom resource holds its pod templates wherever its author put them. Whatever in it has a list of `containers` is taken for
one; so is a single `container`, as Argo has it, and an InferenceService's predictor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from pratique.isolation.kinds import PODS
from pratique.isolation.objects import Environment, Thing, Unread
from pratique.isolation.reading import because
from pratique.isolation.shapes import Meta, PodSpec


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pod:
    """A pod, or a template of pods."""

    thing: Thing
    """The object that it stands in."""

    labels: Mapping[str, str]
    spec: PodSpec

    @property
    def ref(self) -> str:
        """Names it, for people."""
        return self.thing.ref

    @property
    def namespace(self) -> str:
        """Where it runs."""
        return self.thing.namespace

    @property
    def account(self) -> str:
        """The service account that it runs as."""
        return self.spec.service_account_name or self.spec.service_account or "default"

    @property
    def images(self) -> Iterator[str]:
        """What its containers run."""
        for one in self.spec.every_container:
            if one.image:
                yield one.image


def pods(env: Environment, namespaces: frozenset[str]) -> Iterator[Pod]:
    """Every pod in some namespaces that could be read."""
    for thing in env.things:
        if thing.namespace in namespaces:
            yield from (one for one in _pods_of(thing) if isinstance(one, Pod))


def unread_pods(env: Environment, namespaces: frozenset[str]) -> Iterator[Unread]:
    """Pods that could not be."""
    for thing in env.things:
        if thing.namespace in namespaces:
            yield from (one for one in _pods_of(thing) if isinstance(one, Unread))


def texts(value: Any) -> Iterator[str]:
    """Every text in an object, to look for addresses in."""
    ahead = [value]
    while ahead:
        one = ahead.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, Mapping):
            ahead.extend(one.values())
        elif isinstance(one, list):
            ahead.extend(one)


@lru_cache(maxsize=4096)
def _pods_of(thing: Thing) -> tuple[Pod | Unread, ...]:
    key = (thing.group, thing.kind)
    if key in PODS or thing.group not in ("", "rbac.authorization.k8s.io", "networking.k8s.io"):
        return tuple(_made(thing, raw, labels) for raw, labels in _specs(thing.body, {}))
    return ()


def _specs(value: Any, labels: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """What looks like the spec of a pod, with the labels of the template around it."""
    if isinstance(value, list):
        for one in value:
            yield from _specs(one, labels)
        return
    if not isinstance(value, Mapping):
        return
    meta = value.get("metadata")
    if isinstance(meta, Mapping) and isinstance(meta.get("labels"), Mapping):
        labels = meta["labels"]
    if isinstance(value.get("containers"), list):
        yield value, labels
    elif isinstance(value.get("container"), Mapping) and "image" in value["container"]:
        yield {**value, "containers": [value["container"]]}, labels
    elif isinstance(value.get("model"), Mapping):  # the predictor of an InferenceService: KServe picks the container
        image = value["model"].get("image")
        yield {**value, "containers": [{"name": "model", **({"image": image} if image else {})}]}, labels
    for key, one in value.items():
        if key not in ("metadata", "containers", "initContainers", "status", "openAPIV3Schema"):
            yield from _specs(one, labels)


def _made(thing: Thing, raw: Mapping[str, Any], labels: Mapping[str, Any]) -> Pod | Unread:
    try:
        meta = Meta.model_validate({"labels": labels})
        return Pod(thing=thing, labels=meta.labels, spec=PodSpec.model_validate(raw))
    except ValidationError as error:
        return Unread(where=thing.ref, why=because(error))
