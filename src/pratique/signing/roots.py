"""A Sigstore trusted root: whose word counts in keyless signing, and from when to when.

Read from a file that the policy names, never from a network or a home directory; `pratique trust fetch` writes one. What the
file says about time binds at both ends: a log's key, an authority's certificate or a timestamp authority counts for nothing
before its start and after its end, both ends included (sigstore's client specification).

Format: https://github.com/sigstore/protobuf-specs, sigstore_trustroot.proto, in JSON.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pratique import documents
from pratique.errors import Malformed, UsageError
from pratique.signing import authorities
from pratique.signing.keys import HASHES, read_file

_HINT = "get one with `pratique trust fetch`"
_MEDIA_TYPES = Literal[
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From when to when something counts; both ends included."""

    start: datetime
    end: datetime | None

    def holds(self, at: datetime) -> bool:
        """Whether a moment lies within."""
        return self.start <= at and (self.end is None or at <= self.end)

    def covers(self, times: Sequence[datetime]) -> bool:
        """Whether all of some moments lie within."""
        return all(self.holds(at) for at in times)

    def __str__(self) -> str:
        end = f" to {self.end:%Y-%m-%d %H:%M:%S} UTC" if self.end else " on"
        return f"from {self.start:%Y-%m-%d %H:%M:%S} UTC{end}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A transparency log (Rekor), or a log of certificates (CT)."""

    url: str
    id: bytes
    """Names the log's key in what it signs."""

    public: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
    span: Span
    written: Mapping[str, Any] = field(repr=False)
    """As it stands in the file."""

    def signed(self, signature: bytes, message: bytes) -> bool:
        """Whether the log signed a message, with the hash that belongs to its key."""
        try:
            if isinstance(self.public, ed25519.Ed25519PublicKey):
                self.public.verify(signature, message)
            elif isinstance(self.public, rsa.RSAPublicKey):
                self.public.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
            else:
                self.public.verify(signature, message, ec.ECDSA(HASHES[self.public.curve.name]))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate authority (Fulcio), or a timestamp authority."""

    uri: str
    chain: tuple[x509.Certificate, ...]
    """From the lowest to the root; never empty."""

    span: Span
    written: Mapping[str, Any] = field(repr=False)

    @property
    def words(self) -> str:
        """The authority in words."""
        return self.uri or authorities.words(self.chain[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """Everything that keyless verification leans on."""

    logs: tuple[Log, ...]
    certificate_logs: tuple[Log, ...]
    authorities: tuple[Authority, ...]
    timestamps: tuple[Authority, ...]
    digest: str
    """`sha256:<hex>` over the content, however it is indented."""

    media_type: str

    @classmethod
    def load(cls, path: Path) -> Root:
        """Read a trusted root from a file.

        Raises:
            UsageError: there is none, or it is not in order.
        """
        return cls.parse(read_file(path, "the trusted root"), str(path))

    @classmethod
    def parse(cls, data: bytes, where: str) -> Root:
        """Read the bytes of a trusted root; see `load`."""
        try:
            document = documents.parse(data, what=where)
            model = _Root.model_validate(document)
            return cls(
                logs=tuple(_log(*pair) for pair in _pairs(model.logs, document, "tlogs")),
                certificate_logs=tuple(_log(*pair) for pair in _pairs(model.certificate_logs, document, "ctlogs")),
                authorities=tuple(_authority(*pair) for pair in _pairs(model.cas, document, "certificateAuthorities")),
                timestamps=tuple(_authority(*pair) for pair in _pairs(model.tsas, document, "timestampAuthorities")),
                digest=documents.sha256(documents.canonical(document)),
                media_type=model.media_type,
            )
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(str(part) for part in first["loc"])
            raise UsageError(f"{where} is not a trusted root: {at}: {first['msg']}", hint=_HINT) from error
        except (Malformed, ValueError, UnsupportedAlgorithm) as error:
            raise UsageError(f"{where} is not a trusted root: {error}", hint=_HINT) from error

    def as_client_config(self, times: Sequence[datetime] = (), *, endless_timestamps: bool = False) -> str:
        """What counted at all of these times, in the form that sigstore-python reads; it asks for a signing configuration, too.

        Args:
            endless_timestamps: leave out until when timestamp authorities count, for a reader that takes it to be exclusive.
        """
        endless = {"validFor": {"start": "1970-01-01T00:00:00Z"}} if endless_timestamps else {}
        trusted = {
            "mediaType": self.media_type,
            "tlogs": [dict(one.written) for one in self.logs if one.span.covers(times)],
            "certificateAuthorities": [dict(one.written) for one in self.authorities if one.span.covers(times)],
            "ctlogs": [dict(one.written) for one in self.certificate_logs],
            "timestampAuthorities": [{**one.written, **endless} for one in self.timestamps if one.span.covers(times)],
        }
        signing: dict[str, Any] = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [], "oidcUrls": [], "rekorTlogUrls": [], "tsaUrls": [],
            "rekorTlogConfig": {"selector": "ANY"}, "tsaConfig": {"selector": "ANY"},
        }  # fmt: skip
        media_type = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
        return json.dumps({"mediaType": media_type, "trustedRoot": trusted, "signingConfig": signing})


def _pairs(models: Sequence[Any], document: Mapping[str, Any], key: str) -> list[tuple[Any, Mapping[str, Any]]]:
    return list(zip(models, document.get(key) or [], strict=True))


def _log(model: _Log, written: Mapping[str, Any]) -> Log:
    public = serialization.load_der_public_key(_decode(model.key.raw))
    known = isinstance(public, (ed25519.Ed25519PublicKey, rsa.RSAPublicKey)) or (
        isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in HASHES
    )
    if not known:
        raise ValueError(f"the key of {model.url} is of a kind that is not read")
    return Log(url=model.url, id=_decode(model.id.key), public=public, span=_span(model.key.span), written=written)  # type: ignore[arg-type]


def _authority(model: _Authority, written: Mapping[str, Any]) -> Authority:
    chain = authorities.parse_der([_decode(one.raw) for one in model.chain.certificates], f"the authority {model.uri}")
    return Authority(uri=model.uri, chain=chain, span=_span(model.span), written=written)


def _span(model: _Span) -> Span:
    if model.end is not None and model.end < model.start:
        raise ValueError("something ends before it starts")
    return Span(start=model.start, end=model.end)


def _decode(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, defer_build=True
    )  # what a later version adds beside these changes nothing of what they mean


class _Span(_Model):
    start: AwareDatetime
    end: AwareDatetime | None = None


class _Key(_Model):
    raw: Annotated[str, Field(alias="rawBytes", min_length=1)]
    span: Annotated[_Span, Field(alias="validFor")]


class _Id(_Model):
    key: Annotated[str, Field(alias="keyId", min_length=8)]


class _Log(_Model):
    url: Annotated[str, Field(alias="baseUrl")] = ""
    key: Annotated[_Key, Field(alias="publicKey")]
    id: Annotated[_Id, Field(alias="logId")]


class _Certificate(_Model):
    raw: Annotated[str, Field(alias="rawBytes", min_length=1)]


class _Chain(_Model):
    certificates: Annotated[list[_Certificate], Field(min_length=1, max_length=10)]


class _Authority(_Model):
    uri: str = ""
    chain: Annotated[_Chain, Field(alias="certChain")]
    span: Annotated[_Span, Field(alias="validFor")]


class _Root(_Model):
    media_type: Annotated[_MEDIA_TYPES, Field(alias="mediaType")]
    logs: Annotated[list[_Log], Field(alias="tlogs", min_length=1)]
    cas: Annotated[list[_Authority], Field(alias="certificateAuthorities", min_length=1)]
    certificate_logs: Annotated[list[_Log], Field(alias="ctlogs", min_length=1)]
    tsas: Annotated[list[_Authority], Field(alias="timestampAuthorities")] = []
