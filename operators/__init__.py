"""Airflow operators: hold an artifact against a policy, run one check, put a model into production.

    from pratique.operators import GateOperator

    base = GateOperator(task_id="admit_base", artifact="{{ params.base_model }}")   # baseline policy, no other set-up
    train(base.output["path"])                                                      # the copy that was judged

Written by tools/operators.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pratique.operators.checks import ScanArtifactOperator as ScanArtifactOperator
    from pratique.operators.checks import ValidateDatasetOperator as ValidateDatasetOperator
    from pratique.operators.checks import VerifyIsolationOperator as VerifyIsolationOperator
    from pratique.operators.checks import VerifyLineageOperator as VerifyLineageOperator
    from pratique.operators.checks import VerifyProvenanceOperator as VerifyProvenanceOperator
    from pratique.operators.gates import CheckOperator as CheckOperator
    from pratique.operators.gates import GateOperator as GateOperator
    from pratique.operators.promoting import PromoteModelOperator as PromoteModelOperator

# Airflow imports a provider in every process that it starts: nothing is loaded before it is used (PEP 562).
_HOME = {
    "CheckOperator": "gates",
    "GateOperator": "gates",
    "PromoteModelOperator": "promoting",
    "ScanArtifactOperator": "checks",
    "ValidateDatasetOperator": "checks",
    "VerifyIsolationOperator": "checks",
    "VerifyLineageOperator": "checks",
    "VerifyProvenanceOperator": "checks",
}

__all__ = [
    "CheckOperator",
    "GateOperator",
    "PromoteModelOperator",
    "ScanArtifactOperator",
    "ValidateDatasetOperator",
    "VerifyIsolationOperator",
    "VerifyLineageOperator",
    "VerifyProvenanceOperator",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value
