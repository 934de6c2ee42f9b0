"""Operators that hold an artifact against a policy, or against one check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pratique.errors import Denied, UsageError
from pratique.operators.base import AUDIT, BASELINE, ENFORCE, Outcome, PratiqueOperator, as_gate, given

if TYPE_CHECKING:
    from airflow.sdk import XComArg

    from pratique.artifacts import Kind
    from pratique.policies import Policy

KINDS: tuple[Kind, ...] = ("model", "dataset", "environment")


class _Gated(PratiqueOperator):
    """Runs checks, signs and stores what they saw, decides, and fails unless the artifact is admitted.

    Under `audit` it does all that, too, and a denial is told loudly instead of failing the task. There is no clearance then.
    """

    artifact: str | XComArg
    enforcement: str
    key: str | None
    resume = False

    def policy_in_force(self) -> Policy:
        """What must hold."""
        raise NotImplementedError

    def act(self, run_id: str) -> Outcome:
        """Pass the gate, or be denied."""
        from pratique.gate import pass_gate
        from pratique.operators import telling
        from pratique.store import Store

        artifact, store, lenient = given("artifact", self.artifact), Store(self.store or ""), self._lenient()
        with as_gate(self.key) as signer:
            policy = self.policy_in_force()
            admission = pass_gate(artifact, policy=policy, store=store, signer=signer, run_id=run_id, resume=self.resume)
        for line in telling.lines(admission):
            self.log.info("%s", line)
        pointer = telling.of_admission(admission, store=store.uri)
        if lenient:
            pointer["enforcement"] = AUDIT
        if admission.verdict.admitted:
            return Outcome(pointer)
        if not lenient:
            return Outcome(pointer, Denied(admission.verdict))
        for line in telling.audited(admission.verdict):
            self.log.error("%s", line)
        return Outcome({**pointer, "path": str(admission.artifact.root)})

    def _lenient(self) -> bool:
        """Whether a denial is to be told only. A word that nobody knows is an error, and no leniency."""
        if self.enforcement not in (ENFORCE, AUDIT):
            raise UsageError(f"{self.enforcement!r} is no enforcement", hint=f"one of: {ENFORCE}, {AUDIT}")
        return self.enforcement == AUDIT


class GateOperator(_Gated):
    """Hold an artifact against a policy; on admission, hand over the very copy that was judged.

        base = GateOperator(task_id="admit_base", artifact="{{ params.base_model }}")   # no other set-up
        train(base.output["path"])

    Runs every check that the policy requires, signs and stores the evidence, decides, and issues a clearance that lapses. Fails
    unless the artifact is admitted. Use what `output["path"]` names, not what went in: nobody can swap that copy between the
    check and the use. It lies below `PRATIQUE_HOME`: if tasks run on several machines, let that be a volume they share.
    """

    template_fields: Sequence[str] = ("artifact", "policy", "kind", "enforcement", "store", "key")

    def __init__(
        self,
        *,
        artifact: str | XComArg,
        policy: str = BASELINE,
        kind: str | None = None,
        resume: bool = False,
        enforcement: str = ENFORCE,
        store: str | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> None:
        """All parameters but `resume` are templated.

        Args:
            artifact: a local path or any fsspec URI, or another task's output.
            policy: path of the policy file; `baseline` for the one that ships with the package.
            kind: model, dataset or environment, for the baseline policy (default: model). A policy file says it itself.
            resume: lean on trusted evidence that other tasks of this very run have stored, and run only the missing checks.
            enforcement: `enforce`, or `audit`: a denial is signed, stored and told, but the task succeeds and hands the
                copy on all the same. Nothing is cleared then, so a promotion refuses.
            store: URI of the evidence store. Default: PRATIQUE_STORE.
            key: path of the gate's private key. Default: this machine's own, PRATIQUE_KEY.
            kwargs: Airflow's own, such as `task_id` and `retries`.
        """
        super().__init__(**kwargs)
        self.artifact = artifact
        self.policy = policy
        self.kind = kind
        self.resume = resume
        self.enforcement = enforcement
        self.store = store
        self.key = key

    def policy_in_force(self) -> Policy:
        """The policy file, or the baseline."""
        from pratique.policies import Policy

        path = given("policy", self.policy)
        if path == BASELINE:
            return Policy.baseline(known_kind(self.kind or "model"))
        policy = Policy.load(path)
        if self.kind and self.kind != policy.subject:
            raise UsageError(f"{path} judges a {policy.subject}, not a {self.kind}", hint="leave `kind` out, or fix the policy")
        return policy


class CheckOperator(_Gated):
    """Run one installed check, keep its signed evidence, and fail on a grave finding.

    For a check of your own, or one from another package. `operators/checks.py` has an operator for each check that ships with
    the package, with its options as parameters.
    """

    template_fields: Sequence[str] = ("check", "artifact", "options", "kind", "deny_at", "enforcement", "store", "key")

    def __init__(
        self,
        *,
        check: str,
        artifact: str | XComArg,
        options: Mapping[str, Any] | None = None,
        kind: str = "model",
        deny_at: str = "high",
        enforcement: str = ENFORCE,
        store: str | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> None:
        """All parameters are templated, also inside `options`.

        Args:
            check: the check's name.
            artifact: a local path or any fsspec URI, or another task's output.
            options: what the check is asked; None stands for its default. Paths in it should be absolute.
            kind: what the artifact is: model, dataset or environment.
            deny_at: the mildest finding that fails the task: note, low, medium, high or critical.
            enforcement: `enforce`, or `audit`: a denial is signed, stored and told, but the task succeeds.
            store: URI of the evidence store. Default: PRATIQUE_STORE.
            key: path of the private key that signs. Default: this machine's own, PRATIQUE_KEY.
            kwargs: Airflow's own, such as `task_id` and `retries`.
        """
        super().__init__(**kwargs)
        self.check = check
        self.artifact = artifact
        self.options = {name: value for name, value in (options or {}).items() if value is not None}
        self.kind = kind
        self.deny_at = deny_at
        self.enforcement = enforcement
        self.store = store
        self.key = key

    def policy_in_force(self) -> Policy:
        """No finding at or above `deny_at`."""
        from pratique.policies import Policy

        check, deny_at = given("check", self.check), given("deny_at", self.deny_at)
        return Policy.single(check, self.options, kind=known_kind(self.kind), deny_at=deny_at)


def known_kind(written: str) -> Kind:
    """The kind of artifact, if there is one of that name: it may come from whoever triggered the DAG.

    Raises:
        UsageError: there is none.
    """
    for kind in KINDS:
        if written == kind:
            return kind
    raise UsageError(f"{written!r} is no kind of artifact", hint=f"one of: {', '.join(KINDS)}")
