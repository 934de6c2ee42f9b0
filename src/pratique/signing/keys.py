"""Elliptic-curve keys in PEM files: whom to trust, and how to sign.

Hashes by curve as in OpenSSF Model Signing v1.0, section on key-based signatures.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from pratique import documents, files
from pratique.errors import SignatureInvalid, UsageError, WrongSigner
from pratique.signing.envelopes import Bundle, Method
from pratique.signing.trusting import Witness

HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
"""The hash follows the curve."""

_MOST = 1 << 20
"""Bytes of a key file, or of another one that a user names; a chain of certificates fits."""

CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


def fingerprint(public: CertificatePublicKeyTypes) -> str:
    """`sha256:<hex>` over the DER SubjectPublicKeyInfo."""
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return documents.sha256(der)


def hint(public: ec.EllipticCurvePublicKey) -> str:
    """Names the key inside a bundle, as OMS does: hex sha256 over the PEM, so `sha256sum key.pub` prints it."""
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def fits(
    public: ec.EllipticCurvePublicKey, signature: bytes, message: bytes, hash_: hashes.HashAlgorithm | None = None
) -> bool:
    """Whether a DER-encoded ECDSA signature, with the curve's own hash unless another is given, fits a message."""
    try:
        public.verify(signature, message, ec.ECDSA(hash_ or HASHES[public.curve.name]))
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A public key and the name by which a policy knows it."""

    method: ClassVar[Method] = "key"

    name: str
    """For people; two names of one key are one key."""

    public: ec.EllipticCurvePublicKey
    """P-256, P-384 or P-521."""

    revoked: frozenset[str] = frozenset()
    """What the policy has revoked."""

    @classmethod
    def load(cls, name: str, path: Path) -> TrustedKey:
        """Read a PEM public key.

        Raises:
            UsageError: no such file, or not such a key.
        """
        return cls.parse(name, read_file(path, "the key"), str(path))

    @classmethod
    def parse(cls, name: str, pem: bytes, where: str = "the key") -> TrustedKey:
        """Read PEM bytes; see `load`."""
        if pem.count(b"-----BEGIN") > 1:  # else the first alone would be trusted, or revoked, and nobody told
            raise UsageError(f"{where} holds more than one key", hint="one file for each key")
        try:
            public = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as error:
            hint = "that is a private key: pass its .pub" if b"PRIVATE KEY" in pem else "make one with `pratique keys new`"
            raise UsageError(f"{where} is not a PEM public key", hint=hint) from error
        if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name not in HASHES:
            raise UsageError(f"{where} is not an elliptic-curve key", hint="P-256, P-384 and P-521 are supported")
        return cls(name=name, public=public)

    @property
    def fingerprint(self) -> str:
        """`sha256:<hex>` over the DER SubjectPublicKeyInfo: names the key whatever it is called."""
        return fingerprint(self.public)

    @property
    def pem(self) -> bytes:
        """The key as PEM."""
        return self.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def describe(self) -> str:
        """Who it is, in words."""
        return f"{self.name} (key {self.fingerprint[:19]}…)"

    def renamed(self, name: str, revoked: frozenset[str] = frozenset()) -> TrustedKey:
        """The same key under another name."""
        return dataclasses.replace(self, name=name, revoked=revoked)

    def witness(self, bundle: Bundle, now: datetime) -> tuple[Witness, ...]:
        """Whether this key made one of the signatures.

        Raises:
            SignatureInvalid: the bundle names this key, but it did not. WrongSigner: it is by another key.
        """
        message, hash_ = bundle.envelope.message, bundle.envelope.encoding.hash
        if any(fits(self.public, signature, message, hash_) for signature in bundle.envelope.signatures):
            mark = self.fingerprint
            step = f"the signature fits the bytes under the public key of {self.name}, {mark}"
            return (Witness(fingerprint=mark, actor=mark, who=f"key {mark}", steps=(step,), marks=frozenset({mark})),)
        if bundle.hint in (hint(self.public), self.fingerprint):
            raise SignatureInvalid(f"the signature of {self.name} on {bundle.what} does not fit its content: it was changed")
        raise WrongSigner(f"{bundle.what} is not signed by {self.name}")


@dataclass(frozen=True, slots=True)
class KeySigner:
    """Signs with a private key in a file."""

    private: ec.EllipticCurvePrivateKey

    @classmethod
    def generate(cls, curve: str = "P-256") -> KeySigner:
        """A fresh key pair on P-256, P-384 or P-521."""
        if curve not in CURVES:
            raise UsageError(f"unknown curve {curve!r}", hint=f"one of {', '.join(CURVES)}")
        return cls(ec.generate_private_key(CURVES[curve]))

    @classmethod
    def load(cls, path: Path, password: bytes | None = None) -> KeySigner:
        """Read a PEM private key.

        Raises:
            UsageError: no such file, not such a key, or a password is missing or wrong.
        """
        try:
            private = serialization.load_pem_private_key(read_file(path, "the key"), password)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise UsageError(
                f"{path} is not a readable PEM private key: {error}", hint="make one with `pratique keys new`"
            ) from error
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name not in HASHES:
            raise UsageError(f"{path} is not an elliptic-curve key", hint="P-256, P-384 and P-521 are supported")
        return cls(private)

    def save(self, path: Path) -> Path:
        """Write the private key (mode 0600) and `<stem>.pub` beside it; never over an existing file. Returns the public one."""
        public = path.with_suffix(".pub") if path.name else path
        if public == path:
            raise UsageError(f"{str(path)!r} is no name for a private key", hint="such as gate.key; gate.pub goes beside it")
        pem = self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        try:
            taken = next((one for one in (path, public) if os.path.lexists(one)), None)
            if taken is None:
                files.create(path, pem, mode=0o600)
                try:
                    files.create(public, self.trusted().pem, mode=0o644)
                except OSError:
                    path.unlink()  # both or none
                    raise
        except FileExistsError:
            taken = path  # somebody else was faster
        except OSError as error:
            raise UsageError(f"cannot write the key {path}: {error.strerror}") from error
        if taken is not None:
            raise UsageError(f"{taken} exists; a key is never overwritten", hint="choose another name")
        return public

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        """The key that verifies."""
        return self.private.public_key()

    def trusted(self, name: str = "own") -> TrustedKey:
        """The public half as somebody who trusts it would list it."""
        return TrustedKey(name=name, public=self.public)

    def sign(self, message: bytes) -> bytes:
        """A DER-encoded ECDSA signature, with the hash that belongs to the curve."""
        return self.private.sign(message, ec.ECDSA(HASHES[self.private.curve.name]))


def own_signer(path: Path) -> KeySigner:
    """This machine's own key; made on first use, like an SSH host key."""
    if not os.path.lexists(path):
        try:
            KeySigner.generate().save(path)
        except UsageError:
            if not os.path.lexists(path):  # else another process was faster
                raise
    return KeySigner.load(path)


def read_file(path: Path, what: str) -> bytes:
    """The bytes of a small file that a user named."""
    try:
        return files.read(path, most=_MOST)
    except OSError as error:
        raise UsageError(f"cannot read {what} {path}: {error.strerror}") from error
