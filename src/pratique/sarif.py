"""Findings for code-scanning dashboards: one SARIF 2.1.0 log of one look.

    sarif.log(sarif.Look(check="artifact", version="2", findings=report.findings, rules=rules, files={"a.pkl": "base/a.pkl"}))

In the terms of the standard (https://docs.oasis-open.org/sarif/sarif/v2.1.0): each rule of a check is a reportingDescriptor,
each finding a result; a place in a file is a physicalLocation with a byteOffset, anything else (a member of an archive, a task,
a column) a logicalLocation. What strangers wrote is data: names are percent-encoded in URIs, and brackets and braces, by which
a message could make a link or a placeholder (3.11.5, 3.11.6), are escaped. There is no Markdown.

No result means only that nothing was found. Whether the look came to its end is `executionSuccessful`, and the decision is the
command's exit code. The same look writes the same bytes: there are no times, machines or random ids in it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from pratique import __version__, documents, places
from pratique.checking import Finding, Severity

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "pratique/v1"
"""Names what the fingerprint is made of: check, rule, where, message, and how many like it came before."""

_LEVELS = {
    Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "note", Severity.NOTE: "note",
}  # fmt: skip
_SCORES = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "2.0", Severity.NOTE: "0.0"}
"""`security-severity`, by which dashboards sort: a place on the scale of CVSS, and no CVSS score of anything."""

_SPECIAL = re.compile(r"[\\\[\]{}]")
_BASE = "ARTIFACT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is known about a rule before anything is found."""

    meaning: str
    fix: str = ""
    severity: Severity | None = None
    """How grave a finding of this rule usually is; None if nobody says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one check saw, and where."""

    check: str
    version: str
    findings: Sequence[Finding]
    rules: Mapping[str, Rule]

    files: Mapping[str, str] = field(default_factory=dict)
    """Files that findings may name, each as a URI that whoever reads the log knows; '' if only the artifact knows it."""

    subject: str = ""
    """Digest of what was looked at."""

    verdict: str = ""
    """`admitted`, `denied` or `passed`: as the command says it."""

    problems: Sequence[str] = ()
    """Why the check came to no end, or what else stands against the artifact without being a finding."""

    whole: str = "artifact"
    """What was looked at, in a word or two."""

    finished: bool = True
    """Whether the check came to its end."""


def log(look: Look) -> dict[str, Any]:
    """One look as a SARIF log."""
    rules = {**dict(sorted(look.rules.items())), **_unlisted(look)}
    index = {name: number for number, name in enumerate(rules)}
    seen: Counter[str] = Counter()
    files = frozenset(look.files)
    run = {
        "tool": {
            "driver": {
                "name": "Pratique",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_descriptor(look.check, name, rule) for name, rule in rules.items()],
                "properties": {"check": look.check, "checkVersion": look.version},
            }
        },
        "automationDetails": {"id": f"pratique/{look.check}/"},
        "language": "en",
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_BASE: {"description": {"text": _message(f"the {look.whole} {look.subject}".rstrip())}}},
        "invocations": [
            {
                "executionSuccessful": look.finished,
                "toolExecutionNotifications": [
                    {"level": "note" if look.finished else "error", "message": {"text": _message(one)}} for one in look.problems
                ],
            }
        ],
        "results": [_result(look, files, one, index[one.rule], seen) for one in look.findings],
        "properties": {"subject": look.subject, "verdict": look.verdict},
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def uri(path: str) -> str:
    """A relative path as a URI reference (RFC 3986): nothing in a name can make a scheme, a host, a query or a fragment."""
    return quote(path.lstrip("/").encode("utf-8", "surrogatepass"), safe="/")


def _unlisted(look: Look) -> dict[str, Rule]:
    """Rules that findings name and the check does not: somebody else's check may."""
    names = sorted({one.rule for one in look.findings} - set(look.rules))
    return {name: Rule(meaning=name) for name in names}


def _descriptor(check: str, name: str, rule: Rule) -> dict[str, Any]:
    described: dict[str, Any] = {
        "id": f"{check}/{name}",
        "shortDescription": {"text": _message(documents.short(rule.meaning, 200))},
        "fullDescription": {"text": _message(rule.meaning)},
        "help": {"text": _message(f"What to do: {rule.fix}" if rule.fix else f"See docs/checks/{check}.md.")},
        "properties": {"tags": ["security"]},
    }
    if rule.severity is not None:
        described["defaultConfiguration"] = {"level": _LEVELS[rule.severity]}
        described["properties"]["security-severity"] = _SCORES[rule.severity]
    return described


def _result(look: Look, files: frozenset[str], found: Finding, index: int, seen: Counter[str]) -> dict[str, Any]:
    same = documents.sha256(documents.canonical([look.check, found.rule, found.where, found.message]))
    seen[same] += 1
    mark = documents.sha256(documents.canonical([same, seen[same]])).removeprefix("sha256:")
    text = f"{found.message}. Remedy: {found.fix}" if found.fix else found.message
    result: dict[str, Any] = {
        "ruleId": f"{look.check}/{found.rule}",
        "ruleIndex": index,
        "level": _LEVELS[found.severity],
        "kind": "fail",
        "message": {"text": _message(text)},
        "partialFingerprints": {FINGERPRINT: mark},
        "properties": {"severity": found.severity.name.lower(), "security-severity": _SCORES[found.severity]},
    }
    if located := _location(look, files, found.where):
        result["locations"] = [located]
    return result


def _location(look: Look, files: frozenset[str], where: str) -> dict[str, Any]:
    """Where it is: in a file if it names one (or if there is only one), and by its own words."""
    place = places.within(where, files)
    only = next(iter(files)) if len(files) == 1 else None
    file, detail = (place.file, place.detail) if place else (only, where)
    located: dict[str, Any] = {}
    if file is not None:
        known = look.files[file]
        physical: dict[str, Any] = {"artifactLocation": {"uri": known} if known else {"uri": uri(file), "uriBaseId": _BASE}}
        if place and place.offset is not None:
            physical["region"] = {"byteOffset": place.offset}
        located["physicalLocation"] = physical
    if detail and not (place and place.offset is not None):
        located["logicalLocations"] = [{"fullyQualifiedName": documents.line(where), "name": documents.line(detail)}]
    return located


def _message(text: str) -> str:
    """A plain text message: in one line, without what a viewer would make a link or a placeholder of."""
    return _SPECIAL.sub(lambda found: found[0] * 2 if found[0] in "{}" else f"\\{found[0]}", documents.line(text))


def rules_of(meanings: Mapping[str, str], remedies: Mapping[str, tuple[Severity, str]] | None = None) -> dict[str, Rule]:
    """A check's own table of rules, with what it says of their weight and remedy."""
    weights = remedies or {}
    return {
        name: Rule(meaning=meaning, severity=weights[name][0], fix=weights[name][1])
        if name in weights
        else Rule(meaning=meaning)
        for name, meaning in meanings.items()
    }


def files_of(paths: Iterable[str], root: str, *, single: bool) -> dict[str, str]:
    """How whoever reads the log knows the files of a local artifact: as the path that was given, if that is a relative one."""
    base = root.rstrip("/")
    if not base or base.startswith(("/", "~")) or re.match(r"[a-z0-9+.-]+:", base) or ".." in base.split("/"):
        return dict.fromkeys(paths, "")
    parts = [part for part in base.split("/") if part not in ("", ".")]
    return {path: uri("/".join(parts if single else [*parts, path])) for path in paths}
