"""A second opinion on a keyless bundle, by sigstore-python's verifier: both must say yes.

Whatever one of the two gets wrong, the other may catch; an attacker has to deceive both. It is asked for the parts that were in
force when the signature was made, and for nothing else, and it needs neither a network nor a home directory for that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pratique.errors import NotLogged
from pratique.signing.envelopes import Bundle
from pratique.signing.roots import Authority, Log, Root

_TIMELESS = {"start": "1970-01-01T00:00:00Z"}


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
    from sigstore.verify.policy import UnsafeNoOp

    try:
        trusted = ClientTrustConfig.from_json(_config(root, times)).trusted_root
        verifier = Verifier(trusted_root=trusted)
        kind, payload = verifier.verify_dsse(Theirs.from_json(bundle.raw), UnsafeNoOp())  # who it is, we looked at ourselves
    except Exception as error:  # it raises its own errors, pydantic's, and what its parsers come across
        raise NotLogged(
            f"sigstore-python, asked for a second opinion, refuses {bundle.what}: {type(error).__name__}: {error}"[:600],
            rule="second-opinion",
        ) from error
    if (kind, payload) != (bundle.envelope.payload_type, bundle.envelope.payload):
        raise NotLogged(f"sigstore-python reads something else in {bundle.what}", rule="second-opinion")


def _config(root: Root, times: Sequence[datetime]) -> str:
    """What counted at these times, in the form that its public API reads; it asks for a signing configuration, too."""
    trusted = {
        "mediaType": root.media_type,
        "tlogs": [dict(one.written) for one in root.logs if _counts(one, times)],
        "certificateAuthorities": [dict(one.written) for one in root.authorities if _counts(one, times)],
        "ctlogs": [dict(one.written) for one in root.certificate_logs],
        # Its comparison leaves out the last moment, which counts; so the end, which was looked at before, is left out instead.
        "timestampAuthorities": [{**one.written, "validFor": _TIMELESS} for one in root.timestamps if _counts(one, times)],
    }
    signing: dict[str, Any] = {
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "caUrls": [], "oidcUrls": [], "rekorTlogUrls": [], "tsaUrls": [],
        "rekorTlogConfig": {"selector": "ANY"}, "tsaConfig": {"selector": "ANY"},
    }  # fmt: skip
    media_type = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
    return json.dumps({"mediaType": media_type, "trustedRoot": trusted, "signingConfig": signing})


def _counts(one: Log | Authority, times: Sequence[datetime]) -> bool:
    return all(one.span.holds(at) for at in times)
