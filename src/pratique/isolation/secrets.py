"""The rules SE-1 and CL-1: `shared-secret`, `shared-cloud-identity`.

Contents are compared by their digest and never told. Where Secrets are left out of a description (the chart's auditor may not
read them), only references to stores of secrets are compared; the measure `secrets` says how many there were.
"""

from __future__ import annotations

import base64
import hashlib
import re
from binascii import Error as NotBase64
from collections.abc import Iterator, Mapping
from typing import Any

from pratique import documents
from pratique.isolation.objects import Breach, Environment, Question, Thing
from pratique.isolation.selecting import compiled
from pratique.isolation.shapes import Selector

LEAST = 8
"""Bytes. What is shorter is a user name or a flag as likely as a secret."""

_PUBLIC = re.compile(rb"\s*(-----BEGIN (CERTIFICATE|PUBLIC KEY)-----[A-Za-z0-9+/=\s]+-----END \2-----\s*)+\Z")
_NOT_SECRET = frozenset({"namespace", "ca.crt", "url", "host", "port", "username", "user", "region", "bucket", "database"})

CLOUD = (
    ("eks.amazonaws.com/role-arn", "AWS role"), ("iam.gke.io/gcp-service-account", "Google service account"),
    ("azure.workload.identity/client-id", "Azure client"), ("iam.amazonaws.com/role", "AWS role"),
    ("alibabacloud.com/role-name", "Alibaba role"),
)  # fmt: skip
"""Annotations by which a service account or a pod becomes somebody in a cloud."""


def shared_secrets(question: Question) -> Iterator[Breach]:
    """SE-1: no secret, and no key of a store of secrets, is on both sides."""
    env, sides = question.env, question.sides
    for what, find in (("content", _contents), ("key", _keys)):
        train = dict(find(env, sides.train))
        for digest, other in find(env, sides.guarded):
            if digest in train:
                yield Breach(
                    rule="shared-secret", where=f"{train[digest]} and {other}",
                    steps=(f"{train[digest]} and {other} have the same {what}",),
                )  # fmt: skip
    yield from _open_stores(question)
    yield from _searches(question)


def count(question: Question) -> int:
    """How many Secrets were there to compare."""
    return sum(1 for _ in question.env.of("", "Secret", question.sides.all))


def _contents(env: Environment, namespaces: frozenset[str]) -> Iterator[tuple[str, str]]:
    for thing in env.of("", "Secret", namespaces):
        for key, value in _values(thing):
            if len(value) >= LEAST and key not in _NOT_SECRET and not _PUBLIC.match(value):
                yield hashlib.sha256(value).hexdigest(), f"{thing.ref} ({key})"


def _values(thing: Thing) -> Iterator[tuple[str, bytes]]:
    data, plain = thing.body.get("data"), thing.body.get("stringData")
    for key, value in data.items() if isinstance(data, Mapping) else ():
        try:
            yield str(key), base64.b64decode(str(value), validate=True)
        except (NotBase64, ValueError):
            yield str(key), str(value).encode()
    for key, value in plain.items() if isinstance(plain, Mapping) else ():
        yield str(key), str(value).encode()


def _keys(env: Environment, namespaces: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Keys in stores outside of the cluster: of ExternalSecrets, and of the CSI driver's SecretProviderClasses."""
    for thing in env.of("external-secrets.io", "ExternalSecret", namespaces):
        spec = _map(thing.body.get("spec"))
        default = _store(env, thing, spec.get("secretStoreRef"))
        for entry in [*_list(spec.get("data")), *_list(spec.get("dataFrom"))]:
            one = _map(entry)
            source = _map(one.get("sourceRef"))
            store = _store(env, thing, source["storeRef"]) if "storeRef" in source else default
            remote = _map(one.get("remoteRef") or one.get("extract"))
            if remote.get("key"):
                yield _digest(["key", store, remote["key"]]), f"{thing.ref} (key {remote['key']})"
    for thing in env.of("secrets-store.csi.x-k8s.io", "SecretProviderClass", namespaces):
        spec = _map(thing.body.get("spec"))
        yield _digest(["class", spec.get("provider"), spec.get("parameters")]), thing.ref


def _store(env: Environment, thing: Thing, ref: Any) -> Any:
    """What a reference to a store means: the provider itself, if it is described."""
    named = _map(ref)
    kind, name = named.get("kind") or "SecretStore", named.get("name")
    home = "" if kind == "ClusterSecretStore" else thing.namespace
    for store in env.of("external-secrets.io", str(kind)):
        if store.name == name and store.namespace == home:
            return _map(store.body.get("spec")).get("provider")
    return [kind, home, name]


def _open_stores(question: Question) -> Iterator[Breach]:
    """A store for the whole cluster that both sides may use: whoever may write an ExternalSecret has all of its keys."""
    env, sides = question.env, question.sides
    for thing in env.of("external-secrets.io", "ClusterSecretStore"):
        users = {name for name in sides.all if _may_use(thing, name, env)}
        if users & sides.train and users & sides.guarded:
            who = ", ".join(sorted(users))
            yield Breach(rule="shared-secret", where=thing.ref, steps=(f"{thing.ref} gives its keys to each of {who}",))


def _may_use(store: Thing, namespace: str, env: Environment) -> bool:
    conditions = _list(_map(store.body.get("spec")).get("conditions"))
    if not conditions:
        return True
    for entry in conditions:
        one = _map(entry)
        if namespace in _list(one.get("namespaces")):
            return True
        if one.get("namespaceRegexes"):  # Go's regular expressions are not read here: any of them may match
            return True
        if "namespaceSelector" in one:
            try:
                selector = compiled(Selector.model_validate(one["namespaceSelector"]))
            except ValueError:
                return True
            if not selector.sound or selector.matches(env.namespaces.get(namespace, {})):
                return True
    return False


def _searches(question: Question) -> Iterator[Breach]:
    """ExternalSecrets that take whatever they find."""
    for thing in question.env.of("external-secrets.io", "ExternalSecret", question.sides.all):
        if any("find" in _map(one) for one in _list(_map(thing.body.get("spec")).get("dataFrom"))):
            yield Breach(
                rule="shared-secret", where=thing.ref, certain=False,
                steps=(f"{thing.ref} takes every key that it finds in its store, and which those are is not described",),
            )  # fmt: skip


def shared_clouds(question: Question) -> Iterator[Breach]:
    """CL-1: nobody of training is the same in a cloud as somebody of deployment or the broker."""
    train = dict(_identities(question.env, question.sides.train))
    for who, ref in _identities(question.env, question.sides.guarded):
        if who in train:
            yield Breach(
                rule="shared-cloud-identity", where=f"{train[who]} and {ref}",
                steps=(f"{train[who]} and {ref} are both the {who[0]} {who[1]}",),
            )  # fmt: skip


def _identities(env: Environment, namespaces: frozenset[str]) -> Iterator[tuple[tuple[str, str], str]]:
    for thing in env.things:
        if thing.namespace in namespaces:
            template = _map(_map(_map(thing.body.get("spec")).get("template")).get("metadata")).get("annotations")
            for annotations in (thing.meta.annotations, _map(template)):
                for key, what in CLOUD:
                    if annotations.get(key):
                        yield (what, str(annotations[key]).strip()), thing.ref


def _digest(value: Any) -> str:
    return documents.sha256(documents.canonical(value))


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
