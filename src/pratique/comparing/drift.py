"""Whether two rows of counts come from one distribution: significance and effect, never either alone.

Significance alone alarms on every large batch; a PSI threshold alone alarms on every small one (its mean on clean data is
(B-1)(1/n+1/m): 0.1 for ten cells and 180 rows a side). So a column has drifted if both say so.

1. Given how many rows of both sides a cell holds, the batch's part of them is hypergeometric if nothing changed.
2. Neighbouring cells are joined until each expects ten rows on the smaller side: Pearson's chi-square over those.
3. One cell among many (nulls that never were, a new category, values beyond the reference) drowns there: each cell has an
   exact test of "more than chance puts there", corrected for the number of cells.
4. p is twice the smaller of both.
"""

# ruff: noqa: TID253
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

LEAST_EXPECTED = 10.0
"""Rows that a cell must expect. Cochran's five are enough at 5 %, but not in the tails that Holm looks at: of a clean table of
twenty columns they alarm up to three times too often (tests/comparing/test_drift.py)."""

_TAIL = 60
"""More rows than this are never met in a cell that expects fewer than ten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How far one row of counts is from another."""

    p: float
    """Probability of such a difference if nothing changed. 1 if all rows fall into one cell."""

    psi: float
    """Population stability index minus its mean on clean data; about 0 if nothing changed, may be negative."""


def compare(reference: Sequence[int], batch: Sequence[int], *, ordered: bool = False) -> Shift:
    """Compare counts in the same cells.

    Args:
        reference: rows per cell.
        batch: the same, of the batch.
        ordered: neighbouring cells hold neighbouring values. If not, rare cells are joined with rare ones.
    """
    both = np.stack([np.asarray(reference, dtype=float), np.asarray(batch, dtype=float)])
    both = both[:, both.sum(0) > 0]
    if both.shape[1] < 2 or not both.sum(1).all():
        return Shift(p=1.0, psi=0.0)
    total = both.sum(0)
    overall = _chi_square(both if ordered else both[:, np.argsort(-total, kind="stable")])
    more = stats.hypergeom.sf(both[1] - 1, total.sum(), total, both[1].sum())
    p, psi = float(np.min([1.0, 2 * overall, 2 * len(total) * more.min()])), _psi(both)
    if not (np.isfinite(p) and np.isfinite(psi)):  # no comparison with NaN is true, so NaN would never alarm
        raise FloatingPointError("the difference of two rows of counts could not be computed")
    return Shift(p=p, psi=psi)


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


def _share(both: NDArray[np.float64]) -> float:
    """The smaller side's share of all rows."""
    return float(both.sum(1).min() / both.sum())


def _chi_square(both: NDArray[np.float64]) -> float:
    groups = _joined(both)
    if groups.shape[1] < 2:
        return 1.0
    expected = groups.sum(1)[:, None] * groups.sum(0) / groups.sum()
    return float(special.chdtrc(groups.shape[1] - 1, ((groups - expected) ** 2 / expected).sum()))


def _joined(both: NDArray[np.float64]) -> NDArray[np.float64]:
    """Neighbours joined from the left until each group expects enough; what remains goes to the last. Only totals decide,
    and they say nothing about a difference."""
    share, starts, size = _share(both), [0], 0.0
    for cell, expected in enumerate(both.sum(0) * share):
        if size >= LEAST_EXPECTED:
            starts.append(cell)
            size = 0.0
        size += expected
    if size < LEAST_EXPECTED and len(starts) > 1:
        starts.pop()
    groups: NDArray[np.float64] = np.add.reduceat(both, starts, axis=1)
    return groups


def _psi(both: NDArray[np.float64]) -> float:
    """The index over all cells, minus its mean: (1/n + 1/m) per cell but for its own share, exactly where that is far off."""
    total, sides = both.sum(0), both.sum(1)
    mean = (1 - total / total.sum()) * (1 / sides).sum()
    rare = total * _share(both) < LEAST_EXPECTED
    if rare.any():
        mean[rare] = _mean_term(total[rare], sides, len(total))
    return float((_term(both[0], both[1], sides, len(total)) - mean).sum())


def _term(
    before: NDArray[np.float64], after: NDArray[np.float64], sides: NDArray[np.float64], cells: int
) -> NDArray[np.float64]:
    p, q = (before + 0.5) / (sides[0] + 0.5 * cells), (after + 0.5) / (sides[1] + 0.5 * cells)
    term: NDArray[np.float64] = (q - p) * np.log(q / p)
    return term


def _mean_term(total: NDArray[np.float64], sides: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
    """A rare cell's term on average over how its rows may fall (binomial: they are few of many)."""
    few, share = int(np.argmin(sides)), sides.min() / sides.sum()
    there = np.arange(min(_TAIL, int(total.max())) + 1.0)[:, None]
    chance = np.exp(
        special.gammaln(total + 1) - special.gammaln(there + 1) - special.gammaln(np.maximum(total - there, 0) + 1)
        + there * np.log(share) + (total - there) * np.log1p(-share)
    )  # fmt: skip
    elsewhere = np.maximum(total - there, 0.0)
    before, after = (there, elsewhere) if few == 0 else (elsewhere, there)
    mean: NDArray[np.float64] = (np.where(there <= total, chance, 0.0) * _term(before, after, sides, cells)).sum(0)
    return mean
