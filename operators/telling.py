"""What a task tells: lines for its log, and the pointer that it leaves as an XCom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pratique.documents import short
from pratique.errors import Denied, Error
from pratique.sources.redacting import redact

if TYPE_CHECKING:
    from pratique.gate import Admission
    from pratique.judging import Verdict
    from pratique.promotion import Promotion
    from pratique.statements import Evidence

SCHEMA = "pratique/1"
_REASONS, _WIDTH, _DIGESTS, _FINDINGS = 3, 160, 8, 20


def of_admission(admission: Admission, *, store: str) -> dict[str, Any]:
    """The pointer of a gate that decided, either way. Only an admission has a path: what was denied is not handed on."""
    admitted = admission.verdict.admitted
    return {
        **of_verdict(admission.verdict, store),
        "path": str(admission.artifact.root) if admitted else "",
        "clearance": admission.clearance_digest,
        "evidence": [one.digest for one in admission.evidence[:_DIGESTS]],
    }


def of_promotion(promotion: Promotion, *, store: str) -> dict[str, Any]:
    """The pointer of a promotion."""
    one = promotion.clearance
    return {
        **of_verdict(promotion.verdict, store),
        "verdict": "promoted",
        "uri": promotion.uri,
        "channel": one.channel,
        "sequence": one.sequence,
    }


def of_error(error: Error, *, store: str) -> dict[str, Any]:
    """The pointer of a task that failed."""
    from pratique import settings

    store = store or settings.store_uri()
    if isinstance(error, Denied):
        return of_verdict(error.verdict, store)
    return {
        "schema": SCHEMA, "verdict": "undecided", "subject": "", "path": "", "reasons": [short(str(error), _WIDTH)],
        "remedy": short(error.hint, _WIDTH), "store": redact(store),
    }  # fmt: skip


def message(error: Error) -> str:
    """What the task's own error says, a line for each reason."""
    if isinstance(error, Denied):
        return "\n".join(
            (f"{short(error.verdict.subject.name)} ({error.verdict.subject.digest})", *verdict_lines(error.verdict))
        )
    return "\n".join(short(line) for line in error.diagnostics().splitlines())


def lines(admission: Admission) -> Iterator[str]:
    """What a gate saw and decided, a line each."""
    verdict = admission.verdict
    yield f"{short(verdict.subject.name)}  {verdict.kind}  {verdict.subject.digest}"
    for one in admission.evidence:
        yield from _seen(one.statement)
    for problem in admission.problems:
        yield f"  could not finish: {short(problem)}"
    yield from verdict_lines(verdict)
    if verdict.admitted:
        yield f"  use this copy: {admission.artifact.root}"


def audited(verdict: Verdict) -> Iterator[str]:
    """What the log says of a denial that does not fail its task; nobody should overlook it."""
    yield "=" * 40 + " AUDIT ONLY: THIS WOULD HAVE BEEN STOPPED " + "=" * 40
    yield from verdict_lines(verdict)
    yield "The task succeeds because of enforcement='audit'. Nothing was cleared, and a promotion refuses this artifact."


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """A decision, its reasons and the remedies, a line each."""
    from pratique.statements import stamp

    if verdict.admitted:
        yield f"ADMITTED until {stamp(verdict.expires)[:16]}Z, under policy {verdict.policy_digest[:19]}…"
        return
    yield f"DENIED under policy {verdict.policy_digest[:19]}…"
    for denial in verdict.denials:
        yield f"  {short(str(denial))}"
    for fix in list(dict.fromkeys(one.fix for one in verdict.denials if one.fix))[:5]:
        yield f"  remedy: {short(fix)}"


def _seen(evidence: Evidence) -> Iterator[str]:
    report = evidence.report
    measures = ", ".join(f"{name} {value:g}" for name, value in report.measures.items())
    yield f"  {evidence.check}: {short(measures) or 'no measures'}"
    for finding in report.findings[:_FINDINGS]:
        where = f" (at {finding.where})" if finding.where else ""
        yield f"    {finding.severity.name.lower():<8} {finding.rule}: {short(finding.message + where)}"
    if len(report.findings) > _FINDINGS:
        yield f"    and {len(report.findings) - _FINDINGS} more findings; the evidence holds them all"


def of_verdict(verdict: Verdict, store: str) -> dict[str, Any]:
    """The pointer of a decision. Below 2 KB, however many checks and reasons there are."""
    return {
        "schema": SCHEMA,
        "verdict": "admitted" if verdict.admitted else "denied",
        "subject": verdict.subject.digest,
        "path": "",
        "kind": verdict.kind,
        "policy": verdict.policy_digest,
        "evidence": list(verdict.evidence[:_DIGESTS]),
        "reasons": [short(str(one), _WIDTH) for one in verdict.denials[:_REASONS]],
        "remedy": short(verdict.remedy(), _WIDTH),
        "store": redact(store),
    }
