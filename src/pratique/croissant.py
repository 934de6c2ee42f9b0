"""A dataset's Croissant description, against the files that lie beside it.

    described = find(Path("images"), entries)
    [problem.rule for problem in described.compare(entries)]      # ["croissant-mismatch"]

Croissant 1.0 and 1.1 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html) give a sha256 to each FileObject, and none
to a FileSet, which is a pattern. Where there is a sha256, only that is compared; an MD5 proves nothing against somebody who
means harm, so a file with nothing else counts as unverified. What is said of files on the web or in archives is not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from pratique import documents
from pratique.artifacts import Entry, Subject
from pratique.errors import ArtifactError, Malformed

MAX_BYTES = 32 << 20
"""Larger ones are not read: a description lists files and columns, not data."""

NAMES = ("croissant.json", "croissant.jsonld", "metadata.json")
"""Where a description lies, at the root of the dataset. The last name is used for other things too."""

RULES = {
    "croissant-mismatch": "a file is not the one that the dataset's Croissant description gives the sha256 of",
    "croissant-missing": "a file that the Croissant description names is not there",
    "croissant-unverified": "the Croissant description gives a file no sha256 (an MD5 proves nothing)",
    "croissant-malformed": "the Croissant description cannot be read",
}

Rule = Literal["croissant-mismatch", "croissant-missing", "croissant-unverified", "croissant-malformed"]

_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")
_VOCABULARY = "mlcommons.org/croissant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that does not fit."""

    rule: Rule
    path: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One file that a description names."""

    path: str
    """Relative to the dataset."""

    sha256: str
    """Lower-case hex; '' if there is none."""

    contained: bool
    """Whether it lies within an archive or a repository, and so perhaps not here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A Croissant description."""

    subject: Subject
    """Its file."""

    files: tuple[Described, ...]
    """The FileObjects that may lie beside it."""

    malformed: str = ""
    """Why it cannot be read; '' if it can."""

    def compare(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        """Everything that does not fit, in the order of the description."""
        if self.malformed:
            yield Problem(rule="croissant-malformed", path=self.subject.name, message=self.malformed)
        there = {entry.path: entry.sha256 for entry in entries}
        for one in self.files:
            found = there.get(one.path)
            if found is None:
                if not one.contained:
                    yield Problem(rule="croissant-missing", path=one.path, message=f"{one.path} is described, but not there")
            elif not one.sha256:
                yield Problem(rule="croissant-unverified", path=one.path, message=f"{one.path} is described without a sha256")
            elif found != one.sha256:
                digests = f"its sha256 is {found[:16]}…, described is {one.sha256[:16]}…"
                yield Problem(
                    rule="croissant-mismatch", path=one.path, message=f"{one.path} is not what is described: {digests}"
                )

    def verified(self, entries: Iterable[Entry]) -> int:
        """How many files have the sha256 that it gives."""
        there = {entry.path: entry.sha256 for entry in entries}
        return sum(bool(one.sha256) and there.get(one.path) == one.sha256 for one in self.files)


def find(root: Path, entries: Iterable[Entry]) -> Description | None:
    """The description of a dataset; None if it has none.

    Raises:
        ArtifactError: it is there and cannot be opened.
    """
    there = {entry.path: entry for entry in entries}
    for name in NAMES:
        if name in there:
            described = _read(root / name, there[name])
            if described is not None:
                return described
    return None


def _read(path: Path, entry: Entry) -> Description | None:
    subject = Subject(digest="sha256:" + entry.sha256, name=entry.path)
    surely = entry.path.startswith("croissant")
    try:
        if entry.size > MAX_BYTES:
            raise Malformed(f"{entry.path} is {entry.size:,} bytes; at most {MAX_BYTES:,} are read")
        data = path.read_bytes()
        surely = surely or _VOCABULARY.encode() in data
        document = documents.parse(data, what=entry.path)
        if not isinstance(document, dict) or _VOCABULARY not in json.dumps(document.get("conformsTo")):
            raise Malformed(f"{entry.path} does not say that it conforms to Croissant")
        return Description(subject=subject, files=tuple(_files(document)))
    except Malformed as error:
        return Description(subject=subject, files=(), malformed=str(error)) if surely else None
    except OSError as error:
        raise ArtifactError(f"cannot read {entry.path}: {error.strerror}") from error


def _files(document: dict[str, Any]) -> Iterator[Described]:
    distribution = document.get("distribution", [])
    for one in distribution if isinstance(distribution, list) else [distribution]:
        if not isinstance(one, dict) or "FileObject" not in _types(one):
            continue
        path = _local(one.get("contentUrl"))
        if path:
            digest = one.get("sha256")
            text = digest.lower() if isinstance(digest, str) and _SHA256.match(digest) else ""
            yield Described(path=path, sha256=text, contained="containedIn" in one)


def _types(one: dict[str, Any]) -> list[str]:
    """`cr:FileObject`, or the whole IRI: its last word."""
    kinds = one.get("@type")
    return [re.split(r"[:/#]", kind)[-1] for kind in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(kind, str)]


def _local(url: object) -> str:
    """The path that a contentUrl stands for; '' for anything on the web or outside of the dataset."""
    if not isinstance(url, str) or ":" in url.split("/")[0] or url.startswith("/"):
        return ""
    path = unquote(url).removeprefix("./")
    return "" if any(part in ("", ".", "..") for part in path.split("/")) else path
