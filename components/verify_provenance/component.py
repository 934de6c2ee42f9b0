"""The check `provenance` as a step. Written by tools/components.py: change the check's options instead."""

from typing import Any, Optional

from kfp import dsl
from kfp.dsl import HTML, Artifact, Input, Metrics, Output

from pratique.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def verify_provenance(
    artifact: Input[Artifact],
    run_id: str,
    evidence: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    signers: Optional[list[Any]] = None,
    signature: str = "model.sig",
    detached: Optional[str] = None,
    allow: Optional[list[str]] = None,
    name: Optional[str] = None,
    min_version: Optional[str] = None,
    subject: Optional[str] = None,
    max_signature_age: Optional[str] = None,
    policy: Optional[str] = None,
    kind: Optional[str] = None,
    deny_at: Optional[str] = None,
    store: str = "",
    key: str = "",
) -> str:
    """Whether a trusted publisher signed exactly these files (OpenSSF Model Signing v1.0, or the manifest of a dataset).

    Keeps signed evidence of what it saw, and then fails on a finding at or above `deny_at`. It hands no artifact on and
    clears nothing: to train on exactly what was judged, or to promote it, use `gate`. What to ask comes from the options here
    (paths are those of the step's file system) or from `policy`.

    Args:
        artifact: What to look at: any artifact of an earlier step, or a `dsl.importer` for a path or a URI.
        run_id: This run: `dsl.PIPELINE_JOB_ID_PLACEHOLDER`.
        evidence: What was seen, as a signed in-toto test result in a Sigstore bundle; a copy of the one in the store.
        report: What was seen, as a page.
        metrics: Every measure, and the number of findings of each severity.
        signers: Who may have signed: names under the policy's `trust`, files of public keys relative to it, or entries as
            there. Needed, unless `policy` is given.
        signature: Path of the signature inside the artifact. One whose name ends in `.manifest.sigstore.json` is that of a
            dataset's manifest (`pratique manifest sign`), any other one is of OpenSSF Model Signing.
        detached: File of a signature outside of the artifact, relative to the policy; `signature` is not looked for then.
        allow: What is accepted because the format accepts it: `empty-folders`, `ignored-paths`, `git-paths`, `unsigned-files`
            ... Default: .
        name: What the publisher must call it in the signature (by habit, the name of the folder that was signed).
        min_version: The oldest version to take, such as `1.4.0`, by what the publisher signed (`pratique sign --version`).
        subject: The one artifact to take, by the digest that `pratique digest` prints. It binds names and contents.
        max_signature_age: How long ago it may have been signed (ISO 8601, such as P90D), by a timestamp or a log; without
            either, it is too old.
        policy: Path of a policy in the step's file system that asks the question, instead of all options here.
        kind: What the artifact is: model or dataset. Default: model.
        deny_at: The mildest finding that fails the step: note, low, medium, high or critical; or `never`, which leaves the
            decision to a gate of this run. Default: high, or as the policy says.
        store: URI of the evidence store; '' for the image's PRATIQUE_STORE.
        key: Path of the private key that signs (mount a secret); '' for the image's PRATIQUE_KEY.

    Returns:
        The digest of the evidence: its name in the store.
    """
    from pratique import steps

    asked = {
        "signers": signers,
        "signature": signature,
        "detached": detached,
        "allow": allow,
        "name": name,
        "min_version": min_version,
        "subject": subject,
        "max_signature_age": max_signature_age,
    }
    return steps.check(
        "provenance", artifact, evidence=evidence, report=report, metrics=metrics, run_id=run_id, asked=asked,
        policy=policy, kind=kind, deny_at=deny_at, store=store, key=key,
    )  # fmt: skip
