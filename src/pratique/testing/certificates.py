"""Certificate authorities for a test suite: honest ones, and ones that make every mistake on purpose.

acme = Authority.root("Acme Root")
below = acme.intermediate("Acme Signing")
signer = below.signer("CN=release,O=Acme")                              # a signing.CertificateSigner
trusted = acme.trusted("acme", Subject(subject="CN=release,O=Acme"))    # a signing.TrustedCertificate
stale = below.signer("CN=release,O=Acme", before=LONG_AGO, after=YESTERDAY)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from pratique.signing import CertificateSigner, KeySigner, Subject, TrustedCertificate

CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
TIME_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING

_YEAR = timedelta(days=365)
_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
    "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate with its private key, and the authorities above it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...] = ()
    """From the next one up to the root."""

    @classmethod
    def root(
        cls, name: str, *, before: datetime | None = None, after: datetime | None = None, path_length: int | None = None
    ) -> Authority:
        """An authority that certifies itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name.from_rfc4514_string(name if "=" in name else f"CN={name}")
        span = _span(before, after, years=10)
        built = certify(key.public_key(), subject, subject, key, span, usage=("key_cert_sign", "crl_sign"), ca=(path_length,))
        return cls(key=key, certificate=built)

    def intermediate(
        self,
        name: str,
        *,
        before: datetime | None = None,
        after: datetime | None = None,
        path_length: int | None = None,
        purposes: Sequence[x509.ObjectIdentifier] = (CODE_SIGNING,),
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> Authority:
        """An authority below this one."""
        key = ec.generate_private_key(ec.SECP256R1())
        built = certify(
            key.public_key(), x509.Name.from_rfc4514_string(f"CN={name}"), self.certificate.subject, self.key,
            _span(before, after, years=5), usage=("key_cert_sign", "crl_sign"), ca=(path_length,), purposes=purposes,
            extensions=extensions, issuer_key=self.key.public_key(),
        )  # fmt: skip
        return Authority(key=key, certificate=built, above=(self.certificate, *self.above))

    def signer(
        self,
        subject: str,
        *,
        names: Sequence[x509.GeneralName] = (),
        before: datetime | None = None,
        after: datetime | None = None,
        usage: Sequence[str] = ("digital_signature",),
        purposes: Sequence[x509.ObjectIdentifier] = (CODE_SIGNING,),
        ca: bool = False,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
        key: KeySigner | None = None,
        with_root: bool = True,
    ) -> CertificateSigner:
        """A signer that this authority certifies; every default is what an honest one would be.

        Args:
            subject: RFC 4514, such as `CN=release,O=Acme`.
            names: subject alternative names.
            usage: bits of the key usage that are set, by cryptography's names; no extension at all if empty.
            purposes: extended key usages; no extension at all if empty.
            ca: whether it claims to be an authority.
            extensions: further extensions, each with whether it is critical.
            with_root: whether the chain that a bundle carries ends with the root.
        """
        key = key or KeySigner.generate()
        built = certify(
            key.public, x509.Name.from_rfc4514_string(subject), self.certificate.subject, self.key,
            _span(before, after, years=1), usage=usage, purposes=purposes, ca=(None,) if ca else None, names=names,
            extensions=extensions, issuer_key=self.key.public_key(),
        )  # fmt: skip
        chain = (built, self.certificate, *self.above)
        return CertificateSigner(key=key, chain=chain if with_root else chain[:-1])

    def trusted(self, name: str, subject: Subject) -> TrustedCertificate:
        """Trust in whoever this authority certifies under a name."""
        return TrustedCertificate(name=name, roots=(self.certificate,), subject=subject)


def certify(
    public: ec.EllipticCurvePublicKey,
    subject: x509.Name,
    issuer: x509.Name,
    by: ec.EllipticCurvePrivateKey,
    span: tuple[datetime, datetime],
    *,
    usage: Sequence[str] = (),
    purposes: Sequence[x509.ObjectIdentifier] = (),
    purposes_critical: bool = False,
    ca: tuple[int | None] | None = None,
    names: Sequence[x509.GeneralName] = (),
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    issuer_key: ec.EllipticCurvePublicKey | None = None,
    serial: int | None = None,
) -> x509.Certificate:
    """Any certificate at all.

    Args:
        span: not valid before, not valid after.
        ca: with the path length (None for any) if it is an authority's.
    """
    known: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=ca is not None, path_length=ca[0] if ca else None), True),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
    ]
    if usage:
        known.append((x509.KeyUsage(*(one in usage for one in _USAGES)), True))
    if purposes:
        known.append((x509.ExtendedKeyUsage(purposes), purposes_critical))
    if names:
        known.append((x509.SubjectAlternativeName(names), not list(subject)))
    if issuer_key is not None:
        known.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), False))
    builder = x509.CertificateBuilder(issuer, subject, public, serial or x509.random_serial_number(), span[0], span[1])
    for value, critical in (*known, *extensions):
        builder = builder.add_extension(value, critical)
    return builder.sign(by, hashes.SHA256())


def write_pem(path: Path, certificates: Sequence[x509.Certificate]) -> Path:
    """Certificates as a PEM file; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates))
    return path


def _span(before: datetime | None, after: datetime | None, years: int) -> tuple[datetime, datetime]:
    now = datetime.now(timezone.utc).replace(microsecond=0)
    return before or now - _YEAR, after or now + years * _YEAR
