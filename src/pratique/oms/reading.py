"""From the bytes of a signature file to a manifest that somebody trusted signed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from cryptography.hazmat.primitives import hashes

from pratique import documents, signing
from pratique.errors import Malformed, SignatureInvalid, WrongSigner
from pratique.oms import parsing
from pratique.oms.allowing import Allow
from pratique.oms.manifests import LEGACY, Manifest
from pratique.signing import Encoding, Trusted, Verified


def read(
    bundle: bytes, trusted: Iterable[Trusted], *, what: str = "the signature", allow: AbstractSet[Allow] = frozenset()
) -> Manifest:
    """Verify a signature and return what it says.

    Args:
        bundle: the bytes of the signature file.
        trusted: whose signature counts.
        what: names the signature in errors.
        allow: what is accepted for the format's sake.

    Raises:
        Malformed: not a bundle with a manifest that is in order; Unsupported if it is one of a kind that is not read.
        SignatureInvalid, WrongSigner: nobody trusted vouches for it.
    """
    verified = _verify(bundle, tuple(trusted), what, allow)
    if verified.signatures != len(verified.actors) and Allow.EXTRA_SIGNATURES not in allow:
        raise Malformed(
            f"{what} holds {verified.signatures} signatures, but only {len(verified.actors)} by different trusted keys",
            hint="list the others' keys as well, or get the signature again from the publisher",
            rule="extra-signature",
        )
    manifest = parsing.parse(verified.payload, verified.signers, what=what, allow=allow)
    return dataclasses.replace(manifest, witnesses=verified.witnesses)


def _verify(bundle: bytes, trusted: Sequence[Trusted], what: str, allow: AbstractSet[Allow]) -> Verified:
    """The signature over DSSE's encoding; over an older one only if that format is allowed, and is what it holds."""
    try:
        return signing.verify(bundle, trusted, what=what)
    except (SignatureInvalid, WrongSigner):
        if Allow.LEGACY_FORMAT not in allow or not _is_legacy(signing.read(bundle).envelope.payload):
            raise
    return signing.verify(bundle, trusted, what=what, encoding=_LEGACY_ENCODING)


def _is_legacy(payload: bytes) -> bool:
    try:
        document = documents.parse(payload, what="the manifest")
    except Malformed:
        return False
    return isinstance(document, dict) and document.get("predicateType") == LEGACY


def _legacy_message(payload_type: str, payload: bytes) -> bytes:
    return f"DSSEV1 {len(payload_type)} {payload_type} {len(payload)} {payload!r}".encode()


_LEGACY_ENCODING = Encoding(message=_legacy_message, hash=hashes.SHA256())
"""What version 0.2.0 of the reference implementation signed: Python's spelling of the payload as a literal."""


def claimed_signer(bundle: bytes) -> str:
    """Who a bundle says signed it, in words. Nobody has vouched for that: for messages only.

    Raises:
        Malformed: not a bundle.
    """
    return signing.claimed(signing.read(bundle))
