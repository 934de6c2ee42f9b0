"""Airflow operators: hold an artifact against a policy, run one check, put a model into production.

    from pratique.operators import GateOperator

    base = GateOperator(task_id="admit_base", artifact="{{ params.base_model }}")   # baseline policy, no other set-up
    train(base.output["path"])                                                      # the copy that was judged

Written by tools/operators.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pratique.operators.auditing import AuditOperator as AuditOperator
    from pratique.operators.checks import ScanArtifactOperator as ScanArtifactOperator
    from pratique.operators.checks import ValidateDatasetOperator as ValidateDatasetOperator
    from pratique.operators.checks import VerifyIsolationOperator as VerifyIsolationOperator
    from pratique.operators.checks import VerifyLineageOperator as VerifyLineageOperator
    from pratique.operators.checks import VerifyProvenanceOperator as VerifyProvenanceOperator
    from pratique.operators.gates import CheckOperator as CheckOperator
    from pratique.operators.gates import GateOperator as GateOperator
    from pratique.operators.grouping import guarded_promotion as guarded_promotion
    from pratique.operators.notifying import BlockedGateNotifier as BlockedGateNotifier
    from pratique.operators.promoting import PromoteModelOperator as PromoteModelOperator
    from pratique.operators.waiting import EvidenceSensor as EvidenceSensor

# Airflow imports a provider in every process that it starts: nothing is loaded before it is used (PEP 562).
_HOME = {
    "AuditOperator": "auditing",
    "BlockedGateNotifier": "notifying",
    "CheckOperator": "gates",
    "EvidenceSensor": "waiting",
    "GateOperator": "gates",
    "PromoteModelOperator": "promoting",
    "ScanArtifactOperator": "checks",
    "ValidateDatasetOperator": "checks",
    "VerifyIsolationOperator": "checks",
    "VerifyLineageOperator": "checks",
    "VerifyProvenanceOperator": "checks",
    "guarded_promotion": "grouping",
}

__all__ = [
    "AuditOperator",
    "BlockedGateNotifier",
    "CheckOperator",
    "EvidenceSensor",
    "GateOperator",
    "PromoteModelOperator",
    "ScanArtifactOperator",
    "ValidateDatasetOperator",
    "VerifyIsolationOperator",
    "VerifyLineageOperator",
    "VerifyProvenanceOperator",
    "guarded_promotion",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value
