"""The same question for Airflow without Kubernetes: do two environments share a way from training to deployment?

    {"deployment": "https://airflow.train.example", "connections": {...}, "pools": {...}, "queues": ["train"],
     "storage": ["s3://train-logs"], "bundles": ["git@example:train-dags"], "images": ["registry/worker@sha256:..."], ...}

`connections`, `variables` and `pools` are what `airflow connections export`, `airflow variables export` and `airflow pools
export` write as JSON; the rest is what no command of Airflow's tells. Of passwords and the like only equality matters, so they
may be replaced by a digest of themselves, the same on both sides. What a side leaves out cannot be judged.

Airflow's teams (3.2) say of themselves that they were not designed for complete separation: with both sides in one deployment,
a rule of its own asks for them, and names count as well as what is behind them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from posixpath import normpath
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from pratique import documents
from pratique.errors import CheckError, Malformed
from pratique.isolation.images import PINNED
from pratique.isolation.objects import Breach

_SENSITIVE = re.compile(r"pass|secret|token|key|credential|role_arn|private|keyfile|sas", re.IGNORECASE)
LEAST = 8
"""Characters. What is shorter is a flag as likely as a secret."""


class Connection(BaseModel):
    """A connection, as `airflow connections export` writes it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    conn_type: str = ""
    host: str | None = None
    login: str | None = None
    password: str | None = None
    port: int | None = None
    extra: Any = None

    @property
    def account(self) -> tuple[str, str, int | None, str] | None:
        """Who it is, and where; None where it names nobody."""
        if not (self.login or self.password) or not (self.host or self.login):
            return None
        return self.conn_type, (self.host or "").lower(), self.port, self.login or ""

    @property
    def secrets(self) -> frozenset[str]:
        """Digests of all that nobody else should know, or be."""
        found = {self.password or ""}
        extra = self.extra
        if isinstance(extra, str) and extra:
            try:
                extra = json.loads(extra)
            except ValueError:
                found.add(extra)
        for key, value in _flat(extra):
            if _SENSITIVE.search(key):
                found.add(value)
        return frozenset(_digest(one) for one in found if len(one) >= LEAST)


class Side(BaseModel):
    """One side, as its file describes it. What is None was not said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deployment: str
    team: str = ""
    multi_team: bool = False
    broker: str = ""
    connections: dict[str, Connection] | None = None
    variables: dict[str, Any] | None = None
    pools: dict[str, Any] | None = None
    queues: list[str] | None = None
    storage: list[str] | None = None
    bundles: list[str] | None = None
    images: list[str] | None = None
    imports: list[str] | None = None
    deployers: list[str] | None = None

    @field_validator("connections", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {str(name): _from_uri(one) if isinstance(one, str) else one for name, one in value.items()}


def read(data: bytes, *, what: str) -> Side:
    """One side's file.

    Raises:
        CheckError: it is no such file.
    """
    try:
        return Side.model_validate(documents.parse(data, what=what))
    except ValidationError as error:
        first = error.errors()[0]  # the input may hold passwords: it is not told
        place = ".".join(str(part) for part in first["loc"][:2])
        raise CheckError(f"{what} describes no Airflow: {place}: {first['msg']}", hint="docs/checks/isolation.md") from None
    except Malformed as error:
        raise CheckError(f"{what} describes no Airflow: {error}", hint="docs/checks/isolation.md") from error


def judge(train: Side, deploy: Side) -> Iterator[Breach]:
    """Everything that two sides of Airflow share."""
    same = train.deployment.rstrip("/").lower() == deploy.deployment.rstrip("/").lower()
    if same and not (train.multi_team and deploy.multi_team and train.team and deploy.team and train.team != deploy.team):
        yield _breach("airflow-deployment", train.deployment, f"both sides are {train.deployment}, without teams of their own")
    yield from _unsaid(train, deploy)
    yield from _connections(train, deploy, same)
    yield from _variables(train, deploy)
    if same:
        for name in sorted(set(train.pools or ()) & set(deploy.pools or ())):
            yield _breach("airflow-pool", name, f"the pool {name!r} of {train.deployment} is for tasks of both sides")
    if same or (train.broker and train.broker == deploy.broker):
        for name in sorted(set(train.queues or ()) & set(deploy.queues or ())):
            yield _breach("airflow-queue", name, f"the queue {name!r} is for tasks of both sides")
    yield from _places("airflow-storage", train.storage, deploy.storage)
    yield from _places("airflow-bundle", train.bundles, deploy.bundles)
    for image in sorted(set(train.images or ()) & set(deploy.images or ())):
        if not PINNED.search(image):
            yield _breach("airflow-image", image, f"workers of both sides run {image}, which names no digest")
    for module in train.imports or ():
        found = [one for one in deploy.deployers or () if module == one or one.startswith(module + ".")]
        if found:
            yield _breach("airflow-import", module, f"DAGs of training can import {found[0]}, which deploys")


def _unsaid(train: Side, deploy: Side) -> Iterator[Breach]:
    """What a side does not say, nobody can compare."""
    asked = {
        "connections": "airflow-connection", "variables": "airflow-variable", "pools": "airflow-pool",
        "queues": "airflow-queue", "storage": "airflow-storage", "bundles": "airflow-bundle", "images": "airflow-image",
    }  # fmt: skip
    lacking = [
        (name, field, rule) for field, rule in asked.items()
        for name, side in (("training", train), ("deployment", deploy)) if getattr(side, field) is None
    ]  # fmt: skip
    lacking += [("training", "imports", "airflow-import")] if train.imports is None else []
    lacking += [("deployment", "deployers", "airflow-import")] if deploy.deployers is None else []
    for name, field, rule in lacking:
        yield Breach(
            rule=rule, where=f"{field} of {name}", certain=False,
            steps=(f"the description of {name} says nothing of its {field}",),
            fix=f"add {field!r} to the file; an empty one says that there are none",
        )  # fmt: skip


def _connections(train: Side, deploy: Side, same: bool) -> Iterator[Breach]:
    for name, one in sorted((train.connections or {}).items()):
        for other_name, other in sorted((deploy.connections or {}).items()):
            where = f"{name} and {other_name}"
            if one.secrets & other.secrets:
                yield _breach("airflow-connection", where, f"connections {where} hold the same secret")
            elif one.account is not None and one.account == other.account:
                yield _breach("airflow-connection", where, f"connections {where} are the same account at {one.host}")
            elif same and name == other_name:
                yield _breach("airflow-connection", where, f"the connection {name!r} of {train.deployment} is for both sides")


def _variables(train: Side, deploy: Side) -> Iterator[Breach]:
    known = {
        _digest(value): name for key, one in (train.variables or {}).items()
        for name, value in _flat({key: one}) if _SENSITIVE.search(name) and len(value) >= LEAST
    }  # fmt: skip
    for key, one in (deploy.variables or {}).items():
        for name, value in _flat({key: one}):
            if _digest(value) in known:
                where = f"{known[_digest(value)]} and {name}"
                yield _breach("airflow-variable", where, f"the variables {where} hold the same")


def _places(rule: str, train: list[str] | None, deploy: list[str] | None) -> Iterator[Breach]:
    for one in sorted(set(train or ())):
        for other in sorted(set(deploy or ())):
            here, there = _place(one), _place(other)
            if here == there or here.startswith(there + "/") or there.startswith(here + "/"):
                yield _breach(rule, f"{one} and {other}", f"training has {one}, and deployment has {other}")


def _place(uri: str) -> str:
    scheme, slashes, rest = uri.strip().partition("://")
    scheme = {"s3a": "s3", "gcs": "gs", "abfss": "abfs", "wasb": "abfs", "wasbs": "abfs"}.get(scheme, scheme)
    path = normpath((rest if slashes else scheme).rstrip("/") or ".").removesuffix(".git")
    return f"{scheme}://{path}" if slashes else path


def _from_uri(uri: str) -> dict[str, Any]:
    """A connection in Airflow's URI form."""
    parts = urlsplit(uri)
    extra = dict(parse_qsl(parts.query))
    return {
        "conn_type": parts.scheme, "host": unquote(parts.hostname or ""), "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""), "port": parts.port, "extra": extra,
    }  # fmt: skip


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a value, by its path."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _flat(one, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for one in value:
            yield from _flat(one, name)


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def _breach(rule: str, where: str, step: str) -> Breach:
    return Breach(rule=rule, where=where, steps=(step,))
