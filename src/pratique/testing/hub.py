"""A Hugging Face Hub on loopback: repositories in memory, served by the Hub's own API.

    with FakeHub() as hub:
        commit = hub.commit("acme/base", {"config.json": b"{}", "model.safetensors": weights})
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        open_artifact(f"hf://acme/base@{commit}")

It serves what `huggingface_hub` and `pratique` use to read: revisions, trees in pages, files, and large files by redirect to
another origin, as the Hub does. Oids are those that git would give. Not there: uploading through the API, Xet, the rest.
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from typing_extensions import Self

from pratique.testing.loopback import Answer, Loopback, Request

_API = re.compile(
    r"/api/(models|datasets|spaces)/([^/]+/[^/]+)(?:/(?:revision/(.+?)|tree/([^/]+|refs/\w+/[^/]+)(?:/(.*))?))?/?\Z"
)
_FILE = re.compile(r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)/resolve/([^/]+|refs/\w+/[^/]+)/(.+)\Z")
LARGE = (".safetensors", ".bin", ".gguf", ".parquet", ".pt")
"""Names of files that the Hub keeps in large-file storage, by their endings."""


@dataclass(frozen=True, slots=True)
class _Blob:
    data: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def pointer(self) -> bytes:
        """What git itself keeps: the file, or for a large one the pointer to it (git-lfs specification)."""
        if not self.large:
            return self.data
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.data)}\n".encode()

    @property
    def oid(self) -> str:
        return _git("blob", self.pointer).hex()


class FakeHub(Loopback):
    """A Hub; set HF_ENDPOINT to its `url`."""

    def __init__(self, *, token: str = "", page: int = 1000, tls: ssl.SSLContext | None = None) -> None:
        """Prepare an empty Hub.

        Args:
            token: if given, only requests with it are answered.
            page: entries in one page of a listing.
            tls: serve https.
        """
        super().__init__(tls=tls)
        self.token = token
        self.page = page
        self.cdn = _Cdn(tls=tls)
        """The other origin, from which large files come."""

        self._commits: dict[tuple[str, str], dict[str, _Blob]] = {}
        self._refs: dict[tuple[str, str], str] = {}

    def __enter__(self) -> Self:
        self.cdn.__enter__()
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        super().__exit__(kind, error, traceback)
        self.cdn.__exit__(kind, error, traceback)

    def commit(self, repository: str, files: Mapping[str, bytes], *, branch: str = "main", kind: str = "models") -> str:
        """Put these files, and no others, at the head of a branch; returns the commit."""
        blobs = {path: _Blob(data, path.endswith(LARGE)) for path, data in files.items()}
        parent = self._refs.get((f"{kind}/{repository}", branch), "")
        text = f"tree {_tree(blobs).hex()}\n" + (f"parent {parent}\n" if parent else "")
        commit = _git("commit", f"{text}author a <a@example> 0 +0000\ncommitter a <a@example> 0 +0000\n\nx\n".encode()).hex()
        self._commits[f"{kind}/{repository}", commit] = blobs
        self.point(repository, branch, commit, kind=kind)
        self.cdn.blobs.update({blob.sha256: blob.data for blob in blobs.values() if blob.large})
        return commit

    def point(self, repository: str, ref: str, commit: str, *, kind: str = "models") -> None:
        """Let a branch or a tag mean a commit."""
        self._refs[f"{kind}/{repository}", ref] = commit

    def answer(self, request: Request) -> Answer:
        """Answer as the Hub does."""
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return _error(401, "RepoNotFound")
        if match := _API.match(request.path):
            kind, repository, revision, at, folder = match.groups()
            found = self._find(f"{kind}/{repository}", revision or at or "main")
            if found is None:
                return _error(404, "RevisionNotFound")
            return self._tree(request, found, folder or "") if at else _info(repository, found)
        if match := _FILE.match(request.path):
            found = self._find(f"{match[1] or 'models'}/{match[2]}", match[3])
            return self._file(found, match[4]) if found else _error(404, "RevisionNotFound")
        return _error(404, "RepoNotFound")

    def _find(self, repository: str, revision: str) -> tuple[str, dict[str, _Blob]] | None:
        commit = self._refs.get((repository, revision), revision)
        blobs = self._commits.get((repository, commit))
        return (commit, blobs) if blobs is not None else None

    def _tree(self, request: Request, found: tuple[str, dict[str, _Blob]], folder: str) -> Answer:
        start = f"{folder}/" if folder else ""
        below = {path[len(start) :]: blob for path, blob in found[1].items() if path.startswith(start)}
        if not below:
            return _error(404, "EntryNotFound")
        deep = request.query.get("recursive", "").lower() == "true"
        entries = [{**entry, "path": start + entry["path"]} for entry in _entries(below) if deep or "/" not in entry["path"]]
        first = int(request.query.get("cursor") or 0)
        after, headers = first + self.page, {"Content-Type": "application/json"}
        if after < len(entries):
            asked = "&".join(f"{key}={value}" for key, value in request.query.items() if key != "cursor")
            headers["Link"] = f'<{self.url}{request.path}?{asked}&cursor={after}>; rel="next"'
        return Answer(headers=headers, body=json.dumps(entries[first:after]).encode())

    def _file(self, found: tuple[str, dict[str, _Blob]], path: str) -> Answer:
        commit, blobs = found
        if path not in blobs:
            return _error(404, "EntryNotFound")
        blob = blobs[path]
        headers = {"X-Repo-Commit": commit}
        if not blob.large:
            return Answer(headers={**headers, "ETag": f'"{blob.oid}"'}, body=blob.data)
        where = f"{self.cdn.url}/{blob.sha256}?Signature=secret"
        linked = {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.data)), "Location": where}
        return Answer(status=302, headers={**headers, **linked, "ETag": f'"{blob.sha256}"'})


class _Cdn(Loopback):
    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls=tls)
        self.blobs: dict[str, bytes] = {}

    def answer(self, request: Request) -> Answer:
        name = request.path.strip("/")
        return Answer(body=self.blobs[name]) if name in self.blobs else Answer(status=404)


def _info(repository: str, found: tuple[str, dict[str, _Blob]]) -> Answer:
    siblings = [{"rfilename": path} for path in sorted(found[1])]
    value = {"_id": "0", "id": repository, "sha": found[0], "private": False, "siblings": siblings, "tags": [], "downloads": 0}
    return Answer(headers={"Content-Type": "application/json", "X-Repo-Commit": found[0]}, body=json.dumps(value).encode())


def _entries(blobs: Mapping[str, _Blob]) -> list[dict[str, Any]]:
    """A listing as the Hub writes it: folders, then what is in them."""
    entries: list[dict[str, Any]] = []
    for name, inner in sorted(_children(blobs).items()):
        if isinstance(inner, _Blob):
            lfs = {"oid": inner.sha256, "size": len(inner.data), "pointerSize": len(inner.pointer)}
            entry = {"type": "file", "oid": inner.oid, "size": len(inner.data), "path": name}
            entries.append({**entry, "lfs": lfs} if inner.large else entry)
        else:
            entries.append({"type": "directory", "oid": _tree(inner).hex(), "size": 0, "path": name})
            entries += [{**entry, "path": f"{name}/{entry['path']}"} for entry in _entries(inner)]
    return entries


def _children(blobs: Mapping[str, _Blob]) -> dict[str, _Blob | dict[str, _Blob]]:
    children: dict[str, _Blob | dict[str, _Blob]] = {}
    for path, blob in blobs.items():
        head, slash, tail = path.partition("/")
        if not slash:
            children[head] = blob
        else:
            inner = children.setdefault(head, {})
            assert isinstance(inner, dict), f"{head} is a file and a folder"
            inner[tail] = blob
    return children


def _tree(blobs: Mapping[str, _Blob]) -> bytes:
    """The oid of a tree object. Git sorts a folder as if its name ended in a slash."""
    lines = []
    for name, inner in _children(blobs).items():
        oid = bytes.fromhex(inner.oid) if isinstance(inner, _Blob) else _tree(inner)
        mode, key = ("100644", name) if isinstance(inner, _Blob) else ("40000", name + "/")
        lines.append((key.encode(), f"{mode} {name}\0".encode() + oid))
    return _git("tree", b"".join(line for _, line in sorted(lines)))


def _git(kind: str, data: bytes) -> bytes:
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data, usedforsecurity=False).digest()


def _error(status: int, code: str) -> Answer:
    return Answer(status=status, headers={"X-Error-Code": code, "X-Error-Message": code}, body=b'{"error":"no"}')
