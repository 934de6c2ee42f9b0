"""Archives of any files: each member is looked at like a file of its own, one after another and within bounds.

    model.nemo/model_config.yaml       what a finding calls the member of an archive

An archive may hold archives, three deep. What everything in it takes together is bounded by two hundred times its size.
Links, devices, names that lead elsewhere, names that are one name on some file systems, and bytes that belong to no member
are refused. Only one member is on the disk at a time.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pratique.checking import Finding
from pratique.checks.artifact import archives, inflating, zips
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Bytes, Sight, View, mapped
from pratique.errors import ArtifactRefused, Malformed
from pratique.sources.naming import Names
from pratique.sources.plans import Limits
from pratique.sources.tar_headers import Extended, Reader, entry_size, extend, parse, text

MAX_DEPTH = 3
MAX_FILES = 20_000
MAX_BYTES = 64 << 30
_ENOUGH = 1_000
"""Findings after which nothing more is looked at."""

_BLOCK = 1 << 20
_SUFFIXES = {".tgz": ".tar", ".tbz2": ".tar", ".txz": ".tar"}


@dataclass(slots=True)
class Budget:
    """What is left for everything within one file of the artifact."""

    bytes: int
    files: int = MAX_FILES
    depth: int = 0

    @classmethod
    def of(cls, size: int) -> Budget:
        """The budget of a file of so many bytes."""
        return cls(min(MAX_BYTES, max(inflating.FREE, inflating.MAX_RATIO * size)))

    def take(self, size: int) -> None:
        """Raises:
        Malformed: there is no room for a file of this size.
        """
        self.bytes -= size
        self.files -= 1
        if self.bytes < 0 or self.files < 0:
            raise Malformed("a decompression bomb: more within than it may hold, in bytes or in files")


Look = Callable[[View, Budget], Sight]


def look_at_zip(view: View, budget: Budget, look: Look) -> Sight:
    """Every member of a zip archive."""
    sum_ = _Sum(view.name)
    names = Names(Limits(files=MAX_FILES, bytes=MAX_BYTES), "it")
    try:
        for member in zips.members(view.data, general=True):
            if member.name.endswith("/"):
                names.folder(member.name.rstrip("/"))
                continue
            budget.take(member.size)
            with zips.extracted(view.data, member, f"{view.name}/{names.file(member.name, member.size)}") as inner:
                sum_.add(_deeper(inner, budget, look))
            if sum_.enough:
                break
    except (Malformed, ArtifactRefused) as error:
        sum_.refuse(str(error))
    return sum_.sight()


def look_at_tar(view: View, budget: Budget, look: Look) -> Sight:
    """Every member of a tar archive."""
    sum_ = _Sum(view.name)
    names = Names(Limits(files=MAX_FILES, bytes=MAX_BYTES), "it")
    stream = _Stream(view.data)
    reader = Reader(stream, "it")
    zipped: set[int] = set()
    extended = Extended()
    try:
        while (block := reader.header()) and not sum_.enough:
            header = parse(block, "it")
            if header.kind in (b"x", b"g", b"L"):
                extend(extended, header, reader, "it")
                continue
            size = entry_size(header, extended, "it")
            name = (extended.path or text(header.raw, "it")).removeprefix("./")
            extended = Extended()
            if header.kind == b"5":
                if size:
                    raise Malformed(f"it holds a folder {name!r} with content")
                if name.rstrip("/") not in ("", "."):
                    names.folder(name.rstrip("/"))
                continue
            budget.take(size)
            if view.data[stream.at : stream.at + 4] in archives.MAGICS:
                zipped.add(stream.at + size)
            sum_.add(_entry(reader, f"{view.name}/{names.file(name, size)}", size, budget, look))
            reader.skip_padding(size)
        if not sum_.enough:
            if extended.seen:
                raise Malformed("it ends after a header about an entry that is not there")
            reader.ensure_over()
            if archives.ends_like_one(view.data, zipped):
                sum_.add(_also_zip(view.name))
    except (Malformed, ArtifactRefused) as error:
        sum_.refuse(str(error))
    return sum_.sight()


def look_at_compressed(view: View, inner: View, budget: Budget, look: Look) -> Sight:
    """The one file in a compressed one, under the name that decompressing gives it."""
    path = PurePosixPath(view.name)
    sum_ = _Sum(view.name)
    try:
        budget.take(inner.size)
        name = str(path.with_suffix(_SUFFIXES.get(path.suffix.casefold(), "")))
        sum_.add(_deeper(View(name=name, path=inner.path, data=inner.data), budget, look))
    except Malformed as error:
        sum_.refuse(str(error))
    return sum_.sight()


def _entry(reader: Reader, name: str, size: int, budget: Budget, look: Look) -> Sight:
    with tempfile.NamedTemporaryFile(prefix="pratique-") as file:
        for start in range(0, size, _BLOCK):
            file.write(reader.exactly(min(_BLOCK, size - start)))
        file.flush()
        with mapped(file) as data:
            return _deeper(View(name=name, path=Path(file.name), data=data), budget, look)


def _deeper(view: View, budget: Budget, look: Look) -> Sight:
    if budget.depth >= MAX_DEPTH:
        raise Malformed(f"archives within archives, more than {MAX_DEPTH} deep")
    budget.depth += 1
    try:
        return look(view, budget)
    finally:
        budget.depth -= 1


def _also_zip(name: str) -> Sight:
    message = "this file is a tar archive, and a zip archive to whoever reads it from the end"
    return Sight(findings=(finding("polyglot", name, message),))


class _Stream:
    """A mapped file as something to read from."""

    def __init__(self, data: Bytes) -> None:
        self._data, self.at = data, 0

    def read(self, size: int, /) -> bytes:
        block = self._data[self.at : self.at + size]
        self.at += len(block)
        return block


class _Sum:
    """What all members come to."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._findings: list[Finding] = []
        self._counts: Counter[str] = Counter()

    @property
    def enough(self) -> bool:
        """Whether it is refused as often as anybody wants to know."""
        return len(self._findings) >= _ENOUGH

    def add(self, sight: Sight) -> None:
        self._findings += sight.findings
        self._counts.update(sight.counts)

    def refuse(self, why: str) -> None:
        message = f"readers of this archive may see different members, or be led elsewhere: {why}"
        self._findings.append(finding("archive-malformed", self._name, message))

    def sight(self) -> Sight:
        return Sight(findings=tuple(self._findings), counts=dict(self._counts))
