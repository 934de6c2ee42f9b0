"""Rows as small integers: standardised by the reference, cut off at 8 standard deviations, in steps of 1/16.

Integers make distances exact in float32, so every machine finds the same neighbours; and a profile can hold its reference
rows in one byte a value. A constant column has no scale and takes no part; a null stands at the mean; categories are one-hot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pratique.comparing import cells

if TYPE_CHECKING:
    from pratique.profiles import Column

STEP = 16
"""Steps in one standard deviation."""


def encode(frame: Any, columns: Sequence[Column]) -> NDArray[np.int8]:
    """Rows x width, int8. Text in a numeric column raises ValueError."""
    parts = [_encoded(frame[column.name], column) for column in columns if column.width]
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(frame), 0), dtype=np.int8)


def squared_distances(rows: NDArray[np.int8], others: NDArray[np.int8]) -> NDArray[np.float32]:
    """Rows x others, in squared steps. Exact below 2**24, which is 250 columns at full range."""
    a, b = rows.astype(np.float32), others.astype(np.float32)
    squares = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)[None, :] - 2 * (a @ b.T)
    return np.maximum(squares, 0, out=squares)


def blocks(count: int, size: int = 512) -> list[slice]:
    """Slices of rows whose distances to 20,000 others fit into memory."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _encoded(series: Any, column: Column) -> NDArray[np.int8]:
    if column.kind == "categorical":
        spelt = cells.texts(series)
        return np.stack([(spelt == value) * STEP for value in column.values], axis=1).astype(np.int8)
    z = np.nan_to_num((cells.numbers(series) - column.mean) / column.scale, nan=0.0, posinf=np.inf, neginf=-np.inf)
    return np.clip(np.round(z * STEP), -128, 127).astype(np.int8)[:, None]
