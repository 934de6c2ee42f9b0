"""An audit: look again at everything in production."""

from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from pratique.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def audit(
    destination: str,
    policy: str,
    store: str,
    key: str,
    renew: str,
    run_id: str,
    report: Output[HTML],
    metrics: Output[Metrics],
) -> None:
    """Look at everything in production as a promotion would today; fail unless all of it is as it should be.

    Pointers, bytes, evidence, what the policy has revoked, and dates. Whoever the policy trusts counts as a promoter. With a
    gate's key, checks whose evidence is missing or too old run again; with the promoter's, what is admitted gets a later date.

    Args:
        destination: URI of the folder of promoted models.
        policy: Path of the policy that must hold now, in the step's file system (mount it).
        store: URI of the evidence store; '' for the image's PRATIQUE_STORE.
        key: Path of a gate's private key (mount a secret); '' to run no check again.
        renew: Path of the promoter's private key (mount a secret); '' to renew nothing.
        run_id: This run: `dsl.PIPELINE_JOB_ID_PLACEHOLDER`.
        report: What is in production, with what needs somebody first, as a page.
        metrics: How many channels are in which state.
    """
    from pratique import steps

    asked = {"policy": policy, "store": store, "key": key, "renew": renew, "run_id": run_id}
    steps.audit(destination, report=report, metrics=metrics, **asked)
