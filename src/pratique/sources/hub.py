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
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from pratique import settings
from pratique.errors import ArtifactRefused
from pratique.sources.many import Job, save_all
from pratique.sources.naming import place
from pratique.sources.plans import Limits, Plan, Progress, Resolution
from pratique.sources.redacting import redact
from pratique.sources.trees import Entry, Repository, admitted, size_of
from pratique.sources.web import Headers, Web

_URI = re.compile(
    r"hf://(?:(?P<kind>models|datasets|spaces)/)?(?P<org>[\w.-]+)/(?P<name>[\w.-]+)"
    r"(?:@(?P<revision>refs/(?:pr|convert)/[\w.-]+|[^/@]+))?(?:/(?P<path>[^?#]+))?\Z",
    re.ASCII,
)
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_HINT = "is the name right? A private or gated repository needs a token in HF_TOKEN"


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

    def fetch(target: Path, limits: Limits, progress: Progress) -> None:
        files = admitted(web, endpoint, repository, commit, limits)  # 2
        _download(web, endpoint, repository, commit, files, target, progress)  # 3

    name = (repository.path or repository.id).rpartition("/")[2]
    return Plan(resolution=resolution, name=name, fetch=fetch)


def _read(uri: str) -> Repository:
    match = _URI.match(uri)
    if not match or {match["org"], match["name"]} & {".", ".."}:
        raise ArtifactRefused(
            f"{redact(uri)!r} does not name a repository on the Hub",
            hint="hf://org/name@commit, hf://datasets/org/name@commit, with /path/in/it if only a part is meant",
        )
    path = (match["path"] or "").strip("/")
    if any(part in ("", ".", "..") for part in path.split("/")) and path:
        raise ArtifactRefused(f"{redact(uri)!r} does not name a path inside of the repository")
    return Repository(
        kind=match["kind"] or "models", id=f"{match['org']}/{match['name']}", revision=unquote(match["revision"] or ""),
        path=path,
    )  # fmt: skip


def _commit(web: Web, endpoint: str, repository: Repository) -> tuple[str, tuple[str, ...]]:
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


def _download(
    web: Web, endpoint: str, repository: Repository, commit: str, files: list[tuple[str, Entry]], target: Path,
    progress: Progress,
) -> None:  # fmt: skip
    def inspect(headers: Headers) -> None:
        served = headers.get("x-repo-commit", commit)
        if served != commit:
            raise ArtifactRefused(f"the Hub serves a file of commit {served[:12]} when asked for {commit[:12]}")

    jobs = [
        Job(
            url=endpoint + repository.file(commit, one.path), path=place(target, path) if path else target, what=one.path,
            size=size_of(one), digests={"sha256": one.lfs.oid} if one.lfs else {"git": one.oid},
        )
        for path, one in files
    ]  # fmt: skip
    save_all(web, jobs, most=0, progress=progress, inspect=inspect)
