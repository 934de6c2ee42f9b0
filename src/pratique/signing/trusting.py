"""What the three kinds of trust have in common, and what each of them tells about a signature.

A policy trusts *somebody*: the holder of a key, whoever an authority certifies under a name, an identity that Sigstore vouches
for. A signature is made by *one actor*: a key, or an identity at its issuer. Both have a fingerprint, `sha256:<hex>`:

| trusted | its fingerprint is over | the actor's is over |
|---|---|---|
| key | the public key | the same |
| certificate | the root certificates and the name that is asked for | the public key in the certificate |
| identity | the trusted root and the identity that is asked for | the identity and its issuer |

Votes are counted by `votes`: an actor that fits two entries of a policy vouches for one of them, and two actors that fit the
same entry are one vote.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pratique.signing.envelopes import Bundle, Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """Somebody trusted whose signature holds, and why it does."""

    fingerprint: str
    """Names what is trusted."""

    actor: str
    """Names who signed: the public key, or the identity at its issuer."""

    who: str
    """The actor in words, as the signature shows it."""

    steps: tuple[str, ...]
    """Why the signature holds, a sentence each, in the order of the code."""

    marks: frozenset[str]
    """What a policy can revoke this signature by: keys and certificates up to a root, identity, statement."""

    statement: str = ""
    """`sha256:<hex>` over what was signed: the same however its bundle is spelled; '' until `signing.verify` is done."""

    signed_at: datetime | None = None
    """When, by somebody trusted to tell: a timestamp authority or a transparency log. None if nobody did."""


class Trusted(Protocol):
    """Somebody whose signature counts: `TrustedKey`, `TrustedCertificate` or `TrustedIdentity`."""

    @property
    def name(self) -> str:
        """What the policy calls them; two names of one fingerprint are one."""

    @property
    def fingerprint(self) -> str:
        """`sha256:<hex>` over what is trusted, whatever it is called."""

    @property
    def method(self) -> Method:
        """The one way of signing that counts."""

    @property
    def revoked(self) -> frozenset[str]:
        """Marks that take a signature's worth away; never part of the fingerprint."""

    def describe(self) -> str:
        """Who it is and by what they are known, in words."""

    def renamed(self, name: str, revoked: frozenset[str] = frozenset()) -> Trusted:
        """The same under the name, and with the revocations, of a policy."""

    def witness(self, bundle: Bundle, now: datetime) -> tuple[Witness, ...]:
        """Hold a bundle of this method against what is trusted; one witness for each actor.

        Raises:
            EvidenceError: it does not hold, or is by somebody else.
        """


def votes(ballots: Iterable[tuple[str, str]], among: frozenset[str] | None = None) -> int:
    """How many different entries are vouched for by as many different actors (a maximum matching).

    Args:
        ballots: fingerprints of what is trusted, each with the actor who signed as that.
        among: the fingerprints that count; all of them if left out.
    """
    fits: dict[str, set[str]] = {}
    for fingerprint, actor in ballots:
        if among is None or fingerprint in among:
            fits.setdefault(fingerprint, set()).add(actor)
    taken: dict[str, str] = {}
    return sum(_seat(entry, fits, taken, set()) for entry in sorted(fits))


def _seat(entry: str, fits: dict[str, set[str]], taken: dict[str, str], seen: set[str]) -> bool:
    """Find an actor for an entry, moving others if need be (Kuhn, 1955)."""
    for actor in sorted(fits[entry] - seen):
        seen.add(actor)
        if actor not in taken or _seat(taken[actor], fits, taken, seen):
            taken[actor] = entry
            return True
    return False
