"""A second opinion on a keyless bundle, by sigstore-python's verifier: both must say yes.

Whatever one of the two gets wrong, the other may catch; an attacker has to deceive both. It is asked for the parts that were in
force when the signature was made, and for nothing else, and it needs neither a network nor a home directory for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pratique import documents
from pratique.errors import NotLogged
from pratique.signing.envelopes import Bundle
from pratique.signing.roots import Root


@dataclass(frozen=True, slots=True)
class _SameCertificate:
    """sigstore's protocol for a policy. Whose certificate it must be, we have looked at; here, that it is this one."""

    bundle: Bundle

    def verify(self, cert: x509.Certificate) -> None:
        """Compare."""
        if (cert.public_bytes(serialization.Encoding.DER),) != self.bundle.chain:
            raise ValueError("it reads another certificate")


def ensure(bundle: Bundle, root: Root, times: Sequence[datetime]) -> None:
    """Ask.

    Args:
        times: when it was signed.

    Raises:
        NotLogged: sigstore-python refuses, or reads something else in the bundle.
    """
    from sigstore.models import Bundle as Theirs
    from sigstore.models import ClientTrustConfig
    from sigstore.verify import Verifier

    try:
        # Its comparison leaves out a timestamp authority's last moment, which counts; we have looked at that before.
        trusted = ClientTrustConfig.from_json(root.as_client_config(times, endless_timestamps=True)).trusted_root
        verifier = Verifier(trusted_root=trusted)
        kind, payload = verifier.verify_dsse(Theirs.from_json(bundle.raw), _SameCertificate(bundle))
    except Exception as error:  # it raises its own errors, pydantic's, and what its parsers come across
        raise NotLogged(
            f"sigstore-python, asked for a second opinion, refuses {bundle.what}: "
            f"{type(error).__name__}: {documents.plain(str(error))}",
            rule="second-opinion",
        ) from error
    if (kind, payload) != (bundle.envelope.payload_type, bundle.envelope.payload):
        raise NotLogged(f"sigstore-python reads something else in {bundle.what}", rule="second-opinion")
