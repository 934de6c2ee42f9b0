"""An MLflow server, asked by its REST API (2.0): one call at a time, and the artifacts that it serves itself."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pratique import settings
from pratique.errors import ArtifactError, ArtifactRefused, UsageError
from pratique.sources.connecting import Patience
from pratique.sources.many import Job, save_all
from pratique.sources.naming import Names, place
from pratique.sources.plans import Progress
from pratique.sources.redacting import redact
from pratique.sources.web import Web

HINT = "is MLFLOW_TRACKING_URI right? Credentials come from MLFLOW_TRACKING_TOKEN, or _USERNAME and _PASSWORD"

M = TypeVar("M", bound=BaseModel)


class Answer(BaseModel):
    """A part of an answer; what we do not know in it is ignored."""

    model_config = ConfigDict(extra="ignore")


class _File(Answer):
    path: str
    is_dir: bool = False
    file_size: Annotated[int, Field(ge=0)] | None = None


class _Files(Answer):
    files: list[_File] = []


class Server:
    """An MLflow server."""

    def __init__(self, patience: Patience | None) -> None:
        self.base = settings.tracking_uri()
        if not self.base.startswith(("https://", "http://")):
            raise UsageError(
                f"MLFLOW_TRACKING_URI is {redact(self.base)!r}; models:/ and runs:/ need the address of an MLflow server",
                hint="start one over your files or database: mlflow server --backend-store-uri ...",
            )
        self.web = Web(self.base, authorization=_authorization(), patience=patience, hint=HINT)

    def ask(self, call: str, **parameters: str) -> Any:
        """One API call."""
        return self.web.read(f"{self.base}/api/2.0/{call}?{urlencode(parameters)}").json()

    def file(self, path: str) -> str:
        """Where a file that the server keeps itself is served."""
        return f"{self.base}/api/2.0/mlflow-artifacts/artifacts/{quote(path)}"


def fetch_all(server: Server, root: str, target: Path, names: Names, progress: Progress) -> None:
    """List everything, names first; then get it."""
    files = _single(server, root) or _walk(server, root, names)
    if not files:
        raise ArtifactError(f"{names.what} holds no file")
    jobs = [
        Job(
            url=server.file(f"{root}/{path}" if path else root), path=place(target, path) if path else target,
            what=path or root, size=size,
        )
        for path, size in files
    ]  # fmt: skip
    save_all(server.web, jobs, most=names.limits.bytes, progress=progress)


def _single(server: Server, root: str) -> list[tuple[str, int | None]]:
    """The one file, if the root is one; a folder's listing shows which it is."""
    folder, _, name = root.rpartition("/")
    beside = _list(server, folder)
    return [("", one.file_size) for one in beside if one.path.rpartition("/")[2] == name and not one.is_dir]


def _walk(server: Server, root: str, names: Names) -> list[tuple[str, int | None]]:
    files: list[tuple[str, int | None]] = []
    folders = [""]
    while folders:
        folder = folders.pop()
        for one in _list(server, f"{root}/{folder}" if folder else root):
            path = f"{folder}/{one.path}" if folder else one.path
            if "/" in one.path:
                raise ArtifactRefused(f"the MLflow server lists {one.path!r}, which is not a name within a folder")
            if one.is_dir:
                folders.append(names.folder(path))
            else:
                files.append((names.file(path, one.file_size or 0), one.file_size))
    return files


def _list(server: Server, path: str) -> list[_File]:
    return read(_Files, {"it": server.ask("mlflow-artifacts/artifacts", path=path)}, "it").files


def read(model: type[M], answer: Any, key: str) -> M:
    """The part of an answer under a key.

    Raises:
        ArtifactRefused: it is not there, or not of that form.
    """
    try:
        return model.model_validate(answer[key])
    except (ValidationError, KeyError, TypeError) as error:
        raise ArtifactRefused(f"cannot make sense of the MLflow server's answer about its {key}", hint=HINT) from error


def _authorization() -> str:
    token, user, password = settings.tracking_auth()
    if token:
        return f"Bearer {token}"
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii") if user else ""
