"""From what somebody names on a command line, or sets in the environment, to a signer."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pratique import settings
from pratique.errors import UsageError
from pratique.signing.certificates import CertificateSigner
from pratique.signing.keys import KeySigner, own_signer
from pratique.signing.signers import Signer
from pratique.signing.sigstore_signer import SigstoreSigner, token_from


def gate_signer(*, make: bool = True) -> Signer:
    """This machine's own gate, as the environment says that it signs (`settings`): keyless, by certificate, or with its key.

    Args:
        make: whether a key that is not there is made.

    Raises:
        UsageError: the environment says two things at once, or names a file that is not in order.
    """
    config, certificate = settings.signing_config(), settings.gate_certificate()
    if config or settings.trusted_root():
        if certificate or os.environ.get("PRATIQUE_KEY"):
            raise UsageError(
                "the environment says to sign with a key and keyless",
                hint="unset PRATIQUE_SIGNING_CONFIG and PRATIQUE_TRUSTED_ROOT, or PRATIQUE_KEY and PRATIQUE_CERTIFICATE",
            )
        named = Named(identity_token=settings.token_from(), signing_config=config, trusted_root=settings.trusted_root())
        return named.keyless()
    key = settings.gate_key()
    if certificate:
        return CertificateSigner.load(key, certificate)
    return own_signer(key) if make else KeySigner.load(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What was named; nothing is read before `choose`."""

    key: Path | None = None
    """A private key."""

    certificate: Path | None = None
    """The certificate for that key."""

    chain: tuple[Path, ...] = ()
    """Certificates above it."""

    identity_token: str = ""
    """For keyless: the file of a token, `env` or `ambient`."""

    signing_config: Path | None = None
    """For keyless: where the services are."""

    trusted_root: Path | None = None
    """For keyless: whose word counts."""

    def choose(self) -> Signer | None:
        """The signer; None if nothing was named.

        Raises:
            UsageError: what was named does not go together, or a file is not in order.
        """
        if self.identity_token:
            return self.keyless()
        if self.signing_config or self.trusted_root:
            raise UsageError("--signing-config and --trusted-root go with --identity-token")
        if self.certificate is None:
            if self.chain:
                raise UsageError("--chain goes with --certificate")
            return KeySigner.load(self.key) if self.key else None
        if self.key is None:
            raise UsageError("--certificate goes with its private key, --key")
        return CertificateSigner.load(self.key, self.certificate, self.chain)

    def keyless(self) -> SigstoreSigner:
        """The signer by an identity token; see `choose`."""
        if self.key or self.certificate or self.chain:
            raise UsageError("sign with --key or with --identity-token, not with both")
        if not self.signing_config or not self.trusted_root:
            raise UsageError(
                "--identity-token needs --signing-config and --trusted-root",
                hint="get both with `pratique trust fetch`",
            )
        return SigstoreSigner.load(self.signing_config, self.trusted_root, token_from(self.identity_token))
