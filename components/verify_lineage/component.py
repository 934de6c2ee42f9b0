"""The check `lineage` as a step. Written by tools/components.py: change the check's options instead."""

from typing import Any, Optional

from kfp import dsl
from kfp.dsl import HTML, Artifact, Input, Metrics, Output

from pratique.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def verify_lineage(
    artifact: Input[Artifact],
    run_id: str,
    evidence: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    trainers: Optional[list[Any]] = None,
    gates: Optional[list[Any]] = None,
    base_policy: Optional[str] = None,
    dataset_policy: Optional[str] = None,
    require_base: bool = True,
    require_dataset: bool = True,
    policy: Optional[str] = None,
    deny_at: Optional[str] = None,
    store: str = "",
    key: str = "",
) -> str:
    """Whether somebody trusted recorded the training, and each base model and dataset in the record is cleared now.

    Keeps signed evidence of what it saw, and then fails on a finding at or above `deny_at`. It hands no artifact on and
    clears nothing: to train on exactly what was judged, or to promote it, use `gate`. What to ask comes from the options here
    (paths are those of the step's file system) or from `policy`.

    Args:
        artifact: What to look at: any artifact of an earlier step, or a `dsl.importer` for a path or a URI.
        run_id: This run: `dsl.PIPELINE_JOB_ID_PLACEHOLDER`.
        evidence: What was seen, as a signed in-toto test result in a Sigstore bundle; a copy of the one in the store.
        report: What was seen, as a page.
        metrics: Every measure, and the number of findings of each severity.
        trainers: Who may have recorded the training: names under the policy's `trust`, or files of public keys relative to
            the policy. Needed, unless `policy` is given.
        gates: Who may have cleared the base model and the datasets: names or files of public keys. Needed, unless `policy` is
            given.
        base_policy: The policy under which the base model must have been cleared. Without it, any policy that one of `gates`
            used counts.
        dataset_policy: The policy under which each dataset must have been cleared. Without it, any policy that one of `gates`
            used counts.
        require_base: Whether there must be a base model; one that is there must be cleared either way.
        require_dataset: Whether there must be a dataset; one that is there must be cleared either way.
        policy: Path of a policy in the step's file system that asks the question, instead of all options here.
        deny_at: The mildest finding that fails the step: note, low, medium, high or critical; or `never`, which leaves the
            decision to a gate of this run. Default: high, or as the policy says.
        store: URI of the evidence store; '' for the image's PRATIQUE_STORE.
        key: Path of the private key that signs (mount a secret); '' for the image's PRATIQUE_KEY.

    Returns:
        The digest of the evidence: its name in the store.
    """
    from pratique import steps

    asked = {
        "trainers": trainers,
        "gates": gates,
        "base_policy": base_policy,
        "dataset_policy": dataset_policy,
        "require_base": require_base,
        "require_dataset": require_dataset,
    }
    return steps.check(
        "lineage", artifact, evidence=evidence, report=report, metrics=metrics, run_id=run_id, asked=asked,
        policy=policy, deny_at=deny_at, store=store, key=key,
    )  # fmt: skip
