"""The signed manifest: an in-toto Statement v1 with OMS's predicate. Written in one way, read strictly.

The payload was signed by somebody trusted, who may be careless, or may mean two readers to read two different things in it. So
there is one way to read what is accepted here: names are relative and normal, sorted, each there once, and make one and the
same tree on every file system; the root digest fits; nothing stands beside what the specification's schemas allow.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pratique import documents
from pratique.artifacts import Limits
from pratique.errors import Malformed, Unsupported
from pratique.signing import Witness

PREDICATE = "https://model_signing/signature/v1.0"

LEGACY = "https://model_signing/Digests/v0.1"
"""What the reference implementation wrote before 1.0: without a root digest, and with another encoding of what is signed."""

_LIMITS = Limits()
"""What no artifact may hold has no place in a manifest."""

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_UNSAFE_NAME = re.compile(r"[\x00-\x1f\x7f\\]")
"""As in an artifact: terminals act on such characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a signature says about a folder, once somebody trusted has vouched for it."""

    model: str
    """What the signer calls it; the folder's name, as a rule."""

    entries: Mapping[str, str]
    """sha256 (hex) of every signed file, by relative path. Never empty."""

    root: str
    """`sha256:<hex>` over all digests. It binds no names: two models may share it."""

    ignore_paths: tuple[str, ...]
    """What the signer says was left out."""

    signers: frozenset[str]
    """Fingerprints of what is trusted and vouches for it; never empty."""

    witnesses: tuple[Witness, ...] = ()
    """Who signed, and why that holds."""

    def left_out(self, path: str) -> bool:
        """Whether the signer says that this path was left out."""
        return any(one == "." or path == one or path.startswith(one + "/") for one in self.ignore_paths)


def statement(model: str, files: Mapping[str, str], *, ignore_paths: list[str]) -> bytes:
    """The bytes to sign (sections 5 and 6 of the specification); resources in the order of their names' code points.

    Raises:
        Malformed: `parse` would refuse it.
    """
    names = sorted(files)
    _ensure_names(names, "the folder")
    serialization: dict[str, Any] = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
    if ignore_paths:
        serialization["ignore_paths"] = ignore_paths
    return documents.canonical(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": model, "digest": {"sha256": _root(files[name] for name in names)}}],
            "predicateType": PREDICATE,
            "predicate": {
                "resources": [{"name": name, "digest": files[name], "algorithm": "sha256"} for name in names],
                "serialization": serialization,
            },
        }
    )


def parse(payload: bytes, signers: frozenset[str], *, what: str) -> Manifest:
    """Read the bytes that were signed.

    Raises:
        Malformed: not in order; Unsupported if it is a manifest of a kind that is not read.
    """
    document = documents.parse(payload, what=f"the manifest in {what}")
    _refuse_other_predicates(document, what)
    try:
        outer = _Statement.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise Malformed(f"the manifest in {what} is not in order: {where[:100]}: {first['msg']}") from error
    subject, resources = outer.subject[0], outer.predicate.resources
    _ensure_sha256(outer.predicate, what)
    _ensure_names([one.name for one in resources], f"the manifest in {what}")
    root = _root(one.digest for one in resources)
    if subject.digest.get("sha256") != root:
        raise Malformed(f"the manifest in {what} contradicts itself: its root digest is not that of its files")
    return Manifest(
        model=subject.name,
        entries={one.name: one.digest for one in resources},
        root="sha256:" + root,
        ignore_paths=tuple(outer.predicate.serialization.ignore_paths),
        signers=signers,
    )


def _root(digests: Iterable[str]) -> str:
    """Section 6.5.1: sha256 over the digests as bytes, in the manifest's order."""
    return hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in digests)).hexdigest()


def _refuse_other_predicates(document: Any, what: str) -> None:
    kind = document.get("predicateType") if isinstance(document, dict) else None
    if kind == LEGACY:
        raise Unsupported(f"{what} has the format of before OMS 1.0, which is not accepted", hint="have it signed again")
    if isinstance(kind, str) and kind != PREDICATE:
        raise Malformed(f"{what} is about something else than a model's or dataset's files: {kind[:100]!r}")


def _ensure_sha256(predicate: _Predicate, what: str) -> None:
    serialization = predicate.serialization
    if serialization.method != "files":
        raise Unsupported(f"{what} is over {serialization.method}; only whole files are read", hint="sign whole files")
    used = {serialization.hash_type, *(one.algorithm for one in predicate.resources)}
    if used != {"sha256"}:
        raise Unsupported(f"{what} is over {' and '.join(sorted(used))} digests; only sha256 is read", hint="sign with sha256")
    if serialization.shard_size is not None:
        raise Malformed(f"the manifest in {what} gives a shard size, but is over whole files")
    for one in predicate.resources:
        if not _SHA256.match(one.digest):
            raise Malformed(f"the manifest in {what} gives {one.name[:100]!r} a digest that is no sha256")


def _ensure_names(names: Sequence[str], what: str) -> None:
    """There is one way to read these names, and one tree that they make."""
    for name in names:
        _ensure_name(name, what)
    if len(set(names)) != len(names):
        raise Malformed(f"{what} names {Counter(names).most_common(1)[0][0]!r} twice")
    # The specification sorts by code points; model-signing 1.1.1 sorts folder by folder.
    if list(names) not in (sorted(names), sorted(names, key=lambda name: name.split("/"))):
        raise Malformed(f"{what} is not sorted by name")
    folders = {folder for name in names for folder in _folders(name)}
    if both := folders.intersection(names):
        raise Malformed(f"{what} holds {min(both)!r} both as a file and as a folder")
    spelled: dict[str, str] = {}
    for path in (*names, *sorted(folders)):
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
        if spelled.setdefault(folded, path) != path:
            raise Malformed(f"{what} names {spelled[folded]!r} and {path!r}, one name on some file systems")


def _ensure_name(name: str, what: str) -> None:
    try:
        fits = len(name.encode("utf-8")) <= _LIMITS.path_length and name.count("/") <= _LIMITS.depth
    except UnicodeEncodeError:
        fits = False
    if not fits or _UNSAFE_NAME.search(name) or any(part in ("", ".", "..") for part in name.split("/")):
        raise Malformed(f"{what} holds {name[:100]!r}, which is no normal relative path")


def _folders(path: str) -> Iterator[str]:
    """Every folder above a path."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


_Word = Annotated[str, Field(pattern=r"^[a-z0-9-]+$", max_length=64)]
"""Open, so that what we do not know is refused by its name; model-signing 1.1.1 writes `sha256-sharded-1000000000`."""


class _Model(BaseModel):
    """The specification's schemas allow no other keys than these, except in a resource and in a subject."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Resource(_Model, extra="ignore"):
    name: str
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]+$", max_length=128)]
    algorithm: _Word


class _Serialization(_Model):
    method: _Word
    hash_type: _Word
    allow_symlinks: bool
    ignore_paths: list[str] = []
    shard_size: int | float | None = None


class _Predicate(_Model):
    resources: Annotated[list[_Resource], Field(min_length=1)]
    serialization: _Serialization


class _Subject(_Model, extra="ignore"):
    name: Annotated[str, Field(min_length=1, max_length=_LIMITS.path_length)]
    digest: dict[str, str]


class _Statement(_Model):
    type: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    subject: Annotated[list[_Subject], Field(min_length=1, max_length=1)]
    predicate_type: Annotated[Literal["https://model_signing/signature/v1.0"], Field(alias="predicateType")]
    predicate: _Predicate
