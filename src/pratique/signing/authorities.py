"""From a signer's certificate to an authority that somebody trusts: a small, strict path builder (RFC 5280, section 6).

In the order of the code:

1. The signer's own certificate may sign code and nothing may stand above it in doubt: no authority, key usage digitalSignature,
   extended key usage codeSigning, an elliptic-curve key that OMS allows.
2. A path leads from it to one of the roots, over certificates that are each signed by the next and may sign certificates.
3. Every certificate on the path, the root too, is valid at the time that counts.

Whatever a certificate says that is critical and not understood here refuses it: name constraints and policy constraints, too.
There is no fallback to the roots of an operating system, and no empty list of roots.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from pratique import documents
from pratique.errors import CertificateRefused, Malformed
from pratique.signing.keys import HASHES
from pratique.signing.keys import fingerprint as key_fingerprint

_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    }
)
"""What may be critical, because it is looked at or makes no difference."""

_NARROWING = (x509.NameConstraints, x509.PolicyConstraints, x509.InhibitAnyPolicy)
"""What narrows whom an authority may certify. It is not weighed here, so such an authority is not taken, critical or not."""

_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_DEPTH = 10
_TRIALS = 100
"""Signatures that are tried before a heap of certificates is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a signer's certificate must be good for."""

    strict: bool = True
    """False asks for as little as OMS v1.0 does: either usage is enough, and an authority's certificate will do."""

    def ensure(self, leaf: x509.Certificate) -> ec.EllipticCurvePublicKey:
        """Step 1; returns the key that signed.

        Raises:
            CertificateRefused: it may not sign code.
        """
        public = leaf.public_key()
        if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name not in HASHES:
            raise CertificateRefused(f"{words(leaf)} has no key on P-256, P-384 or P-521", rule="certificate-purpose")
        usage = extension(leaf, x509.KeyUsage)
        purposes = extension(leaf, x509.ExtendedKeyUsage)
        signs = usage is not None and usage.digital_signature
        codes = purposes is not None and ExtendedKeyUsageOID.CODE_SIGNING in purposes
        if not self.strict:
            if not signs and not codes:
                raise CertificateRefused(f"{words(leaf)} may not sign", rule="certificate-purpose")
            return public
        if is_authority(leaf):
            raise CertificateRefused(
                f"{words(leaf)} is an authority's certificate, which may not sign models", rule="certificate-authority-signed"
            )
        if not signs:
            raise CertificateRefused(f"{words(leaf)} has no key usage digitalSignature", rule="certificate-purpose")
        if not codes:
            raise CertificateRefused(
                f"{words(leaf)} is not for signing code: {_purposes(purposes)}", rule="certificate-purpose"
            )
        return public


E = TypeVar("E", bound=x509.ExtensionType)

STRICT = Profile()
AS_OMS = Profile(strict=False)


UNREADABLE = (
    ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, x509.InvalidVersion, UnsupportedAlgorithm,
)  # fmt: skip
"""What reading a certificate may raise."""


def ensure_readable(certificate: x509.Certificate) -> None:
    """Read every part of a certificate, which is else read when it is asked for.

    Raises:
        UNREADABLE: one of these.
    """
    _ = certificate.extensions, certificate.subject, certificate.issuer, certificate.version
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc, certificate.public_key()
    _ = certificate.signature_hash_algorithm


def parse_der(chain: Sequence[bytes], what: str) -> tuple[x509.Certificate, ...]:
    """Certificates in DER, as a bundle carries them.

    Raises:
        Malformed: one of them is none.
    """
    try:
        found = tuple(x509.load_der_x509_certificate(one) for one in chain)
        for one in found:
            ensure_readable(one)
    except UNREADABLE as error:
        raise Malformed(f"{what} holds a certificate that is not in order: {documents.plain(str(error))}") from error
    return found


def path(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime,
    profile: Profile = STRICT,
) -> tuple[x509.Certificate, ...]:
    """The certificates from a signer's to a root's, all of which hold at a time.

    Args:
        others: what the bundle carries above the signer's own, in any order; nothing in it is trusted.
        roots: what is trusted.

    Raises:
        CertificateRefused: there is no such path. Its `rule` says why.
    """
    _ensure_understood(leaf)
    refusals: list[CertificateRefused] = []
    for found in _paths(leaf, others, roots, profile):
        try:
            _ensure_valid(found, at)
        except CertificateRefused as error:
            refusals.append(error)
        else:
            return found
    if refusals:
        raise refusals[0]
    raise CertificateRefused(
        f"{words(leaf)} was issued by {name(leaf.issuer) or '(nobody)'}, from which no path leads to a trusted root",
        rule="certificate-untrusted",
    )


def name(of: x509.Name) -> str:
    """A distinguished name in words, safe to print; '' if it is empty."""
    return documents.plain(of.rfc4514_string())


def words(certificate: x509.Certificate) -> str:
    """A certificate in words, safe to print."""
    subject = name(certificate.subject)
    return f"the certificate of {subject}" if subject else f"the certificate {fingerprint(certificate)[7:23]}…"


def fingerprint(certificate: x509.Certificate) -> str:
    """`sha256:<hex>` over the DER, as `openssl x509 -fingerprint -sha256` prints it, less the colons."""
    return documents.sha256(certificate.public_bytes(serialization.Encoding.DER))


def marks(found: Sequence[x509.Certificate]) -> frozenset[str]:
    """By what a path can be revoked: each certificate in it, and each key, which others may certify again."""
    return frozenset(one for each in found for one in (fingerprint(each), key_fingerprint(each.public_key())))


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether a certificate may issue others, or comes near to saying so."""
    constraints = extension(certificate, x509.BasicConstraints)
    usage = extension(certificate, x509.KeyUsage)
    return (constraints is not None and constraints.ca) or (usage is not None and usage.key_cert_sign)


def extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    """An extension's value; None without one."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _paths(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], profile: Profile
) -> Iterator[tuple[x509.Certificate, ...]]:
    """Every way up: issued one by the other, each above the first an authority, the last a root."""
    if not profile.strict and leaf in roots:
        yield (leaf,)
    trials = 0
    waiting: list[tuple[x509.Certificate, ...]] = [(leaf,)]
    while waiting:
        below = waiting.pop()
        for above in (*roots, *others):
            if above in below or above.subject != below[-1].issuer:
                continue
            trials += 1
            if trials > _TRIALS:
                raise CertificateRefused(f"{words(leaf)} comes with too many certificates", rule="certificate-untrusted")
            if not _issued(below[-1], above) or not _may_issue(above, len(below) - 1):
                continue
            if above in roots:
                yield (*below, above)
            elif len(below) < _DEPTH:
                waiting.append((*below, above))


def _issued(below: x509.Certificate, above: x509.Certificate) -> bool:
    algorithm = below.signature_hash_algorithm  # None for EdDSA, which brings its own
    if algorithm is not None and not isinstance(algorithm, _STRONG):
        return False
    try:
        below.verify_directly_issued_by(above)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _may_issue(above: x509.Certificate, between: int) -> bool:
    """Whether a certificate may stand above `between` other authorities and a signer."""
    constraints, usage = extension(above, x509.BasicConstraints), extension(above, x509.KeyUsage)
    purposes = extension(above, x509.ExtendedKeyUsage)
    return (
        constraints is not None
        and constraints.ca
        and (constraints.path_length is None or between <= constraints.path_length)
        and (usage is None or usage.key_cert_sign)
        and (purposes is None or ExtendedKeyUsageOID.CODE_SIGNING in purposes)
        and not _strange(above)
        and not any(extension(above, one) for one in _NARROWING)
        and _is_strong(above)
    )


def _is_strong(certificate: x509.Certificate) -> bool:
    public = certificate.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        return public.key_size >= 2048
    return isinstance(public, ed25519.Ed25519PublicKey) or (
        isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in HASHES
    )


def _ensure_valid(found: Sequence[x509.Certificate], at: datetime) -> None:
    for one in found:
        if at > one.not_valid_after_utc:
            raise CertificateRefused(
                f"{words(one)} expired on {one.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC", rule="certificate-expired"
            )
        if at < one.not_valid_before_utc:
            raise CertificateRefused(
                f"{words(one)} is not valid before {one.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC",
                rule="certificate-not-yet-valid",
            )


def _ensure_understood(leaf: x509.Certificate) -> None:
    if strange := _strange(leaf):
        raise CertificateRefused(
            f"{words(leaf)} has a critical extension {strange}, which is not understood",
            rule="certificate-not-understood",
        )


def _strange(certificate: x509.Certificate) -> str:
    unknown = (one.oid for one in certificate.extensions if one.critical and one.oid not in _UNDERSTOOD)
    return next((one.dotted_string for one in unknown), "")


def _purposes(purposes: x509.ExtendedKeyUsage | None) -> str:
    if purposes is None:
        return "it names no purpose"
    return "it is for " + ", ".join(getattr(one, "_name", one.dotted_string) for one in purposes)
