"""Times: whether a table is fresh, and whether each stretch of time has the rows that it should have."""

# ruff: noqa: TID253
from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from typing import Any, ClassVar

import pandas as pd

from pratique.errors import CheckError
from pratique.expectations.base import ROWS, Limits, Number, Parameter, RowsExpectation
from pratique.profiles import Profile

_MOST_WINDOWS = 1_000_000
_SHOWN = 10


class ExpectTableToBeFresh(RowsExpectation):
    """Expect the newest row to be no older than so many hours, and none from the future or without a time.

    Times without a zone are taken as UTC. An old delivery that comes again (a replay) is not fresh.

    Args:
        profile: path of a profile, or a suite parameter; the column may be ignored there.
        column: that holds each row's time, as times or as text in ISO 8601.
        max_age_hours: of the newest row.
        as_of: the moment to compare with, ISO 8601, or a suite parameter; the time of the check if it is not given.
    """

    column: str | Parameter
    max_age_hours: Number
    as_of: str | Parameter | None = None

    sentence: ClassVar[str] = "The newest row must be at most $max_age_hours hours old by $column, and none from the future."
    limits: ClassVar[Limits] = {"max_age_hours": (0.0, 1e6)}
    success_keys: ClassVar[tuple[str, ...]] = ("profile", "column", "max_age_hours", "as_of")
    args_keys: ClassVar[tuple[str, ...]] = ("profile", "column", "max_age_hours", "as_of")

    def judge(self, profile: Profile, metrics: dict[str, Any], wanted: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        """Look at the newest row, and at those that cannot be."""
        moments = times(metrics[ROWS], wanted["column"])
        now = _moment(wanted["as_of"])
        known = moments.dropna()
        if known.empty:
            raise CheckError(f"column {wanted['column']!r} has no time in it")
        future = [int(row) for row in known.index[known > now]]
        age = (now - known.max()).total_seconds() / 3600
        timeless = len(moments) - len(known)
        details = {
            "newest": known.max().isoformat(), "oldest": known.min().isoformat(), "as_of": now.isoformat(),
            "timeless": timeless, "future": len(future), "rows": future[:_SHOWN],
        }  # fmt: skip
        return not (future or timeless) and age <= wanted["max_age_hours"], age, details


class ExpectTableRowsPerWindowToBeBetween(RowsExpectation):
    """Expect each stretch of time, from the first to the last that has a row, to have so many rows.

    The first and the last stretch may be cut off, so they may have fewer; no stretch may have more. A gap, a flood and a
    double delivery show here.

    Args:
        profile: path of a profile, or a suite parameter; the column may be ignored there.
        column: that holds each row's time, as times or as text in ISO 8601; without a zone it is UTC.
        window_hours: how long a stretch is; 24 begins at midnight UTC.
        min_value: fewest rows of each.
        max_value: most rows of each.
    """

    column: str | Parameter
    window_hours: Number = 24
    min_value: Number = 1
    max_value: Number

    sentence: ClassVar[str] = "Every $window_hours hours by $column must have between $min_value and $max_value rows."
    limits: ClassVar[Limits] = {"window_hours": (1 / 60, 1e5), "min_value": (0, 1e12), "max_value": (1, 1e12)}
    success_keys: ClassVar[tuple[str, ...]] = ("profile", "column", "window_hours", "min_value", "max_value")
    args_keys: ClassVar[tuple[str, ...]] = ("profile", "column", "window_hours", "min_value", "max_value")

    def judge(self, profile: Profile, metrics: dict[str, Any], wanted: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        """Count rows per stretch, the empty ones as well."""
        low, high, hours = wanted["min_value"], wanted["max_value"], wanted["window_hours"]
        if low > high:
            raise CheckError(f"min_value {low} is more than max_value {high}")
        moments = times(metrics[ROWS], wanted["column"])
        known = moments.dropna()
        if known.empty:
            raise CheckError(f"column {wanted['column']!r} has no time in it")
        seconds = round(hours * 3600)
        number = (known - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(seconds=seconds)
        first, last = int(number.min()), int(number.max())
        if last - first >= _MOST_WINDOWS:
            raise CheckError(f"column {wanted['column']!r} spans {last - first + 1:,} stretches of {hours} hours")
        counts = number.value_counts().reindex(range(first, last + 1), fill_value=0).sort_index()
        inner = counts[(counts.index > first) & (counts.index < last)]
        wrong = {**counts[counts > high].to_dict(), **inner[inner < low].to_dict()}
        shown = {
            datetime.fromtimestamp(place * seconds, timezone.utc).isoformat(): int(count)
            for place, count in sorted(wrong.items())[:_SHOWN]
        }
        timeless = len(moments) - len(known)
        details = {"windows": len(counts), "wrong": len(wrong), "counts": shown, "timeless": timeless}
        return not (wrong or timeless), len(wrong), details


def times(frame: Any, name: str) -> Any:
    """A column as moments in UTC, on row numbers; nulls stay null.

    Raises:
        CheckError: no rows, no such column, or something in it that is no time.
    """
    if frame.empty:
        raise CheckError("the batch has no rows")
    if Counter(map(str, frame.columns))[name] != 1:
        raise CheckError(f"the batch has no single column {name!r}")
    series = frame[name].reset_index(drop=True)
    if pd.api.types.is_numeric_dtype(series) and not series.isna().all():
        raise CheckError(f"column {name!r} holds numbers, not times: seconds or days since when?")
    try:
        return pd.to_datetime(series, utc=True, format=None if _is_time(series) else "ISO8601", errors="raise")
    except (ValueError, TypeError, OverflowError) as error:
        raise CheckError(f"column {name!r} holds something that is no time: {str(error).splitlines()[0][:200]}") from error


def _is_time(series: Any) -> bool:
    return bool(pd.api.types.is_datetime64_any_dtype(series))


def _moment(text: str | None) -> Any:
    if text is None:
        return pd.Timestamp.now(tz="UTC")
    try:
        moment = pd.Timestamp(text)
    except (ValueError, TypeError) as error:
        raise CheckError(f"as_of is {text!r}, which is no time") from error
    if moment is pd.NaT:
        raise CheckError(f"as_of is {text!r}, which is no time")
    return moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")
