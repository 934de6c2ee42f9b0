"""The check `dataset` as a step. Written by tools/components.py: change the check's options instead."""

from typing import Optional

from kfp import dsl
from kfp.dsl import HTML, Artifact, Input, Metrics, Output

from pratique.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def validate_dataset(
    artifact: Input[Artifact],
    run_id: str,
    evidence: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    profile: Optional[str] = None,
    suite: Optional[str] = None,
    false_alarm_rate: float = 0.01,
    min_rows: int = 50,
    must_detect: Optional[list[str]] = None,
    min_power: float = 0.8,
    policy: Optional[str] = None,
    deny_at: Optional[str] = None,
    store: str = "",
    key: str = "",
) -> str:
    """Drift, label noise, triggers, anomalies, duplicates, ranges and schema against a reference profile.

    Keeps signed evidence of what it saw, and then fails on a finding at or above `deny_at`. It hands no artifact on and
    clears nothing: to train on exactly what was judged, or to promote it, use `gate`. What to ask comes from the options here
    (paths are those of the step's file system) or from `policy`.

    Args:
        artifact: What to look at: any artifact of an earlier step, or a `dsl.importer` for a path or a URI.
        run_id: This run: `dsl.PIPELINE_JOB_ID_PLACEHOLDER`.
        evidence: What was seen, as a signed in-toto test result in a Sigstore bundle; a copy of the one in the store.
        report: What was seen, as a page.
        metrics: Every measure, and the number of findings of each severity.
        profile: The reference profile, as `pratique profile` makes it of approved data. It names the label column, too.
            Needed, unless `policy` is given.
        suite: A Great Expectations 1.x suite file. Without one, the suite that `pratique.suites.default` proposes for the
            profile.
        false_alarm_rate: Of the proposed suite: chance that a batch just like the reference fails. A suite file holds its own
            alphas.
        min_rows: Of the proposed suite: fewest rows. With less than some hundred rows little can be detected.
        must_detect: Poison that the suite must have been measured to find, each `kind=share`: `flipped-labels=0.02`. Else:
            inconclusive. Default: .
        min_power: How often it must have found that; the lower end of the measured 95 % interval counts.
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
        "profile": profile,
        "suite": suite,
        "false_alarm_rate": false_alarm_rate,
        "min_rows": min_rows,
        "must_detect": must_detect,
        "min_power": min_power,
    }
    return steps.check(
        "dataset", artifact, evidence=evidence, report=report, metrics=metrics, run_id=run_id, asked=asked,
        policy=policy, deny_at=deny_at, store=store, key=key,
    )  # fmt: skip
