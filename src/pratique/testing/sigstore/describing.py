"""How a trusted root describes logs and authorities (sigstore_trustroot.proto, in JSON)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pratique.testing.sigstore.rekor import spki


def log(url: str, public: Any, key_id: bytes | None, span: Mapping[str, str]) -> dict[str, Any]:
    """A transparency log, or a log of certificates, whose id is the digest of its key."""
    details = "PKIX_ECDSA_P256_SHA_256" if isinstance(public, ec.EllipticCurvePublicKey) else "PKIX_ED25519"
    return {
        "baseUrl": url, "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": b64(spki(public)), "keyDetails": details, "validFor": dict(span)},
        "logId": {"keyId": b64(key_id or hashlib.sha256(spki(public)).digest())},
    }  # fmt: skip


def authority(url: str, chain: Sequence[x509.Certificate], span: Mapping[str, str]) -> dict[str, Any]:
    """A certificate authority or a timestamp authority, from the lowest certificate to the root."""
    return {
        "subject": {"organization": "fake", "commonName": chain[0].subject.rfc4514_string()}, "uri": url,
        "certChain": {"certificates": [{"rawBytes": b64(der(one))} for one in chain]}, "validFor": dict(span),
    }  # fmt: skip


def stamp(at: datetime) -> str:
    """A moment, as protobuf's JSON writes it."""
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def der(certificate: x509.Certificate) -> bytes:
    """A certificate in DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def b64(data: bytes) -> str:
    """Bytes, as protobuf's JSON writes them."""
    return base64.b64encode(data).decode()
