"""Whoever can sign: with a key that lies in a file, a token or a key service; or with more than a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from cryptography.hazmat.primitives.asymmetric import ec

from pratique.signing import envelopes, keys
from pratique.signing.keys import TrustedKey
from pratique.signing.trusting import Trusted


class KeyHolder(Protocol):
    """What can sign with a key: a key file, or a token or a key service by the same two members."""

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        """The key that verifies."""

    def sign(self, message: bytes) -> bytes:
        """A DER-encoded ECDSA signature over the message."""


class Sealer(Protocol):
    """What makes whole bundles, because more than a key vouches for it: `CertificateSigner`, `SigstoreSigner`."""

    @property
    def mark(self) -> str:
        """Names who signs, as a witness does: `sha256:<hex>`."""

    def seal(self, payload: bytes, payload_type: str) -> bytes:
        """A bundle around a payload."""

    def trusted(self, name: str = "own") -> Trusted:
        """This signer as somebody who trusts it would list it."""

    def accepted_by(self, one: Trusted) -> bool:
        """Whether a signature by it counts for somebody trusted, as things are now."""


Signer = KeyHolder | Sealer
"""Whoever can sign."""


@dataclass(frozen=True, slots=True)
class _ByKey:
    """A key holder as a sealer."""

    holder: KeyHolder

    @property
    def mark(self) -> str:
        return keys.fingerprint(self.holder.public)

    def seal(self, payload: bytes, payload_type: str) -> bytes:
        signature = self.holder.sign(envelopes.pae(payload_type, payload))
        return envelopes.write(payload, payload_type, signature, {"publicKey": {"hint": keys.hint(self.holder.public)}})

    def trusted(self, name: str = "own") -> Trusted:
        return TrustedKey(name=name, public=self.holder.public)

    def accepted_by(self, one: Trusted) -> bool:
        return isinstance(one, TrustedKey) and one.fingerprint == self.mark


def sealer(signer: Signer) -> Sealer:
    """A signer that makes whole bundles, whatever it holds.

    It is told by its class: to look at the members of a keyless signer would be to ask a service who it is.
    """
    seals = callable(getattr(type(signer), "seal", None))
    return cast(Sealer, signer) if seals else _ByKey(cast(KeyHolder, signer))


def mark(signer: Signer) -> str:
    """Names who signs, as a witness does: the fingerprint of the key, or of the identity at its issuer."""
    return sealer(signer).mark


def trust_in(signer: Signer, name: str) -> Trusted:
    """A signer as somebody who trusts it would list it."""
    return sealer(signer).trusted(name)


def accepts(one: Trusted, signer: Signer) -> bool:
    """Whether a signature by this signer would count for somebody trusted, as things are now."""
    found = sealer(signer)
    return found.accepted_by(one) and found.mark not in one.revoked
