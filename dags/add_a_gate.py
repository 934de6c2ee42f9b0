"""A gate in somebody's DAG: one operator, the baseline policy, no other set-up. Nothing that could run code gets past it."""

from __future__ import annotations

from airflow.sdk import dag, task  # noqa: TID253

from pratique.operators import GateOperator


@dag(schedule=None, params={"base_model": "models/base"}, tags=["pratique"])
def add_a_gate() -> None:
    """Train on a base model only if a gate admitted it."""
    base = GateOperator(task_id="admit_base", artifact="{{ params.base_model }}")

    @task
    def train(model: str) -> list[str]:
        """Your training; this one only tells what it was given."""
        from pathlib import Path

        return sorted(path.name for path in Path(model).rglob("*"))

    train(base.output["path"])


add_a_gate()
