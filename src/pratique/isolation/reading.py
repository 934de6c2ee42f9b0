"""Manifests from strangers into an `Environment`: a rendered chart, a `kubectl get -o yaml` dump, a folder of either.

    env = read({"objects.yaml": data})
    env.unread      # what nobody could read, and why; it proves nothing, and so it denies

1. Each file is YAML or JSON, within bounds. Any other file is something that nobody looked at.
2. Lists are taken apart. What is left has an apiVersion, a kind and a name.
3. An object that stands there twice must say the same twice: which of two the cluster would have, nobody knows.
4. What lives in a namespace says in which: `helm template` and `kubectl apply` fill in what they were told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from pratique import documents, yamls
from pratique.errors import Malformed
from pratique.isolation.kinds import CLUSTER_WIDE, NAMESPACED
from pratique.isolation.objects import Environment, Thing, Unread
from pratique.isolation.shapes import Meta

MAX_BYTES = 256 << 20
"""Of one file. Kubeflow's example is 11 MB; a dump of a cluster with 10,000 pods is about 100 MB."""

_SUFFIX = re.compile(r"\.(ya?ml|json)\Z")


def read(files: Mapping[str, bytes]) -> Environment:
    """Every object in some files, by their names."""
    things: dict[tuple[str, str, str, str], Thing] = {}
    unread: list[Unread] = []
    for file, data in sorted(files.items()):
        try:
            for one in _objects(file, data):
                if isinstance(one, Unread):
                    unread.append(one)
                elif things.setdefault(one.key, one).body != one.body:  # 3
                    other = things[one.key].file
                    unread.append(Unread(where=f"{file}: {one.ref}", why=f"it stands in {other} with other content"))
        except Malformed as error:
            unread.append(Unread(where=file, why=str(error)))
    return Environment(things=tuple(things.values()), unread=tuple(unread))


def _objects(file: str, data: bytes) -> Iterator[Thing | Unread]:
    for number, one in enumerate(_documents(file, data), start=1):
        for raw in _apart(one):
            yield _thing(raw, file, number)


def _documents(file: str, data: bytes) -> list[Any]:
    """1. What a file says."""
    suffix = _SUFFIX.search(file)
    if suffix is None:
        raise Malformed(f"{file} is neither YAML nor JSON, by its name, so nobody looked at it")
    if len(data) > MAX_BYTES:
        raise Malformed(f"{file} has {len(data):,} bytes; at most {MAX_BYTES:,} are read")
    if suffix[1] == "json":
        return [documents.parse(data, what=file, max_bytes=MAX_BYTES, max_depth=yamls.MAX_DEPTH)]
    return yamls.documents(data, what=file)


def _apart(one: Any) -> Iterator[Any]:
    """2. A list's items; what a typed list leaves out of them, its own kind says."""
    if not isinstance(one, dict) or not isinstance(one.get("items"), list) or not str(one.get("kind")).endswith("List"):
        if one is not None:  # an empty document between two lines of dashes
            yield one
        return
    for item in one["items"]:
        if isinstance(item, dict):
            kind = str(one["kind"]).removesuffix("List")
            yield from _apart({"kind": kind or None, "apiVersion": one.get("apiVersion"), **item})
        else:
            yield item


def _thing(raw: Any, file: str, number: int) -> Thing | Unread:
    where = f"{file}, document {number}"
    if not isinstance(raw, dict):
        return Unread(where=where, why="it is no object")
    version, kind = raw.get("apiVersion"), raw.get("kind")
    if not (isinstance(version, str) and isinstance(kind, str) and kind and version):
        return Unread(where=where, why="it has no apiVersion or no kind")
    try:
        meta = Meta.model_validate(raw.get("metadata") or {})
    except ValidationError as error:
        return Unread(where=f"{where}: {kind}", why=because(error, "metadata"))
    one = Thing(group=version.rpartition("/")[0], kind=kind, meta=meta, body=raw, file=file)
    if not meta.name:
        return Unread(where=f"{where}: {kind}", why="it has no name")
    if (one.group, kind) in NAMESPACED and not meta.namespace:  # 4
        return Unread(where=f"{where}: {one.ref}", why="it does not say its namespace, so it could be in any")
    if (one.group, kind) in CLUSTER_WIDE and meta.namespace:  # kubectl drops a namespace that the kind has no use for
        return replace(one, meta=meta.model_copy(update={"namespace": ""}))
    return one


def because(error: ValidationError, root: str = "") -> str:
    """What does not have the shape that Kubernetes takes, in a line."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in (root, *first["loc"]) if part != "")
    return f"{place}: {first['msg']}"
