"""Signatures by a long-lived certificate: whom to trust, and how to sign.

    trusted = TrustedCertificate.load("acme", Path("acme-root.pem"), Subject(subject="CN=release,O=Acme"))
    signer = CertificateSigner.load(Path("release.key"), Path("release.pem"), [Path("acme-intermediate.pem")])

A signature says nothing about when it was made. So the certificates must be valid *now*, when it is verified, unless the bundle
carries an RFC 3161 timestamp by one of the authorities that the policy names (`timestamps`): then they must have been valid at
that time, and the signature outlives them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pratique import documents
from pratique.errors import CertificateRefused, SignatureInvalid, UsageError
from pratique.signing import authorities, envelopes, keys, subjects, timestamps
from pratique.signing.authorities import Profile
from pratique.signing.envelopes import Bundle, Method
from pratique.signing.keys import KeySigner, read_file
from pratique.signing.subjects import Subject
from pratique.signing.trusting import Trusted, Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedCertificate:
    """Whoever one of these authorities certifies under this name."""

    method: ClassVar[Method] = "certificate"

    name: str
    """For people."""

    roots: tuple[x509.Certificate, ...]
    """Certificates of the authorities; never empty."""

    subject: Subject
    """The name that the signer's certificate must have."""

    timestamps: tuple[x509.Certificate, ...] = ()
    """Certificates of timestamp authorities. If there are any, every signature must carry a timestamp by one of them."""

    profile: Profile = authorities.STRICT
    """What the signer's certificate must be good for."""

    revoked: frozenset[str] = frozenset()
    """What the policy has revoked."""

    def __post_init__(self) -> None:
        """Refuse trust in nobody, and in everybody by accident.

        Raises:
            UsageError: no root, a root that is no authority, or no name.
        """
        if not self.roots:
            raise UsageError(f"{self.name} lists no root certificate", hint="there is no fallback to the system's roots")
        if self.profile.strict and not self.subject.given:
            raise UsageError(
                f"{self.name} names no subject: whoever the authority certifies for whatever could sign",
                hint="give subject, email, uri or dns",
            )
        if self.timestamps and not any(map(authorities.is_authority, self.timestamps)):
            raise UsageError(f"{self.name} lists no root certificate of a timestamp authority")
        for one in self.roots if self.profile.strict else ():
            if not authorities.is_authority(one):
                raise UsageError(f"{authorities.words(one)}, listed by {self.name}, is not an authority's certificate")

    @classmethod
    def load(cls, name: str, roots: Path, subject: Subject, *, timestamps: Path | None = None) -> TrustedCertificate:
        """Read the roots from PEM files.

        Raises:
            UsageError: a file is missing or holds no certificates, or see above.
        """
        stamps = load_pem(timestamps) if timestamps else ()
        return cls(name=name, roots=load_pem(roots), subject=subject, timestamps=stamps)

    @classmethod
    def unsafe_anybody(cls, name: str, roots: Sequence[x509.Certificate]) -> TrustedCertificate:
        """Whoever these roots certify for whatever, as OMS v1.0 has it: for conformance tests."""
        return cls(name=name, roots=tuple(roots), subject=Subject(), profile=authorities.AS_OMS)

    @property
    def fingerprint(self) -> str:
        """`sha256:<hex>` over the roots and the name that is asked for."""
        content = {
            "roots": sorted(map(authorities.fingerprint, self.roots)),
            "subject": self.subject.given,
            "timestamps": sorted(map(authorities.fingerprint, self.timestamps)),
            "strict": self.profile.strict,
        }
        return documents.sha256(documents.canonical(content))

    def describe(self) -> str:
        """Who it is, in words."""
        roots = " or ".join(sorted(authorities.name(one.subject) for one in self.roots))
        timed = ", with a timestamp" if self.timestamps else ""
        return f"{self.name} (certified by {roots} with {self.subject}{timed})"

    def renamed(self, name: str, revoked: frozenset[str] = frozenset()) -> TrustedCertificate:
        """The same under another name."""
        return dataclasses.replace(self, name=name, revoked=revoked)

    def witness(self, bundle: Bundle, now: datetime) -> tuple[Witness, ...]:
        """Whether somebody certified under this name signed.

        In the order of the code: the certificate may sign; the time that counts; the path to a root at that time; the name;
        the signature.

        Raises:
            CertificateRefused: the certificate does not hold; its `rule` says why. SignatureInvalid: the signature does not
                fit. Malformed: it carries something that is no certificate.
        """
        leaf, *others = authorities.parse_der(bundle.chain, bundle.what)
        public = self.profile.ensure(leaf)  # 1
        stamped = self._stamped(bundle, now)  # 2
        found = authorities.path(leaf, others, self.roots, stamped or now, self.profile)  # 3
        self.subject.ensure(leaf)  # 4
        message, signatures, hash_ = bundle.envelope.message, bundle.envelope.signatures, bundle.envelope.encoding.hash
        if len(signatures) != 1 or not keys.fits(public, signatures[0], message, hash_):  # 5
            raise SignatureInvalid(f"the signature on {bundle.what} does not fit its content: it was changed")
        when = f"on {stamped:%Y-%m-%d %H:%M:%S} UTC, by a timestamp" if stamped else f"now, {now:%Y-%m-%d %H:%M:%S} UTC"
        steps = (
            f"{authorities.words(leaf)}, {authorities.fingerprint(leaf)}, is for signing code",
            f"{len(found)} certificates, all valid {when}, lead from it to {authorities.words(found[-1])}",
            f"its name is the one that {self.name} must have: {self.subject}",
            f"the signature fits the bytes under its public key, {keys.fingerprint(public)}",
        )
        actor = keys.fingerprint(public)
        marks = authorities.marks(found)
        who = authorities.words(leaf)
        return (Witness(fingerprint=self.fingerprint, actor=actor, who=who, steps=steps, marks=marks, signed_at=stamped),)

    def accepts(self, chain: Sequence[x509.Certificate], now: datetime) -> bool:
        """Whether a signature with this chain could count now."""
        try:
            self.profile.ensure(chain[0])
            self.subject.ensure(chain[0])
            found = authorities.path(chain[0], chain[1:], self.roots, now, self.profile)
        except CertificateRefused:
            return False
        return self.revoked.isdisjoint(authorities.marks(found))

    def _stamped(self, bundle: Bundle, now: datetime) -> datetime | None:
        if not self.timestamps:
            return None
        return timestamps.earliest(bundle, self.timestamps, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSigner:
    """Signs with a private key, and hands on the chain of certificates behind it."""

    key: KeySigner
    chain: tuple[x509.Certificate, ...]
    """The signer's own certificate first, then those of the authorities; the root may be left out."""

    @classmethod
    def load(cls, key: Path, certificate: Path, chain: Iterable[Path] = (), password: bytes | None = None) -> CertificateSigner:
        """Read PEM files.

        Args:
            certificate: the signer's own certificate; what else the file holds belongs to the chain.
            chain: certificates of the authorities above it.

        Raises:
            UsageError: a file is missing or holds something else, or the certificate belongs to another key or may not sign.
        """
        certificates = [one for path in (certificate, *chain) for one in load_pem(path)]
        return cls(key=KeySigner.load(key, password), chain=tuple(dict.fromkeys(certificates)))

    def __post_init__(self) -> None:
        """Refuse to sign what nobody would accept.

        Raises:
            UsageError: the certificate belongs to another key, or may not sign.
        """
        leaf = self.chain[0].public_key()
        if not isinstance(leaf, ec.EllipticCurvePublicKey) or keys.fingerprint(leaf) != keys.fingerprint(self.public):
            raise UsageError(f"{authorities.words(self.chain[0])} belongs to another key")

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        """The key that verifies."""
        return self.key.public

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """The chain in DER, as a bundle carries it."""
        return tuple(one.public_bytes(serialization.Encoding.DER) for one in self.chain)

    @property
    def mark(self) -> str:
        """Names us, as a witness does: the fingerprint of the key."""
        return keys.fingerprint(self.public)

    def accepted_by(self, one: Trusted) -> bool:
        """Whether a signature of ours counts for somebody trusted, now."""
        return isinstance(one, TrustedCertificate) and one.accepts(self.chain, datetime.now(timezone.utc))

    def seal(self, payload: bytes, payload_type: str) -> bytes:
        """A bundle around a payload, with the chain in it."""
        signature = self.sign(envelopes.pae(payload_type, payload))
        return envelopes.write(payload, payload_type, signature, envelopes.chain_material(self.certificates))

    def trusted(self, name: str = "own") -> TrustedCertificate:
        """This signer as somebody who trusts the last authority of the chain would list it.

        Raises:
            UsageError: there is no authority in the chain.
        """
        return TrustedCertificate(name=name, roots=self.chain[-1:], subject=subjects.of(self.chain[0]))

    def sign(self, message: bytes) -> bytes:
        """A DER-encoded ECDSA signature, with the hash that belongs to the curve."""
        return self.key.sign(message)


def load_pem(path: Path) -> tuple[x509.Certificate, ...]:
    """The certificates in a PEM file.

    Raises:
        UsageError: there are none.
    """
    try:
        found = tuple(x509.load_pem_x509_certificates(read_file(path, "the certificates")))
        for one in found:
            authorities.ensure_readable(one)
    except authorities.UNREADABLE as error:
        raise UsageError(
            f"{path} holds no PEM certificates that can be read: {error}", hint="-----BEGIN CERTIFICATE----- ..."
        ) from error
    return found
