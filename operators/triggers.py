"""What waits for evidence in Airflow's triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent  # noqa: TID253

from pratique.errors import Error
from pratique.operators.waiting import is_final, verdict_on


class EvidenceTrigger(BaseTrigger):
    """Fires once it is worth a worker's look: the policy is satisfied, something speaks against the artifact, or an error."""

    def __init__(self, *, subject: str, policy: str, store: str, run_id: str, every: float) -> None:
        """Plain values only: Airflow keeps them in its database.

        Args:
            subject: the artifact's digest.
            policy: path of the policy file, on the triggerer.
            store: URI of the evidence store; '' for PRATIQUE_STORE.
            run_id: only evidence of this run counts; '' for any.
            every: seconds between two looks.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.asked = {"subject": subject, "policy": policy, "store": store, "run_id": run_id}
        self.every = every

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow makes it again in another process."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {**self.asked, "every": self.every}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, sleep, look again. The reading is done in a thread: it blocks."""
        while True:
            try:
                verdict = await asyncio.to_thread(verdict_on, **self.asked)
            except Error as error:
                if not error.retryable:
                    yield _event("undecided")
                    return
            else:
                if verdict.admitted or is_final(verdict):
                    yield _event("admitted" if verdict.admitted else "denied")
                    return
            await asyncio.sleep(self.every)


def _event(verdict: str) -> TriggerEvent:
    return TriggerEvent({"verdict": verdict})  # type: ignore[no-untyped-call]
