"""What a Fulcio certificate says about whoever signed: https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509

from pratique import documents
from pratique.errors import CertificateRefused
from pratique.signing import authorities

_ARC = "1.3.6.1.4.1.57264.1."
_NAMES = {
    8: "issuer",
    9: "build_signer",
    10: "build_signer_digest",
    11: "runner",
    12: "repository",
    13: "commit",
    14: "ref",
    15: "repository_id",
    16: "owner",
    17: "owner_id",
    18: "build_config",
    19: "build_config_digest",
    20: "trigger",
    21: "run",
    22: "visibility",
    23: "environment",
}
"""Extensions that hold a UTF8String, by the last number of their OID."""

_OLD_ISSUER = 1
"""Holds bare bytes; superseded by number 8, and written beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What the authority certifies."""

    identity: str
    """The one subject alternative name: an e-mail address or a URI."""

    issuer: str
    """Who vouched for that to the authority: the OpenID Connect issuer."""

    others: Mapping[str, str]
    """What a build platform says besides, by the names above."""

    @classmethod
    def of(cls, leaf: x509.Certificate) -> Claims:
        """Read them.

        Raises:
            CertificateRefused: not exactly one identity, no issuer, or two that differ.
        """
        found = _extensions(leaf)
        issuer = found.pop("issuer", "")
        old = _raw(leaf, _OLD_ISSUER)
        if old is not None and issuer and old.decode("utf-8", "replace") != issuer:
            raise _refused(leaf, "names two issuers that differ")
        issuer = issuer or (old or b"").decode("utf-8", "replace")
        if not issuer:
            raise _refused(leaf, "names no issuer")
        return cls(identity=_identity(leaf), issuer=issuer, others=found)

    @property
    def actor(self) -> str:
        """`sha256:<hex>` over the identity and its issuer."""
        return actor(self.identity, self.issuer)

    def __str__(self) -> str:
        return documents.plain(f"{self.identity} by {self.issuer}")

    def get(self, name: str) -> str:
        """A claim by its name; '' without it."""
        if name == "build_config_path":  # .../.github/workflows/release.yml, without @refs/...
            return self.others.get("build_config", "").rpartition("@")[0]
        return {"identity": self.identity, "issuer": self.issuer, **self.others}.get(name, "")


def actor(identity: str, issuer: str) -> str:
    """Names an identity at its issuer, `sha256:<hex>`."""
    return documents.sha256(documents.canonical({"identity": identity, "issuer": issuer}))


def _identity(leaf: x509.Certificate) -> str:
    names = list(authorities.extension(leaf, x509.SubjectAlternativeName) or [])
    if len(names) != 1 or not isinstance(names[0], (x509.RFC822Name, x509.UniformResourceIdentifier)) or not names[0].value:
        raise _refused(leaf, f"names {len(names)} identities, not one e-mail address or URI")
    return names[0].value


def _extensions(leaf: x509.Certificate) -> dict[str, str]:
    found = {}
    for number, name in _NAMES.items():
        if (raw := _raw(leaf, number)) is not None:
            found[name] = _utf8_string(raw, leaf)
    return found


def _raw(leaf: x509.Certificate, number: int) -> bytes | None:
    try:
        value = leaf.extensions.get_extension_for_oid(x509.ObjectIdentifier(f"{_ARC}{number}")).value
    except x509.ExtensionNotFound:
        return None
    return value.value if isinstance(value, x509.UnrecognizedExtension) else None


def _utf8_string(der: bytes, leaf: x509.Certificate) -> str:
    """DER: tag 12, length, that many bytes of UTF-8, and nothing after them (X.690)."""
    if len(der) < 2 or der[0] != 0x0C:
        raise _refused(leaf, "holds a claim that is not a UTF8String")
    size, start = der[1], 2
    if size & 0x80:
        count = size & 0x7F
        start = 2 + count
        size = int.from_bytes(der[2:start], "big")
    try:
        text = der[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused(leaf, "holds a claim that is not UTF-8") from error
    if len(der) - start != size:
        raise _refused(leaf, "holds a claim that is not in order")
    return text


def _refused(leaf: x509.Certificate, why: str) -> CertificateRefused:
    return CertificateRefused(f"{authorities.words(leaf)} {why}", rule="certificate-claims")
