"""Who may have signed keyless: an exact identity, or a publisher rebuilt from what the certificate claims.

| written in a policy | must be claimed by the certificate |
|---|---|
| `identity: X, issuer: Y` | exactly that identity, by exactly that issuer |
| `github: org/repo` [, `workflow`, `ref`, `environment` ...] | that repository; the workflow file in it; the branch or tag |
| `gitlab: group/project` [, `config`, `ref`] | that project; the CI configuration in it; the branch or tag |
| `google: account@project.iam.gserviceaccount.com` | that service account, by Google |
| `email: dev@example.com, issuer: Y` | that address, by exactly that issuer |

Nothing here is a pattern: every comparison is of whole strings, and an empty string is an error, never "whatever".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pratique import documents
from pratique.errors import CertificateRefused, UsageError
from pratique.signing.claims import Claims

GITHUB = "https://token.actions.githubusercontent.com"
GITLAB = "https://gitlab.com"
GOOGLE = "https://accounts.google.com"

_SLUG = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+\Z")
_ADDRESS = re.compile(r"[^@\s/]+@[^@\s/]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Claims that a certificate must make, each exactly."""

    claims: Mapping[str, str]
    """By name, as `Claims.get` knows them; always with an issuer, and never empty."""

    words: str
    """The publisher as a person would say it."""

    def __post_init__(self) -> None:
        """Refuse what would match anybody.

        Raises:
            UsageError: no issuer, nothing but an issuer, or an empty value.
        """
        if not self.claims.get("issuer") or len(self.claims) < 2 or not all(self.claims.values()):
            raise UsageError(
                f"{self.words or 'an identity'} leaves the identity or its issuer open: anybody could be meant",
                hint="give both `identity` and `issuer`, in full",
            )

    def ensure(self, found: Claims, what: str) -> None:
        """Compare.

        Raises:
            CertificateRefused: it is somebody else.
        """
        for name, wanted in self.claims.items():
            if found.get(name) != wanted:
                there = documents.plain(found.get(name)) or "(none)"
                raise CertificateRefused(
                    f"{what} is signed by {found}, whose {name.replace('_', ' ')} is {there}, not {wanted}",
                    rule="wrong-identity",
                )


def exact(identity: str, issuer: str) -> Publisher:
    """Exactly this identity, by exactly this issuer."""
    return Publisher(claims={"identity": identity, "issuer": issuer}, words=f"{identity} by {issuer}")


def email(address: str, issuer: str) -> Publisher:
    """Whoever reads this mailbox, by the word of this issuer."""
    if not _ADDRESS.match(address):
        raise UsageError(f"{address!r} is not an e-mail address")
    return exact(address, issuer)


def google(account: str) -> Publisher:
    """A Google service account, as a workload proves it."""
    if not _ADDRESS.match(account):
        raise UsageError(f"{account!r} is not a service account", hint="such as name@project.iam.gserviceaccount.com")
    return exact(account, GOOGLE)


def github(
    repository: str,
    *,
    workflow: str = "",
    ref: str = "",
    environment: str = "",
    runner: str = "",
    owner_id: str = "",
    repository_id: str = "",
    issuer: str = GITHUB,
    host: str = "https://github.com",
) -> Publisher:
    """GitHub Actions in a repository.

    Args:
        repository: `organisation/repository`.
        workflow: name of the file below `.github/workflows`; any workflow of the repository if left out.
        ref: such as `refs/heads/main`; any branch or tag if left out.
        environment: the deployment environment that the job ran in, which may ask for a reviewer; any, or none, if left out.
        runner: `github-hosted` or `self-hosted`; any if left out.
        owner_id: the number of the organisation, which stays when its name is given to somebody else.
        repository_id: the number of the repository, likewise.
        issuer: another one for GitHub Enterprise.
        host: likewise.
    """
    url = f"{host}/{_slug(repository)}"
    path = f"{url}/.github/workflows/{workflow}" if workflow else ""
    claims = {
        "issuer": issuer, "repository": url, "build_config_path": path, "ref": ref, "environment": environment,
        "runner": runner, "owner_id": owner_id, "repository_id": repository_id,
    }  # fmt: skip
    words = ", ".join((f"GitHub Actions of {repository}", *_words(workflow=workflow, ref=ref, environment=environment)))
    return Publisher(claims=_given(claims), words=words)


def gitlab(project: str, *, config: str = "", ref: str = "", environment: str = "", host: str = GITLAB) -> Publisher:
    """GitLab CI in a project.

    Args:
        project: `group/project`, or with subgroups.
        config: path of the CI configuration, such as `.gitlab-ci.yml`; any if left out.
        ref: such as `refs/heads/main`; any branch or tag if left out.
        environment: the deployment environment that the job ran in; any, or none, if left out.
        host: another instance, which is its own issuer.
    """
    url = f"{host}/{_slug(project)}"
    path = f"{url}//{config}" if config else ""
    claims = {"issuer": host, "repository": url, "build_config_path": path, "ref": ref, "environment": environment}
    words = ", ".join((f"GitLab CI of {project}", *_words(config=config, ref=ref, environment=environment)))
    return Publisher(claims=_given(claims), words=words)


def _words(**given: str) -> list[str]:
    return [value if name == "ref" else f"{name} {value}" for name, value in given.items() if value]


def _given(claims: Mapping[str, str]) -> dict[str, str]:
    """What is asked for; the issuer and the repository always are."""
    return {name: value for name, value in claims.items() if value or name in ("issuer", "repository")}


def _slug(text: str) -> str:
    if not _SLUG.match(text):
        raise UsageError(f"{text!r} does not name a repository", hint="such as organisation/repository")
    return text
