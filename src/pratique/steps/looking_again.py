"""The step that audits: what is in production, held against the policy of today."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import click

from pratique import audit_pages, auditing, reports
from pratique.auditing import Audited
from pratique.errors import EvidenceError, UsageError
from pratique.policies import Policy
from pratique.signing import KeySigner, Signer
from pratique.steps.handing import Handle, Tally
from pratique.store import Store


def look(destination: str, policy: Policy, store: Store, key: str, renew: str, report: Handle, metrics: Tally) -> None:
    """Audit, write the page and the counts, and fail unless everything is as it should be.

    Raises:
        EvidenceError: something is not, or nothing is there. UsageError: a key is none.
    """
    now = datetime.now(timezone.utc)
    found = auditing.audit(
        destination, policy=policy, store=store, trusted=tuple(policy.trust.values()), gate=_signer(key),
        promoter=_signer(renew), now=now,
    )  # fmt: skip
    reports.write(Path(report.path), audit_pages.as_page(destination, found, now=now))
    for state, number in sorted(Counter(one.state for one in found).items()):
        metrics.log_metric(state, float(number))
    for one in found:
        click.echo("\n".join(_lines(one)))
    if bad := [one for one in found if one.state not in auditing.GOOD]:
        more = f" (and {len(bad) - 1} more, see above)" if len(bad) > 1 else ""
        why = f": {bad[0].reasons[0]}" if bad[0].reasons else ""
        raise EvidenceError(f"channel {bad[0].channel} is {bad[0].state}{why}{more}", hint="; ".join(bad[0].fixes))
    if not found:
        raise EvidenceError("there is no channel: nothing was ever promoted there, or it is somewhere else")


def _lines(one: Audited) -> list[str]:
    return [f"{one.state:<8} {one.channel} {one.digest}".rstrip(), *(f"  {reason}" for reason in one.reasons)]


def _signer(path: str) -> Signer | None:
    if path and not path.strip():
        raise UsageError("the path of a key is blank", hint="pass '' for none")
    return KeySigner.load(Path(path)) if path else None
