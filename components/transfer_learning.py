"""Transfer learning, guarded, as a Kubeflow pipeline: a supplier's model and a publisher's dataset in, a promoted model out.

    admit_base ───────────────────────┐
                                      ├─ fine_tune_digits ── admit_model ── promote_model
    validate_dataset ── admit_dataset ┘

The folder `policies` lies in the file system of the steps, and holds three policies: what a base model must be (`base.yaml`),
what a dataset must be (`dataset.yaml`), and what a fine-tuned model must be (`release.yaml`), which asks for its lineage:
trained here, on what the first two admitted.

Three keys, three duties: the gate's signs evidence, the trainer's signs what training used and made, the promoter's moves the
channel. In production, the last step belongs into a pipeline, a namespace and a service account of its own (docs/kubeflow.md).
"""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from pratique.components.caching import uncached
from pratique.components.gate.component import gate
from pratique.components.image import IMAGE
from pratique.components.promote_model.component import promote_model
from pratique.components.validate_dataset.component import validate_dataset


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def fine_tune_digits(
    base: Input[Artifact],
    dataset: Input[Artifact],
    model: Output[Model],
    store: str,
    key: str,
    run_id: str,
    epochs: int = 40,
) -> None:
    """The training of the demo; a step of your own looks like this.

    Args:
        base: The base model: the `admitted` output of its gate.
        dataset: The dataset: the `admitted` output of its gate.
        model: The fine-tuned model.
        store: URI of the evidence store; '' for the image's PRATIQUE_STORE.
        key: Path of the trainer's private key (mount a secret), which is no gate's.
        run_id: This run: `dsl.PIPELINE_JOB_ID_PLACEHOLDER`.
        epochs: Passes over the dataset.
    """
    from pratique import steps
    from pratique.demonstration import digits

    asked = {"store": store, "key": key, "run_id": run_id}
    with steps.training(dataset, base=base, model=model, parameters={"epochs": epochs}, **asked) as run:
        digits.fine_tune(run.base.root, run.datasets[0].root, run.output, epochs=epochs)


@dsl.pipeline(name="transfer-learning")
def transfer_learning(
    base_model: str,
    dataset: str,
    policies: str,
    store: str,
    destination: str,
    channel: str,
    gate_key: str,
    trainer_key: str,
    promoter_key: str,
) -> str:
    """From a supplier's door to production, with a gate at each step.

    Args:
        base_model: The supplier's signed base model: a path or a URI.
        dataset: The publisher's signed dataset: a path or a URI.
        policies: Folder with base.yaml, dataset.yaml and release.yaml.
        store: The evidence store, any fsspec URI.
        destination: Where models are promoted to, any fsspec URI.
        channel: The pointer to move, such as `production`.
        gate_key: Path of the gate's private key.
        trainer_key: Path of the trainer's private key.
        promoter_key: Path of the promoter's private key.

    Returns:
        Where the promoted model lies.
    """
    run_id = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    gates = {"store": store, "key": gate_key, "run_id": run_id}
    supplied = dsl.importer(artifact_uri=base_model, artifact_class=Model, reimport=True)
    published = dsl.importer(artifact_uri=dataset, artifact_class=Dataset, reimport=True)

    admit_base = gate(artifact=supplied.output, policy=f"{policies}/base.yaml", **gates)
    admit_base.set_display_name("admit base")
    validation = validate_dataset(artifact=published.output, policy=f"{policies}/dataset.yaml", **gates)
    admit_dataset = gate(artifact=published.output, policy=f"{policies}/dataset.yaml", **gates).after(validation)
    admit_dataset.set_display_name("admit dataset")
    training = fine_tune_digits(
        base=admit_base.outputs["admitted"], dataset=admit_dataset.outputs["admitted"],
        store=store, key=trainer_key, run_id=run_id,
    )  # fmt: skip
    admit_model = gate(artifact=training.outputs["model"], policy=f"{policies}/release.yaml", **gates)
    admit_model.set_display_name("admit model")
    promotion = promote_model(
        model=admit_model.outputs["admitted"], clearance=admit_model.outputs["clearance"],
        policy=f"{policies}/release.yaml", store=store, key=promoter_key,
        destination=destination, channel=channel, run_id=run_id,
    )  # fmt: skip
    uncached(supplied, published, admit_base, validation, admit_dataset, training, admit_model, promotion)
    return promotion.output  # type: ignore[no-any-return]
