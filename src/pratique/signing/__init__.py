"""Signed statements: DSSE over the exact bytes, in a Sigstore v0.3 bundle; by key, by certificate, or keyless.

    signer = KeySigner.load(Path("gate.key"))
    bundle = sign(payload, INTOTO, signer)
    verified = verify(bundle, [TrustedKey.load("gate", Path("gate.pub"))])
    verified.payload      # parse these bytes and no others: they are the ones that were signed

Verification, in the order of the code:

1. Parse the bundle strictly: size, nesting, duplicate keys, unknown shapes, exactly one method.
2. Hold it against everybody who is trusted by that method, and nobody else: a keyless bundle is never taken for one by key.
3. Leave out whoever the policy has revoked.
4. Nobody left: say why, by the most telling of the reasons.

It happens offline, and reads nothing but what it is given. The parts: `envelopes` (the format), `trusting` (what the methods
have in common, and how votes are counted), `keys`, `certificates` (with `authorities`, `subjects`, `timestamps`), `keyless`
(with `roots`, `logs`, `bodies`, `scts`, `claims`, `publishers`, `sigstore_opinion`); `signers` (whoever can
sign) and `sigstore_signer`.

Specifications: DSSE v1.0.2 (https://github.com/secure-systems-lab/dsse), Sigstore bundle v0.3
(https://github.com/sigstore/protobuf-specs, sigstore_bundle.proto), OpenSSF Model Signing v1.0.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from pratique import documents
from pratique.errors import CertificateRefused, EvidenceError, Malformed, Revoked, UsageError, WrongSigner
from pratique.signing import authorities, envelopes
from pratique.signing.certificates import CertificateSigner as CertificateSigner
from pratique.signing.certificates import TrustedCertificate as TrustedCertificate
from pratique.signing.claims import Claims
from pratique.signing.envelopes import BUNDLE as BUNDLE
from pratique.signing.envelopes import INTOTO as INTOTO
from pratique.signing.envelopes import Bundle as Bundle
from pratique.signing.envelopes import Encoding as Encoding
from pratique.signing.envelopes import Envelope as Envelope
from pratique.signing.envelopes import Method as Method
from pratique.signing.envelopes import pae as pae
from pratique.signing.envelopes import read as read
from pratique.signing.keyless import TrustedIdentity as TrustedIdentity
from pratique.signing.keys import KeySigner as KeySigner
from pratique.signing.keys import TrustedKey as TrustedKey
from pratique.signing.keys import fingerprint as fingerprint
from pratique.signing.keys import hint as hint
from pratique.signing.keys import own_signer as own_signer
from pratique.signing.rules import RULES as RULES
from pratique.signing.signers import KeyHolder as KeyHolder
from pratique.signing.signers import Sealer as Sealer
from pratique.signing.signers import Signer as Signer
from pratique.signing.signers import accepts as accepts
from pratique.signing.signers import mark as mark
from pratique.signing.signers import sealer as sealer
from pratique.signing.signers import trust_in as trust_in
from pratique.signing.sigstore_signer import SigstoreSigner as SigstoreSigner
from pratique.signing.sigstore_signer import token_from as token_from
from pratique.signing.subjects import Subject as Subject
from pratique.signing.trusting import Trusted as Trusted
from pratique.signing.trusting import Witness as Witness
from pratique.signing.trusting import votes as votes

KINDS = (TrustedKey, TrustedCertificate, TrustedIdentity)
"""Everything that can be trusted."""

_KEY_HINT = re.compile(r"(sha256:)?[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a bundle says, once somebody trusted has vouched for it."""

    payload_type: str
    payload: bytes
    signers: frozenset[str]
    """Fingerprints of what is trusted and vouches for it; never empty."""

    signatures: int
    """How many signatures the envelope holds; more than `actors` means that nobody trusted vouches for some of them."""

    witnesses: tuple[Witness, ...]
    """Who vouches, and why that holds; never empty."""

    @property
    def actors(self) -> frozenset[str]:
        """Who signed, whatever of what is trusted they fit: one for each different key or identity."""
        return frozenset(one.actor for one in self.witnesses)


def sign(payload: bytes, payload_type: str, signer: Signer) -> bytes:
    """A Sigstore v0.3 bundle around a DSSE envelope with one signature."""
    return sealer(signer).seal(payload, payload_type)


def verify(
    bundle: bytes,
    trusted: Iterable[Trusted],
    *,
    payload_type: str = INTOTO,
    what: str = "the bundle",
    now: datetime | None = None,
    encoding: Encoding = envelopes.DSSE,
) -> Verified:
    """Check a bundle's signatures against everybody who is trusted.

    Args:
        bundle: the bytes of a Sigstore v0.3 bundle with a DSSE envelope.
        trusted: whose signature counts: keys, certificates, identities.
        payload_type: what the envelope must hold.
        what: names the bundle in errors.
        now: the moment of the verification, for certificates without a timestamp; this moment if left out.
        encoding: how the payload became what was signed; DSSE's way, unless an older format has its own.

    Raises:
        Malformed: not such a bundle, or another payload type.
        SignatureInvalid: it names somebody trusted whose signature does not fit.
        WrongSigner: nobody trusted signed it; or it is CertificateRefused, NotLogged, Revoked.
    """
    found = envelopes.read(bundle, what=what)  # 1
    found = dataclasses.replace(found, envelope=dataclasses.replace(found.envelope, encoding=encoding))
    if found.envelope.payload_type != payload_type:
        raise Malformed(f"{what} holds {found.envelope.payload_type!r}, not {payload_type!r}")
    now = now or datetime.now(timezone.utc)
    listed = tuple(trusted)
    everybody = list({one.fingerprint: one for one in listed}.values())
    revoked = frozenset(mark for one in listed for mark in one.revoked)
    witnesses: list[Witness] = []
    refusals: list[EvidenceError] = []
    for one in everybody:
        if one.method != found.method:  # 2
            continue
        try:
            witnesses += _unrevoked(one.witness(found, now), revoked, found)  # 3
        except EvidenceError as error:
            refusals.append(error)
    if not witnesses:
        raise _nobody(found, everybody, refusals)  # 4
    return Verified(
        payload_type=found.envelope.payload_type,
        payload=found.envelope.payload,
        signers=frozenset(one.fingerprint for one in witnesses),
        signatures=len(found.envelope.signatures),
        witnesses=tuple(witnesses),
    )


def claimed(bundle: Bundle) -> str:
    """Who a bundle says signed it, in words. Nobody has vouched for that: for messages only."""
    if bundle.method == "key":
        named = _KEY_HINT.match(bundle.hint)
        return f"the key whose PEM file has the sha256 {bundle.hint}" if named else "a key that it does not name"
    try:
        (leaf,) = authorities.parse_der(bundle.chain[:1], bundle.what)
    except Malformed:
        return "a certificate that nobody can read"
    issued = f"issued by {authorities.name(leaf.issuer) or '(nobody)'}"
    if bundle.method == "certificate":
        return f"{authorities.words(leaf)}, {issued}"
    try:
        return f"{Claims.of(leaf)}, with a certificate {issued}"
    except CertificateRefused:
        return f"a certificate without an identity, {issued}"


def parse_bundle(bundle: bytes, *, what: str = "the bundle") -> tuple[Envelope, str]:
    """The unverified envelope of a bundle, and the hint that names its key ('' if there is none).

    Raises:
        Malformed: not a v0.3 bundle with a DSSE envelope.
    """
    found = envelopes.read(bundle, what=what)
    return found.envelope, found.hint


def plain(bundle: bytes) -> bytes:
    """The envelope of a bundle on its own, as DSSE has it (JSON), for readers that know no bundles.

    Raises:
        Malformed: not a bundle. UsageError: it is keyless, and without its certificate nobody could verify it.
    """
    found = envelopes.read(bundle)
    if found.method == "keyless":
        raise UsageError(
            "a keyless signature is nothing without its bundle", hint="sign with a key for tools that read DSSE alone"
        )
    return envelopes.plain(found.envelope)


def names_of(signers: Iterable[str], trusted: Sequence[Trusted]) -> tuple[str, ...]:
    """What people call these fingerprints."""
    known = {one.fingerprint: one.name for one in trusted}
    return tuple(sorted(known.get(one, one) for one in signers))


def _unrevoked(witnesses: Sequence[Witness], revoked: frozenset[str], bundle: Bundle) -> Sequence[Witness]:
    """A statement goes by its own bytes: whoever spells the bundle around it otherwise changes that one's digest alone."""
    statement = documents.sha256(bundle.envelope.payload)
    for witness in witnesses:
        if hits := revoked & {*witness.marks, bundle.digest, statement}:
            raise Revoked(f"{bundle.what} is signed by {witness.who}, but the policy has revoked {min(hits)}")
    return [dataclasses.replace(one, marks=one.marks | {statement}, statement=statement) for one in witnesses]


_SOMEBODY_ELSE = frozenset({"certificate-untrusted", "certificate-subject", "wrong-identity", "log-unknown"})
"""Rules that say: properly signed perhaps, but not by this one."""

_METHODS = {"key": "a key", "certificate": "a certificate", "keyless": "an identity (keyless)"}


def _nobody(bundle: Bundle, everybody: Sequence[Trusted], refusals: Sequence[EvidenceError]) -> EvidenceError:
    """The most telling reason: first whatever is wrong with a signature that could have counted, then that it is another's."""
    told = [one for one in refusals if type(one) is not WrongSigner]
    if told:
        return min(told, key=lambda one: one.rule in _SOMEBODY_ELSE)
    names = ", ".join(sorted({one.name for one in everybody})) or "nobody"
    others = "" if refusals or not everybody else f"; it is signed by {_METHODS[bundle.method]}, by which none of them is known"
    return WrongSigner(
        f"{bundle.what} is signed by nobody who is trusted here ({names}){others}", hint="is the right public key listed?"
    )
