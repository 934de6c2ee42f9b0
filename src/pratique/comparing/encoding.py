"""Rows as small integers: standardised by the reference, cut off at 8 units of scale, in steps of 1/256.

Integers make distances exact, so every machine finds the same neighbours, and a profile holds its reference rows in two bytes
a value. A constant column has no scale and takes no part; a null stands at the median; categories are one-hot.
"""

# ruff: noqa: TID253
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pratique.comparing import cells

STEP = 256
"""Steps in one unit of scale."""

_CUT = 8 * STEP


class Feature(Protocol):
    """What must be known of a column to encode it; a profile's columns do."""

    @property
    def name(self) -> str:
        """As in the table."""

    @property
    def kind(self) -> str:
        """`numeric` or `categorical`."""

    @property
    def values(self) -> Sequence[str]:
        """Known values of a categorical column."""

    @property
    def center(self) -> float:
        """Where a numeric column's nulls are put."""

    @property
    def scale(self) -> float:
        """Its unit, above 0."""

    @property
    def width(self) -> int:
        """Numbers per row; 0 if the column takes no part."""


def encode(frame: Any, columns: Sequence[Feature]) -> NDArray[np.int16]:
    """Rows x width, int16. Text in a numeric column raises ValueError."""
    codes = np.zeros((len(frame), sum(column.width for column in columns)), dtype=np.int16)
    start = 0
    for column in columns:
        if column.width:
            _encode(frame[column.name], column, codes[:, start : start + column.width])
            start += column.width
    return codes


def draw(rows: NDArray[np.int16]) -> np.random.Generator:
    """Randomness that hangs on every value: nobody can lay rows where a fixed seed would not look.

    The same rows get the same draw, so a check can be repeated. Whoever knows the profile can compute it, too, and vary a batch
    until the draw misses the poison: about e**h times, if the sample should meet h poisoned rows.
    """
    return np.random.default_rng(list(hashlib.sha256(np.ascontiguousarray(rows).tobytes()).digest()))


def squared_distances(rows: NDArray[np.int16], others: NDArray[np.int16]) -> NDArray[np.float64]:
    """Rows x others, in squared steps; exact."""
    a, b = rows.astype(np.float64), others.astype(np.float64)
    squares = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)[None, :] - 2 * (a @ b.T)
    result: NDArray[np.float64] = np.maximum(squares, 0, out=squares)
    return result


def blocks(count: int, size: int = 512) -> list[slice]:
    """Slices of rows whose distances to 20,000 others fit into memory."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _encode(series: Any, column: Feature, codes: NDArray[np.int16]) -> None:
    if column.kind == "categorical":
        cell = cells.places(series, column.values)
        known = np.flatnonzero(cell < len(column.values))
        codes[known, cell[known]] = STEP
        return
    with np.errstate(over="ignore"):
        steps = np.round((cells.numbers(series) - column.center) / column.scale * STEP)
    codes[:, 0] = np.clip(np.where(np.isnan(steps), 0.0, steps), -_CUT, _CUT).astype(np.int16)
