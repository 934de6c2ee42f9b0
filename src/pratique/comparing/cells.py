"""A column as counts. The profile fixes the cells; every batch is counted in the same ones.

A numeric column has one cell per bin, then nulls (NaN counts as null: CSV cannot tell them apart), -inf and +inf.
A categorical column has one cell per known value, then all other values together, then nulls.
"""

# ruff: noqa: TID253
from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MOST_VALUES = 100
"""Categories that a profile lists; the rest share one cell."""


def kind_of(column: Any) -> str:
    """`numeric`, `categorical`, `empty` (nothing but nulls) or `other` (dates and the like) of a pandas Series."""
    if column.isna().all():
        return "empty"
    if pd.api.types.is_bool_dtype(column) or isinstance(column.dtype, pd.CategoricalDtype):
        return "categorical"
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return "numeric"
    if pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column):
        return "categorical"
    return "other"


def numbers(column: Any) -> NDArray[np.float64]:
    """A numeric (or empty) column as float64, nulls as NaN."""
    if column.isna().all():
        return np.full(len(column), np.nan)
    values: NDArray[np.float64] = column.to_numpy(dtype="float64", na_value=np.nan)
    return values


def texts(column: Any) -> NDArray[np.object_]:
    """A column's values as text, nulls as None. `5`, `5.0` and `"5"` are one label, whatever a file made of them."""
    spelt = {value: _text(value) for value in column.dropna().unique()}
    missing = column.isna()
    return np.array([None if gone else spelt[value] for gone, value in zip(missing, column, strict=True)], dtype=object)


def edges(values: NDArray[np.float64], bins: int) -> list[float]:
    """Inner edges of at most `bins` bins of equal mass; a value that fills a whole bin gets a cell of its own.

    Cell i holds edges[i-1] <= x < edges[i]. Isolating frequent values (the zeros of an image) is what lets a constant
    column have a below, an at and an above.
    """
    finite = values[np.isfinite(values)]
    quantiles = np.quantile(finite, np.arange(1, bins) / bins, method="lower")
    places, repeats = np.unique(quantiles, return_counts=True)
    after = np.nextafter(places[repeats > 1], np.inf)
    return [float(edge) for edge in np.unique(np.concatenate([places, after]))]


def count_numbers(values: NDArray[np.float64], inner: list[float]) -> list[int]:
    """Counts per bin, then nulls, -inf, +inf."""
    finite = values[np.isfinite(values)]
    inside = np.bincount(np.searchsorted(np.asarray(inner), finite, side="right"), minlength=len(inner) + 1)
    return [*inside.tolist(), *(int(edge.sum()) for edge in (np.isnan(values), np.isneginf(values), np.isposinf(values)))]


def categories(values: NDArray[np.object_]) -> list[str]:
    """The values worth a cell: at most 100, and frequent enough that their frequency is no accident.

    Rare values stay in the common cell: the luckiest of many rare ones would look frequent in the reference only.
    """
    present = [value for value in values if value is not None]
    names, counts = np.unique(np.array(present, dtype=object), return_counts=True)
    least = max(10, len(present) // 100)
    ranked = sorted(
        ((int(count), str(name)) for name, count in zip(names, counts, strict=True) if count >= least), reverse=True
    )
    return sorted(name for _, name in ranked[:MOST_VALUES])


def count_texts(values: NDArray[np.object_], known: list[str]) -> list[int]:
    """Counts per known value, then other values, then nulls."""
    cell = {name: index for index, name in enumerate(known)}
    cells = [len(known) + 1 if value is None else cell.get(value, len(known)) for value in values]
    return [int(count) for count in np.bincount(np.array(cells, dtype=int), minlength=len(known) + 2)]


def _text(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)
