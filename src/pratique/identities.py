"""Who this process is, as far as promotion is concerned: nobody who trains may put a model into production.

    ensure_may_promote()       # before anything is copied

Keys and write access are what keeps training out; this keeps a promotion from running in the wrong place by mistake, where
those would have to be carried to. It can only refuse. `PRATIQUE_ROLE` is set where training runs; `PRATIQUE_PROMOTERS` where
promotion does, and is held against the subject of the service account token that Kubernetes projects into the pod.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from pratique import documents, files, settings
from pratique.errors import Malformed, UsageError

PROMOTION = "promotion"
TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
"""Where Kubernetes puts it: https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/"""
MAX_TOKEN_BYTES = 64 << 10


def ensure_may_promote(token: Path | None = None) -> None:
    """Refuse to promote as somebody who may not.

    1. Whoever has another role than promotion may not.
    2. Where promoters are named, this pod must be one of them; if nobody can tell, it is none.

    Raises:
        UsageError: and why.
    """
    role = settings.role()
    if role not in ("", PROMOTION):  # 1
        raise UsageError(
            f"this process has the role {role!r} (PRATIQUE_ROLE), and only promotion may promote",
            hint="promote from where training cannot run: another queue, another service account, another namespace",
        )
    allowed = settings.promoters()
    if allowed:  # 2
        who = account(token)
        if who not in allowed:
            raise UsageError(
                f"this pod is {who}, and only {', '.join(sorted(allowed))} may promote (PRATIQUE_PROMOTERS)",
                hint="run the promotion as the broker's service account",
            )


def account(token: Path | None = None) -> str:
    """The service account that this pod says it is: `system:serviceaccount:<namespace>:<name>`.

    Nobody verifies the token here: whoever could forge one could as well not ask.

    Raises:
        UsageError: there is no token, or it says nothing.
    """
    token = token or TOKEN
    try:
        parts = files.read(token, most=MAX_TOKEN_BYTES).strip().split(b".")
        payload = parts[1] if len(parts) == 3 else b""
        claims = documents.parse(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)), what="the token")
        subject = claims["sub"]
        if isinstance(subject, str) and subject:
            return subject
        why: object = "it names no subject"
    except OSError as error:
        why = error.strerror or error
    except (binascii.Error, Malformed, KeyError, TypeError, ValueError):
        why = "it is no token of a service account"
    raise UsageError(
        f"promoters are named (PRATIQUE_PROMOTERS), and who this pod is, nobody can tell: {token}: {why}",
        hint="set automountServiceAccountToken: true for the pod that promotes",
    )
