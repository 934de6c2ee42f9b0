"""Whether the reference that an artifact was taken by means the same bytes tomorrow."""

from __future__ import annotations

from dataclasses import replace

from pratique.artifacts import Artifact
from pratique.checking import Finding, Report, Severity

RULES = {"mutable-reference": "it was taken by a reference that can mean other bytes tomorrow: a branch, a tag, an alias"}


def traced(artifact: Artifact, report: Report) -> Report:
    """The report, and a finding if the reference can move. LOW: what was judged is bound by its digest; tomorrow's is not."""
    origin = artifact.origin
    if origin is None or not origin.mutable:
        return report
    why = "; ".join(origin.notes) or "its service says so"
    pinned = origin.pinned != origin.uri
    fix = f"name the pinned URI: {origin.pinned}" if pinned else "compare the digest with one that you know"
    message = f"{origin.uri} can mean other bytes tomorrow: {why}"
    found = Finding(rule="mutable-reference", severity=Severity.LOW, message=message, fix=fix)
    return replace(report, findings=(*report.findings, found))
