"""Promotion: the only door to production."""

from kfp import dsl
from kfp.dsl import Artifact, Input, Model

from pratique.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def promote_model(
    model: Input[Model],
    clearance: Input[Artifact],
    policy: str,
    store: str,
    key: str,
    destination: str,
    channel: str,
    run_id: str,
) -> str:
    """Verify everything again, copy a model by its digest and move a channel to it; fail and change nothing otherwise.

    It believes nothing that the pipeline says: the clearance must be signed, about these very bytes, this policy and this
    run, and still hold; all evidence behind it is verified and judged once more. No input has a default, so that no step
    can be left out, and Kubeflow refuses to compile a pipeline that lets this one run after a failed gate.

    Args:
        model: What to promote: the `admitted` output of the gate.
        clearance: The `clearance` output of the same gate.
        policy: Path of the promoter's own copy of the policy in the step's file system (mount it), or `baseline`.
        store: URI of the evidence store; '' for the image's PRATIQUE_STORE.
        key: Path of the promoter's private key (mount a secret); '' for the image's PRATIQUE_KEY.
        destination: URI of the folder of promoted models, to which only the promoter can write.
        channel: The pointer to move, such as `production`.
        run_id: The run whose evidence counts: `dsl.PIPELINE_JOB_ID_PLACEHOLDER`.

    Returns:
        Where the promoted bytes lie: `<destination>/sha256/<digest>`.
    """
    from pratique import steps

    asked = {"policy": policy, "store": store, "key": key, "run_id": run_id}
    return steps.promote(model, clearance, destination=destination, channel=channel, **asked)
