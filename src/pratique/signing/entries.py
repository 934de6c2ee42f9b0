"""How somebody trusted is written down: an entry under a policy's `trust`, or one on its own.

| entry | trusts |
|---|---|
| `{key: FILE}` | the holder of a PEM public key |
| `{own: true}` | this machine's own gate |
| `{certificate: ROOTS, subject: "CN=release,O=Acme"}` | whoever these authorities certify under this name |
| `{identity: X, issuer: Y, root: FILE}` | exactly this identity, keyless |
| `{github: org/repo, workflow: release.yml, root: FILE}` | a publisher, keyless; likewise `gitlab`, `google`, `email` |

The one key that only one kind has decides which it is; whatever that kind does not know is an error. Paths are relative to the
policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError

from pratique import settings
from pratique.errors import UsageError
from pratique.signing import authorities, publishers
from pratique.signing.certificates import TrustedCertificate, load_pem
from pratique.signing.choosing import gate_signer
from pratique.signing.claims import actor
from pratique.signing.keyless import TrustedIdentity
from pratique.signing.keys import TrustedKey
from pratique.signing.publishers import Publisher
from pratique.signing.signers import trust_in
from pratique.signing.subjects import Subject
from pratique.signing.trusting import Trusted

KINDS = ("key", "own", "certificate", "identity", "github", "gitlab", "google", "email")
"""The key that tells what an entry is; `certificate` before `email`, which a certificate may have to have."""

_Text = Annotated[str, Field(min_length=1)]
_WHICH = f"give one of {', '.join(f'`{one}`' for one in KINDS)}"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def trusted(self, name: str, base: Path) -> Trusted:
        """Read what the entry names.

        Raises:
            UsageError: a file is missing or holds something else; or anybody could be meant.
        """
        raise NotImplementedError


class KeyEntry(_Entry):
    """The holder of a public key."""

    key: _Text
    """Path of a PEM public key, relative to the policy."""

    def trusted(self, name: str, base: Path) -> Trusted:
        """Read the key."""
        return TrustedKey.load(name, _at(base, self.key))


class OwnEntry(_Entry):
    """This machine's own gate."""

    own: Literal[True]
    """Its key is made on first use."""

    def trusted(self, name: str, base: Path) -> Trusted:
        """Read, or make, the key; or by the certificate, if the environment says that the gate signs by one."""
        if settings.signing_config():
            raise UsageError(
                "this machine's gate signs keyless, and only Sigstore knows as whom",
                hint="name its identity instead of `own: true`, such as {github: org/repo, root: trusted_root.json}",
            )
        return trust_in(gate_signer(), name)


class CertificateEntry(_Entry):
    """Whoever some authorities certify under a name."""

    certificate: _Text
    """Path of a PEM file with the certificates of the authorities, relative to the policy."""
    subject: str = ""
    """The whole subject that the signer's certificate must have, such as `CN=release,O=Acme`; the order does not matter."""
    email: str = ""
    """An e-mail address that the certificate must name."""
    uri: str = ""
    """A URI that the certificate must name."""
    dns: str = ""
    """A DNS name that the certificate must name."""
    timestamps: str = ""
    """Path of a PEM file with the certificates of timestamp authorities. Every signature must carry a timestamp by one then,
    and outlives its certificate."""

    def trusted(self, name: str, base: Path) -> Trusted:
        """Read the roots."""
        subject = Subject(subject=self.subject, email=self.email, uri=self.uri, dns=self.dns)
        stamps = _at(base, self.timestamps) if self.timestamps else None
        return TrustedCertificate.load(name, _at(base, self.certificate), subject, timestamps=stamps)


class _Keyless(_Entry):
    root: _Text
    """Path of a Sigstore trusted root, relative to the policy; `pratique trust fetch` writes one."""

    def publisher(self) -> Publisher:
        """Who it must be."""
        raise NotImplementedError

    def trusted(self, name: str, base: Path) -> Trusted:
        """Read the trusted root."""
        return TrustedIdentity.load(name, self.publisher(), _at(base, self.root))


class IdentityEntry(_Keyless):
    """Exactly one identity, by exactly one issuer."""

    identity: _Text
    """What the certificate names: an e-mail address or a URI, in full."""
    issuer: _Text
    """The OpenID Connect issuer that vouched for it, in full."""

    def publisher(self) -> Publisher:
        """Who it must be."""
        return publishers.exact(self.identity, self.issuer)


class GitHubEntry(_Keyless):
    """GitHub Actions in a repository."""

    github: _Text
    """`organisation/repository`."""
    workflow: str = ""
    """Name of the file below `.github/workflows`; any workflow if left out."""
    ref: str = ""
    """Such as `refs/heads/main` or `refs/tags/v1`; any branch or tag if left out."""
    environment: str = ""
    """The deployment environment that the job must have run in; any, or none, if left out."""
    runner: Literal["", "github-hosted", "self-hosted"] = ""
    """Where it must have run; anywhere if left out."""
    owner_id: str = ""
    """The organisation's number, which stays when its name goes to somebody else."""
    repository_id: str = ""
    """The repository's number, likewise."""
    issuer: _Text = publishers.GITHUB
    """Another one for GitHub Enterprise."""
    host: _Text = "https://github.com"
    """Likewise."""

    def publisher(self) -> Publisher:
        """Who it must be."""
        return publishers.github(
            self.github, workflow=self.workflow, ref=self.ref, environment=self.environment, runner=self.runner,
            owner_id=self.owner_id, repository_id=self.repository_id, issuer=self.issuer, host=self.host,
        )  # fmt: skip


class GitLabEntry(_Keyless):
    """GitLab CI in a project."""

    gitlab: _Text
    """`group/project`, or with subgroups."""
    config: str = ""
    """Path of the CI configuration, such as `.gitlab-ci.yml`; any if left out."""
    ref: str = ""
    """Such as `refs/heads/main`; any branch or tag if left out."""
    environment: str = ""
    """The deployment environment that the job must have run in; any, or none, if left out."""
    host: _Text = publishers.GITLAB
    """Another instance, which is its own issuer."""

    def publisher(self) -> Publisher:
        """Who it must be."""
        return publishers.gitlab(self.gitlab, config=self.config, ref=self.ref, environment=self.environment, host=self.host)


class GoogleEntry(_Keyless):
    """A Google service account."""

    google: _Text
    """Such as `name@project.iam.gserviceaccount.com`."""

    def publisher(self) -> Publisher:
        """Who it must be."""
        return publishers.google(self.google)


class EmailEntry(_Keyless):
    """Whoever reads a mailbox, by the word of an issuer."""

    email: _Text
    """The address."""
    issuer: _Text
    """The OpenID Connect issuer that vouched for it, such as `https://accounts.google.com`."""

    def publisher(self) -> Publisher:
        """Who it must be."""
        return publishers.email(self.email, self.issuer)


def kind_of(value: Any) -> str | None:
    """Which kind an entry is, written, read, or its class; None for none that is known."""
    model = value if isinstance(value, type) else type(value)
    known: Any = value if isinstance(value, Mapping) else getattr(model, "model_fields", {})
    return next((one for one in KINDS if one in known), None)


Entry = Annotated[
    Annotated[KeyEntry, Tag("key")]
    | Annotated[OwnEntry, Tag("own")]
    | Annotated[CertificateEntry, Tag("certificate")]
    | Annotated[IdentityEntry, Tag("identity")]
    | Annotated[GitHubEntry, Tag("github")]
    | Annotated[GitLabEntry, Tag("gitlab")]
    | Annotated[GoogleEntry, Tag("google")]
    | Annotated[EmailEntry, Tag("email")],
    Discriminator(kind_of, custom_error_type="no_kind", custom_error_message=_WHICH),
]
"""Any of them."""


def read(written: Mapping[str, Any], name: str, base: Path) -> Trusted:
    """An entry that stands alone, outside of a policy.

    Raises:
        UsageError: it is not in order.
    """
    try:
        entry: _Entry = TypeAdapter[Any](Entry).validate_python(dict(written))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        raise UsageError(f"{where + ': ' if where else ''}{first['msg']}", hint=_WHICH) from error
    return entry.trusted(name, base)


class RevokedFile(BaseModel):
    """Something that is worth nothing any more; give one of these, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""
    """Of an artifact, of a file in one, of a signed statement as `pratique verify` prints it; or the fingerprint of a key or
    of a certificate."""
    key: str = ""
    """Path of a PEM public key on an elliptic curve, a signer's or an authority's, relative to the policy."""
    certificate: str = ""
    """Path of a PEM file; each certificate in it is revoked, with everything below."""
    identity: str = ""
    """An identity in full, with its issuer."""
    issuer: str = ""
    """The issuer of `identity`."""
    reason: _Text
    """Why, for whoever asks."""

    def marks(self, base: Path) -> frozenset[str]:
        """Everything that is revoked by it.

        Raises:
            UsageError: not exactly one thing is given, or a file is not in order.
        """
        given = [name for name in ("digest", "key", "certificate", "identity") if getattr(self, name)]
        if len(given) != 1 or bool(self.identity) != bool(self.issuer):
            raise UsageError("give one of digest, key, certificate, and identity with its issuer")
        if self.key:
            return frozenset({TrustedKey.load("revoked", _at(base, self.key)).fingerprint})
        if self.certificate:
            return frozenset(map(authorities.fingerprint, load_pem(_at(base, self.certificate))))
        return frozenset({self.digest or actor(self.identity, self.issuer)})


def _at(base: Path, path: str) -> Path:
    try:
        return base / Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{path}: {error}", hint="write the path out") from error
