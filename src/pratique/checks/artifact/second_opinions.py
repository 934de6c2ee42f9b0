"""What other scanners that the policy names say of files that hold pickles, beside what is found here.

They can only add: a scanner that finds nothing takes no finding away, and one that gives no answer is itself a finding that
denies.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from pratique import opinions
from pratique.checking import Finding, Severity
from pratique.checks.artifact import recognising
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Sight, View

_CONTENTS = frozenset({"pickle", "torch", "npy", "archive", "compressed"})
_SUFFIXES = frozenset({
    ".bin", ".ckpt", ".dat", ".data", ".dill", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth", ".zip", ".7z",
})  # fmt: skip
"""Names by which loaders of pickles go."""


def heard(view: View, tools: Iterable[str]) -> Sight:
    """Ask each scanner about a file that is, or is called, something that holds pickles."""
    wanted = tuple(tools)
    if not wanted or not _concerned(view):
        return Sight()
    findings: list[Finding] = []
    answered = 0
    for tool in wanted:
        try:
            opinion = opinions.ask(tool, view.path, called=view.name)
        except opinions.NoOpinion as error:
            message = f"{tool} was asked for its opinion and gave none: {error}"
            findings.append(finding("second-opinion-missing", view.name, message))
            continue
        answered += 1
        findings += _objections(view.name, opinion)
    return Sight(findings=tuple(findings), counts={"second_opinions": answered})


def _concerned(view: View) -> bool:
    return PurePosixPath(view.name).suffix.casefold() in _SUFFIXES or recognising.recognise(view.data).name in _CONTENTS


def _objections(name: str, opinion: opinions.Opinion) -> Iterable[Finding]:
    if opinion.dangers:
        named = ", ".join(opinion.dangers[:5]) + (f" and {len(opinion.dangers) - 5} more" if len(opinion.dangers) > 5 else "")
        yield finding("second-opinion", name, f"{opinion.tool} takes it for dangerous: {named}")
    elif opinion.doubts:
        message = f"{opinion.tool} names nothing dangerous, and does not know {opinion.doubts:,} of its imports"
        yield finding("second-opinion", name, message, severity=Severity.NOTE)
