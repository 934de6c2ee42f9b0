"""`models:/` and `runs:/`: models in an MLflow server's registry, and artifacts of its runs (MLFLOW_TRACKING_URI).

    models:/name/3                   version 3 of a registered model
    models:/name@champion            an alias: resolved, pinned to its version, and reported
    models:/name/Production          a stage, or `latest`: likewise
    models:/m-<id>                   a logged model (MLflow 3)
    runs:/<run id>/path              artifacts of a run

Speaks the server's REST API itself (`mlflow_server`): `mlflow`, the package, pins versions of pandas, pyarrow and packaging
that do not install beside current Airflow and Kubeflow Pipelines, and its downloads know no limits. Artifacts are read from
where the server says they are: through the server itself (`mlflow-artifacts:`), or from `s3://`, `gs://`, `abfs://`. A path
on the server's own disk is refused: here, it would be a path on this machine, chosen by a stranger.

MLflow keeps no digests, and whoever may write to the artifact store can change what a version consists of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pratique.errors import ArtifactError, ArtifactRefused
from pratique.sources import objects
from pratique.sources.connecting import Patience
from pratique.sources.mlflow_server import Answer, Server, fetch_all, read
from pratique.sources.naming import Names
from pratique.sources.plans import Limits, Plan, Progress, Resolution
from pratique.sources.redacting import redact

_MODEL = re.compile(r"models:/(?P<name>[^/@:]+)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))?\Z")
_RUN = re.compile(r"runs:/(?P<run>[A-Za-z0-9_-]+)/(?P<path>[^?#]+)\Z")
_LOGGED = re.compile(r"m-[A-Za-z0-9]+\Z")
_ELSEWHERE = frozenset({"s3", "gs", "abfs", "abfss", "wasb", "wasbs"})
"""Where a server may send us. Not `file:`, and no scheme that reads from a third service."""

_NO_DIGESTS = "MLflow keeps no digests: whoever can write to its artifact store can change these bytes"


class _Version(Answer):
    name: str
    version: str
    run_id: str = ""
    source: str = ""


class _Run(Answer):
    artifact_uri: str
    status: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What the server says about a URI."""

    pinned: str
    mutable: bool
    ids: Mapping[str, str]
    storage: str
    """Where the artifacts are."""

    name: str
    notes: tuple[str, ...] = ()


def plan(uri: str, patience: Patience | None = None) -> Plan:
    """Ask the server which version a URI means, and where its artifacts are."""
    server = Server(patience)
    found = _of_run(server, uri) if uri.startswith("runs:") else _of_model(server, uri)
    resolution = Resolution(
        uri=uri, pinned=found.pinned, scheme=uri.partition(":")[0], mutable=found.mutable,
        ids={"server": redact(server.base), **found.ids, "source": redact(found.storage)}, notes=(*found.notes, _NO_DIGESTS),
    )  # fmt: skip
    if objects.scheme(found.storage) in _ELSEWHERE:
        inner = objects.plan(found.storage)
        ids = {**resolution.ids, **{f"storage {name}": one for name, one in inner.resolution.ids.items()}}
        return Plan(resolution=replace(resolution, ids=ids), name=found.name, fetch=inner.fetch)
    root = _kept_by_server(server, found.storage)

    def fetch(target: Path, limits: Limits, progress: Progress) -> None:
        fetch_all(server, root, target, Names(limits, found.pinned), progress)

    return Plan(resolution=resolution, name=found.name, fetch=fetch)


def _of_model(server: Server, uri: str) -> _Found:
    match = _MODEL.match(uri)
    if not match or not (match["version"] or match["alias"] or _LOGGED.match(match["name"])):
        raise ArtifactRefused(
            f"{redact(uri)!r} does not name a model", hint="models:/name/version, models:/name@alias, models:/m-<id>"
        )
    name, asked, alias = unquote(match["name"]), unquote(match["version"] or ""), unquote(match["alias"] or "")
    if not asked and not alias:
        return _of_logged(server, name)
    moving = ""
    if alias:
        answer = server.ask("mlflow/registered-models/alias", name=name, alias=alias)
        moving = f"the alias {alias!r}"
    elif asked.isascii() and asked.isdigit():
        answer = server.ask("mlflow/model-versions/get", name=name, version=asked)
    else:
        answer = _newest(server, name, asked)
        moving = repr(asked)
    version = read(_Version, answer, "model_version")
    if version.name != name or not (moving or version.version == str(int(asked))):
        raise ArtifactRefused(f"the MLflow server answers with {version.name}/{version.version} when asked for {uri}")
    notes = (f"{moving} can move; it was version {version.version} when it was resolved",) if moving else ()
    where = server.ask("mlflow/model-versions/get-download-uri", name=name, version=version.version)
    storage = where.get("artifact_uri") if isinstance(where, dict) else None
    if not isinstance(storage, str) or not storage:
        raise ArtifactRefused(f"the MLflow server does not say where {uri} is")
    ids = {"model": name, "version": version.version, "run": version.run_id, "registered from": redact(version.source)}
    return _Found(
        pinned=f"models:/{quote(name)}/{version.version}", mutable=bool(notes), name=name, storage=storage, notes=notes,
        ids={key: one for key, one in ids.items() if one},
    )  # fmt: skip


def _newest(server: Server, name: str, stage: str) -> dict[str, Any]:
    """The newest version of a stage; of all stages for `latest`."""
    parameters = {} if stage.lower() == "latest" else {"stages": stage}
    answer = server.ask("mlflow/registered-models/get-latest-versions", name=name, **parameters)
    listed = answer.get("model_versions") if isinstance(answer, dict) else None
    versions = [read(_Version, {"it": one}, "it") for one in listed] if isinstance(listed, list) else []
    numbered = [one for one in versions if one.version.isascii() and one.version.isdigit()]
    if not numbered:
        raise ArtifactError(f"the model {name!r} has no version in {stage!r}", hint="name a version: models:/name/1")
    return {"model_version": max(numbered, key=lambda one: int(one.version)).model_dump()}


def _of_logged(server: Server, model: str) -> _Found:
    answer = server.ask(f"mlflow/logged-models/{quote(model, safe='')}")
    info = answer["model"].get("info") if isinstance(answer, dict) and isinstance(answer.get("model"), dict) else None
    if not isinstance(info, dict) or not isinstance(info.get("artifact_uri"), str) or info.get("model_id") != model:
        raise ArtifactRefused(f"the MLflow server does not say where models:/{model} is")
    run = info.get("source_run_id")
    ids = {"logged model": model, **({"run": run} if isinstance(run, str) and run else {})}
    return _Found(
        pinned=f"models:/{model}", mutable=False, ids=ids, storage=info["artifact_uri"], name=str(info.get("name") or model)
    )


def _of_run(server: Server, uri: str) -> _Found:
    match = _RUN.match(uri)
    if not match:
        raise ArtifactRefused(f"{redact(uri)!r} does not name artifacts of a run", hint="runs:/<run id>/path")
    path = unquote(match["path"]).strip("/")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise ArtifactRefused(f"{redact(uri)!r} does not name a path inside of the run")
    answer = server.ask("mlflow/runs/get", run_id=match["run"])
    run = answer["run"] if isinstance(answer, dict) and isinstance(answer.get("run"), dict) else {}
    info = read(_Run, run, "info")
    ended = info.status.upper() in ("FINISHED", "FAILED", "KILLED")
    return _Found(
        pinned=uri, mutable=not ended, ids={"run": match["run"], "status": info.status},
        storage=f"{info.artifact_uri.rstrip('/')}/{path}", name=path.rpartition("/")[2],
        notes=() if ended else ("the run has not ended: it can still change its artifacts",),
    )  # fmt: skip


def _kept_by_server(server: Server, storage: str) -> str:
    """The path of artifacts that this very server keeps."""
    parts = urlsplit(storage)
    if parts.scheme != "mlflow-artifacts":
        raise ArtifactRefused(
            f"the MLflow server says that the artifacts are at {redact(storage)!r}, where nothing may be read from",
            hint="start the server with --serve-artifacts, or keep artifacts in s3://, gs:// or abfs://",
        )
    if parts.netloc and parts.netloc != urlsplit(server.base).netloc.rpartition("@")[2]:
        raise ArtifactRefused(f"the MLflow server sends us to another one, {redact(storage)!r}")
    path = parts.path.strip("/")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise ArtifactRefused(f"the MLflow server names the artifacts {redact(storage)!r}, which is not a path of its own")
    return path
