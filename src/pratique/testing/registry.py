"""An OCI registry on loopback: blobs and manifests in memory, pushed and pulled by the distribution API.

    with FakeRegistry() as registry:
        digest = registry.push("team/model", {"model.safetensors": weights}, tag="v1")
        open_artifact(f"oci://{registry.host}/team/model@{digest}")

Clients such as `oras`, `kit` and `skopeo` can push to it and pull from it. It keeps what it is given: it verifies digests of
blobs and manifests on the way in, not whether manifests make sense. Not there: deleting, referrers, mounting, chunks out of
order.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import tarfile
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from pratique.testing.loopback import Answer, Loopback, Request

_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<what>manifests|blobs/uploads|blobs|tags)/?(?P<reference>[^/]*)\Z")
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_EMPTY = "application/vnd.oci.empty.v1+json"
_KIT = "application/vnd.kitops.modelkit"


class FakeRegistry(Loopback):
    """A registry at `host`."""

    def __init__(self, *, user: str = "", password: str = "", token: bool = False) -> None:
        """Prepare an empty registry.

        Args:
            user: who may pull and push; anybody if left out.
            password: of that user.
            token: ask for a bearer token (which anybody gets, or the user with the password); else for basic credentials.
        """
        super().__init__()
        self.user = user
        self.password = password
        self.token = token
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        """Media type and bytes, by repository and tag or digest."""

        self._uploads: dict[str, bytes] = {}
        self._tokens: set[str] = set()

    def blob(self, data: bytes, media_type: str, **annotations: str) -> dict[str, Any]:
        """Keep a blob; returns its descriptor. Dots in annotations are written as double underscores."""
        digest = _digest(data)
        self.blobs[digest] = data
        named = {key.replace("__", "."): value for key, value in annotations.items()}
        descriptor = {"mediaType": media_type, "digest": digest, "size": len(data)}
        return {**descriptor, "annotations": named} if named else descriptor

    def manifest(
        self, name: str, layers: Iterable[Mapping[str, Any]], *, tag: str = "", config: Mapping[str, Any] | None = None,
        artifact_type: str = "application/vnd.example.model",
    ) -> str:  # fmt: skip
        """Keep a manifest over blobs; returns its digest."""
        value = {
            "schemaVersion": 2, "mediaType": _MANIFEST, "artifactType": artifact_type,
            "config": config or self.blob(b"{}", _EMPTY), "layers": list(layers),
        }  # fmt: skip
        return self.put(name, json.dumps(value).encode(), tag=tag)

    def put(self, name: str, data: bytes, *, tag: str = "", media_type: str = _MANIFEST) -> str:
        """Keep the bytes of a manifest as they are; returns their digest."""
        digest = _digest(data)
        for reference in (digest, tag) if tag else (digest,):
            self.manifests[name, reference] = (media_type, data)
        return digest

    def push(self, name: str, files: Mapping[str, bytes], *, tag: str = "") -> str:
        """Keep files as `oras push` does, a titled layer each; returns the digest of the manifest."""
        layers = [
            self.blob(data, "application/octet-stream", org__opencontainers__image__title=path) for path, data in files.items()
        ]
        return self.manifest(name, layers, tag=tag)

    def push_modelkit(self, name: str, files: Mapping[str, bytes], *, tag: str = "", compress: bool = False) -> str:
        """Keep files as `kit pack` and `kit push` do, all in the layer of the model; returns the digest of the manifest."""
        tar = tar_of(files)
        data, kind = (gzip.compress(tar, mtime=0), "tar+gzip") if compress else (tar, "tar")
        layer = self.blob(data, f"{_KIT}.model.v1.{kind}")
        kitfile = {
            "manifestVersion": "1.0.0", "package": {"name": name},
            "model": {"name": name, "path": ".", "digest": layer["digest"], "diffId": _digest(tar)},
        }  # fmt: skip
        config = self.blob(json.dumps(kitfile).encode(), f"{_KIT}.config.v1+json")
        return self.manifest(name, [layer], tag=tag, config=config, artifact_type="")

    def answer(self, request: Request) -> Answer:
        """Answer as the distribution-spec says."""
        if request.path == "/token":
            return self._token(request)
        if not self._allowed(request):
            scheme = f'Bearer realm="{self.url}/token",service="fake"' if self.token else 'Basic realm="fake"'
            return Answer(status=401, headers={"WWW-Authenticate": scheme})
        match = _PATH.match(request.path)
        if not match:
            return Answer(status=200 if request.path.rstrip("/") == "/v2" else 404)
        name, what, reference = match["name"], match["what"], match["reference"]
        if what == "tags":
            tags = [one for repository, one in self.manifests if repository == name and ":" not in one]
            return Answer(body=json.dumps({"name": name, "tags": tags}).encode())
        if what == "manifests":
            return self._manifest(request, name, reference)
        if what == "blobs/uploads":
            return self._upload(request, name, reference)
        return _blob(reference, self.blobs.get(reference))

    def _manifest(self, request: Request, name: str, reference: str) -> Answer:
        if request.method == "PUT":
            kind = request.headers.get("content-type", _MANIFEST)
            tag = "" if ":" in reference else reference
            digest = self.put(name, request.body, tag=tag, media_type=kind)
            if not tag and digest != reference:
                return Answer(status=400)
            return Answer(status=201, headers={"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest})
        kept = self.manifests.get((name, reference))
        if kept is None:
            return Answer(status=404)
        return Answer(headers={"Content-Type": kept[0], "Docker-Content-Digest": _digest(kept[1])}, body=kept[1])

    def _upload(self, request: Request, name: str, session: str) -> Answer:
        """POST opens a session, PATCH adds to it, PUT with the digest closes it; or POST with the digest does all at once."""
        session = session or uuid.uuid4().hex
        data = self._uploads.pop(session, b"") + request.body
        if wanted := request.query.get("digest"):
            if _digest(data) != wanted:
                return Answer(status=400)
            self.blobs[wanted] = data
            return Answer(status=201, headers={"Location": f"/v2/{name}/blobs/{wanted}", "Docker-Content-Digest": wanted})
        self._uploads[session] = data
        headers = {"Location": f"/v2/{name}/blobs/uploads/{session}", "Range": f"0-{max(len(data) - 1, 0)}"}
        return Answer(status=202, headers=headers)

    def _allowed(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        if self.token:
            return given.removeprefix("Bearer ") in self._tokens
        return not self.user or given == self._basic

    def _token(self, request: Request) -> Answer:
        if self.user and request.headers.get("authorization") != self._basic:
            return Answer(status=401)
        token = uuid.uuid4().hex
        self._tokens.add(token)
        return Answer(headers={"Content-Type": "application/json"}, body=json.dumps({"token": token}).encode())

    @property
    def _basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """A tar of files; a name that ends in `/` is an empty folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.size, info.mode = len(data), 0o755 if name.endswith("/") else 0o644
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _blob(digest: str, data: bytes | None) -> Answer:
    if data is None:
        return Answer(status=404)
    return Answer(headers={"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}, body=data)


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
