"""Whether two rows of counts come from one distribution: significance and effect, never either alone.

Significance alone alarms on every large batch; a PSI threshold alone alarms on every small one (its mean on clean data is
(B-1)(1/n+1/m): 0.1 for ten cells and 180 rows a side). So a column has drifted if both say so.
"""

# ruff: noqa: TID253
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEAST_EXPECTED = 5.0
"""Cochran's rule: cells that expect fewer rows than this are pooled, or the chi-square tail is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How far one row of counts is from another."""

    p: float
    """Pearson's chi-square test of homogeneity. 1 if all rows fall into one cell."""

    psi: float
    """Population stability index minus its mean on clean data; about 0 if nothing changed, may be negative."""


def compare(reference: Sequence[int], batch: Sequence[int]) -> Shift:
    """Compare counts in the same cells. Rare cells are pooled by their total, which says nothing about a difference."""
    before, after = _pooled(np.asarray(reference, dtype=float), np.asarray(batch, dtype=float))
    if len(before) < 2:
        return Shift(p=1.0, psi=0.0)
    n, m = before.sum(), after.sum()
    expected = (before + after) / (n + m)
    square = float((((before - n * expected) ** 2) / (n * expected) + ((after - m * expected) ** 2) / (m * expected)).sum())
    p = (before + 0.5) / (n + 0.5 * len(before))
    q = (after + 0.5) / (m + 0.5 * len(after))
    psi = float(((q - p) * np.log(q / p)).sum())
    freedom = len(before) - 1
    return Shift(p=float(stats.chi2.sf(square, freedom)), psi=float(psi - freedom * (1 / n + 1 / m)))


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p-values: naming every column at or below alpha errs with probability at most alpha in all.

    S. Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    adjusted: dict[str, float] = {}
    floor = 0.0
    for rank, (name, value) in enumerate(sorted(p.items(), key=lambda item: item[1])):
        floor = max(floor, min(1.0, value * (len(p) - rank)))
        adjusted[name] = floor
    return adjusted


def _pooled(reference: NDArray[np.float64], batch: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    both = np.stack([reference, batch])
    total = both.sum(0)
    share = both.sum(1).min() / max(total.sum(), 1.0)
    rare = total * share < LEAST_EXPECTED
    kept, pooled = both[:, ~rare], both[:, rare].sum(1)
    if pooled.sum() * share >= LEAST_EXPECTED or not kept.size:
        kept = np.column_stack([kept, pooled])
    else:
        kept[:, int(np.argmin(kept.sum(0)))] += pooled
    return kept[0], kept[1]
