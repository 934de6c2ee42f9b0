"""A dataset's Croissant description, where there is one, against the files beside it."""

from __future__ import annotations

from dataclasses import replace

from pratique import croissant
from pratique.artifacts import Artifact
from pratique.checking import Finding, Report, Severity
from pratique.checks.provenance.comparing import MOST
from pratique.croissant import Rule

MEASURES = {"described_files": "files with the very sha256 that the Croissant description gives them"}

_WEIGHTS: dict[Rule, tuple[Severity, str]] = {
    "croissant-mismatch": (Severity.HIGH, "do not use it; either the file or its description is not the publisher's"),
    "croissant-malformed": (Severity.MEDIUM, "have the publisher mend the description, or leave it out"),
    "croissant-missing": (Severity.MEDIUM, "get the whole delivery again, or have the publisher correct the description"),
    "croissant-unverified": (Severity.NOTE, "have the publisher give each file a sha256"),
}


def described(artifact: Artifact, report: Report) -> Report:
    """The report, and what the description adds to it: findings, a measure, and itself as a material."""
    found = None if artifact.is_file else croissant.find(artifact.root, artifact.entries)
    if found is None:
        return report
    findings: list[Finding] = []
    for rule, (severity, fix) in _WEIGHTS.items():
        problems = [one for one in found.compare(artifact.entries) if one.rule == rule]
        findings += [Finding(rule=rule, severity=severity, message=p.message, where=p.path, fix=fix) for p in problems[:MOST]]
        if len(problems) > MOST:
            message = f"and {len(problems) - MOST:,} more, {len(problems):,} in all"
            findings.append(Finding(rule=rule, severity=severity, message=message, fix=fix))
    return replace(
        report,
        findings=(*report.findings, *findings),
        measures={**report.measures, "described_files": float(found.verified(artifact.entries))},
        materials=(*report.materials, found.subject),
    )
