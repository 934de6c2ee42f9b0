"""The settings of the guard-rails, in Airflow's own configuration: section `[pratique]`, or AIRFLOW__PRATIQUE__<NAME>.

Guard-rails stop mistakes and make tampering harder and visible. They are no boundary: whoever writes DAG files runs code in the
same process, and whoever configures Airflow can turn them off. The boundary is that a promotion verifies the evidence itself.
All of them are off until somebody turns them on.
"""

from __future__ import annotations

SECTION = "pratique"

OURS = frozenset(
    {"AuditOperator", "CheckOperator", "DecoratedGateOperator", "EvidenceSensor", "GateOperator", "PromoteModelOperator"}
)
"""Classes of tasks whose states and XComs tell of a decision; those of single checks besides (`operators/checks.py`)."""


def switched_on(name: str) -> bool:
    """Whether a guard-rail is on. A word that is neither true nor false is an error, and not `off`."""
    from airflow.configuration import conf

    return bool(conf.getboolean(SECTION, name, fallback=False))


def listed(name: str) -> tuple[str, ...]:
    """A setting that is a list with commas."""
    return tuple(one.strip() for one in text(name).split(",") if one.strip())


def text(name: str) -> str:
    """A setting; '' if there is none."""
    from airflow.configuration import conf

    return str(conf.get(SECTION, name, fallback="") or "")


def ours(operator: str | None) -> bool:
    """Whether a task's class, as Airflow's database names it, is one whose state and XComs nobody should edit."""
    from pratique.operators import checks

    return operator in OURS or operator in checks.__all__ or operator in listed("gate_operators")
