"""Leave to enter: a base model or a dataset is admitted to training, and a model to production, once the evidence is in order.

    from pratique import Policy, pass_gate
    admission = pass_gate("models/base", policy=Policy.load("policy.yaml"))
    admission.artifact.root          # the verified private copy

Checks observe. Evidence binds. Policy judges. The gate acts.
"""

from __future__ import annotations

__version__ = "0.1.0"

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pratique.artifacts import Artifact as Artifact
    from pratique.artifacts import Subject as Subject
    from pratique.artifacts import open_artifact as open_artifact
    from pratique.checking import Finding as Finding
    from pratique.checking import Options as Options
    from pratique.checking import Report as Report
    from pratique.checking import Severity as Severity
    from pratique.checking import check as check
    from pratique.gate import Admission as Admission
    from pratique.gate import pass_gate as pass_gate
    from pratique.judging import Verdict as Verdict
    from pratique.judging import decide as decide
    from pratique.policies import Policy as Policy
    from pratique.promotion import Promotion as Promotion
    from pratique.promotion import promote as promote
    from pratique.store import Store as Store

# Airflow imports a provider package in every process it starts, so nothing is loaded before it is used (PEP 562).
_HOME = {
    "Admission": "gate",
    "Artifact": "artifacts",
    "Finding": "checking",
    "Options": "checking",
    "Policy": "policies",
    "Promotion": "promotion",
    "Report": "checking",
    "Severity": "checking",
    "Store": "store",
    "Subject": "artifacts",
    "Verdict": "judging",
    "check": "checking",
    "decide": "judging",
    "open_artifact": "artifacts",
    "pass_gate": "gate",
    "promote": "promotion",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value
