"""Keyless signatures, verified offline: an identity, a certificate of some minutes, and a log that remembers.

    publisher = publishers.github("acme/models", workflow="release.yml")
    supplier = TrustedIdentity.load("supplier", publisher, Path("trusted_root.json"))

In the order of the code:

1. When was it signed? By every RFC 3161 timestamp in the bundle, each of which must hold, and by the log's own time (Rekor v1).
   There must be at least one, and none in the future.
2. At each of these times the certificate was valid, and leads to an authority that counted then. It may sign code.
3. A certificate log that counted when the certificate came there promised to publish it.
4. The entry is in a transparency log that counted at these times: inclusion proof, checkpoint, the log's own time.
5. The entry is about this very content, signature and certificate.
6. The signature fits the content.
7. The certificate names the identity that is asked for: exactly, issuer included.
8. sigstore-python, which is not ours, says so, too.

What sigstore-python 4.5.1 lets through, steps 1-7 refuse: keys of logs and authorities after their end, checkpoints of another
size than the proof's, timestamps that do not hold beside one that does.

Specifications: https://github.com/sigstore/architecture-docs (client-spec.md), RFC 9162, RFC 6962, RFC 3161.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from cryptography import x509

from pratique import documents
from pratique.errors import CertificateRefused, Malformed, NotLogged, SignatureInvalid
from pratique.signing import authorities, bodies, keys, scts, sigstore_opinion, timestamps
from pratique.signing.bodies import Signed
from pratique.signing.claims import Claims
from pratique.signing.envelopes import Bundle, Method
from pratique.signing.logs import Entry
from pratique.signing.publishers import Publisher
from pratique.signing.roots import Authority, Log, Root
from pratique.signing.trusting import Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a bundle carries besides the content and its signature."""

    entries: Sequence[dict[str, Any]] = field(repr=False)
    timestamps: Sequence[bytes] = field(repr=False)
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A signature that the log bears out, whoever made it."""

    times: tuple[datetime, ...]
    """When it was made, in order; never empty."""

    log: Log
    entry: Entry
    stamped_by: tuple[Authority, ...]


def logged(signed: Signed, material: Material, root: Root, now: datetime, *, deprecated: bool = False) -> Logged:
    """Steps 1, 4 and 5: when it was signed, and that the log says so.

    Args:
        deprecated: whether entries of a kind that is no longer written will do.

    Raises:
        NotLogged, Malformed: the log or the time does not hold; the `rule` says why.
    """
    if len(material.entries) != 1:
        raise NotLogged(f"{material.what} carries {len(material.entries)} log entries, not one", rule="not-logged")
    entry = Entry.parse(material.entries[0], material.what)
    times, stamped_by = _times(entry, signed.signature, material, root, now)
    log = entry.log(root.logs, times)
    entry.ensure_included(log)
    entry.ensure_promised(log)
    bodies.ensure_same(entry, signed, deprecated=deprecated)
    return Logged(times=times, log=log, entry=entry, stamped_by=stamped_by)


def certified(leaf: x509.Certificate, times: Sequence[datetime], root: Root) -> tuple[x509.Certificate, ...]:
    """Steps 2 and 3: the path from a certificate to an authority, the same at each time.

    Raises:
        CertificateRefused, NotLogged: it does not hold; the `rule` says why.
    """
    authorities.STRICT.ensure(leaf)
    counting = [one for one in root.authorities if all(one.span.holds(at) for at in times)]
    late = [one for one in root.authorities if one not in counting and leaf.issuer in [above.subject for above in one.chain]]
    if late and not any(leaf.issuer in [above.subject for above in one.chain] for one in counting):
        raise CertificateRefused(
            f"{authorities.words(leaf)} was issued by {late[0].words}, which counts {late[0].span}; it signed on "
            f"{min(times):%Y-%m-%d %H:%M:%S} UTC",
            rule="authority-expired",
        )
    roots = [one.chain[-1] for one in counting]
    others = [above for one in counting for above in one.chain[:-1]]
    paths = [authorities.path(leaf, others, roots, at) for at in times]
    scts.ensure(leaf, paths[0][1], root.certificate_logs)
    return paths[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIdentity:
    """A publisher whose identity Sigstore vouches for."""

    method: ClassVar[Method] = "keyless"

    name: str
    """For people."""

    publisher: Publisher
    """Who it must be."""

    root: Root
    """Whose word counts for that."""

    revoked: frozenset[str] = frozenset()
    """What the policy has revoked."""

    @classmethod
    def load(cls, name: str, publisher: Publisher, root: Path) -> TrustedIdentity:
        """Read the trusted root from a file.

        Raises:
            UsageError: it is missing or not in order.
        """
        return cls(name=name, publisher=publisher, root=Root.load(root))

    @property
    def fingerprint(self) -> str:
        """`sha256:<hex>` over the publisher and the trusted root."""
        content = {"claims": dict(self.publisher.claims), "root": self.root.digest}
        return documents.sha256(documents.canonical(content))

    def describe(self) -> str:
        """Who it is, in words."""
        return f"{self.name} (keyless, {self.publisher.words})"

    def renamed(self, name: str, revoked: frozenset[str] = frozenset()) -> TrustedIdentity:
        """The same under another name."""
        return dataclasses.replace(self, name=name, revoked=revoked)

    def witness(self, bundle: Bundle, now: datetime) -> tuple[Witness, ...]:
        """Whether this publisher signed; in the order at the top of this module.

        Raises:
            NotLogged, CertificateRefused: the log or the certificate does not hold, or it is somebody else; the `rule` says
                why. SignatureInvalid: the signature does not fit. Malformed: something is not in order.
        """
        (leaf,) = authorities.parse_der(bundle.chain, bundle.what)
        if len(bundle.envelope.signatures) != 1:
            raise Malformed(f"{bundle.what} holds {len(bundle.envelope.signatures)} signatures; a keyless bundle holds one")
        public = authorities.STRICT.ensure(leaf)
        claims = Claims.of(leaf)
        signed = Signed(signature=bundle.envelope.signatures[0], verifier=leaf, envelope=bundle.envelope)
        material = Material(entries=bundle.entries, timestamps=bundle.timestamps, what=bundle.what)
        proof = logged(signed, material, self.root, now)  # 1, 4, 5
        path = certified(leaf, proof.times, self.root)  # 2, 3
        if not keys.fits(public, signed.signature, bundle.envelope.message):  # 6
            raise SignatureInvalid(f"the signature on {bundle.what} does not fit its content: it was changed")
        self.publisher.ensure(claims, bundle.what)  # 7
        sigstore_opinion.ensure(bundle, self.root, proof.times)  # 8
        marks = frozenset({claims.actor, *authorities.marks(path)})
        return (
            Witness(
                fingerprint=self.fingerprint, actor=claims.actor, who=str(claims), steps=_steps(proof, path, claims, self),
                marks=marks, signed_at=proof.times[0],
            ),
        )  # fmt: skip


def _times(
    entry: Entry, signature: bytes, material: Material, root: Root, now: datetime
) -> tuple[tuple[datetime, ...], tuple[Authority, ...]]:
    found = [_stamp(der, signature, root, material.what) for der in material.timestamps]
    times = sorted([*(at for at, _ in found), *([entry.time] if entry.time else [])])
    if not times:
        raise NotLogged(
            f"nobody says when {material.what} was signed: no timestamp, and no time in the log", rule="no-timestamp"
        )
    if times[-1] > now + timestamps.SKEW:
        raise NotLogged(
            f"{material.what} was signed on {times[-1]:%Y-%m-%d %H:%M:%S} UTC: in the future", rule="timestamp-invalid"
        )
    return tuple(times), tuple(authority for _, authority in found)


def _stamp(der: bytes, signature: bytes, root: Root, what: str) -> tuple[datetime, Authority]:
    late: list[Authority] = []
    for one in root.timestamps:
        at = timestamps.moment(der, signature, one.chain, what)
        if at is not None and one.span.holds(at):
            return at, one
        if at is not None:
            late.append(one)
    if late:
        raise NotLogged(
            f"the timestamp on {what} is by {late[0].words}, which counts {late[0].span}", rule="timestamp-authority-expired"
        )
    raise NotLogged(f"a timestamp on {what} does not hold, or is by nobody who is trusted for it", rule="timestamp-invalid")


def _steps(proof: Logged, path: Sequence[x509.Certificate], claims: Claims, trusted: TrustedIdentity) -> tuple[str, ...]:
    moments = [f"{one.words} (timestamp)" for one in proof.stamped_by]
    if proof.entry.time:
        moments.append(f"the log {proof.log.url}")
    return (
        f"it was signed on {proof.times[0]:%Y-%m-%d %H:%M:%S} UTC, by the word of {' and '.join(moments)}",
        f"the certificate was valid then, for signing code, and leads to {authorities.words(path[-1])}; it was promised to a "
        "certificate log",
        f"entry {proof.entry.index} of the log {proof.log.url} is about this content, signature and certificate",
        "the signature fits the bytes under the certificate's public key",
        f"the certificate is for {claims}, which is the publisher that {trusted.name} must be: {trusted.publisher.words}",
        "sigstore-python, asked for a second opinion, agrees",
    )
