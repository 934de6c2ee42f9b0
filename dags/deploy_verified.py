"""A deployment that verifies again: it is started by the event of a promotion, believes nothing of it, and reads the channel.

The event comes from `promote` in `transfer_learning`, or from anybody who may create events. What is deployed is what the
promoter's signed pointer names, as long as it holds, and only if the bytes at the destination still have that digest.

Variables: `pratique_destination` (where models are promoted to) and `pratique_promoter` (the promoter's public key file).
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, dag, task  # noqa: TID253

PRODUCTION = Asset(name="pratique-production", uri="x-pratique://production")


@dag(schedule=[PRODUCTION], tags=["pratique"])
def deploy_verified() -> None:
    """From the signed pointer to a running model."""

    @task
    def fetch(destination: str, promoter: str) -> str:
        """A private copy of exactly what was promoted."""
        from pathlib import Path

        from pratique import promotion
        from pratique.trust import from_text

        pointer = promotion.read_channel(destination, "production", [from_text(promoter, Path())])
        return str(promotion.verify_promoted(pointer.statement, destination).root)

    @task
    def serve(model: Any) -> list[str]:
        """Your deployment; this one only tells what it would load."""
        from pathlib import Path

        return sorted(path.name for path in Path(model).rglob("*"))

    serve(fetch("{{ var.value.pratique_destination }}", "{{ var.value.pratique_promoter }}"))


deploy_verified()
