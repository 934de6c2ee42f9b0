"""The check `artifact` as a step. Written by tools/components.py: change the check's options instead."""

from typing import Any, Optional

from kfp import dsl
from kfp.dsl import HTML, Artifact, Input, Metrics, Output

from pratique.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def scan_artifact(
    artifact: Input[Artifact],
    run_id: str,
    evidence: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    formats: Optional[list[str]] = None,
    pickle_packs: Optional[list[str]] = None,
    pickle_globals: Optional[list[str]] = None,
    code_files: Optional[dict[str, Any]] = None,
    onnx_domains: Optional[list[str]] = None,
    templates: str = "refuse",
    second_opinions: Optional[list[str]] = None,
    max_json_bytes: int = 67108864,
    max_text_bytes: int = 67108864,
    policy: Optional[str] = None,
    kind: Optional[str] = None,
    deny_at: Optional[str] = None,
    store: str = "",
    key: str = "",
) -> str:
    """Whether any file can carry code, or is of a format that nobody asked for.

    Keeps signed evidence of what it saw, and then fails on a finding at or above `deny_at`. It hands no artifact on and
    clears nothing: to train on exactly what was judged, or to promote it, use `gate`. What to ask comes from the options here
    (paths are those of the step's file system) or from `policy`.

    Args:
        artifact: What to look at: any artifact of an earlier step, or a `dsl.importer` for a path or a URI.
        run_id: This run: `dsl.PIPELINE_JOB_ID_PLACEHOLDER`.
        evidence: What was seen, as a signed in-toto test result in a Sigstore bundle; a copy of the one in the store.
        report: What was seen, as a page.
        metrics: Every measure, and the number of findings of each severity.
        formats: Formats that are allowed. `pickle`, `torch` (checkpoints) and `npy` (.npy and .npz) hold pickles: of plain
            data, and of what `pickle_packs` and `pickle_globals` allow. `torchscript` holds a program of operators that only
            compute. `archive` (zip, tar, and files compressed one by one) holds files, which are looked at like those beside
            it. `yaml` is configurations (Hydra, NeMo, MLflow's MLmodel), `xml` is PMML and OpenVINO. Default: 'csv', 'json',
            'parquet', 'safetensors', 'text'.
        pickle_packs: Allow-lists for pickles: whatever they name may be imported. `torch` for state dicts, `sklearn` and
            `joblib` for estimators. Default: .
        pickle_globals: Single globals that pickles, skops and YAML may import, with their roles: `new acme.nets.Net`. Roles:
            call, new, ref, state, items, pairs. Default: .
        code_files: Programs that somebody has read, by their paths in the artifact, each with its digest: `{modeling_x.py:
            "sha256:..."}`. They pass as long as they are these to the last byte.
        onnx_domains: Domains of operators beside ONNX's own (`com.microsoft`), for runtimes that have these built in.
            Default: .
        templates: Jinja in JSON (`chat_template`) and in `.jinja` files: `refuse` it, or let pass what an allow-list has
            `vetted`.
        second_opinions: Other scanners to ask about each file that may hold a pickle, in the sandbox. What they say is only
            ever added; one that does not answer denies. Default: .
        max_json_bytes: Largest JSON document. Tokenizers of large vocabularies take about 35 MB.
        max_text_bytes: Largest text file. CSV and JSON Lines are bounded by the line instead.
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
        "formats": formats,
        "pickle_packs": pickle_packs,
        "pickle_globals": pickle_globals,
        "code_files": code_files,
        "onnx_domains": onnx_domains,
        "templates": templates,
        "second_opinions": second_opinions,
        "max_json_bytes": max_json_bytes,
        "max_text_bytes": max_text_bytes,
    }
    return steps.check(
        "artifact", artifact, evidence=evidence, report=report, metrics=metrics, run_id=run_id, asked=asked,
        policy=policy, kind=kind, deny_at=deny_at, store=store, key=key,
    )  # fmt: skip
