"""Sign keyless: with an identity token instead of a key. The one part of signing that asks services over a network.

    signer = SigstoreSigner.load(Path("signing_config.json"), Path("trusted_root.json"), token=token_from(Path("token")))
    bundle = sign(payload, INTOTO, signer)

In the order of the code:

1. Ask Fulcio once who we are, in the form in which certificates will say it: that names us in what we sign.
2. Sign, with sigstore-python: a certificate of some minutes, a log entry, a timestamp if the configuration names an authority.
3. Verify the bundle as anybody else would, and that it is by whom it was to be. Nothing unverified leaves this module.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from pratique import documents
from pratique.errors import CertificateRefused, Error, EvidenceError, ServiceError, UsageError
from pratique.signing import envelopes, publishers
from pratique.signing.claims import Claims
from pratique.signing.keyless import TrustedIdentity
from pratique.signing.keys import read_file
from pratique.signing.roots import Root
from pratique.signing.trusting import Trusted

Token = Callable[[], str]
"""Gets an identity token; called again when the last one may have expired."""

_RENEW = 240.0
"""Seconds for which a certificate is used; it is valid for ten minutes."""

_VARIABLES = ("PRATIQUE_IDENTITY_TOKEN", "SIGSTORE_IDENTITY_TOKEN")


@dataclass(slots=True, kw_only=True)
class SigstoreSigner:
    """Signs as whoever an identity token is for."""

    signing_config: Path
    """Where the services are, as sigstore's signing configuration says it."""

    root: Root
    """Whose word counts."""

    token: Token = field(repr=False)
    _claims: Claims | None = field(default=None, repr=False)
    _signer: Any = field(default=None, repr=False)
    _since: float = field(default=0.0, repr=False)

    @classmethod
    def load(cls, signing_config: Path, trusted_root: Path, token: Token) -> SigstoreSigner:
        """Read both files.

        Raises:
            UsageError: one is missing or not in order.
        """
        read_file(signing_config, "the signing configuration")
        return cls(signing_config=signing_config, root=Root.load(trusted_root), token=token)

    @property
    def claims(self) -> Claims:
        """Who Fulcio says we are; asked once.

        Raises:
            ServiceError: it does not answer, or refuses. UsageError: there is no token, or it is none.
        """
        if self._claims is None:
            from sigstore.models import SigningConfig

            with _reported("ask who we are"):
                key = ec.generate_private_key(ec.SECP256R1())
                request = (
                    x509.CertificateSigningRequestBuilder()
                    .subject_name(x509.Name([]))
                    .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                    .sign(key, hashes.SHA256())
                )
                fulcio = SigningConfig.from_file(str(self.signing_config)).get_fulcio()
                self._claims = Claims.of(fulcio.signing_cert.post(request, self._identity()).cert)
        return self._claims

    @property
    def mark(self) -> str:
        """Names us, as a witness does: `sha256:<hex>` over the identity and its issuer."""
        return self.claims.actor

    def trusted(self, name: str = "own") -> TrustedIdentity:
        """Ourselves as somebody who trusts us would list us."""
        publisher = publishers.exact(self.claims.identity, self.claims.issuer)
        return TrustedIdentity(name=name, publisher=publisher, root=self.root)

    def accepted_by(self, one: Trusted) -> bool:
        """Whether a signature of ours counts for somebody trusted."""
        if not isinstance(one, TrustedIdentity):
            return False
        try:
            one.publisher.ensure(self.claims, "this")
        except CertificateRefused:
            return False
        return True

    def seal(self, payload: bytes, payload_type: str) -> bytes:
        """A bundle around an in-toto statement.

        Raises:
            UsageError: it is another payload, or there is no token. ServiceError: a service does not answer or refuses, or
                what they answered does not hold.
        """
        if payload_type != envelopes.INTOTO:
            raise UsageError("only in-toto statements are signed keyless")
        own = self.trusted()  # 1
        with _reported("sign"):
            bundle = self._sign(payload)  # 2
        try:
            read = envelopes.read(bundle, what="the new bundle")  # 3
            if read.envelope.payload != payload:
                raise ServiceError("something else was signed than what was to be")
            own.witness(read, datetime.now(timezone.utc))
        except EvidenceError as error:
            raise ServiceError(
                f"the services made a signature that does not hold: {error}", hint="does the trusted root fit the services?"
            ) from error
        return bundle

    def _sign(self, payload: bytes) -> bytes:
        from sigstore.dsse import Statement

        if self._signer is None or time.monotonic() - self._since > _RENEW:
            self._signer, self._since = self._new_signer(), time.monotonic()
        return str(self._signer.sign_dsse(Statement(payload)).to_json()).encode()

    def _new_signer(self) -> Any:
        from sigstore.models import ClientTrustConfig, SigningConfig
        from sigstore.sign import SigningContext

        config = SigningConfig.from_file(str(self.signing_config))
        trusted = ClientTrustConfig.from_json(self.root.as_client_config()).trusted_root
        context = SigningContext(
            fulcio=config.get_fulcio(), rekor=config.get_tlogs()[0], trusted_root=trusted, tsa_clients=config.get_tsas()
        )
        with context.signer(self._identity()) as signer:
            return signer

    def _identity(self) -> Any:
        from sigstore.oidc import IdentityToken

        return IdentityToken(self.token())


def token_from(source: str | Path) -> Token:
    """Where to get an identity token: a file, `env` or `ambient`.

    A token is never taken from a command line, where every user of the machine could read it. `env` is the variable
    PRATIQUE_IDENTITY_TOKEN or SIGSTORE_IDENTITY_TOKEN; `ambient` asks the platform (GitHub Actions, GitLab, Google, Buildkite).
    """
    if str(source) == "env":
        return _from_environment
    return _from_platform if str(source) == "ambient" else lambda: _from_file(Path(source))


def _from_file(path: Path) -> str:
    return read_file(path, "the identity token").decode("utf-8", "replace").strip()


def _from_environment() -> str:
    found = next((os.environ[name] for name in _VARIABLES if os.environ.get(name)), "")
    if not found:
        raise UsageError(f"there is no identity token in {' or '.join(_VARIABLES)}")
    return found


def _from_platform() -> str:
    from sigstore.oidc import detect_credential

    found = detect_credential()
    if not found:
        raise UsageError("this platform gives no identity token", hint="on GitHub Actions: permissions: id-token: write")
    return str(found)


@contextmanager
def _reported(doing: str) -> Iterator[None]:
    """Turns what sigstore's clients raise into our errors."""
    from sigstore.oidc import IdentityError

    try:
        yield
    except EvidenceError as error:
        raise ServiceError(f"cannot {doing}: the answer does not hold: {error}") from error
    except Error:
        raise
    except IdentityError as error:
        raise UsageError(f"that is no identity token that Sigstore takes: {error}", hint="has it expired?") from error
    except Exception as error:  # its own errors, and those of its HTTP client and of its parsers
        raise ServiceError(
            f"cannot {doing}: {type(error).__name__}: {documents.plain(str(error))}",
            hint="look at the services that the signing configuration names, and at the token",
        ) from error
