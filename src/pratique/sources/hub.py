"""`hf://`: models and datasets on the Hugging Face Hub, or on a mirror that speaks its API (HF_ENDPOINT).

    hf://org/name@<commit>                  a model at a commit (40 hex digits)
    hf://datasets/org/name@<commit>         a dataset
    hf://org/name@<commit>/sub/folder       a part of it, or one file
    hf://org/name[@branch]                  whatever the branch is now: resolved, pinned to its commit, and reported

In the order of the code:

1. Ask which commit the revision is. From here on only the commit is named, so a branch that moves changes nothing.
2. List the files at that commit, names first: an unsafe name, a twin or an entry too many costs no download.
3. Get each file by the commit, and hold it against what the listing says: size, and sha256 (large files) or the git blob's
   sha1 (small ones).

What it cannot see: whether the Hub's listing is really that commit's. Git's own chain from commit to file is not verified, so
a Hub (or mirror) that lies about the listing *and* serves matching bytes is believed. Only a signature by the publisher (the
provenance check) or a digest that you know already protects from that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pratique import settings
from pratique.errors import ArtifactError, ArtifactRefused
from pratique.sources.many import Job, save_all
from pratique.sources.naming import Names, place
from pratique.sources.plans import Bounds, Plan, Progress, Resolution
from pratique.sources.redacting import redact
from pratique.sources.web import Headers, Web

_URI = re.compile(
    r"hf://(?:(?P<kind>models|datasets|spaces)/)?(?P<org>[\w.-]+)/(?P<name>[\w.-]+)"
    r"(?:@(?P<revision>refs/(?:pr|convert)/[\w.-]+|[^/@]+))?(?:/(?P<path>[^?#]+))?\Z",
    re.ASCII,
)
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_NEXT = re.compile(r'<([^<>]{1,4096})>\s{0,4};\s{0,4}rel="next"')
_HINT = "is the name right? A private or gated repository needs a token in HF_TOKEN"

_Oid = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
_Size = Annotated[int, Field(ge=0)]


class _Lfs(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    oid: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: _Size


class _Entry(BaseModel):
    """One line of the Hub's listing of a tree."""

    model_config = ConfigDict(extra="ignore", strict=True)
    type: Literal["file", "directory"]
    path: str
    oid: _Oid
    size: _Size = 0
    lfs: _Lfs | None = None


_ENTRIES = TypeAdapter(list[_Entry])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repository:
    """A repository, and what of it is meant."""

    kind: str
    """`models`, `datasets` or `spaces`."""

    id: str
    """`org/name`."""

    revision: str
    path: str
    """The part of it that is meant; '' for all."""

    def uri(self, revision: str) -> str:
        """The URI of the same part at another revision."""
        return f"hf://{self._prefix}{self.id}@{revision}" + (f"/{self.path}" if self.path else "")

    def api(self, what: str) -> str:
        """The path of an API call about it."""
        return f"/api/{self.kind}/{self.id}/{what}"

    def file(self, commit: str, path: str) -> str:
        """The path at which a file is served."""
        return f"/{self._prefix}{self.id}/resolve/{commit}/{quote(path)}"

    @property
    def _prefix(self) -> str:
        return "" if self.kind == "models" else f"{self.kind}/"


def plan(uri: str) -> Plan:
    """Ask the Hub which commit a URI means."""
    repository = _read(uri)
    endpoint = settings.hub_endpoint()
    token = settings.hub_token()
    web = Web(endpoint, authorization=f"Bearer {token}" if token else "", hint=_HINT)
    commit, notes = _commit(web, endpoint, repository)  # 1
    mutable = repository.revision != commit
    if mutable:
        what = f"the revision {repository.revision!r}" if repository.revision else "the default branch"
        notes = (f"{what} can move; it was {commit[:12]} when it was resolved", *notes)
    resolution = Resolution(
        uri=uri, pinned=repository.uri(commit), scheme="hf", mutable=mutable, notes=notes,
        ids={"hub": urlsplit(endpoint).netloc, "repository": f"{repository.kind}/{repository.id}", "commit": commit},
    )  # fmt: skip

    def fetch(target: Path, bounds: Bounds, progress: Progress) -> None:
        files = _admitted(web, endpoint, repository, commit, bounds)  # 2
        _download(web, endpoint, repository, commit, files, target, progress)  # 3

    name = (repository.path or repository.id).rpartition("/")[2]
    return Plan(resolution=resolution, name=name, fetch=fetch)


def _read(uri: str) -> _Repository:
    match = _URI.match(uri)
    if not match or {match["org"], match["name"]} & {".", ".."}:
        raise ArtifactRefused(
            f"{redact(uri)!r} does not name a repository on the Hub",
            hint="hf://org/name@commit, hf://datasets/org/name@commit, with /path/in/it if only a part is meant",
        )
    path = (match["path"] or "").strip("/")
    if any(part in ("", ".", "..") for part in path.split("/")) and path:
        raise ArtifactRefused(f"{redact(uri)!r} does not name a path inside of the repository")
    return _Repository(
        kind=match["kind"] or "models", id=f"{match['org']}/{match['name']}", revision=unquote(match["revision"] or ""),
        path=path,
    )  # fmt: skip


def _commit(web: Web, endpoint: str, repository: _Repository) -> tuple[str, tuple[str, ...]]:
    asked = repository.revision or "main"
    answer = web.read(endpoint + repository.api(f"revision/{quote(asked, safe='')}")).json()
    commit, name = (answer.get("sha"), answer.get("id")) if isinstance(answer, dict) else (None, None)
    if not isinstance(commit, str) or not _COMMIT.match(commit):
        raise ArtifactRefused(f"the Hub does not say which commit {repository.id}@{asked} is", hint="is HF_ENDPOINT a Hub?")
    if _COMMIT.match(asked) and commit != asked:
        raise ArtifactRefused(
            f"the Hub answers with commit {commit[:12]} when asked for {asked[:12]}",
            hint="do not use it: a branch may be named like the commit that you pinned",
        )
    renamed = isinstance(name, str) and name.lower() != repository.id.lower()
    return commit, ((f"the repository is now called {name!r}",) if renamed else ())


def _admitted(web: Web, endpoint: str, repository: _Repository, commit: str, bounds: Bounds) -> list[tuple[str, _Entry]]:
    """The files that are meant, by the names that they get: relative to the part that is meant; '' if that is one file."""
    names = Names(bounds, repository.uri(commit))
    listed = _listed(web, endpoint, repository, commit, bounds)
    if repository.path and (single := [one for one in listed if one.path == repository.path and one.type == "file"]):
        names.file(repository.path.rpartition("/")[2], _size(single[0]))
        return [("", single[0])]
    start = f"{repository.path}/" if repository.path else ""
    files = []
    for one in listed:
        if not one.path.startswith(start) and one.path != repository.path:
            raise ArtifactRefused(f"the Hub lists {one.path!r} when asked for what is below {repository.path!r}")
        if one.type == "file":
            files.append((names.file(one.path[len(start) :], _size(one)), one))
    if not files:
        raise ArtifactError(f"there is no file at {repository.uri(commit)}", hint="is the path right?")
    return files


def _listed(web: Web, endpoint: str, repository: _Repository, commit: str, bounds: Bounds) -> list[_Entry]:
    """The tree below the part that is meant. A part may be a file, which only the listing of its folder shows."""
    if repository.path:
        folder = repository.path.rpartition("/")[0]
        beside = [
            one for one in _tree(web, endpoint, repository, commit, folder, bounds, recursive=False)
            if one.path == repository.path
        ]  # fmt: skip
        if not beside or beside[0].type == "file":
            return beside
    return list(_tree(web, endpoint, repository, commit, repository.path, bounds, recursive=True))


def _tree(
    web: Web, endpoint: str, repository: _Repository, commit: str, folder: str, bounds: Bounds, *, recursive: bool
) -> Iterator[_Entry]:
    """The listing, page after page, for as long as it stays within the limit."""
    base = repository.api(f"tree/{commit}") + (f"/{quote(folder, safe='')}" if folder else "")
    url = f"{endpoint}{base}?recursive={str(recursive).lower()}&expand=false"
    most = 2 * bounds.files  # files, and the folders that hold them
    count = 0
    while url:
        page = web.read(url)
        entries = _entries(page.json(), repository)
        count += len(entries)
        if count > most:
            raise ArtifactRefused(
                f"the Hub lists more than {most:,} files and folders for {repository.id}",
                hint="take a part of it (hf://org/name@commit/folder), or raise Limits.files",
            )
        yield from entries
        following = _NEXT.search(page.headers.get("link", ""))
        if following and not entries:
            raise ArtifactRefused(f"the Hub's listing of {repository.id} goes on with empty pages")
        url = _same_listing(following[1], endpoint, base) if following else ""


def _same_listing(url: str, endpoint: str, base: str) -> str:
    """The next page's URL, which comes from the server: it must stay with the server, and with the commit."""
    here, there = urlsplit(endpoint + base), urlsplit(url)
    if (here.scheme, here.netloc) != (there.scheme, there.netloc) or unquote(here.path) != unquote(there.path):
        raise ArtifactRefused("the Hub's listing goes on at another place than it began")
    return url


def _entries(answer: Any, repository: _Repository) -> list[_Entry]:
    try:
        return _ENTRIES.validate_python(answer)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ArtifactRefused(f"the Hub's listing of {repository.id} makes no sense at {where}: {first['msg']}") from error


def _size(entry: _Entry) -> int:
    return entry.lfs.size if entry.lfs else entry.size


def _download(
    web: Web, endpoint: str, repository: _Repository, commit: str, files: list[tuple[str, _Entry]], target: Path,
    progress: Progress,
) -> None:  # fmt: skip
    def inspect(headers: Headers) -> None:
        served = headers.get("x-repo-commit", commit)
        if served != commit:
            raise ArtifactRefused(f"the Hub serves a file of commit {served[:12]} when asked for {commit[:12]}")

    jobs = [
        Job(
            url=endpoint + repository.file(commit, one.path), path=place(target, path) if path else target, what=one.path,
            size=_size(one), digests={"sha256": one.lfs.oid} if one.lfs else {"git": one.oid},
        )
        for path, one in files
    ]  # fmt: skip
    save_all(web, jobs, most=0, progress=progress, inspect=inspect)
