"""The operator that puts a model into production. Everything before it may have been tampered with, so it believes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pratique.operators.base import BASELINE, Outcome, PratiqueOperator, given

if TYPE_CHECKING:
    from airflow.sdk import XComArg

    from pratique.artifacts import Subject


class PromoteModelOperator(PratiqueOperator):
    """Verify all evidence again, copy by digest, and move a channel.

        PromoteModelOperator(task_id="promote", artifact=tuned, expect=gate.output["subject"],
                             policy="release.yaml", destination="s3://models", key="promoter.key")

    It hashes the very bytes that it copies, and decides anew from signed evidence about them. So a gate that was marked as
    success, an edited XCom, a swapped file, forged or replayed evidence, or a trigger rule that runs it after a failed gate:
    none of them promotes anything. Give it a policy file and a key that neither the gate nor the training can write or read.
    """

    template_fields: Sequence[str] = ("artifact", "policy", "destination", "channel", "known_as", "expect", "store", "key")

    def __init__(
        self,
        *,
        artifact: str | XComArg,
        policy: str,
        destination: str,
        channel: str = "production",
        known_as: str | None = None,
        expect: str | XComArg | None = None,
        store: str | None = None,
        key: str | None = None,
        same_run: bool = True,
        **kwargs: Any,
    ) -> None:
        """All parameters but `same_run` are templated.

        Args:
            artifact: what to promote: a local path or any fsspec URI. Its bytes are hashed here.
            policy: path of the promoter's own copy of the policy; `baseline` for the one that ships with the package.
            destination: an fsspec folder that only the promoter can write to.
            channel: the pointer to move.
            known_as: the destination's name in the pointer, if its readers see it under another path or URI.
            expect: the artifact's digest, such as `gate.output["subject"]`; refuses any other, whatever evidence it has.
            store: URI of the evidence store. Default: PRATIQUE_STORE.
            key: path of the promoter's private key. Default: this machine's own, PRATIQUE_KEY.
            same_run: only evidence of this very DAG run counts. Turn it off only in a DAG that deploys what another DAG
                has judged; the age that the policy allows is then what keeps old evidence out.
            kwargs: Airflow's own, such as `task_id` and `retries`.
        """
        super().__init__(**kwargs)
        self.artifact = artifact
        self.policy = policy
        self.destination = destination
        self.channel = channel
        self.known_as = known_as
        self.expect = expect
        self.store = store
        self.key = key
        self.same_run = same_run
        self._pinned = expect is not None

    def act(self, run_id: str) -> Outcome:
        """Promote, or raise."""
        from pratique import documents, promotion
        from pratique.operators import telling
        from pratique.policies import Policy
        from pratique.signing import KeySigner
        from pratique.store import Store

        path, store = given("policy", self.policy), Store(self.store or "")
        done = promotion.promote(
            given("artifact", self.artifact),
            policy=Policy.baseline() if path == BASELINE else Policy.load(path),
            destination=given("destination", self.destination), channel=given("channel", self.channel),
            known_as=self.known_as or "", store=store, signer=KeySigner.load(Path(self.key).expanduser()) if self.key else None,
            run_id=run_id if self.same_run else "", expect=self._expected(),
        )  # fmt: skip
        pointer = telling.of_promotion(done, store=store.uri)
        for line in telling.verdict_lines(done.verdict):
            self.log.info("%s", line)
        for refused in done.refused:
            self.log.warning("proves nothing: %s", documents.short(refused))
        self.log.info("PROMOTED %s to %s, channel %s", pointer["subject"], pointer["uri"], pointer["channel"])
        return Outcome(pointer)

    def _expected(self) -> Subject | None:
        """The digest that the artifact must have. One that was asked for and came out empty is an error, not a blank."""
        from pratique.artifacts import Subject

        return Subject(digest=given("expect", self.expect)) if self._pinned else None
