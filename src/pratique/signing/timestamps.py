"""RFC 3161: when a signature existed at the latest, by the word of a timestamp authority."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509

from pratique import documents
from pratique.errors import Malformed, NotLogged
from pratique.signing import authorities
from pratique.signing.envelopes import Bundle

SKEW = timedelta(minutes=5)
"""How far apart two machines' clocks may be before a timestamp counts as coming from the future."""


def earliest(bundle: Bundle, trusted: Sequence[x509.Certificate], now: datetime) -> datetime:
    """The earliest trusted time at which the bundle's signature existed.

    Args:
        trusted: certificates of the authorities: roots, intermediates and, if responses leave them out, their own.

    Raises:
        NotLogged: there is none. Malformed: a response is not in order.
    """
    if len(bundle.envelope.signatures) != 1:
        raise Malformed(f"{bundle.what} holds several signatures, of which a timestamp covers one")
    if not bundle.timestamps:
        raise NotLogged(f"{bundle.what} carries no timestamp, which its signer must give", rule="no-timestamp")
    signature = bundle.envelope.signatures[0]
    found = [one for der in bundle.timestamps if (one := moment(der, signature, trusted, bundle.what)) is not None]
    if not found:
        raise NotLogged(f"no timestamp on {bundle.what} is by an authority that is trusted for it", rule="timestamp-invalid")
    if min(found) > now + SKEW:
        raise NotLogged(f"the timestamp on {bundle.what}, {min(found)}, lies in the future", rule="timestamp-invalid")
    return min(found)


def moment(der: bytes, message: bytes, trusted: Sequence[x509.Certificate], what: str) -> datetime | None:
    """The time in one response, if one of these authorities gave it for these very bytes, and was certified then; else None.

    Raises:
        Malformed: it is no response.
    """
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    try:
        response = decode_timestamp_response(der)
        when: datetime = response.tst_info.gen_time
    except ValueError as error:
        raise Malformed(f"{what} carries a timestamp that is not in order: {documents.plain(str(error))}") from error
    above = [one for one in trusted if authorities.is_authority(one)]
    own: list[x509.Certificate | None] = [one for one in trusted if not authorities.is_authority(one)] or [None]
    for leaf in own if above else []:
        try:
            VerifierBuilder(tsa_certificate=leaf, roots=above).build().verify_message(response, message)
        except (VerificationError, ValueError):
            continue
        return when
    return None
