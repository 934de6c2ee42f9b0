"""Wait until the signed evidence about an artifact satisfies a policy: for a DAG that deploys what another one judges."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator  # noqa: TID253

from pratique.errors import Denied, Error, UsageError
from pratique.operators.base import AirflowFailException, connected, given

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from pratique.judging import Verdict

_SOFT = ("soft_fail", "never_fail")


class EvidenceSensor(BaseSensorOperator):
    """Succeeds once all that a policy requires about an artifact lies in the store, signed by whom the policy trusts.

        EvidenceSensor(task_id="judged", subject="{{ params.model }}", policy="/etc/pratique/release.yaml", deferrable=True)

    Fails at once if there is evidence and it speaks against the artifact; waits as long as an answer is only missing, stale
    or by somebody who is not trusted; fails when `timeout` is over. It never skips: `soft_fail` is refused. It is a
    convenience, and no gate: `PromoteModelOperator` decides by itself.

    Deferred, it holds no worker. The triggerer then reads the store and the policy, so it must be able to; what it says is
    only that it is time to look: the worker verifies again.
    """

    template_fields: Sequence[str] = ("subject", "policy", "store", "run_id")

    def __init__(
        self,
        *,
        subject: str | XComArg,
        policy: str,
        store: str | None = None,
        run_id: str | None = None,
        deferrable: bool = False,
        **kwargs: Any,
    ) -> None:
        """All parameters but `deferrable` are templated.

        Args:
            subject: the artifact's digest, as `pratique digest` prints it.
            policy: path of the policy file.
            store: URI of the evidence store. Default: PRATIQUE_STORE.
            run_id: only evidence of this run counts: `<dag id>/<run id>`.
            deferrable: wait in the triggerer, without a worker's slot.
            kwargs: Airflow's own, such as `task_id`, `poke_interval` and `timeout`; not `soft_fail` or `never_fail`.
        """
        for name in _SOFT:
            if kwargs.get(name):
                raise ValueError(f"{name} makes a skip of a failure, and what waits for a skipped task may run: leave it out")
        super().__init__(**kwargs)
        self.subject = subject
        self.policy = policy
        self.store = store
        self.run_id = run_id
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        """Look now; then wait in the triggerer, or here."""
        if not self.deferrable:
            return super().execute(context)
        if not self.poke(context):
            self._defer()
        return self._pointer

    def poke(self, context: Context) -> bool:
        """Whether the policy is satisfied.

        Raises:
            AirflowFailException: there is evidence against the artifact, or a parameter is wrong.
            Error: the store cannot be read; tried again as `retries` says.
        """
        from pratique.operators import telling

        try:
            verdict = verdict_on(*self._asked())
        except Error as error:
            if error.retryable:
                raise
            raise AirflowFailException(telling.message(error)) from error
        self._pointer = telling.of_verdict(verdict, self.store or "")
        if verdict.admitted:
            return True
        if is_final(verdict):
            raise AirflowFailException(telling.message(Denied(verdict))) from Denied(verdict)
        self.log.info("not yet: %s", "; ".join(str(one) for one in verdict.denials[:3]))
        return False

    def looked(self, context: Context, event: Any = None) -> Any:
        """Called when the triggerer has seen a reason to look; what it saw is not believed."""
        if not self.poke(context):
            self._defer()
        return self._pointer

    def _defer(self) -> None:
        from pratique.operators.triggers import EvidenceTrigger

        subject, policy, store, run_id = self._asked()
        trigger = EvidenceTrigger(subject=subject, policy=policy, store=store, run_id=run_id, every=self.poke_interval)
        self.defer(trigger=trigger, method_name="looked", timeout=timedelta(seconds=self.timeout))

    def _asked(self) -> tuple[str, str, str, str]:
        if self.run_id is not None:
            given("run_id", self.run_id)
        policy, store = connected("policy", given("policy", self.policy)), connected("store", self.store or "")
        return given("subject", self.subject), policy, store, self.run_id or ""


def verdict_on(subject: str, policy: str, store: str, run_id: str) -> Verdict:
    """What a policy file says of an artifact, by what a store holds about it now.

    Raises:
        PolicyError, StoreError, ArtifactRefused: the policy or the store cannot be read, or that is no digest.
    """
    from datetime import datetime, timezone

    from pratique.artifacts import Subject
    from pratique.judging import decide
    from pratique.operators.base import BASELINE
    from pratique.policies import Policy
    from pratique.statements import Evidence
    from pratique.store import Store
    from pratique.vouching import collect

    if policy == BASELINE:
        raise UsageError("the baseline policy trusts this machine's own key only", hint="name a policy file")
    rules, about = Policy.load(policy), Subject(digest=subject)
    seen = collect(Store(store), "evidence", about, rules.evidence_keys, Evidence.parse)
    return decide(rules, about, seen.vouched, now=datetime.now(timezone.utc), run_id=run_id)


def is_final(verdict: Verdict) -> bool:
    """Whether something speaks against the artifact, so that waiting for more is no use."""
    from pratique.judging import NO_ANSWER

    return any(one.rule not in NO_ANSWER for one in verdict.denials)
