"""A gate and the promotion behind it, in one line of somebody's DAG.

train() >> guarded_promotion(artifact="s3://scratch/tuned", policy="/etc/pratique/release.yaml", destination="s3://models")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup  # noqa: TID253

from pratique.operators.gates import GateOperator
from pratique.operators.promoting import PromoteModelOperator

if TYPE_CHECKING:
    from airflow.sdk import XComArg


def guarded_promotion(
    *,
    artifact: str | XComArg,
    policy: str,
    destination: str,
    promoter_policy: str | None = None,
    channel: str = "production",
    known_as: str | None = None,
    enforcement: str = "enforce",
    store: str | None = None,
    gate_key: str | None = None,
    promoter_key: str | None = None,
    group_id: str = "guarded_promotion",
    **kwargs: Any,
) -> TaskGroup:
    """Judge a model, and promote exactly what was judged; the tasks are `<group_id>.gate` and `<group_id>.promote`.

    Args:
        artifact: a local path or any fsspec URI, or another task's output. Both tasks must be able to read it.
        policy: path of the policy file.
        destination: an fsspec folder that only the promoter can write to.
        promoter_policy: path of the promoter's own copy of the policy; `policy` if left out. Let it lie where neither the gate
            nor the training can write.
        channel: the pointer to move.
        known_as: the destination's name in the pointer, if its readers see it under another path or URI.
        enforcement: of the gate: `enforce`, or `audit`. The promotion refuses in either mode what the policy denies.
        store: URI of the evidence store. Default: PRATIQUE_STORE.
        gate_key: path of the gate's private key. Default: the gate's machine's own, PRATIQUE_KEY.
        promoter_key: path of the promoter's private key. Default: the promoter's machine's own, PRATIQUE_KEY.
        group_id: names the group of tasks.
        kwargs: Airflow's own for a TaskGroup, such as `default_args`.
    """
    with TaskGroup(group_id=group_id, **kwargs) as group:
        gate = GateOperator(
            task_id="gate", artifact=artifact, policy=policy, enforcement=enforcement, store=store, key=gate_key
        )  # fmt: skip
        PromoteModelOperator(
            task_id="promote", artifact=artifact, expect=gate.output["subject"], policy=promoter_policy or policy,
            destination=destination, channel=channel, known_as=known_as, store=store, key=promoter_key,
        )  # fmt: skip
    return group
