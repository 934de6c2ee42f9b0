"""The check `isolation` as a step. Written by tools/components.py: change the check's options instead."""

from typing import Any, Optional

from kfp import dsl
from kfp.dsl import HTML, Artifact, Input, Metrics, Output

from pratique.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def verify_isolation(
    artifact: Input[Artifact],
    run_id: str,
    evidence: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    train: Optional[list[str]] = None,
    deploy: Optional[list[str]] = None,
    broker: Optional[list[str]] = None,
    scope: str = "cluster",
    exceptions: Optional[list[Any]] = None,
    train_stores: Optional[list[str]] = None,
    pod_cidrs: Optional[list[str]] = None,
    known_groups: Optional[list[str]] = None,
    admission_policies: Optional[list[str]] = None,
    kubernetes: bool = True,
    airflow: Optional[dict[str, Any]] = None,
    policy: Optional[str] = None,
    deny_at: Optional[str] = None,
    store: str = "",
    key: str = "",
) -> str:
    """Whether training can reach deployment, or deployment training: by rights, networks, storage, secrets or nodes.

    Keeps signed evidence of what it saw, and then fails on a finding at or above `deny_at`. It hands no artifact on and
    clears nothing: to train on exactly what was judged, or to promote it, use `gate`. What to ask comes from the options here
    (paths are those of the step's file system) or from `policy`.

    Args:
        artifact: What to look at: any artifact of an earlier step, or a `dsl.importer` for a path or a URI.
        run_id: This run: `dsl.PIPELINE_JOB_ID_PLACEHOLDER`.
        evidence: What was seen, as a signed in-toto test result in a Sigstore bundle; a copy of the one in the store.
        report: What was seen, as a page.
        metrics: Every measure, and the number of findings of each severity.
        train: Namespaces of training. Default: 'ml-train'.
        deploy: Namespaces of deployment. Default: 'ml-deploy'.
        broker: Namespaces of what promotes; they may reach both sides. Default: 'ml-broker'.
        scope: `cluster`: the description is all of a cluster, and what is missing denies. `rendering`: it is what a chart
            makes.
        exceptions: Breaches that somebody answers for: `rule`, `where` (exactly as the finding says it), `reason`, `owner`,
            `until`. Default: .
        train_stores: URI prefixes of buckets that training may write to. Unless it is said, any bucket that deployment reads
            is undecided.
        pod_cidrs: Addresses of pods. Unless they are said, a network policy that names addresses may mean pods. Default: .
        known_groups: API groups of custom resources that start no pods and hold no secrets, besides those that are known.
            Default: .
        admission_policies: Admission policies of your own that you reviewed, such as `lock=sha256:...`, besides those of the
            chart. Default: .
        kubernetes: Judge Kubernetes manifests. Turn it off only where the artifact describes nothing but Airflow.
        airflow: Judge two sides of Airflow: `train` and `deploy`, paths of JSON files inside the artifact.
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
        "train": train,
        "deploy": deploy,
        "broker": broker,
        "scope": scope,
        "exceptions": exceptions,
        "train_stores": train_stores,
        "pod_cidrs": pod_cidrs,
        "known_groups": known_groups,
        "admission_policies": admission_policies,
        "kubernetes": kubernetes,
        "airflow": airflow,
    }
    return steps.check(
        "isolation", artifact, evidence=evidence, report=report, metrics=metrics, run_id=run_id, asked=asked,
        policy=policy, deny_at=deny_at, store=store, key=key,
    )  # fmt: skip
