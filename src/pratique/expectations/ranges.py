"""Values beyond what a column can hold: wrong units, sentinels, broken rows."""

# ruff: noqa: TID253
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from pratique.comparing import cells
from pratique.errors import CheckError
from pratique.expectations.base import ROWS, RowsExpectation
from pratique.profiles import Column, Profile

_SHOWN = 5


class ExpectTableValuesToBeWithinRanges(RowsExpectation):
    """Expect every value of the named numeric columns to be in its range; infinities are in none that has that end.

    One expectation for all columns: Great Expectations takes half an hour for one each of ten thousand columns. Nulls are no
    values; a column without any fails unless the profile explains it.

    Args:
        profile: path of a profile, or a suite parameter.
        ranges: for each column its smallest and largest value, both included; null for no bound.
    """

    ranges: dict[str, Any]

    sentence: ClassVar[str] = "Values of numeric columns must be within their ranges."
    success_keys: ClassVar[tuple[str, ...]] = ("profile", "ranges")
    args_keys: ClassVar[tuple[str, ...]] = ("profile", "ranges")

    def judge(self, profile: Profile, metrics: dict[str, Any], wanted: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        """Look at every value."""
        frame = metrics[ROWS]
        if frame.empty:
            raise CheckError("the batch has no rows")
        outside, valueless, names = {}, [], Counter(map(str, frame.columns))
        for column, low, high in _asked(profile, wanted["ranges"]):
            if names[column.name] != 1:
                raise CheckError(f"the batch has no single column {column.name!r}")
            values = _numbers(frame[column.name], column)
            rows = np.flatnonzero((values < low) | (values > high))
            if len(rows):
                shown = rows[:_SHOWN].tolist()
                outside[column.name] = {
                    "low": _bound(low), "high": _bound(high), "count": len(rows), "rows": shown,
                    "values": [str(value) for value in values[shown].tolist()],
                }  # fmt: skip
            if np.isnan(values).all() and not column.explains_nulls(len(values)):
                valueless.append(column.name)
        count = sum(one["count"] for one in outside.values())
        return not (outside or valueless), count, {"outside": outside, "valueless": valueless}


def _asked(profile: Profile, ranges: Mapping[str, Any]) -> Iterator[tuple[Column, float, float]]:
    if not ranges:
        raise CheckError("no range is given, so nothing could be outside")
    numeric = {column.name: column for column in profile.features if column.kind == "numeric"}
    for name, pair in ranges.items():
        if name not in numeric:
            raise CheckError(f"the profile has no numeric column {name!r}")
        low, high = pair if isinstance(pair, (list, tuple)) and len(pair) == 2 else (None, None)
        if low is None and high is None:
            raise CheckError(f"the range of {name!r} is {pair}; it takes [smallest, largest], one of them a number")
        low, high = -np.inf if low is None else float(low), np.inf if high is None else float(high)
        if not low <= high:
            raise CheckError(f"the range of {name!r} is empty: {pair}")
        yield numeric[name], low, high


def _numbers(series: Any, column: Column) -> Any:
    if cells.kind_of(series) not in ("numeric", "empty"):
        raise CheckError(f"column {column.name!r} holds values of another kind than in the profile")
    return cells.numbers(series)


def _bound(value: float) -> float | None:
    return value if np.isfinite(value) else None
