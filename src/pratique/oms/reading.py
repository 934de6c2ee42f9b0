"""From the bytes of a signature file to a manifest that somebody trusted signed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from pratique import signing
from pratique.errors import Malformed
from pratique.oms import parsing
from pratique.oms.allowing import Allow
from pratique.oms.manifests import Manifest
from pratique.signing import Trusted

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
    verified = signing.verify(bundle, trusted, what=what)
    if verified.signatures != len(verified.actors) and Allow.EXTRA_SIGNATURES not in allow:
        raise Malformed(
            f"{what} holds {verified.signatures} signatures, but only {len(verified.actors)} by different trusted keys",
            hint="list the others' keys as well, or get the signature again from the publisher",
            rule="extra-signature",
        )
    manifest = parsing.parse(verified.payload, verified.signers, what=what, allow=allow)
    return dataclasses.replace(manifest, witnesses=verified.witnesses)


def claimed_signer(bundle: bytes) -> str:
    """Who a bundle says signed it, in words. Nobody has vouched for that: for messages only.

    Raises:
        Malformed: not a bundle.
    """
    return signing.claimed(signing.read(bundle))
