"""From bytes that were signed to a manifest that everybody reads alike.

The payload was signed by somebody trusted, who may be careless, or may mean two readers to read two different things in it. So
there is one way to read what is accepted here: names are relative and normal, sorted, each there once, and make one and the
same tree on every file system; shards cover each file exactly; the root digest fits; nothing stands beside what the
specification's schemas allow. What is wrong has a `rule` of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pratique import documents
from pratique.errors import Malformed, Unsupported
from pratique.oms import names
from pratique.oms.allowing import Allow
from pratique.oms.hashing import HEX_DIGITS, Hashing
from pratique.oms.manifests import LEGACY, PREDICATE, Manifest, root_of

_HEX = re.compile(r"[0-9a-f]+\Z")


def parse(payload: bytes, signers: frozenset[str], *, what: str, allow: AbstractSet[Allow] = frozenset()) -> Manifest:
    """Read the bytes that were signed.

    Raises:
        Malformed: not in order; Unsupported if it is a manifest of a kind that is not read.
    """
    document = documents.parse(payload, what=f"the manifest in {what}")
    kind = document.get("predicateType") if isinstance(document, dict) else None
    if kind == LEGACY and Allow.LEGACY_FORMAT in allow:
        return _legacy(document, signers, what, allow)
    if kind == LEGACY:
        raise Unsupported(
            f"{what} has the format of before OMS 1.0, which is not accepted", hint="have it signed again", rule="legacy-format"
        )
    if isinstance(kind, str) and kind != PREDICATE:
        raise Malformed(
            f"{what} is about something else than a model's or dataset's files: {kind[:100]!r}", rule="wrong-predicate"
        )
    _ensure_some(document, what)
    outer = _validate(_Statement, document, what)
    subject, predicate = outer.subject[0], outer.predicate
    how = _hashing(predicate, what)
    entries, sizes = _entries(predicate.resources, how, what, allow)
    root = root_of(one.digest for one in predicate.resources)
    if subject.digest.get("sha256") != root:
        raise Malformed(
            f"the manifest in {what} contradicts itself: its root digest is not that of its files", rule="root-mismatch"
        )
    return Manifest(
        model=subject.name, version=subject.annotations.version, root="sha256:" + root,
        entries=entries, hashing=how, sizes=sizes,
        ignore_paths=tuple(predicate.serialization.ignore_paths), allow_symlinks=predicate.serialization.allow_symlinks,
        signers=signers,
    )  # fmt: skip


def _ensure_some(document: Any, what: str) -> None:
    """Between no file and more than anybody may deliver; said before two hundred thousand entries are looked at."""
    predicate = document.get("predicate") if isinstance(document, dict) else None
    resources = predicate.get("resources") if isinstance(predicate, dict) else None
    if isinstance(resources, list) and not resources:
        raise Malformed(f"the manifest in {what} names no file", rule="manifest-empty")
    if isinstance(resources, list) and len(resources) > names.LIMITS.files:
        raise Malformed(
            f"the manifest in {what} has {len(resources):,} entries; at most {names.LIMITS.files:,} are read", rule="too-large"
        )


def _hashing(predicate: _Predicate, what: str) -> Hashing:
    """How the signer says that the digests were made; every entry must say the same."""
    stated = predicate.serialization
    if stated.method not in ("files", "shards") or stated.hash_type not in HEX_DIGITS:
        raise Unsupported(
            f"{what} is over {stated.method} by {stated.hash_type}, which is not read", rule="unknown-serialization"
        )
    size = stated.shard_size
    if (stated.method == "shards") != (size is not None) or (size is not None and size != int(size)):
        raise Malformed(f"the manifest in {what} is over {stated.method}, with a shard size of {size}", rule="shards-wrong")
    how = Hashing(hash_type=stated.hash_type, shard_size=int(size or 0))
    # model-signing 1.1.1 writes `sha256-sharded-1000000000` where the specification asks for `sha256`.
    spellings = {how.hash_type, f"{how.hash_type}-sharded-{how.shard_size}"} if how.shard_size else {how.hash_type}
    for one in predicate.resources:
        if one.algorithm not in spellings:
            raise Malformed(
                f"the manifest in {what} gives {one.name[:100]!r} a {one.algorithm} digest among {how.hash_type} ones",
                rule="mixed-hashes",
            )
        if len(one.digest) != HEX_DIGITS[how.hash_type] or not _HEX.match(one.digest):
            raise Malformed(f"the manifest in {what} gives {one.name[:100]!r} a digest that is no {how.hash_type}")
    return how


def _entries(
    resources: Sequence[_Resource], how: Hashing, what: str, allow: AbstractSet[Allow]
) -> tuple[dict[str, tuple[str, ...]], dict[str, int]]:
    """The digests of each file and, under shards, its size."""
    where = f"the manifest in {what}"
    if not how.shard_size:
        names.ensure_paths([one.name for one in resources], where, allow)
        names.ensure_sorted([one.name for one in resources], where, shards=False)
        return {one.name: (one.digest,) for one in resources}, {}
    parts: dict[str, list[tuple[int, int, str]]] = {}
    for one in resources:
        path, start, end = names.split_shard(one.name, where)
        parts.setdefault(path, []).append((start, end, one.digest))
    names.ensure_paths(list(parts), where, allow)
    names.ensure_sorted([one.name for one in resources], where, shards=True)
    sizes = {path: max(end for _, end, _ in found) for path, found in parts.items()}
    for path, found in parts.items():
        count = -(-sizes[path] // how.shard_size)  # before `ranges` is asked for what may be more than memory holds
        if len(found) != count or [(start, end) for start, end, _ in sorted(found)] != list(how.ranges(sizes[path])):
            raise Malformed(f"{where} leaves bytes of {path[:100]!r} out, or covers some twice", rule="shards-wrong")
    return {path: tuple(digest for _, _, digest in sorted(found)) for path, found in parts.items()}, sizes


def _legacy(document: Any, signers: frozenset[str], what: str, allow: AbstractSet[Allow]) -> Manifest:
    """Digests/v0.1: the files are the subjects, all by sha256."""
    subjects = _validate(_Legacy, document, what).subject
    names.ensure_paths([one.name for one in subjects], f"the manifest in {what}", allow)
    for one in subjects:
        if not _HEX.match(one.digest.get("sha256", "")) or len(one.digest["sha256"]) != HEX_DIGITS["sha256"]:
            raise Malformed(f"the manifest in {what} gives {one.name[:100]!r} no sha256")
    digests = {one.name: one.digest["sha256"] for one in subjects}
    return Manifest(
        model="a model without a name", entries={name: (digest,) for name, digest in digests.items()},
        root="sha256:" + root_of(digests.values()), signers=signers,
    )  # fmt: skip


def _validate(model: type[_M], document: Any, what: str) -> _M:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise Malformed(f"the manifest in {what} is not in order: {where[:100]}: {first['msg']}") from error


_Word = Annotated[str, Field(pattern=r"^[a-z0-9-]+$", max_length=64)]
"""Open, so that what we do not know is refused by its name."""


class _Model(BaseModel):
    """The specification's schemas allow no other keys than these, except in a resource and in a subject."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Resource(_Model, extra="ignore"):
    name: str
    digest: Annotated[str, Field(max_length=128)]
    algorithm: _Word


class _Serialization(_Model):
    method: _Word
    hash_type: _Word
    allow_symlinks: bool
    ignore_paths: list[str] = []
    shard_size: Annotated[int | float, Field(gt=0, lt=2**53)] | None = None  # model-signing 1.1.1 writes `1000000000.0`


class _Predicate(_Model):
    resources: Annotated[list[_Resource], Field(min_length=1)]
    serialization: _Serialization


class _Annotations(_Model, extra="ignore"):
    version: Annotated[str, Field(max_length=64)] = ""


class _Subject(_Model, extra="ignore"):
    annotations: _Annotations = _Annotations()
    name: Annotated[str, Field(min_length=1, max_length=names.LIMITS.path_length)]
    digest: dict[str, str]


class _Statement(_Model):
    type: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    subject: Annotated[list[_Subject], Field(min_length=1, max_length=1)]
    predicate_type: Annotated[Literal["https://model_signing/signature/v1.0"], Field(alias="predicateType")]
    predicate: _Predicate


class _Legacy(_Model, extra="ignore"):
    type: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    subject: Annotated[list[_Subject], Field(min_length=1, max_length=names.LIMITS.files)]


_M = TypeVar("_M", bound=_Model)
