"""Transfer learning, guarded: a supplier's model and a publisher's dataset in, a promoted model out.

    admit_base ─┐
                ├─ fine_tune ── admit_model ── promote
    admit_dataset ─┘

The folder `policies` holds three policies: what a base model must be (`base.yaml`), what a dataset must be (`dataset.yaml`),
and what a fine-tuned model must be (`release.yaml`), which asks for its lineage: trained here, on what the first two admitted.

Three keys, three duties: the gate's signs evidence, the trainer's signs what training used and made, the promoter's moves
the channel. In production they belong to different identities; the training must never hold the gate's or the promoter's.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, Param, dag, task  # noqa: TID253

from pratique.operators import GateOperator, PromoteModelOperator

PRODUCTION = Asset(name="pratique-production", uri="x-pratique://production")
"""Its events start `deploy_verified`, which verifies again."""

PARAMS = {
    "base_model": Param(type="string", minLength=1, description="The supplier's signed base model: a path or a URI."),
    "dataset": Param(type="string", minLength=1, description="The publisher's signed dataset: a path or a URI."),
    "policies": Param(type="string", minLength=1, description="Folder with base.yaml, dataset.yaml and release.yaml."),
    "workspace": Param(type="string", minLength=1, description="Folder in which the fine-tuned model is written."),
    "store": Param("", type="string", description="The evidence store, any fsspec URI. Empty: PRATIQUE_STORE."),
    "destination": Param(type="string", minLength=1, description="Where models are promoted to, any fsspec URI."),
    "gate_key": Param("", type="string", description="The gate's private key. Empty: PRATIQUE_KEY."),
    "trainer_key": Param(type="string", minLength=1, description="The trainer's private key."),
    "promoter_key": Param("", type="string", description="The promoter's private key. Empty: PRATIQUE_KEY."),
}


@task
def fine_tune(base: str, dataset: str, *, params: dict[str, Any] | None = None, ti: Any = None) -> str:
    """Train on the copies that the gates admitted, and sign a record of what went in and what came out."""
    from pathlib import Path

    from pratique import training
    from pratique.demonstration import digits
    from pratique.signing import KeySigner
    from pratique.store import Store

    asked = params or {}
    output = Path(asked["workspace"]) / f"{ti.run_id}-{ti.try_number}" / "tuned"
    with training.record(
        base=base, datasets=[dataset], output=output, signer=KeySigner.load(Path(asked["trainer_key"])),
        store=Store(asked["store"]), run_id=f"{ti.dag_id}/{ti.run_id}", parameters={"recipe": "digits"},
    ) as run:  # fmt: skip
        digits.fine_tune(run.base.root, run.datasets[0].root, run.output)
    return str(output)


@dag(schedule=None, params=PARAMS, tags=["pratique"])
def transfer_learning() -> None:
    """From a supplier's door to production, with a gate at each step."""
    admit_base = GateOperator(
        task_id="admit_base",
        artifact="{{ params.base_model }}",
        policy="{{ params.policies }}/base.yaml",
        store="{{ params.store }}",
        key="{{ params.gate_key }}",
    )
    admit_dataset = GateOperator(
        task_id="admit_dataset",
        artifact="{{ params.dataset }}",
        policy="{{ params.policies }}/dataset.yaml",
        store="{{ params.store }}",
        key="{{ params.gate_key }}",
    )
    tuned = fine_tune(admit_base.output["path"], admit_dataset.output["path"])
    admit_model = GateOperator(
        task_id="admit_model",
        artifact=tuned,
        policy="{{ params.policies }}/release.yaml",
        store="{{ params.store }}",
        key="{{ params.gate_key }}",
    )
    PromoteModelOperator(
        task_id="promote",
        artifact=tuned,
        expect=admit_model.output["subject"],
        policy="{{ params.policies }}/release.yaml",
        destination="{{ params.destination }}",
        store="{{ params.store }}",
        key="{{ params.promoter_key }}",
        outlets=[PRODUCTION],
    )


transfer_learning()
