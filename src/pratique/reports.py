"""What people and machines get to see of a decision: text, JSON, and one self-contained HTML page.

The page makes no request, runs no script, and escapes everything that it did not write itself: findings quote strangers.
"""

from __future__ import annotations

import html
import shlex
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pratique import documents, files, sarif
from pratique.checking import Check, Finding, Severity
from pratique.errors import StoreError
from pratique.gate import Admission
from pratique.judging import Verdict
from pratique.policies import Bound, Policy
from pratique.sources import Resolution
from pratique.statements import Evidence, stamp

CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Nothing is loaded, run or sent, whatever may have slipped through."""


def as_json(admission: Admission) -> dict[str, Any]:
    """The admission for machines."""
    verdict = admission.verdict
    return {
        "verdict": "admitted" if verdict.admitted else "denied",
        "subject": {"digest": verdict.subject.digest, "name": verdict.subject.name, "kind": verdict.kind},
        "path": str(admission.artifact.root) if verdict.admitted else "",
        "origin": admission.artifact.origin.as_json() if admission.artifact.origin else None,
        "policy": verdict.policy_digest,
        "decided": stamp(verdict.decided_at),
        "expires": stamp(verdict.expires) if verdict.admitted else "",
        "clearance": admission.clearance_digest,
        "waived": list(verdict.waived),
        "denials": [
            {"check": one.check, "rule": one.rule, "reason": one.reason, "where": one.where, "fix": one.fix}
            for one in verdict.denials
        ],
        "evidence": [
            {
                "check": one.statement.check, "digest": one.digest, "measures": dict(one.statement.report.measures),
                "findings": [
                    {"rule": f.rule, "severity": f.severity.name.lower(), "message": f.message, "where": f.where, "fix": f.fix}
                    for f in one.statement.report.findings
                ],
            }
            for one in admission.evidence
        ],
    }  # fmt: skip


def as_sarif(admission: Admission, chosen: Check[Any], given: str) -> dict[str, Any]:
    """What one check saw, for code-scanning dashboards. `given` is the artifact as the command line names it."""
    artifact, verdict = admission.artifact, admission.verdict
    found = [one.statement.report for one in admission.evidence if one.statement.check == chosen.name]
    findings = [one for report in found for one in report.findings]
    said = {(one.rule, one.message, one.where) for one in findings}
    others = [str(one) for one in verdict.denials if (one.rule, one.reason, one.where) not in said]
    paths = [entry.path for entry in artifact.entries]
    local = given if artifact.origin is None else ""
    return sarif.log(
        sarif.Look(
            check=chosen.name, version=chosen.version, findings=findings, subject=verdict.subject.digest,
            rules=sarif.rules_of(chosen.rules, getattr(chosen, "remedies", None)), finished=bool(found),
            files=sarif.files_of(paths, local, single=artifact.is_file), problems=[*others, *admission.problems],
            verdict="admitted" if verdict.admitted else "denied",
        )
    )  # fmt: skip


def as_text(admission: Admission, drawn: Iterable[Finding] = ()) -> str:
    """The admission for people: the answer first, then what each check saw, then what to do.

    What is `drawn` elsewhere, with its remedy, is not said twice.
    """
    verdict = admission.verdict
    shown = {(one.rule, one.message, one.where) for one in drawn}
    denials = [one for one in verdict.denials if (one.rule, one.reason, one.where) not in shown]
    lines = [documents.line(verdict.summary().splitlines()[0]), *(documents.line(f"  {one}") for one in denials)]
    if verdict.admitted:
        lines.append(f"  until {stamp(verdict.expires)[:16]}Z, as {verdict.subject.digest}")
        lines.append(f"  use this copy: {admission.artifact.root}")
    if origin := admission.artifact.origin:
        meant = f", which {origin.uri} was" if origin.pinned != origin.uri else ""
        lines.append(documents.line(f"  taken from {origin.pinned}{meant}"))
    for one in admission.evidence:
        lines.append(as_line(one.statement))
    lines += [documents.line(f"  {problem}") for problem in admission.problems]
    fixes = dict.fromkeys(denial.fix for denial in denials if denial.fix)
    lines += [documents.line(f"Remedy: {fix}") for fix in list(fixes)[:5]]
    return "\n".join(lines)


def of_admission(admission: Admission, policy: Policy) -> str:
    """One page about one decision."""
    verdict = admission.verdict
    parts = [_decision(verdict), _origin(admission.artifact.origin)]
    for one in admission.evidence:
        requirement = policy.require.get(one.statement.check)
        parts.append(observed(one.statement, requirement.measures if requirement else {}, one.digest))
    parts += [f"<p class=card>{quoted(problem)}</p>" for problem in admission.problems]
    parts.append(_how_to_verify(admission))
    return page(f"{verdict.subject.name}: {'admitted' if verdict.admitted else 'denied'}", "".join(parts))


def of_evidence(evidence: Evidence, digest: str) -> str:
    """One page about what one check saw. It decides nothing."""
    subject = evidence.subject
    head = f"<h1>{quoted(subject.name)}</h1><p class=dim><code>{quoted(subject.digest)}</code></p>"
    note = "<p>This is what one check saw. Whether it is acceptable is decided by a gate, under a policy.</p>"
    body = head + note + _origin(evidence.origin) + observed(evidence, {}, digest)
    return page(f"{subject.name}: {evidence.check}", body)


def page(title: str, body: str) -> str:
    """A whole HTML document around a body that is already escaped."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{CSP}">'
        f"<title>{quoted(title)}</title><style>{_style()}</style></head><body>{body}</body></html>\n"
    )


def quoted(text: str) -> str:
    """A stranger's text as it may stand in a page: no markup, and nothing that turns the order of its letters around."""
    return html.escape(documents.plain(text))


def _style() -> str:
    return resources.files("pratique").joinpath("report.css").read_text(encoding="utf-8")


def write(path: Path, document: str) -> None:
    """Write a report in one step.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        files.replace(path, document.encode("utf-8", "xmlcharrefreplace"))
    except OSError as error:
        raise StoreError(f"cannot write the report {path}: {error.strerror}") from error


def badge(text: str, good: bool) -> str:
    """A coloured word."""
    return f'<span class="badge {"good" if good else "bad"}">{quoted(text)}</span>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are already escaped."""
    cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=wrap><table><tr>{''.join(f'<th>{quoted(one)}</th>' for one in head)}</tr>{cells}</table></div>"


def as_line(evidence: Evidence) -> str:
    """What one check saw, for people, in one line."""
    report = evidence.report
    shown = list(report.measures.items())[:4]
    measures = ", ".join(f"{name} {value:g}" for name, value in shown) + (" …" if len(report.measures) > 4 else "")
    count = sum(finding.severity > Severity.NOTE for finding in report.findings)
    worst = f", worst {report.worst.name.lower()}" if count else ""
    return documents.line(f"  {evidence.check:<12} {count} finding{'s' * (count != 1)}{worst}; {measures}")


def _decision(verdict: Verdict) -> str:
    word = badge("admitted" if verdict.admitted else "denied", verdict.admitted)
    head = f"<h1>{quoted(verdict.subject.name)} {word}</h1><p class=dim><code>{quoted(verdict.subject.digest)}</code></p>"
    if verdict.admitted:
        until = f"<p>Until {stamp(verdict.expires)[:16]}Z, under policy <code>{quoted(verdict.policy_digest)}</code>.</p>"
        waived = f"<p>Waived: {quoted(', '.join(verdict.waived))}</p>" if verdict.waived else ""
        return head + until + waived
    reasons = "".join(
        f"<div class=card><p><b>{quoted(one.check)}</b> · {quoted(one.rule)}</p><p>{quoted(one.reason)}"
        + (f" <span class=dim>at {quoted(one.where)}</span>" if one.where else "")
        + "</p>"
        + (f"<p class=fix>{quoted(one.fix)}</p>" if one.fix else "")
        + "</div>"
        for one in verdict.denials
    )
    return f"{head}<h2>Why</h2>{reasons}"


def _origin(origin: Resolution | None) -> str:
    """Where an artifact came from, for people; nothing for a local path."""
    if origin is None:
        return ""
    rows = [("asked for", origin.uri), ("pinned", origin.pinned), *sorted(origin.ids.items())]
    notes = "".join(f"<li>{quoted(note)}</li>" for note in origin.notes)
    badged = "<p>The reference is mutable: it can mean other bytes tomorrow.</p>" if origin.mutable else ""
    cells = table(("id", "what upstream calls these bytes"), [(quoted(a), f"<code>{quoted(b)}</code>") for a, b in rows])
    return f"<h2>Where it came from</h2>{badged}{cells}<ul>{notes}</ul>"


def observed(evidence: Evidence, bounds: Mapping[str, Bound], digest: str) -> str:
    """What one check saw, as a part of a page."""
    report = evidence.report
    parts = [
        f"<h2>{quoted(evidence.check)}</h2>"
        f"<p class=dim>evidence <code>{quoted(digest)}</code>, {stamp(evidence.made_at)[:19]}Z</p>"
    ]
    if report.measures:
        drawn = 3 if bounds else 2  # nobody set a bound: no column that says so in every row
        rows = [
            (quoted(name), f"{value:,.6g}", bar(value, bounds.get(name)))[:drawn] for name, value in report.measures.items()
        ]
        parts.append(table(("measure", "value", "against its bound")[:drawn], rows))
    if report.findings:
        found = [
            (
                quoted(f.severity.name.lower()),
                f"<b>{quoted(f.rule)}</b>",
                quoted(f.message),
                f"<code>{quoted(f.where)}</code>",
                quoted(f.fix),
            )
            for f in report.findings
        ]
        parts.append("<h3>Findings</h3>" + table(("severity", "rule", "what was seen", "where", "remedy"), found))
    return "".join(parts)


def bar(value: float, bound: Bound | None) -> str:
    """A measure against its bound, as a small picture."""
    if bound is None:
        return '<span class="dim">no bound</span>'
    limits = [one for one in (bound.min, bound.max) if abs(one) != float("inf")]
    top = max([value, *limits, 1e-12])
    inside = bound.min <= value <= bound.max
    marks = "".join(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="18" stroke="currentColor" stroke-width="2"/>'
        for x in (208 * (max(one, 0) / top) for one in limits)
    )
    colour = "var(--good)" if inside else "var(--bad)"
    width = max(208 * (max(value, 0) / top), 2)
    return (
        f'<svg width="240" height="18" viewBox="0 0 240 18" role="img" aria-label="{value:g}, {quoted(str(bound))}">'
        f'<rect y="5" width="{width:.1f}" height="8" rx="3" fill="{colour}"/>{marks}</svg>'
        f'<span class="dim">{quoted(str(bound))}</span>'
    )


def _how_to_verify(admission: Admission) -> str:
    subject = admission.artifact.subject
    return (
        "<h2>Verify it yourself</h2><p>Nothing on this page is proof; the signed statements are.</p><ul>"
        f"<li><code>pratique digest {quoted(shlex.quote(admission.artifact.pinned))}</code> prints "
        f"<code>{quoted(subject.digest)}</code></li>"
        "<li><code>pratique verify --trust gate.pub "
        f"STORE/evidence/sha256/{subject.hex}/CHECK/DIGEST.sigstore.json</code></li></ul>"
    )
