"""Names before bytes: what a stranger's listing may call its files.

    names = Names(limits)
    for one in listing:
        names.file(one.path, one.size)       # raises ArtifactRefused; nothing has been downloaded yet

The rules are the snapshot's own (docs/decisions/0003-digest.md), applied before anything is fetched, and one more: a path
stays inside of the artifact.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from pratique.errors import ArtifactRefused
from pratique.sources.plans import Limits

UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
"""Control characters and the backslash."""


class Names:
    """The names that one artifact has taken so far."""

    def __init__(self, limits: Limits, what: str) -> None:
        self.limits = limits
        self.what = what
        self.bytes = 0
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self._folded: dict[str, str] = {}

    def file(self, path: str, size: int) -> str:
        """Take a name for a file; returns it.

        Raises:
            ArtifactRefused: it is unsafe, taken, or over a limit.
        """
        self._ensure_safe(path)
        if path in self._files or path in self._folders:
            raise ArtifactRefused(f"{self.what} holds {path!r} twice")
        self._files.add(path)
        if len(self._files) > self.limits.files:
            raise ArtifactRefused(
                f"{self.what} holds more than {self.limits.files:,} files", hint="take a part of it, or raise Limits.files"
            )
        self.count(size, path)
        self._take_parents(path)
        self._ensure_alone(path)
        return path

    def folder(self, path: str) -> str:
        """Take a name for a folder, which may have been there before; returns it."""
        self._ensure_safe(path)
        self._take_parents(path + "/")
        return path

    def count(self, size: int, path: str) -> None:
        """Count bytes against the limit."""
        if size < 0:
            raise ArtifactRefused(f"{self.what} says that {path!r} has {size} bytes")
        self.bytes += size
        if self.bytes > self.limits.bytes:
            raise ArtifactRefused(
                f"{self.what} holds more than {self.limits.bytes:,} bytes; the limit is reached at {path!r}",
                hint="raise Limits.bytes",
            )

    def _ensure_safe(self, path: str) -> None:
        where = f"{self.what} names a file {path[:80]!r}"
        parts = path.split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise ArtifactRefused(f"{where}, which is not a path inside of it")
        if UNSAFE.search(path):
            raise ArtifactRefused(f"{where}, with a control character or a backslash in it")
        try:
            length = len(path.encode("utf-8"))
        except UnicodeEncodeError:
            raise ArtifactRefused(f"{where}, which is not UTF-8") from None
        if length > self.limits.path_length:
            raise ArtifactRefused(f"{where}..., which is {length} bytes long; the limit is {self.limits.path_length}")
        if len(parts) - 1 > self.limits.depth:
            raise ArtifactRefused(f"{where}, more than {self.limits.depth} folders deep")

    def _take_parents(self, path: str) -> None:
        folder = path.rpartition("/")[0]
        while folder and folder not in self._folders:
            if folder in self._files:
                raise ArtifactRefused(f"{self.what} holds {folder!r} as a file and as a folder")
            self._folders.add(folder)
            if len(self._folders) > self.limits.files:
                raise ArtifactRefused(f"{self.what} holds more than {self.limits.files:,} folders")
            self._ensure_alone(folder)
            folder = folder.rpartition("/")[0]

    def _ensure_alone(self, path: str) -> None:
        """Two names that are one after case folding and NFC overwrite each other on some file systems."""
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
        other = self._folded.setdefault(folded, path)
        if other != path:
            raise ArtifactRefused(f"{self.what} holds {other!r} and {path!r}, which are one name on some file systems")


def place(target: Path, path: str) -> Path:
    """Where a file of an admitted name goes, with its folder made."""
    goal = target / path
    goal.parent.mkdir(parents=True, exist_ok=True)
    return goal
