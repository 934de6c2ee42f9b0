"""Drift of one column by the measures that people know, and its categories."""

from __future__ import annotations

from abc import ABC
from itertools import pairwise
from typing import Any, ClassVar

from pratique.comparing import distances
from pratique.errors import CheckError
from pratique.expectations.base import COUNTS, CountsExpectation, Limits, Number, Parameter, enough
from pratique.profiles import Column, Profile
from pratique.profiles.counting import Counted

_KEYS = ("column", "profile", "threshold", "alpha")


class _ColumnDistance(CountsExpectation, ABC):
    """Fails if the difference is significant at `alpha` and the distance, minus what chance puts there, reaches `threshold`."""

    column: str | Parameter
    threshold: Number = 0.1
    alpha: Number = 0.01

    measure: ClassVar[str] = ""

    limits: ClassVar[Limits] = {"alpha": (distances.LEAST_ALPHA, 0.5), "threshold": (0.0, 1.0)}
    success_keys: ClassVar[tuple[str, ...]] = _KEYS
    args_keys: ClassVar[tuple[str, ...]] = _KEYS

    def judge(self, profile: Profile, metrics: dict[str, Any], wanted: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        """Compare one column."""
        counted = metrics[COUNTS]
        column = compared(profile, counted, wanted["column"])
        before, after = column.counts, counted.counts[column.name]
        widths = None
        if self.measure in distances.ORDERED:
            before, after, widths = _ordered(column, before), _ordered(column, after), _widths(column)
        if not sum(after):
            raise CheckError(f"column {column.name!r} of the batch has no value that could be compared")
        found = distances.distance(before, after, self.measure, widths, wanted["alpha"])
        near = found.distance < wanted["threshold"] or found.p > wanted["alpha"]
        empty = after_nulls(column, counted)
        return near and not empty, found.distance, {"p": found.p, "measure": self.measure, "all_null": empty}


class ExpectColumnJensenShannonDistanceToBeLessThan(_ColumnDistance):
    """Expect one column's Jensen-Shannon distance (0 to 1) from the profile to be below a threshold; nulls count as a value.

    Args:
        column: a feature or the label of the profile.
        profile: path of a profile, or a suite parameter.
        threshold: of the distance minus its mean on clean data.
        alpha: probability of failing on an unchanged column.
    """

    measure: ClassVar[str] = "jensen-shannon"
    sentence: ClassVar[str] = (
        "$column must not be distributed otherwise than in the profile: significantly (error rate $alpha) "
        "and by a Jensen-Shannon distance of $threshold or more."
    )


class ExpectColumnCramersVToBeLessThan(_ColumnDistance):
    """Expect one column's chi-square from the profile, as Cramer's V (0 to 1), to be below a threshold; nulls count as a value.

    Args:
        column: a feature or the label of the profile.
        profile: path of a profile, or a suite parameter.
        threshold: of the distance minus its mean on clean data.
        alpha: probability of failing on an unchanged column.
    """

    measure: ClassVar[str] = "cramers-v"
    sentence: ClassVar[str] = (
        "$column must not be distributed otherwise than in the profile: significantly by chi-square (error rate $alpha) "
        "and by a Cramer's V of $threshold or more."
    )


class ExpectColumnKolmogorovSmirnovStatisticToBeLessThan(_ColumnDistance):
    """Expect a numeric column's Kolmogorov-Smirnov statistic (0 to 1) from the profile to be below a threshold.

    Between the profile's cells it sees nothing, so it is a lower bound; more `bins` in the profile see more. Nulls and
    infinities take no part.

    Args:
        column: a numeric feature of the profile.
        profile: path of a profile, or a suite parameter.
        threshold: of the statistic minus its mean on clean data.
        alpha: probability of failing on an unchanged column.
    """

    measure: ClassVar[str] = "kolmogorov-smirnov"
    sentence: ClassVar[str] = (
        "$column must not be distributed otherwise than in the profile: significantly (error rate $alpha) "
        "and by a Kolmogorov-Smirnov statistic of $threshold or more."
    )


class ExpectColumnWassersteinDistanceToBeLessThan(_ColumnDistance):
    """Expect a numeric column's values to have moved less than a threshold, on average, since the profile.

    In units of the column's scale (its standard deviation, if tails are light). Values are taken for those of their cell, so it
    is a lower bound; values beyond the reference's extremes count as if they were at them. Nulls and infinities take no part.

    Args:
        column: a numeric feature of the profile.
        profile: path of a profile, or a suite parameter.
        threshold: of the distance minus its mean on clean data.
        alpha: probability of failing on an unchanged column.
    """

    measure: ClassVar[str] = "wasserstein"
    sentence: ClassVar[str] = (
        "Values of $column must not have moved since the profile: significantly (error rate $alpha) "
        "and by $threshold units of scale or more, on average."
    )


class ExpectColumnCategoriesToMatchProfile(CountsExpectation):
    """Expect no new categories in a column, beyond a share of rows, and none of the profile's to be gone.

    New is what the profile does not list: it lists values of at least 1 % of its rows, so rare values of the reference look
    new as well, and as many as it had are allowed. Gone is a category without a single row, if chance does not explain that.

    Args:
        column: a categorical feature of the profile.
        profile: path of a profile, or a suite parameter.
        threshold: the smallest share of rows with new categories, beyond the reference's, that matters.
        alpha: probability of failing on an unchanged column, half each for new and gone.
    """

    column: str | Parameter
    threshold: Number = 0.01
    alpha: Number = 0.01

    sentence: ClassVar[str] = (
        "$column must hold no categories that the profile does not know, beyond a share of $threshold, and lack none "
        "(error rate $alpha)."
    )
    limits: ClassVar[Limits] = {"alpha": (1e-9, 0.5), "threshold": (0.0, 1.0)}
    success_keys: ClassVar[tuple[str, ...]] = _KEYS
    args_keys: ClassVar[tuple[str, ...]] = _KEYS

    def judge(self, profile: Profile, metrics: dict[str, Any], wanted: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        """Look at what is new and what is gone."""
        from scipy import stats

        counted = metrics[COUNTS]
        column = compared(profile, counted, wanted["column"])
        if column.kind != "categorical":
            raise CheckError(f"column {column.name!r} holds numbers, not categories")
        before, after = column.counts, counted.counts[column.name]
        n, m, place = sum(before), sum(after), len(column.values)
        p_new = float(stats.hypergeom.sf(after[place] - 1, n + m, before[place] + after[place], m))
        share = after[place] / m - before[place] / n
        alone = wanted["alpha"] / 2 / max(place, 1)
        gone = [
            value
            for value, old, new in zip(column.values, before, after, strict=False)
            if not new and float(stats.hypergeom.cdf(0, n + m, old, m)) <= alone
        ]
        new = p_new <= wanted["alpha"] / 2 and share >= wanted["threshold"]
        empty = after_nulls(column, counted)
        details = {"p": p_new, "new": after[place], "gone": gone, "all_null": empty}
        return not (new or gone or empty), share, details


def compared(profile: Profile, counted: Counted, name: str) -> Column:
    """The profile's column, if the batch has one like it.

    Raises:
        CheckError: it has not, or too few rows.
    """
    enough(counted.rows)
    column = next((one for one in profile.columns if one.name == name and one.role != "ignored"), None)
    if column is None:
        raise CheckError(f"the profile does not compare a column {name!r}")
    if name not in counted.counts:
        what = f"{counted.unlike[name]} values" if name in counted.unlike else "no such column"
        raise CheckError(f"column {name!r} is {column.kind} in the profile; the batch has {what}")
    return column


def after_nulls(column: Column, counted: Counted) -> bool:
    """Whether nothing is in the column, and the reference does not explain it. No threshold may let that pass."""
    return counted.counts[column.name][column.nulls] == counted.rows and not column.explains_nulls(counted.rows)


def _ordered(column: Column, counts: list[int]) -> list[int]:
    """The cells of finite numbers."""
    if column.kind != "numeric":
        raise CheckError(f"column {column.name!r} holds categories, which have no order")
    return counts[: column.nulls]


def _widths(column: Column) -> list[float]:
    """From the middle of each cell to that of the next, in units of scale; the outer cells are at the extremes."""
    if not column.scale:
        return [1.0] * len(column.edges)  # a constant: any other value is one unit away
    inside = [(a + b) / 2 for a, b in pairwise(column.edges)]
    places = [column.edges[0], *inside, column.edges[-1]]
    return [(b - a) / column.scale for a, b in pairwise(places)]
