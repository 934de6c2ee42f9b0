"""Under which name an authority must have certified a signer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields

from cryptography import x509

from pratique import documents
from pratique.errors import CertificateRefused, UsageError
from pratique.signing import authorities
from pratique.signing.authorities import extension, words

_KINDS: dict[str, type[x509.RFC822Name | x509.UniformResourceIdentifier | x509.DNSName]] = {
    "email": x509.RFC822Name,
    "uri": x509.UniformResourceIdentifier,
    "dns": x509.DNSName,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Everything that is given must be there, exactly."""

    subject: str = ""
    """The whole subject, such as `CN=release,O=Acme` (RFC 4514; the order of its parts does not matter)."""

    email: str = ""
    """A subject alternative name: an e-mail address."""

    uri: str = ""
    """A subject alternative name: a URI."""

    dns: str = ""
    """A subject alternative name: a DNS name. `*` stands for itself."""

    def __post_init__(self) -> None:
        """Refuse what could never match.

        Raises:
            UsageError: `subject` is no distinguished name.
        """
        if self.subject:
            _parts(self.subject)

    @property
    def given(self) -> dict[str, str]:
        """What is asked for."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in values.items() if value}

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.given.items()) or "any subject at all"

    def ensure(self, leaf: x509.Certificate) -> None:
        """Compare.

        Raises:
            CertificateRefused: it was certified under another name.
        """
        names = extension(leaf, x509.SubjectAlternativeName) or x509.SubjectAlternativeName([])
        for kind, wanted in self.given.items():
            if kind == "subject":
                there = authorities.name(leaf.subject)
                holds = Counter(_pairs(leaf.subject)) == _parts(wanted)
            else:
                found = names.get_values_for_type(_KINDS[kind])
                there, holds = documents.plain(", ".join(found)), wanted in found
            if not holds:
                raise CertificateRefused(
                    f"{words(leaf)} has the {kind} {there or '(none)'}, not {wanted}", rule="certificate-subject"
                )


def of(leaf: x509.Certificate) -> Subject:
    """The name of a certificate, to ask for the same again."""
    names = extension(leaf, x509.SubjectAlternativeName) or x509.SubjectAlternativeName([])
    first = {kind: next(iter(names.get_values_for_type(cls)), "") for kind, cls in _KINDS.items()}
    return Subject(subject=leaf.subject.rfc4514_string(), **first)


def _parts(text: str) -> Counter[tuple[str, str]]:
    try:
        return Counter(_pairs(x509.Name.from_rfc4514_string(text)))
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not the subject of a certificate: {error}",
            hint="print it with: openssl x509 -in CERT -noout -subject -nameopt RFC2253",
        ) from error


def _pairs(name: x509.Name) -> list[tuple[str, str]]:
    return [(one.oid.dotted_string, str(one.value)) for one in name]
