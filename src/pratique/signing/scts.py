"""The promise of a certificate log (CT) that a certificate by Fulcio will be public: RFC 6962, 3.2, embedded in it."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from datetime import timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.certificate_transparency import LogEntryType, SignedCertificateTimestamp

from pratique.errors import NotLogged
from pratique.signing import authorities
from pratique.signing.roots import Log


def ensure(leaf: x509.Certificate, issuer: x509.Certificate, logs: Sequence[Log]) -> None:
    """Check every promise in a certificate; there must be one.

    Raises:
        NotLogged: there is none, it does not hold, or nobody trusted made it.
    """
    found = authorities.extension(leaf, x509.PrecertificateSignedCertificateTimestamps)
    if not found:
        raise _refused(leaf, "carries no promise of a certificate log")
    for one in found:
        _ensure_one(leaf, issuer, one, logs)


def _ensure_one(leaf: x509.Certificate, issuer: x509.Certificate, one: SignedCertificateTimestamp, logs: Sequence[Log]) -> None:
    at = one.timestamp.replace(tzinfo=timezone.utc)
    known = [log for log in logs if log.id == one.log_id]
    if not known:
        raise _refused(leaf, "is in a certificate log that is not trusted")
    valid = [log for log in known if log.span.holds(at)]
    if not valid:
        raise NotLogged(
            f"{authorities.words(leaf)} is in the certificate log {known[0].url}, whose key counts {known[0].span}; "
            f"it came there on {at:%Y-%m-%d %H:%M:%S} UTC",
            rule="ct-key-expired",
        )
    strong = one.entry_type == LogEntryType.PRE_CERTIFICATE and isinstance(one.signature_hash_algorithm, hashes.SHA256)
    message = _digitally_signed(leaf, issuer, one) if strong else b""
    if not strong or not any(log.signed(one.signature, message) for log in valid):
        raise _refused(leaf, "carries a promise of a certificate log that does not hold")


def _digitally_signed(leaf: x509.Certificate, issuer: x509.Certificate, one: SignedCertificateTimestamp) -> bytes:
    """RFC 6962, 3.2: what the log signed of a certificate before it was issued."""
    key = issuer.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    body = leaf.tbs_precertificate_bytes
    milliseconds = round(one.timestamp.replace(tzinfo=timezone.utc).timestamp() * 1000)
    return b"".join(
        (
            struct.pack("!BBQH", one.version.value, 0, milliseconds, one.entry_type.value),
            hashlib.sha256(key).digest(),
            len(body).to_bytes(3, "big"),
            body,
            struct.pack("!H", len(one.extension_bytes)),
            one.extension_bytes,
        )
    )


def _refused(leaf: x509.Certificate, why: str) -> NotLogged:
    return NotLogged(f"{authorities.words(leaf)} {why}", rule="sct-invalid")
