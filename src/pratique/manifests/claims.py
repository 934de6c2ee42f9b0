"""What is signed about a manifest: an in-toto Statement v1 of some 450 bytes, whatever the size of the dataset.

Its subject is the digest of the directory (docs/decisions/0003) without the manifest's own two files. The predicate holds the
Merkle root, how much there is, and the digest of the manifest's file. Where the data came from (lakeFS, DVC, Delta, Iceberg
and others) is recorded under `resolvedDependencies`, as ids and never as digests: those hash ETags, use MD5, or hash nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pratique import documents, signing
from pratique.artifacts import Entry, Subject
from pratique.errors import Malformed, Revoked, UsageError
from pratique.signing import INTOTO, Signer, Trusted, Witness

PREDICATE = "urn:pratique:manifest:v1"

_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
_VERSION = re.compile(r"([0-9]{1,9}(\.[0-9]{1,9}){0,7})?\Z")  # as `oms.version_numbers` reads it, or none

_ID = re.compile(r"[\x21-\x7e]{1,512}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Where data came from, by the name that the system there gives it. Recorded, and never compared with anything."""

    kind: str
    """`lakefs`, `dvc`, `delta`, `iceberg`, `huggingface` ..."""

    id: str
    """A commit, snapshot or version, best as a URI: `lakefs://lake/4d5f.../images`."""

    @classmethod
    def parse(cls, text: str) -> Upstream:
        """Read `KIND=ID`. Raises UsageError."""
        kind, _, name = text.partition("=")
        if not _KIND.match(kind) or not _ID.match(name):
            raise UsageError(f"{text!r} is not KIND=ID", hint="such as lakefs=lakefs://lake/4d5f0c/images")
        return cls(kind=kind, id=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a publisher says about a dataset."""

    subject: Subject
    """The directory's digest, without the manifest's own files, and the dataset's name."""

    root: str
    """Hex root of the Merkle tree."""

    count: int
    """Its leaves: files and empty folders."""

    size: int
    """Bytes of all files together."""

    manifest: str
    """`sha256:<hex>` of the manifest's file."""

    made_at: datetime
    """To the second."""

    version: str = ""
    """Which one it is, such as `1.4.0`, so that a policy can refuse an older one in its place; '' if it is not said."""

    previous: str = ""
    """Hex root of the version before this; '' for the first, or where it is not said."""

    croissant: Subject | None = None
    """The Croissant description among the files, if there is one."""

    upstream: tuple[Upstream, ...] = ()

    @property
    def extent(self) -> str:
        """How much it is, for people."""
        return "1 file" if self.count == 1 else f"{self.count:,} files and empty folders"

    def statement(self) -> bytes:
        """The bytes to sign."""
        dependencies: list[dict[str, Any]] = [{"name": one.kind, "uri": one.id} for one in self.upstream]
        if self.croissant is not None:
            dependencies.append({"name": self.croissant.name, "digest": {"sha256": self.croissant.hex}})
        predicate: dict[str, Any] = {
            "bytes": self.size,
            "count": self.count,
            "madeAt": self.made_at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "manifest": {"sha256": self.manifest.removeprefix("sha256:")},
            "root": {"sha256": self.root},
        }
        if self.version:
            predicate["version"] = self.version
        if self.previous:
            predicate["previous"] = {"sha256": self.previous}
        if dependencies:
            predicate["resolvedDependencies"] = dependencies
        return documents.canonical(
            {
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{"name": self.subject.name, "digest": {"sha256": self.subject.hex}}],
                "predicateType": PREDICATE,
                "predicate": predicate,
            }
        )

    @classmethod
    def parse(cls, payload: bytes, *, what: str = "the statement") -> Claim:
        """Read a statement back. Raises Malformed."""
        document = documents.parse(payload, what=what)
        kind = document.get("predicateType") if isinstance(document, dict) else None
        if kind != PREDICATE:
            raise Malformed(f"{what} is about something else than a dataset's manifest: {str(kind)[:100]!r}")
        try:
            outer = _Statement.model_validate(document)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise Malformed(f"{what} is not in order: {where[:100]}: {first['msg']}") from error
        subject, body = outer.subject[0], outer.predicate
        described = [one for one in body.resolved_dependencies if one.digest is not None]
        if len(described) > 1:
            raise Malformed(f"{what} names more than one description")
        return cls(
            subject=Subject(digest="sha256:" + subject.digest.sha256, name=subject.name),
            root=body.root.sha256, count=body.count, size=body.size, manifest="sha256:" + body.manifest.sha256,
            made_at=body.made_at, version=body.version, previous=body.previous.sha256 if body.previous else "",
            croissant=next((one.subject() for one in described), None),
            upstream=tuple(Upstream(kind=one.name, id=one.uri) for one in body.resolved_dependencies if one.digest is None),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A claim whose signature has been verified."""

    claim: Claim
    signers: frozenset[str]
    """Fingerprints of what is trusted and vouches for it; never empty."""

    witnesses: tuple[Witness, ...] = ()
    """Who signed it, and why that holds."""

    revoked: frozenset[str] = frozenset()
    """What the policy behind those who are trusted has revoked."""

    def ensure_unrevoked(self, entries: Iterable[Entry]) -> None:
        """Raise Revoked if the policy has revoked one of these files by its digest."""
        for one in entries:
            if f"sha256:{one.sha256}" in self.revoked:
                raise Revoked(f"the policy has revoked the file {one.path}, sha256:{one.sha256}", hint="do not use it")


def sign(claim: Claim, signer: Signer) -> bytes:
    """The claim in a Sigstore bundle. Raises UsageError for a version that could not be compared with another."""
    if not _VERSION.match(claim.version):
        raise UsageError(f"{claim.version!r} is not a version", hint="numbers with dots between them, such as 1.4.0")
    return signing.sign(claim.statement(), INTOTO, signer)


def verify(bundle: bytes, trusted: Iterable[Trusted], *, what: str = "the signature") -> Signed:
    """Read a claim that somebody trusted signed.

    Raises:
        Malformed: not such a bundle, or signatures in it that nobody trusted made.
        SignatureInvalid, WrongSigner: nobody trusted vouches for it. Revoked: or the policy has revoked the dataset.
    """
    listed = tuple(trusted)
    verified = signing.verify(bundle, listed, what=what)
    if verified.signatures != len(verified.actors):
        raise Malformed(
            f"{what} holds {verified.signatures} signatures, but only {len(verified.actors)} by different trusted keys",
            hint="list the others' keys as well, or get the signature again from the publisher",
            rule="extra-signature",
        )
    claim = Claim.parse(verified.payload, what=what)
    revoked = frozenset(mark for one in listed for mark in one.revoked)
    if claim.subject.digest in revoked:
        raise Revoked(f"{what} is about {claim.subject.digest}, which the policy has revoked", hint="do not use it")
    return Signed(claim=claim, signers=verified.signers, witnesses=verified.witnesses, revoked=revoked)


class _Model(BaseModel):
    """Keys that we do not know are ignored, as in-toto's parsing rules demand."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Digest(_Model):
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Subject(_Model):
    name: Annotated[str, Field(min_length=1, max_length=1024)]
    digest: _Digest


class _Dependency(_Model):
    name: Annotated[str, Field(min_length=1, max_length=1024)]
    uri: Annotated[str, Field(max_length=1024)] = ""
    digest: _Digest | None = None

    def subject(self) -> Subject:
        assert self.digest is not None
        return Subject(digest="sha256:" + self.digest.sha256, name=self.name)


class _Predicate(_Model):
    size: Annotated[int, Field(ge=0, strict=True, alias="bytes")]
    count: Annotated[int, Field(gt=0, strict=True)]
    made_at: Annotated[AwareDatetime, Field(alias="madeAt")]
    manifest: _Digest
    root: _Digest
    version: Annotated[str, Field(max_length=64)] = ""
    previous: _Digest | None = None
    resolved_dependencies: Annotated[list[_Dependency], Field(alias="resolvedDependencies", max_length=64)] = []


class _Statement(_Model):
    type: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    subject: Annotated[list[_Subject], Field(min_length=1, max_length=1)]
    predicate: _Predicate
