"""The manifest: one canonical JSON line for each file and empty folder, sorted by path; and proofs about some of them.

    {"path":"data/part-0.parquet","sha256":"9f86d0...","size":1024}

A line is a leaf of the Merkle tree, byte for byte, without its newline. There is one way to write a manifest, and only that way
is read: the lines that we would write, in order, each name once, making one and the same tree on every file system.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pratique import documents, listing
from pratique.artifacts import Entry, Limits, digest_of
from pratique.errors import ArtifactRefused, Malformed, SignatureInvalid, UsageError
from pratique.manifests import merkle

MAX_BYTES = 256 << 20
"""A line takes about 120 bytes; this is ten times what our limit on files needs with common names."""

_NAME = r'(?:[^"\\\x00-\x1f\x7f]|\\")+'  # of what JSON escapes, only the quote may be in a name at all
_LINE = re.compile(r'\{"path":"(' + _NAME + r')","sha256":"([0-9a-f]{64})","size":(0|[1-9][0-9]{0,18})\}\n')
_EMPTY = hashlib.sha256().hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Every file of a dataset, and the tree over them."""

    entries: tuple[Entry, ...]
    """Sorted by path; at least one of them a file."""

    data: bytes
    """The lines, as they are written to a file."""

    levels: merkle.Levels
    """The Merkle tree over the lines."""

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Manifest:
        """The manifest of some entries.

        Raises:
            UsageError: there is no file among them.
        """
        ordered = tuple(sorted(entries, key=lambda one: one.path))
        if not any(not one.path.endswith("/") for one in ordered):
            raise UsageError("there is no file to sign", hint="pass the folder with the files")
        lines = [line(one) for one in ordered]
        return cls(entries=ordered, data=b"\n".join(lines) + b"\n", levels=merkle.build([merkle.leaf(one) for one in lines]))

    @classmethod
    def parse(cls, data: bytes, *, what: str = "the manifest") -> Manifest:
        """Read a manifest strictly.

        Raises:
            Malformed: too large, not the lines that we would write, or names that no artifact may hold.
        """
        if len(data) > MAX_BYTES:
            raise Malformed(f"{what} is {len(data):,} bytes; at most {MAX_BYTES:,} are read")
        entries = tuple(_entries(data, what))
        _ensure_names([one.path for one in entries], what)
        for one in entries:
            if one.path.endswith("/") and (one.size, one.sha256) != (0, _EMPTY):
                raise Malformed(f"{what} gives the folder {one.path!r} content")
        return cls.of(entries)

    @property
    def root(self) -> str:
        """Hex root of the Merkle tree."""
        return self.levels[-1][0].hex()

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(one.size for one in self.entries)

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the lines, which `sha256sum` prints too."""
        return documents.sha256(self.data)

    @property
    def directory(self) -> str:
        """The digest that names a folder with exactly these entries (docs/decisions/0003)."""
        return digest_of(self.entries, is_file=False)

    def entry(self, path: str) -> Entry:
        """What was signed under this path. Raises SignatureInvalid if nothing was."""
        at = self._at(path)
        if at == len(self.entries) or self.entries[at].path != path:
            raise SignatureInvalid(f"{path} was not signed", hint="do not load it; ask the publisher whether it belongs there")
        return self.entries[at]

    def below(self, folder: str) -> tuple[Entry, ...]:
        """All that was signed below a folder (its path ends in `/`). Raises SignatureInvalid if nothing was."""
        found = self.entries[self._at(folder) : self._at(folder[:-1] + "0")]  # "0" is the character after "/"
        if not found:
            raise SignatureInvalid(f"nothing was signed below {folder}")
        return found

    def prove(self, names: Iterable[str]) -> Proof:
        """A proof of some files, or of all below a folder whose name ends in `/`.

        Raises:
            SignatureInvalid: one of them is not in the manifest.
        """
        wanted: set[int] = set()
        for name in names:
            if name.endswith("/"):
                first, count = self._at(name), len(self.below(name))
                wanted.update(range(max(0, first - 1), min(first + count + 1, len(self.entries))))
            else:
                wanted.add(self._at(self.entry(name).path))
        if not wanted:
            raise UsageError("a proof needs the name of a file", hint="or of a folder, ending in /")
        return Proof(
            count=len(self.entries),
            entries={number: self.entries[number] for number in sorted(wanted)},
            hashes=tuple(merkle.prove(self.levels, wanted)),
        )

    def _at(self, path: str) -> int:
        low, high = 0, len(self.entries)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.entries[middle].path < path else (low, middle)
        return low


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """That some entries are in a tree. For a folder it holds its neighbours as well: nothing between them was left out."""

    count: int
    """Leaves of the tree."""

    entries: dict[int, Entry]
    """By their number in the manifest."""

    hashes: tuple[bytes, ...]
    """See `merkle`."""

    @property
    def root(self) -> str:
        """Hex root of the tree that it leads to. It proves nothing unless that root was signed, with this count.

        Raises:
            Malformed: it leads nowhere.
        """
        known = {number: merkle.leaf(line(one)) for number, one in self.entries.items()}
        return merkle.root(self.count, known, self.hashes).hex()

    @property
    def data(self) -> bytes:
        """The proof as a JSON file."""
        entries = [{"number": at, "path": e.path, "sha256": e.sha256, "size": e.size} for at, e in self.entries.items()]
        return documents.canonical({"count": self.count, "entries": entries, "hashes": [one.hex() for one in self.hashes]})

    @classmethod
    def parse(cls, data: bytes, *, what: str = "the proof") -> Proof:
        """Read a proof strictly.

        Raises:
            Malformed: it is not one.
        """
        try:
            model = _Proof.model_validate(documents.parse(data, what=what))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise Malformed(f"{what} is no proof: {where}: {first['msg']}") from error
        entries = {one.number: Entry(path=one.path, size=one.size, sha256=one.sha256) for one in model.entries}
        numbers = [one.number for one in model.entries]
        if numbers != sorted(set(numbers)):
            raise Malformed(f"{what} is not in order")
        _ensure_names([one.path for one in entries.values()], what)
        return cls(count=model.count, entries=entries, hashes=tuple(bytes.fromhex(one) for one in model.hashes))

    def entry(self, path: str) -> Entry:
        """What was signed under this path. Raises SignatureInvalid if the proof does not say."""
        found = next((one for one in self.entries.values() if one.path == path), None)
        if found is None:
            raise SignatureInvalid(f"the proof is not about {path}", hint="pratique manifest prove FOLDER NAME")
        return found

    def below(self, folder: str) -> tuple[Entry, ...]:
        """All that was signed below a folder. Raises SignatureInvalid unless the proof shows that it is all."""
        inside = [number for number, one in self.entries.items() if one.path.startswith(folder)]
        if not inside:
            raise SignatureInvalid(f"the proof is about nothing below {folder}")
        first, last = inside[0], inside[-1]
        closed = (first == 0 or first - 1 in self.entries) and (last == self.count - 1 or last + 1 in self.entries)
        if not closed or len(inside) != last - first + 1:
            raise SignatureInvalid(f"the proof does not show that these are all files below {folder}")
        return tuple(self.entries[number] for number in inside)


def line(entry: Entry) -> bytes:
    """The canonical JSON of one entry (`documents.canonical`, written by hand because there are many)."""
    return f'{{"path":{encode_basestring(entry.path)},"sha256":"{entry.sha256}","size":{entry.size}}}'.encode()


def _entries(data: bytes, what: str) -> Iterable[Entry]:
    try:
        text, at = data.decode("utf-8"), 0
    except UnicodeDecodeError as error:
        raise Malformed(f"{what} is not UTF-8") from error
    number = 0
    while at < len(text):
        number += 1
        found = _LINE.match(text, at)
        if found is None:
            raise Malformed(f"line {number} of {what} is not one that `pratique manifest sign` writes")
        path, sha256, size = found.groups()
        yield Entry(path=path.replace('\\"', '"'), size=int(size), sha256=sha256)
        at = found.end()
    if not number:
        raise Malformed(f"{what} is empty")


def _ensure_names(names: Sequence[str], what: str) -> None:
    if list(names) != sorted(set(names)):
        raise Malformed(f"{what} is not sorted by path, or names one twice")
    try:
        listing.ensure_tree(names, Limits())
    except ArtifactRefused as error:
        raise Malformed(f"{what} holds names that no artifact may hold: {error}") from error


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Entry(_Model):
    number: Annotated[int, Field(ge=0)]
    path: Annotated[str, Field(min_length=1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]


class _Proof(_Model):
    count: Annotated[int, Field(gt=0)]
    entries: Annotated[list[_Entry], Field(min_length=1)]
    hashes: list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]
