"""What a repository on the Hub holds at a commit: its listing, page after page, with unsafe names refused.

The listing is a stranger's: it may be endless, lead elsewhere, or make no sense.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pratique.errors import ArtifactError, ArtifactRefused
from pratique.sources.naming import Names
from pratique.sources.plans import Limits
from pratique.sources.web import Web

_NEXT = re.compile(r'<([^<>]{1,4096})>\s{0,4};\s{0,4}rel="next"')
_Oid = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
_Size = Annotated[int, Field(ge=0)]


class _Lfs(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    oid: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: _Size


class Entry(BaseModel):
    """One line of the Hub's listing of a tree."""

    model_config = ConfigDict(extra="ignore", strict=True)
    type: Literal["file", "directory"]
    path: str
    oid: _Oid
    size: _Size = 0
    lfs: _Lfs | None = None


_ENTRIES = TypeAdapter(list[Entry])


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
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


def admitted(web: Web, endpoint: str, repository: Repository, commit: str, limits: Limits) -> list[tuple[str, Entry]]:
    """The files that are meant, by the names that they get: relative to the part that is meant; '' if that is one file."""
    names = Names(limits, repository.uri(commit))
    listed = _listed(web, endpoint, repository, commit, limits)
    if repository.path and (single := [one for one in listed if one.path == repository.path and one.type == "file"]):
        names.file(repository.path.rpartition("/")[2], size_of(single[0]))
        return [("", single[0])]
    start = f"{repository.path}/" if repository.path else ""
    files = []
    for one in listed:
        if not one.path.startswith(start) and one.path != repository.path:
            raise ArtifactRefused(f"the Hub lists {one.path!r} when asked for what is below {repository.path!r}")
        if one.type == "file":
            files.append((names.file(one.path[len(start) :], size_of(one)), one))
    if not files:
        raise ArtifactError(f"there is no file at {repository.uri(commit)}", hint="is the path right?")
    return files


def _listed(web: Web, endpoint: str, repository: Repository, commit: str, limits: Limits) -> list[Entry]:
    """The tree below the part that is meant. A part may be a file, which only the listing of its folder shows."""
    if repository.path:
        folder = repository.path.rpartition("/")[0]
        beside = [
            one for one in _tree(web, endpoint, repository, commit, folder, limits, recursive=False)
            if one.path == repository.path
        ]  # fmt: skip
        if not beside or beside[0].type == "file":
            return beside
    return list(_tree(web, endpoint, repository, commit, repository.path, limits, recursive=True))


def _tree(
    web: Web, endpoint: str, repository: Repository, commit: str, folder: str, limits: Limits, *, recursive: bool
) -> Iterator[Entry]:
    """The listing, page after page, for as long as it stays within the limit."""
    base = repository.api(f"tree/{commit}") + (f"/{quote(folder, safe='')}" if folder else "")
    url = f"{endpoint}{base}?recursive={str(recursive).lower()}&expand=false"
    most = 2 * limits.files  # files, and the folders that hold them
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


def _entries(answer: Any, repository: Repository) -> list[Entry]:
    try:
        return _ENTRIES.validate_python(answer)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ArtifactRefused(f"the Hub's listing of {repository.id} makes no sense at {where}: {first['msg']}") from error


def size_of(entry: Entry) -> int:
    """Bytes of the file itself, not of what git keeps in its place."""
    return entry.lfs.size if entry.lfs else entry.size
