"""A Sigstore v0.3 bundle around a DSSE envelope: parsed strictly, believed by nobody yet.

Exactly one of three things says how a bundle was signed, and with it which kind of trust can apply. None stands in for another:

| in `verificationMaterial` | method | OMS v1.0, 4.1 |
|---|---|---|
| `publicKey` | key | a hint names the key |
| `x509CertificateChain` | certificate | leaf first, then the authorities |
| `certificate` | keyless | one short-lived certificate, with entries of a transparency log |

Specifications: DSSE v1.0.2 (https://github.com/secure-systems-lab/dsse), Sigstore bundle v0.3
(https://github.com/sigstore/protobuf-specs, sigstore_bundle.proto).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from cryptography.hazmat.primitives import hashes
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pratique import documents
from pratique.errors import Malformed

INTOTO = "application/vnd.in-toto+json"
"""The DSSE payload type of an in-toto statement."""

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
"""The media type that we write; any v0.3 spelling is read."""

Method = Literal["key", "certificate", "keyless"]
"""How a bundle was signed."""


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is really signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How a payload becomes what is signed. There is one way (`DSSE`), and others only for old formats, when asked for."""

    message: Callable[[str, bytes], bytes]
    """From a payload type and a payload to the bytes that are signed."""

    hash: hashes.HashAlgorithm | None = None
    """The hash under the signature; None for the one that belongs to the curve."""


DSSE = Encoding(message=pae)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A DSSE envelope, decoded but not verified."""

    payload_type: str
    payload: bytes
    signatures: tuple[bytes, ...]
    encoding: Encoding = DSSE

    @property
    def message(self) -> bytes:
        """What was signed, if anything was."""
        return self.encoding.message(self.payload_type, self.payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle, decoded but not verified."""

    envelope: Envelope
    method: Method
    hint: str = ""
    """How a bundle by key names its key; it decides nothing."""

    chain: tuple[bytes, ...] = ()
    """Certificates in DER, the signer's own first; empty in a bundle by key."""

    entries: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    """Entries of transparency logs, as they stand there."""

    timestamps: tuple[bytes, ...] = field(default=(), repr=False)
    """RFC 3161 responses in DER."""

    raw: bytes = field(repr=False)
    """The bytes that all this was read from."""

    what: str = "the bundle"
    """Names the bundle in errors."""

    @property
    def digest(self) -> str:
        """`sha256:<hex>` over the bundle's bytes: its name in a store."""
        return documents.sha256(self.raw)


def write(payload: bytes, payload_type: str, signature: bytes, material: dict[str, Any]) -> bytes:
    """The bytes of a bundle with one signature."""
    envelope = Envelope(payload_type=payload_type, payload=payload, signatures=(signature,))
    return documents.canonical(
        {
            "mediaType": BUNDLE,
            "verificationMaterial": {"tlogEntries": [], **material},
            "dsseEnvelope": _written(envelope),
        }
    )


def plain(envelope: Envelope) -> bytes:
    """The bytes of an envelope on its own."""
    return documents.canonical(_written(envelope))


def _written(envelope: Envelope) -> dict[str, Any]:
    return {
        "payload": base64.b64encode(envelope.payload).decode(),
        "payloadType": envelope.payload_type,
        "signatures": [{"sig": base64.b64encode(one).decode(), "keyid": ""} for one in envelope.signatures],
    }


def chain_material(chain: Sequence[bytes]) -> dict[str, Any]:
    """How a bundle carries a chain of certificates in DER, leaf first."""
    certificates = [{"rawBytes": base64.b64encode(one).decode()} for one in chain]
    return {"x509CertificateChain": {"certificates": certificates}}


def read(bundle: bytes, *, what: str = "the bundle") -> Bundle:
    """Decode a bundle.

    Raises:
        Malformed: not a v0.3 bundle with a DSSE envelope and exactly one method.
    """
    try:
        model = _Bundle.model_validate(documents.parse(bundle, what=what))
    except ValidationError as error:
        first = error.errors()[0]
        where = documents.plain(".".join(str(part) for part in first["loc"]))
        raise Malformed(f"{what} is not a Sigstore v0.3 bundle: {where}: {first['msg']}") from error
    dsse, material = model.dsse_envelope, model.verification_material
    envelope = Envelope(
        payload_type=dsse.payload_type,
        payload=_decode(dsse.payload, what),
        signatures=tuple(_decode(one.sig, what) for one in dsse.signatures),
    )
    stamps = material.timestamps.stamps if material.timestamps else None
    named = (material.public_key or {}).get("hint", "")
    return Bundle(
        envelope=envelope,
        method=material.method,
        hint=named if isinstance(named, str) else "",
        chain=tuple(_decode(one.raw, what) for one in material.chain_of_certificates),
        entries=tuple(material.entries or ()),
        timestamps=tuple(_decode(one.signed, what) for one in stamps or ()),
        raw=bundle,
        what=what,
    )


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class _Signature(_Model):
    sig: str
    keyid: str | None = ""  # OMS v1.0, 4.1: absent, empty or null; it decides nothing


class _Envelope(_Model):
    payload: str
    payload_type: Annotated[str, Field(alias="payloadType", max_length=256)]
    signatures: Annotated[list[_Signature], Field(min_length=1, max_length=64)]


class _Certificate(_Model):
    raw: Annotated[str, Field(alias="rawBytes", min_length=1, max_length=1 << 16)]


class _Chain(_Model):
    certificates: Annotated[list[_Certificate], Field(min_length=1, max_length=10)]


class _Stamp(_Model):
    signed: Annotated[str, Field(alias="signedTimestamp", min_length=1, max_length=1 << 17)]


class _Stamps(_Model):
    stamps: Annotated[list[_Stamp] | None, Field(alias="rfc3161Timestamps", max_length=32)] = None


class _Material(_Model):
    public_key: Annotated[dict[str, Any] | None, Field(alias="publicKey")] = None
    certificate: _Certificate | None = None
    chain: Annotated[_Chain | None, Field(alias="x509CertificateChain")] = None
    entries: Annotated[list[dict[str, Any]] | None, Field(alias="tlogEntries", max_length=32)] = None
    timestamps: Annotated[_Stamps | None, Field(alias="timestampVerificationData")] = None

    @model_validator(mode="after")
    def _one_method(self) -> _Material:
        if sum(one is not None for one in (self.public_key, self.certificate, self.chain)) != 1:
            raise ValueError("give exactly one of publicKey, certificate and x509CertificateChain")
        return self

    @property
    def method(self) -> Method:
        if self.public_key is not None:
            return "key"
        return "certificate" if self.chain is not None else "keyless"

    @property
    def chain_of_certificates(self) -> list[_Certificate]:
        if self.chain is not None:
            return self.chain.certificates
        return [self.certificate] if self.certificate is not None else []


class _Bundle(_Model):
    media_type: Annotated[
        Literal["application/vnd.dev.sigstore.bundle.v0.3+json", "application/vnd.dev.sigstore.bundle+json;version=0.3"],
        Field(alias="mediaType"),
    ]
    verification_material: Annotated[_Material, Field(alias="verificationMaterial")]
    dsse_envelope: Annotated[_Envelope, Field(alias="dsseEnvelope")]


def _decode(text: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"{what} holds something that is not base64") from error
    if base64.b64encode(data).decode() != text:  # a second spelling of the same bytes is a second bundle
        raise Malformed(f"{what} holds base64 that is not in its canonical spelling")
    return data
