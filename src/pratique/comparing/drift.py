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

Floats = NDArray[np.float64]


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
    p, psi = float(np.min([1.0, 2 * overall, 2 * len(total) * _exact(both)])), _psi(both)
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


def _share(both: Floats) -> float:
    """The smaller side's share of all rows."""
    return float(both.sum(1).min() / both.sum())


def _chi_square(both: Floats) -> float:
    groups = _joined(both)
    if groups.shape[1] < 2:
        return 1.0
    expected = groups.sum(1)[:, None] * groups.sum(0) / groups.sum()
    return float(special.chdtrc(groups.shape[1] - 1, ((groups - expected) ** 2 / expected).sum()))


def _joined(both: Floats) -> Floats:
    """Neighbours joined from the left until each group expects enough; the last may have half. Only totals decide, and they
    say nothing about a difference."""
    share, starts, size = _share(both), [0], 0.0
    for cell, expected in enumerate(both.sum(0) * share):
        if size >= LEAST_EXPECTED:
            starts.append(cell)
            size = 0.0
        size += expected
    if size < LEAST_EXPECTED / 2 and len(starts) > 1:
        starts.pop()
    groups: Floats = np.add.reduceat(both, starts, axis=1)
    return groups


def _exact(both: Floats) -> float:
    """The smallest chance of so many of a cell's rows in the batch, where they are more than two deviations too many."""
    total, (n, m) = both.sum(0), both.sum(1)
    mean = total * m / (n + m)
    high = both[1] - mean > 2 * np.sqrt(mean * n / (n + m) * (1 - total / (n + m)))
    if not high.any():
        return 1.0
    return float(stats.hypergeom.sf(both[1, high] - 1, n + m, total[high], m).min())


def _psi(both: Floats) -> float:
    """The index over all cells, minus its mean if nothing changed (about (1/n + 1/m) per cell but one, before smoothing)."""
    total, sides = both.sum(0), both.sum(1)
    rare = total * _share(both) < LEAST_EXPECTED
    mean = np.empty(len(total))
    mean[rare] = _mean_term(_RARE, _binomial(total[rare], sides), total[rare], sides, len(total))
    usual = _normal(total[~rare], sides)
    mean[~rare] = _mean_term(usual, _WEIGHTS, total[~rare], sides, len(total))
    return float((_term(both[0], both[1], sides, len(total)) - mean).sum())


def _term(before: Floats, after: Floats, sides: Floats, cells: int) -> Floats:
    p, q = (before + 0.5) / (sides[0] + 0.5 * cells), (after + 0.5) / (sides[1] + 0.5 * cells)
    term: Floats = (q - p) * np.log(q / p)
    return term


def _mean_term(there: Floats, chance: Floats, total: Floats, sides: Floats, cells: int) -> Floats:
    """A cell's term on average over how many of its rows may be on the smaller side."""
    there = np.minimum(there, total)
    before, after = (there, total - there) if sides[0] <= sides[1] else (total - there, there)
    mean: Floats = (chance * _term(before, after, sides, cells)).sum(0)
    return mean


def _binomial(total: Floats, sides: Floats) -> Floats:
    """The chance of each number of rows on the smaller side: they are few of many."""
    share, rest = sides.min() / sides.sum(), np.maximum(total - _RARE, 0)
    ways = special.gammaln(total + 1) - special.gammaln(_RARE + 1) - special.gammaln(rest + 1)
    chance: Floats = np.where(total >= _RARE, np.exp(ways + _RARE * np.log(share) + rest * np.log1p(-share)), 0.0)
    return chance


def _normal(total: Floats, sides: Floats) -> Floats:
    """Numbers of rows on the smaller side, where they are many: nodes of Gauss and Hermite, to be weighed with `_WEIGHTS`."""
    share = sides.min() / sides.sum()
    spread = np.sqrt(total * share * (1 - share) * (1 - total / sides.sum()))
    there: Floats = np.maximum(total * share + spread * _NODES, 0.0)
    return there


_RARE = np.arange(61.0)[:, None]
"""More rows than these are never met where fewer than ten are expected."""

_NODES, _WEIGHTS = (part[:, None] for part in np.polynomial.hermite_e.hermegauss(9))
_WEIGHTS /= _WEIGHTS.sum()
