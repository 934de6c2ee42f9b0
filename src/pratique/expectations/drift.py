"""Drift of columns: significance and effect."""

from __future__ import annotations

from typing import Any, ClassVar

from pratique.comparing.drift import Shift, compare, holm
from pratique.errors import CheckError
from pratique.expectations.base import ALPHA, COUNTS, CountsExpectation, Limits, Number, Parameter, enough
from pratique.profiles import Column, Profile
from pratique.profiles.counting import Counted


class ExpectTableDriftToBeWithinProfile(CountsExpectation):
    """Expect every feature column to be distributed as in the profile; nulls and infinities count as values.

    A column drifts if the difference is significant at `alpha` over all columns (Holm) and its population stability index,
    minus its mean on clean data, reaches `floor` (`pratique.comparing.drift`). Missing, unexpected and retyped columns fail
    too. The label has an expectation of its own.

    Args:
        profile: path of a profile, or a suite parameter.
        alpha: probability of naming any column of an unchanged table.
        floor: the smallest bias-corrected PSI that matters.
    """

    alpha: Number = 0.01
    floor: Number = 0.1

    sentence: ClassVar[str] = (
        "No column may be distributed otherwise than in the profile: significantly (error rate $alpha over all columns) "
        "and by a population stability index of $floor or more."
    )
    limits: ClassVar[Limits] = {"alpha": ALPHA, "floor": (0.0, 2.0)}
    success_keys: ClassVar[tuple[str, ...]] = ("profile", "alpha", "floor")
    args_keys: ClassVar[tuple[str, ...]] = ("profile", "alpha", "floor")

    def judge(self, profile: Profile, metrics: dict[str, Any], wanted: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        """Compare all columns at once."""
        counted = metrics[COUNTS]
        enough(counted.rows)
        compared = [column for column in profile.features if column.name in counted.counts]
        shifts = {column.name: _shift(column, counted) for column in compared}
        if not shifts:
            raise CheckError("profile and batch have no feature column in common that could be compared")
        p = holm({name: shift.p for name, shift in shifts.items()})
        psi = {name: shift.psi for name, shift in shifts.items()}
        drifted = sorted(
            (name for name in psi if p[name] <= wanted["alpha"] and psi[name] >= wanted["floor"]), key=p.__getitem__
        )
        broken = [*counted.missing, *counted.unexpected, *counted.unlike]
        empty = [column.name for column in compared if _all_null(column, counted)]
        details = {"drifted": drifted, "psi": psi, "p": p, "not_compared": broken, "all_null": empty}
        return not (drifted or broken or empty), max(psi.values()), details


class ExpectColumnPsiToBeLessThan(CountsExpectation):
    """Expect one column's bias-corrected population stability index to be below a threshold.

    Fails only if the difference is significant too: PSI alone alarms on small clean batches.

    Args:
        column: a feature or the label of the profile.
        profile: path of a profile, or a suite parameter.
        threshold: of the PSI minus its mean on clean data.
        alpha: probability of failing on an unchanged column.
    """

    column: str | Parameter
    threshold: Number = 0.2
    alpha: Number = 0.01

    sentence: ClassVar[str] = (
        "$column must not be distributed otherwise than in the profile: significantly (error rate $alpha) "
        "and by a population stability index of $threshold or more."
    )
    limits: ClassVar[Limits] = {"alpha": ALPHA, "threshold": (0.0, 2.0)}
    success_keys: ClassVar[tuple[str, ...]] = ("column", "profile", "threshold", "alpha")
    args_keys: ClassVar[tuple[str, ...]] = ("column", "profile", "threshold", "alpha")

    def judge(self, profile: Profile, metrics: dict[str, Any], wanted: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        """Compare one column."""
        counted, name = metrics[COUNTS], wanted["column"]
        enough(counted.rows)
        column = next((one for one in profile.columns if one.name == name and one.role != "ignored"), None)
        if column is None:
            raise CheckError(f"the profile does not compare a column {name!r}")
        if name not in counted.counts:
            what = f"{counted.unlike[name]} values" if name in counted.unlike else "no such column"
            raise CheckError(f"column {name!r} is {column.kind} in the profile; the batch has {what}")
        shift = _shift(column, counted)
        empty = _all_null(column, counted)
        return not empty and (shift.psi < wanted["threshold"] or shift.p > wanted["alpha"]), shift.psi, {"p": shift.p}


def _shift(column: Column, counted: Counted) -> Shift:
    return compare(column.counts, counted.counts[column.name], ordered=column.kind == "numeric")


def _all_null(column: Column, counted: Counted) -> bool:
    """Whether nothing is in the column, and the reference does not explain it. No floor may let that pass."""
    return counted.counts[column.name][column.nulls] == counted.rows and not column.explains_nulls(counted.rows)
