"""The commands `pratique kfp`: compiled Kubeflow pipelines, looked at, signed and verified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pratique import ending, errors, files
from pratique.cli_trust import GIVEN, PATH, signer_of, signs, trusts, with_format

_SEVERITIES = ("note", "low", "medium", "high", "critical")


@click.group()
def kfp() -> None:
    """Compiled Kubeflow pipelines: what a run could do that nobody meant, and who compiled it."""


@kfp.command("lint")
@click.argument("pipeline", type=PATH)
@click.option(
    "--deny-at", type=click.Choice(_SEVERITIES), default="high", show_default=True, help="The mildest finding that fails."
)
@click.option(
    "--accept", type=GIVEN, multiple=True, metavar="ROLE=DIGEST",
    help="A reviewed component of your own: gate=, promotion= or check=sha256:... (repeatable).",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "sarif"]), default="text", show_default=True,
    help="For people, for machines, or for code-scanning dashboards (SARIF 2.1.0).",
)  # fmt: skip
def kfp_lint(pipeline: Path, deny_at: str, accept: tuple[str, ...], form: str) -> None:
    """Hold a compiled PIPELINE (YAML) against what a guarded one must be; exit 1 on a grave finding. Runs nothing."""
    from pratique.checking import Severity
    from pratique.pipelines import knowing, lint

    report = lint(_bytes(pipeline), what=str(pipeline), accepted=knowing.accepted(accept))
    least = Severity[deny_at.upper()]
    grave = [one for one in report.findings if one.severity >= least]
    data = {
        "pipeline": str(pipeline), "verdict": "denied" if grave else "passed", "measures": dict(report.measures),
        "findings": [
            {"rule": it.rule, "severity": it.severity.name.lower(), "message": it.message, "where": it.where, "fix": it.fix}
            for it in report.findings
        ],
    }  # fmt: skip
    if form == "sarif":
        ending.tell("json", _as_sarif(pipeline, report, str(data["verdict"])), "")
    else:
        ending.tell(form, data, "\n".join(_said(pipeline, report, len(grave))))
    if grave:
        raise ending.Ended(1)


def _as_sarif(pipeline: Path, report: Any, verdict: str) -> dict[str, Any]:
    """The findings for code-scanning dashboards; each lies in the one file, at a task."""
    from pratique import __version__, sarif
    from pratique.pipelines.linting import RULES

    return sarif.log(
        sarif.Look(
            check="kfp-lint", version=__version__, findings=report.findings, rules=sarif.rules_of(RULES), verdict=verdict,
            files=sarif.files_of([pipeline.name], str(pipeline), single=True), whole="compiled pipeline",
        )
    )  # fmt: skip


def _said(pipeline: Path, report: Any, grave: int) -> list[str]:
    """A line for each finding, its remedies once, and what was looked at."""
    lines = [f"{one.severity.name.lower():<8} {one.rule}: {one.message} (task {one.where})" for one in report.findings]
    lines += [f"Remedy: {fix}" for fix in dict.fromkeys(one.fix for one in report.findings)]
    count = {name: int(value) for name, value in report.measures.items()}
    parts = ", ".join(f"{count[name]} {name}" for name in ("tasks", "gates", "checks", "promotions"))
    lines.append(f"{pipeline}: {parts}; {len(report.findings)} findings, {grave} of them grave")
    if not count["promotions"]:
        lines.append(
            "It promotes nothing by a component of the catalogue, so whether something guards a promotion was not asked."
        )
    return lines


@kfp.command("sign")
@click.argument("pipeline", type=PATH)
@signs("")
@with_format
def kfp_sign(pipeline: Path, named: Any, form: str) -> None:
    """Sign a compiled PIPELINE: the signature lies beside it, as PIPELINE.sig (OpenSSF Model Signing)."""
    from pratique import oms

    _ensure_pipeline(pipeline)
    written = oms.write_signature(pipeline, signer_of(named))
    ending.tell(form, {"signature": str(written)}, f"signed: {written}")


@kfp.command("verify")
@click.argument("pipeline", type=PATH)
@trusts
@click.option("--signature", type=PATH, help="File of the signature, if it lies elsewhere.")
@with_format
def kfp_verify(pipeline: Path, trusted: list[Any], signature: Path | None, form: str) -> None:
    """Verify who compiled PIPELINE, and that nobody has changed it since: before it is uploaded or run."""
    from pratique import verifying

    _ensure_pipeline(pipeline)
    proof = verifying.path(pipeline, trusted, signature=signature)
    ending.tell(form, {"holds": True, **proof.data}, "\n".join(proof.steps))


def _ensure_pipeline(path: Path) -> None:
    from pratique.pipelines.reading import read

    read(_bytes(path), what=str(path))


def _bytes(path: Path) -> bytes:
    from pratique.pipelines.reading import MAX_BYTES

    try:
        return files.read(path, most=MAX_BYTES, regular=True)
    except OSError as error:
        hint = "kfp dsl compile --py pipeline.py --output pipeline.yaml"
        raise errors.ArtifactError(f"cannot read {path}: {error.strerror or error}", hint=hint) from error
