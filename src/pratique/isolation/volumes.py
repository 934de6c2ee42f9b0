"""The rules ST-1 and ST-2: `shared-volume`, `shared-bucket`.

What a volume is behind its claim decides, not what the claim is called: a driver and its handle, a server and a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from posixpath import normpath
from typing import Any, NamedTuple

from pratique.isolation.objects import Breach, Environment, Question, Thing
from pratique.isolation.pods import pods, texts

_NOT_STORAGE = frozenset(
    {"configMap", "secret", "emptyDir", "downwardAPI", "projected", "image", "ephemeral", "persistentVolumeClaim"}
)
_SECRETS_DRIVER = "secrets-store.csi.k8s.io"
"""What it mounts, `secrets` compares."""
_PV_FIELDS = frozenset(
    {
        "capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName", "mountOptions",
        "volumeMode", "nodeAffinity", "volumeAttributesClassName",
    }
)  # fmt: skip
_IDS = (
    "volumeHandle", "volumeID", "pdName", "diskName", "diskURI", "shareName", "fsID", "targetPortal", "iqn", "image", "pool",
    "endpoints", "volume", "datasetName", "datasetUUID", "volumePath", "driver", "server", "share", "bucket", "bucketName",
    "source", "storageAccount", "containerName", "fileSystemId",
)  # fmt: skip
"""Fields by which sources of volumes say which one they mean."""

BUCKET = re.compile(r"\b((?:s3a?|gs|gcs|abfss?|wasbs?|azure|az|hdfs|oss|cos|minio|swift|obs)://[^\s\"'<>,;)}\]]+)")
_PINNED = re.compile(r"(sha256[:/][0-9a-f]{64}|@sha256:[0-9a-f]{64})")
"""An address that holds the digest of what lies there; whoever reads it can see whether it is that."""


_TOLD = "train_stores=["
"""How this check itself is told what training may write to, in the chart's CronJob: named there, and not read."""


class Backing(NamedTuple):
    """What lies behind a volume."""

    kind: str
    """Such as `csi` or `nfs`."""

    store: str
    """Which driver and handle, which server."""

    path: str
    """The folder in it; '/' for all."""

    def meets(self, other: Backing) -> bool:
        """Whether one may hold files of the other."""
        return self[:2] == other[:2] and (_under(self.path, other.path) or _under(other.path, self.path))


def shared_volumes(question: Question) -> Iterator[Breach]:
    """ST-1: nothing that lies behind a volume of training lies behind one of deployment or the broker."""
    env, sides = question.env, question.sides
    train = list(_backings(env, sides.train))
    for ref, guarded in _backings(env, sides.guarded):
        for other, backing in train:
            if guarded.meets(backing):
                yield Breach(
                    rule="shared-volume", where=f"{other} and {ref}",
                    steps=(f"{other} is {_words(backing)}", f"{ref} is {_words(guarded)}, which is the same or part of it"),
                )  # fmt: skip
    yield from _claims_across(question)
    yield from _unknown_claims(question)


def _backings(env: Environment, namespaces: frozenset[str]) -> Iterator[tuple[str, Backing]]:
    """Volumes of a side, and what lies behind each: persistent ones by their claim, others in the pods themselves."""
    claimed = {}
    for claim in env.of("", "PersistentVolumeClaim", namespaces):
        name = _dig(claim.body, "spec", "volumeName")
        if isinstance(name, str):
            claimed[name] = claim
    for volume in env.of("", "PersistentVolume"):
        holder = _dig(volume.body, "spec", "claimRef", "namespace")
        if volume.name in claimed or (isinstance(holder, str) and holder in namespaces):
            owner = claimed[volume.name].ref if volume.name in claimed else f"the claim of {holder}"
            spec = _dig(volume.body, "spec")
            for kind, source in spec.items() if isinstance(spec, Mapping) else ():
                if kind not in _PV_FIELDS and isinstance(source, Mapping):
                    yield f"{volume.ref} of {owner}", _backing(kind, source)
    for pod in pods(env, namespaces):
        for one in pod.spec.volumes:
            for kind, source in one.items():
                if kind not in _NOT_STORAGE and isinstance(source, Mapping) and source.get("driver") != _SECRETS_DRIVER:
                    yield f"volume {one.get('name')} of {pod.ref}", _backing(kind, source)


def _backing(kind: str, source: Mapping[str, Any]) -> Backing:
    attributes = source.get("volumeAttributes")
    every = {**source, **(attributes if isinstance(attributes, Mapping) else {})}
    path = every.get("path") or every.get("subPath") or every.get("share") or "/"
    ids = {key: every[key] for key in _IDS if isinstance(every.get(key), str) and key != "share"}
    if kind == "hostPath":
        return Backing("hostPath", "any node", _clean(path))
    if kind == "local":
        return Backing("hostPath", "any node", _clean(path))
    if kind == "csi" and "volumeHandle" not in ids and "server" not in ids:  # made for one pod, of what is asked for here
        ids = {}
    if not ids:  # nothing here says which: only an identical source is known to be the same
        return Backing(kind, repr(sorted(every.items(), key=str)), "/")
    return Backing(kind, ", ".join(f"{key} {value}" for key, value in sorted(ids.items())), _clean(path))


def _clean(path: object) -> str:
    return normpath("/" + str(path).strip("/"))


def _under(inner: str, outer: str) -> bool:
    return inner == outer or outer == "/" or inner.startswith(outer + "/")


def _words(backing: Backing) -> str:
    place = "" if backing.path == "/" else f" at {backing.path}"
    return f"{backing.kind} of {backing.store}{place}"


def _claims_across(question: Question) -> Iterator[Breach]:
    """A claim that is filled from another side's, and a volume that both sides claim."""
    sides = question.sides
    names: dict[str, list[Thing]] = {}
    for claim in question.env.of("", "PersistentVolumeClaim", sides.all):
        name = _dig(claim.body, "spec", "volumeName")
        if isinstance(name, str) and name:
            names.setdefault(name, []).append(claim)
        home = _dig(claim.body, "spec", "dataSourceRef", "namespace")
        if isinstance(home, str) and home in sides.all and _side(home, question) != _side(claim.namespace, question):
            yield Breach(rule="shared-volume", where=f"{claim.ref} from {home}", steps=(f"{claim.ref} is filled from {home}",))
    for name, claims in names.items():
        if len({_side(one.namespace, question) for one in claims}) > 1:
            who = " and ".join(sorted(one.ref for one in claims))
            yield Breach(rule="shared-volume", where=who, steps=(f"{who} claim the one PersistentVolume {name}",))


def _side(namespace: str, question: Question) -> str:
    return "train" if namespace in question.sides.train else "guarded"


def _unknown_claims(question: Question) -> Iterator[Breach]:
    """Claims of both sides that are bound to volumes which the description leaves out."""
    known = {one.name for one in question.env.of("", "PersistentVolume")}
    bound = [
        (claim, name) for claim in question.env.of("", "PersistentVolumeClaim", question.sides.all)
        if isinstance(name := _dig(claim.body, "spec", "volumeName"), str) and name and name not in known
    ]  # fmt: skip
    sides = {_side(claim.namespace, question) for claim, _ in bound}
    if len(sides) > 1:
        for claim, name in bound:
            yield Breach(
                rule="shared-volume", where=claim.ref, certain=False,
                steps=(f"{claim.ref} is bound to the PersistentVolume {name}, which is not described",),
            )  # fmt: skip


def shared_buckets(question: Question) -> Iterator[Breach]:
    """ST-2: what deployment reads from a bucket, training cannot have written, unless its digest is in its address."""
    sides, writes = question.sides, question.train_stores
    train = dict(_addresses(question.env, sides.train))
    if writes is not None:
        train |= {_place(one): f"{one} (training may write there)" for one in writes}
    for place, (thing, uri) in _read_from(question).items():
        touching = next((who for other, who in train.items() if _meets(place, other)), None)
        if touching is not None:
            yield Breach(
                rule="shared-bucket", where=f"{thing.ref}: {uri}",
                steps=(f"training has {touching}", f"{thing.ref} reads {uri}, and no digest in it says what must lie there"),
            )  # fmt: skip
        elif writes is None:
            yield Breach(
                rule="shared-bucket", where=f"{thing.ref}: {uri}", certain=False,
                steps=(f"{thing.ref} reads {uri}, and who may write there, the description does not say",),
                fix="say what training may write to with the option train_stores, or deploy by digest",
            )  # fmt: skip


def _read_from(question: Question) -> dict[str, tuple[Thing, str]]:
    found: dict[str, tuple[Thing, str]] = {}
    for thing in question.env.things:
        if thing.namespace in question.sides.guarded and thing.kind not in ("NetworkPolicy", "Role", "RoleBinding"):
            for uri in _uris(thing):
                if not _PINNED.search(uri):
                    found.setdefault(_place(uri), (thing, uri))
    return found


def _addresses(env: Environment, namespaces: frozenset[str]) -> Iterator[tuple[str, str]]:
    for thing in env.things:
        if thing.namespace in namespaces:
            for uri in _uris(thing):
                yield _place(uri), f"{uri} in {thing.ref}"


def _uris(thing: Thing) -> Iterator[str]:
    for text in texts(thing.body):
        if "://" in text and not text.startswith(_TOLD):
            yield from BUCKET.findall(text)


def _place(uri: str) -> str:
    """One spelling for all names of a place in a bucket."""
    scheme, _, rest = uri.partition("://")
    scheme = {"s3a": "s3", "gcs": "gs", "abfss": "abfs", "wasb": "abfs", "wasbs": "abfs", "az": "abfs", "azure": "abfs"}.get(
        scheme, scheme
    )
    return f"{scheme}://{normpath(rest.split('?')[0].split('*')[0].strip('/') or '.')}"


def _meets(one: str, other: str) -> bool:
    return _under(one, other) or _under(other, one)


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
