"""The gate: hold an artifact against a policy."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Input, Metrics, Output

from pratique.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def gate(
    artifact: Input[Artifact],
    policy: str,
    store: str,
    key: str,
    run_id: str,
    admitted: Output[Artifact],
    clearance: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
) -> None:
    """Admit an artifact if a policy is satisfied; fail if it is not, or if nothing could be decided.

    Every signature is verified. Evidence that other steps of this run left in the store counts; required checks that left
    none are run here. No input has a default, so that none can be forgotten.

    Whatever comes next should take `admitted`, which is the copy that was judged; what went in may have changed since.

    Args:
        artifact: What to judge: any artifact of an earlier step, or a `dsl.importer` for a path or a URI.
        policy: Path of the policy in the step's file system (mount it), or `baseline`.
        store: URI of the evidence store; '' for the image's PRATIQUE_STORE.
        key: Path of the gate's private key (mount a secret); '' for the image's PRATIQUE_KEY.
        run_id: This run: `dsl.PIPELINE_JOB_ID_PLACEHOLDER`.
        admitted: The very copy that was judged.
        clearance: The signed clearance, a SLSA verification summary in a Sigstore bundle.
        report: The decision, its reasons and what each check saw, as a page.
        metrics: The measures of every check, as `check.measure`.
    """
    from pratique import steps

    asked = {"policy": policy, "store": store, "key": key, "run_id": run_id}
    steps.gate(artifact, admitted=admitted, clearance=clearance, report=report, metrics=metrics, **asked)
