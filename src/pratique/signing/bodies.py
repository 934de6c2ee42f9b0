"""What an entry of a transparency log says was signed, held against what the bundle says: else one could stand for the other.

| kind | made by | says |
|---|---|---|
| `dsse` 0.0.1 | Rekor v1 | digest of the payload; each signature with its certificate or key |
| `hashedrekord` 0.0.1 | Rekor v1 | digest of the file; signature; certificate or key |
| `hashedrekord` 0.0.2 | Rekor v2 | digest of the file, or of what DSSE signs; signature; certificate or key |

Everything else is refused; `intoto` 0.0.2, which Rekor v1 wrote before `dsse`, only if it is asked for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pratique import documents
from pratique.errors import Malformed, NotLogged, Unsupported
from pratique.signing.envelopes import Envelope
from pratique.signing.logs import Entry

_HASHES = {"secp256r1": "sha256", "secp384r1": "sha384", "secp521r1": "sha512"}
_SHA2 = {"sha256": "SHA2_256", "sha384": "SHA2_384", "sha512": "SHA2_512"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What a bundle says was signed, and by what."""

    signature: bytes
    verifier: x509.Certificate | ec.EllipticCurvePublicKey
    envelope: Envelope | None = None
    """For DSSE."""

    sha256: bytes = b""
    """For a file: its digest."""

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        """The key that verifies."""
        public = self.verifier.public_key() if isinstance(self.verifier, x509.Certificate) else self.verifier
        assert isinstance(public, ec.EllipticCurvePublicKey)
        return public

    def spelled(self, text: str) -> bool:
        """Whether base64 over PEM is the same certificate or key."""
        pem = base64.b64decode(text, validate=True)
        if isinstance(self.verifier, x509.Certificate):
            return x509.load_pem_x509_certificate(pem) == self.verifier
        return serialization.load_pem_public_key(pem) == self.verifier


def ensure_same(entry: Entry, signed: Signed, *, deprecated: bool = False) -> None:
    """Compare.

    Args:
        deprecated: whether `intoto` 0.0.2 will do.

    Raises:
        NotLogged: the entry is about something else. Unsupported: it is of another kind. Malformed: it is not in order.
    """
    try:
        body = documents.parse(entry.body, what=f"the log entry of {entry.what}")
        if (body["kind"], body["apiVersion"]) != (entry.kind, entry.version):
            raise _other(entry, "kind")
        reader = _reader(entry, signed, deprecated)
        faults = [name for name, holds in reader(body["spec"], signed) if not holds]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, binascii.Error) as error:
        raise Malformed(f"the log entry of {entry.what} is not in order: {type(error).__name__}") from error
    if faults:
        raise _other(entry, faults[0])


def _reader(entry: Entry, signed: Signed, deprecated: bool) -> Any:
    kind = (entry.kind, entry.version, signed.envelope is not None)
    known: dict[tuple[str, str, bool], Any] = {
        ("dsse", "0.0.1", True): _dsse,
        ("hashedrekord", "0.0.1", False): _hashed_1,
        ("hashedrekord", "0.0.2", False): _hashed_2,
        ("hashedrekord", "0.0.2", True): _hashed_2,
        **({("intoto", "0.0.2", True): _intoto} if deprecated else {}),
    }
    if kind not in known:
        raise Unsupported(
            f"{entry.what} is logged as {entry.kind[:40]!r} {entry.version[:20]!r}, which is not accepted here",
            hint="have it signed again",
        )
    return known[kind]


def _other(entry: Entry, what: str) -> NotLogged:
    return NotLogged(f"the log entry of {entry.what} is about something else: another {what}", rule="log-entry-mismatch")


def _dsse(spec: Any, signed: Signed) -> list[tuple[str, bool]]:
    assert signed.envelope is not None
    (one,) = spec["signatures"]
    digest = hashlib.sha256(signed.envelope.payload).hexdigest()
    return [
        ("payload", spec["payloadHash"] == {"algorithm": "sha256", "value": digest}),
        ("signature", _same(one["signature"], signed.signature)),
        ("certificate", signed.spelled(one["verifier"])),
    ]


def _hashed_1(spec: Any, signed: Signed) -> list[tuple[str, bool]]:
    return [
        ("file", spec["data"]["hash"] == {"algorithm": "sha256", "value": signed.sha256.hex()}),
        ("signature", _same(spec["signature"]["content"], signed.signature)),
        ("certificate", signed.spelled(spec["signature"]["publicKey"]["content"])),
    ]


def _hashed_2(spec: Any, signed: Signed) -> list[tuple[str, bool]]:
    inner = spec["hashedRekordV002"]
    name = _HASHES[signed.public.curve.name] if signed.envelope else "sha256"
    digest = hashlib.new(name, signed.envelope.message).digest() if signed.envelope else signed.sha256
    verifier = inner["signature"]["verifier"]
    if isinstance(signed.verifier, x509.Certificate):
        der, raw = signed.verifier.public_bytes(serialization.Encoding.DER), verifier["x509Certificate"]["rawBytes"]
    else:
        der = signed.verifier.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        raw = verifier["publicKey"]["rawBytes"]
    return [
        ("file", inner["data"]["algorithm"] == _SHA2[name] and _same(inner["data"]["digest"], digest)),
        ("signature", _same(inner["signature"]["content"], signed.signature)),
        ("certificate", _same(raw, der)),
    ]


def _intoto(spec: Any, signed: Signed) -> list[tuple[str, bool]]:
    """Payload and signature stand there in base64 twice over."""
    assert signed.envelope is not None
    content = spec["content"]
    (one,) = content["envelope"]["signatures"]
    digest = hashlib.sha256(signed.envelope.payload).hexdigest()
    twice = base64.b64encode(signed.signature)
    return [
        ("payload", content["payloadHash"] == {"algorithm": "sha256", "value": digest}),
        ("payload type", content["envelope"]["payloadType"] == signed.envelope.payload_type),
        ("signature", _same(one["sig"], twice)),
        ("certificate", signed.spelled(one["publicKey"])),
    ]


def _same(text: str, data: bytes) -> bool:
    return base64.b64decode(text, validate=True) == data
