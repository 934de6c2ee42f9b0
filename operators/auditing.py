"""The operator that looks again at what is in production: scheduled, it is the regular audit that OWASP asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pratique.errors import EvidenceError, StoreError, UsageError
from pratique.operators.base import BASELINE, Outcome, PratiqueOperator, given

if TYPE_CHECKING:
    from pratique.auditing import Audited

_MOST, _WIDTH = 16, 160


class AuditOperator(PratiqueOperator):
    """Verify every channel again, hash the bytes again and judge them under the current policy; fail unless all is well.

        AuditOperator(task_id="audit", destination="s3://models", policy="/etc/pratique/release.yaml", trust=["promoter.pub"])

    What has lapsed, was revoked or swapped, or would be denied today fails the task, with a reason for each channel; so does a
    destination without any channel. With the promoter's key it renews what is admitted. It removes nothing: what is not renewed
    lapses. Its XCom names the state of each channel.
    """

    template_fields: Sequence[str] = (
        "destination", "policy", "trust", "channels", "known_as", "store", "key", "renew_key",
    )  # fmt: skip

    def __init__(
        self,
        *,
        destination: str,
        policy: str,
        trust: Sequence[str],
        channels: Sequence[str] = (),
        known_as: str | None = None,
        store: str | None = None,
        key: str | None = None,
        renew_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        """All parameters are templated.

        Args:
            destination: a folder of promoted artifacts, any fsspec URI.
            policy: path of the policy file: what must hold now.
            trust: whose promotions count: files of public keys, or entries such as `{github: org/repo, root: FILE}`.
            channels: which to look at; all that there are if left out.
            known_as: the destination's name in its pointers, if it is not its path or URI here.
            store: URI of the evidence store. Default: PRATIQUE_STORE.
            key: path of a gate's private key, to run checks again whose evidence is missing or old. Without it, that denies.
            renew_key: path of the promoter's private key, to give what is admitted a later date.
            kwargs: Airflow's own, such as `task_id` and `retries`.
        """
        super().__init__(**kwargs)
        self.destination = destination
        self.policy = policy
        self.trust = trust
        self.channels = channels
        self.known_as = known_as
        self.store = store
        self.key = key
        self.renew_key = renew_key

    def act(self, run_id: str) -> Outcome:
        """Look at everything, then say what is wrong."""
        from pratique import auditing
        from pratique.policies import Policy
        from pratique.signing import KeySigner
        from pratique.store import Store
        from pratique.trust import from_text

        path, store = given("policy", self.policy), Store(self.store or "")
        if path == BASELINE:
            raise UsageError("the baseline policy trusts this machine's own key only", hint="name a policy file")
        if not self.trust or isinstance(self.trust, str):
            raise UsageError(f"trust is {self.trust!r}", hint="list the public keys of those who promote")
        gate, promoter = (KeySigner.load(Path(one).expanduser()) if one else None for one in (self.key, self.renew_key))
        policy = Policy.load(path)
        found = auditing.audit(
            given("destination", self.destination), policy=policy, store=store,
            trusted=[from_text(given("an entry of trust", one), Path()) for one in self.trust], only=tuple(self.channels),
            known_as=self.known_as or "", gate=gate, promoter=promoter,
        )  # fmt: skip
        bad = [one for one in found if one.state not in auditing.GOOD]
        for one in found:
            self.log.log(40 if one in bad else 20, "%s", _line(one))
        return Outcome(_pointer(found, bad, policy.digest, store.uri), _error(found, bad))


def _error(found: Sequence[Audited], bad: Sequence[Audited]) -> EvidenceError | StoreError | None:
    """What fails the task. What could not be looked at is worth another try; what is wrong stays wrong."""
    if not found:
        return EvidenceError("nothing was ever promoted there, so nothing was audited", hint="is it the right destination?")
    if not bad:
        return None
    kind = StoreError if all(one.state == "unknown" for one in bad) else EvidenceError
    hint = next((fix for one in bad for fix in one.fixes), "")
    return kind(f"{len(bad)} of {len(found)} channels: {'; '.join(_line(one) for one in bad[:5])}", hint=hint)


def _pointer(found: Sequence[Audited], bad: Sequence[Audited], policy: str, store: str) -> dict[str, Any]:
    """Below 2 KB, however many channels there are; those that are not well first."""
    from pratique.documents import short
    from pratique.operators.telling import SCHEMA
    from pratique.sources.redacting import redact

    shown = sorted(found, key=lambda one: one not in bad)[:_MOST]
    return {
        "schema": SCHEMA,
        "verdict": "sound" if found and not bad else "denied",
        "channels": {short(one.channel, 40): one.state for one in shown},
        "bad": len(bad),
        "policy": policy,
        "reasons": [short(_line(one), _WIDTH) for one in bad[:3]],
        "remedy": short(next((fix for one in bad for fix in one.fixes), ""), _WIDTH),
        "store": redact(store),
    }


def _line(one: Audited) -> str:
    from pratique.documents import short

    why = f": {one.reasons[0]}" if one.reasons else f" until {one.until[:16]}Z"
    return short(f"{one.channel} {one.state}{why}")
