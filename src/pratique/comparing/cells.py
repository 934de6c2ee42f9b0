"""A column as counts. The profile fixes the cells; every batch is counted in the same ones.

A numeric column has a cell below its smallest reference value, one per bin, and one above its largest, then nulls (NaN counts
as null: CSV cannot tell them apart), -inf and +inf. A categorical column has one cell per known value, then all other values
together, then nulls.
"""

# ruff: noqa: TID253
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MOST_VALUES = 100
"""Categories that a profile lists; the rest share one cell."""

_MOST_SPELT = 500
"""Characters of a value that may be listed: a profile is no place for whole documents."""

_INFERRED = {"decimal": "numeric", "date": "other", "datetime": "other", "time": "other", "bytes": "other", "complex": "other"}
"""What pandas calls the Python objects in a column that has no type of its own; all else is text."""


def kind_of(column: Any) -> str:
    """`numeric`, `categorical`, `empty` (nothing but nulls) or `other` (dates and the like) of a pandas Series."""
    if column.isna().all():
        return "empty"
    if pd.api.types.is_bool_dtype(column) or isinstance(column.dtype, pd.CategoricalDtype):
        return "categorical"
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return "numeric"
    if pd.api.types.is_object_dtype(column):
        return _INFERRED.get(pd.api.types.infer_dtype(column, skipna=True), "categorical")
    return "categorical" if pd.api.types.is_string_dtype(column) else "other"


def numbers(column: Any) -> NDArray[np.float64]:
    """A numeric (or empty) column as float64, nulls as NaN."""
    if column.isna().all():
        return np.full(len(column), np.nan)
    values: NDArray[np.float64] = column.to_numpy(dtype="float64", na_value=np.nan)
    return values


def edges(values: NDArray[np.float64], bins: int) -> list[float]:
    """Inner edges of at most `bins` bins of equal mass; a value that fills a whole bin gets a cell of its own.

    Cell i holds edges[i-1] <= x < edges[i]. The first and the last cell hold no reference value at all: what lies beyond the
    reference is news, however little of it there is.
    """
    finite = values[np.isfinite(values)]
    quantiles = np.quantile(finite, np.arange(1, bins) / bins, method="lower")
    places, repeats = np.unique(quantiles, return_counts=True)
    with np.errstate(over="ignore"):  # above the largest number there is nothing
        after = np.nextafter(np.append(places[repeats > 1], finite.max()), np.inf)
    found = np.unique(np.concatenate([[finite.min()], places, after]))
    return [float(edge) for edge in found[np.isfinite(found)]]


def count_numbers(values: NDArray[np.float64], inner: Sequence[float]) -> list[int]:
    """Counts per bin, then nulls, -inf, +inf."""
    finite = values[np.isfinite(values)]
    inside = np.bincount(np.searchsorted(np.asarray(inner), finite, side="right"), minlength=len(inner) + 1)
    return [*inside.tolist(), *(int(edge.sum()) for edge in (np.isnan(values), np.isneginf(values), np.isposinf(values)))]


def categories(column: Any) -> list[str]:
    """The values worth a cell: at most 100, and frequent enough that their frequency is no accident.

    Rare values stay in the common cell: the luckiest of many rare ones would look frequent in the reference only.
    """
    codes, names = _spelt(column)
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    least = max(10, int(counts.sum()) // 100)
    ranked = [(int(count), name) for name, count in zip(names, counts, strict=True) if count >= least]
    return sorted(name for _, name in sorted(ranked, reverse=True)[:MOST_VALUES] if len(name) <= _MOST_SPELT)


def labels(column: Any) -> list[str]:
    """All values of a column, nulls apart."""
    return sorted(_spelt(column)[1])


def places(column: Any, known: Sequence[str]) -> NDArray[np.int64]:
    """The cell of each row of a categorical column: of a known value, of all others, or of nulls."""
    codes, names = _spelt(column)
    cell = {name: index for index, name in enumerate(known)}
    found = np.array([*(cell.get(name, len(known)) for name in names), len(known) + 1], dtype=np.int64)
    return found[codes]  # code -1, a null, is the last


def count_texts(column: Any, known: Sequence[str]) -> list[int]:
    """Counts per known value, then other values, then nulls."""
    return [int(count) for count in np.bincount(places(column, known), minlength=len(known) + 2)]


def _spelt(column: Any) -> tuple[NDArray[np.int64], list[str]]:
    """A number per row (-1 for nulls), and the text that each number stands for.

    `5`, `5.0` and `"5"` are one label, whatever a file made of them.
    """
    codes, values = pd.factorize(column)
    numbers: dict[str, int] = {}
    joined = np.array([*(numbers.setdefault(_text(value), len(numbers)) for value in values), -1], dtype=np.int64)
    return joined[codes], list(numbers)


def _text(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)
