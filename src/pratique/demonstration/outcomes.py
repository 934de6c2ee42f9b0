"""How a scenario ended, for the table, the page and the JSON."""

from __future__ import annotations

from dataclasses import dataclass

TASKS = ("admit_base", "admit_dataset", "fine_tune", "admit_model", "promote")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one scenario ended."""

    scenario: str
    expected: str
    verdict: str
    """`promoted`, `stopped at <task>`, or what went wrong with the demo itself."""

    reasons: tuple[str, ...]
    remedy: str
    seconds: float
    story: str
    states: dict[str, str]
    """The tasks' states, as Airflow shows them."""

    overruled: tuple[str, ...]
    """Tasks that failed and were marked as a success by hand."""

    as_expected: bool
    """It ended where it should, for the reason that it should."""
