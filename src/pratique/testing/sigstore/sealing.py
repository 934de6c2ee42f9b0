"""A bundle as a client would have made it, without a client: at any time, and with any fault."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pratique import documents
from pratique.signing import envelopes
from pratique.testing.sigstore import rekor
from pratique.testing.sigstore.describing import b64, der
from pratique.testing.sigstore.rekor import RekorV1, RekorV2


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a client has before it asks a log."""

    payload: bytes
    payload_type: str
    certificate: x509.Certificate
    signature: bytes

    def log_v1(self, log: RekorV1) -> dict[str, Any]:
        """The entry of a first-generation log."""
        envelope = documents.canonical(
            {"payload": b64(self.payload), "payloadType": self.payload_type, "signatures": [{"sig": b64(self.signature)}]}
        ).decode()
        content = {"envelope": envelope, "verifiers": [b64(self.certificate.public_bytes(serialization.Encoding.PEM))]}
        answer = log.add({"kind": "dsse", "apiVersion": "0.0.1", "spec": {"proposedContent": content}})
        return rekor.as_entry(answer, "dsse")

    def log_v2(self, log: RekorV2) -> dict[str, Any]:
        """The entry of a second-generation log."""
        digest = hashlib.sha256(envelopes.pae(self.payload_type, self.payload)).digest()
        verifier = {"x509Certificate": {"rawBytes": b64(der(self.certificate))}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
        asked = {"digest": b64(digest), "signature": {"content": b64(self.signature), "verifier": verifier}}
        return log.add({"hashedRekordRequestV002": asked})

    def bundle(self, entry: dict[str, Any], stamps: Sequence[bytes]) -> bytes:
        """All of it together."""
        material = {
            "certificate": {"rawBytes": b64(der(self.certificate))},
            "tlogEntries": [entry],
            "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": b64(one)} for one in stamps]},
        }
        return envelopes.write(self.payload, self.payload_type, self.signature, material)
