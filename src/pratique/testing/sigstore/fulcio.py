"""The certificate authority and the log of certificates: from a token and a key to a certificate of some minutes."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pratique.testing.certificates import CODE_SIGNING, SERVER_AUTH, Authority, certify
from pratique.testing.sigstore import tokens
from pratique.testing.sigstore.faults import Fault
from pratique.testing.sigstore.tokens import Claims

_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ARC = "1.3.6.1.4.1.57264.1."


@dataclass(slots=True, kw_only=True)
class Fulcio:
    """Issues certificates, and has a certificate log promise to publish them."""

    clock: Callable[[], datetime]
    faults: Collection[Fault]
    start: datetime
    minutes: int = 10
    """How long a certificate is valid."""

    root: Authority = field(init=False)
    authority: Authority = field(init=False)
    log_key: ec.EllipticCurvePrivateKey = field(init=False)

    def __post_init__(self) -> None:
        """Make the keys."""
        self.root = Authority.root("O=fake,CN=fake-root", before=self.start, after=self.start + timedelta(days=3650))
        self.renew()
        self.renew_log()

    def renew(self) -> None:
        """A new intermediate authority below the same root."""
        self.authority = self.root.intermediate("fake-intermediate", before=self.start, path_length=0)

    def renew_log(self) -> None:
        """A new key for the certificate log."""
        self.log_key = ec.generate_private_key(ec.SECP256R1())

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """From the issuing authority to the root."""
        return (self.authority.certificate, *self.authority.above)

    def issue(self, public: ec.EllipticCurvePublicKey, claims: Claims) -> x509.Certificate:
        """A certificate for whoever a token is about."""
        serial = x509.random_serial_number()
        now = self.clock().replace(microsecond=0)
        if Fault.SCT_MISSING in self.faults:
            return self._certify(public, claims, serial, now, None)
        draft = self._certify(public, claims, serial, now, _sct_list(b"0" * 70, b"\x00" * 32, 0))
        return self._certify(public, claims, serial, now, self._promise(draft, now))

    def _certify(
        self, public: ec.EllipticCurvePublicKey, claims: Claims, serial: int, now: datetime, promise: bytes | None
    ) -> x509.Certificate:
        names = [tokens.subject(claims)] * (2 if Fault.TWO_IDENTITIES in self.faults else 1)
        extensions: list[tuple[x509.ExtensionType, bool]] = []
        if Fault.NO_ISSUER not in self.faults:
            extensions.append((_unknown(f"{_ARC}1", claims["iss"].encode()), False))
            extensions += [
                (_unknown(f"{_ARC}{number}", core.UTF8String(value).dump()), False)
                for number, value in tokens.extensions(claims).items()
            ]
        if promise is not None:
            extensions.append((_unknown(_SCT_LIST.dotted_string, core.OctetString(promise).dump()), False))
        return certify(
            public, x509.Name([]), self.authority.certificate.subject, self.authority.key,
            (now - timedelta(seconds=1), now + timedelta(minutes=self.minutes)), serial=serial, names=names,
            usage=("digital_signature",), extensions=extensions, issuer_key=self.authority.key.public_key(),
            purposes=(SERVER_AUTH if Fault.CERTIFICATE_WRONG_PURPOSE in self.faults else CODE_SIGNING,),
            ca=(None,) if Fault.CERTIFICATE_AUTHORITY in self.faults else None,
        )  # fmt: skip

    def _promise(self, draft: x509.Certificate, now: datetime) -> bytes:
        """RFC 6962, 3.2 and 3.3."""
        milliseconds = int(now.replace(tzinfo=timezone.utc).timestamp() * 1000)
        body = draft.tbs_precertificate_bytes
        issuer = hashlib.sha256(_spki(self.authority.key.public_key())).digest()
        message = (
            struct.pack("!BBQH", 0, 0, milliseconds, 1) + issuer + len(body).to_bytes(3, "big") + body + struct.pack("!H", 0)
        )
        key = ec.generate_private_key(ec.SECP256R1()) if Fault.SCT_WRONG in self.faults else self.log_key
        signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
        return _sct_list(signature, hashlib.sha256(_spki(self.log_key.public_key())).digest(), milliseconds)


def _sct_list(signature: bytes, log_id: bytes, milliseconds: int) -> bytes:
    one = struct.pack("!B32sQH", 0, log_id, milliseconds, 0) + struct.pack("!BBH", 4, 3, len(signature)) + signature
    return struct.pack("!HH", len(one) + 2, len(one)) + one


def _unknown(oid: str, value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)


def _spki(public: ec.EllipticCurvePublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
