"""How far two rows of counts are apart, by four measures, each without what chance puts there.

    jensen-shannon       square root of the divergence in bits, 0 to 1 (Lin, 1991); no order needed
    cramers-v            root of chi-square per row, 0 to 1 (Cramer, 1946); no order needed
    kolmogorov-smirnov   largest difference of the cumulative shares, 0 to 1 (Smirnov, 1939); ordered cells
    wasserstein          how far values moved on average, in the column's units of scale (Kantorovich, 1942); ordered cells

Every one of them is above 0 for two samples of one distribution, the more so the smaller they are. Given how many rows of both
sides a cell holds, the batch's part is hypergeometric if nothing changed: drawn again and again, it tells what chance puts
there, which is taken off, and how often chance is as far, which is p. Values are known by their cells only, so the last two are
lower bounds: what moves within a cell, or farther beyond the reference's extremes, is not seen.
"""

# ruff: noqa: TID253
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_ALPHA = 1e-6

_SETTLED = 20
_AT_ONCE = 1000

Floats = NDArray[np.float64]

MEASURES = ("jensen-shannon", "cramers-v", "kolmogorov-smirnov", "wasserstein")

ORDERED = ("kolmogorov-smirnov", "wasserstein")
"""Those that need cells in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """How far apart two rows of counts are."""

    p: float
    """Probability of such a distance if nothing changed; not below a quarter of the error rate that was asked for."""

    distance: float
    """Minus its mean if nothing changed; about 0 then, may be negative."""


def distance(
    reference: Sequence[int], batch: Sequence[int], measure: str, widths: Sequence[float] | None = None, alpha: float = 0.01
) -> Distance:
    """Compare counts in the same cells.

    Args:
        reference: rows per cell.
        batch: the same, of the batch.
        measure: one of `MEASURES`.
        widths: for `wasserstein` the distance from each cell to the next, one fewer than cells.
        alpha: error rate that p will be compared with; smaller ones take more draws.
    """
    before, after = np.asarray(reference, dtype=np.int64), np.asarray(batch, dtype=np.int64)
    total, n, m = before + after, int(before.sum()), int(after.sum())
    if not n or not m or (total > 0).sum() < 2:
        return Distance(p=1.0, distance=0.0)
    steps = np.ones(len(total) - 1) if widths is None else np.asarray(widths, dtype=float)
    rng = np.random.default_rng(list(hashlib.sha256(np.stack([before, after]).tobytes()).digest()))
    seen = float(_measured(before[None], after[None], measure, steps)[0])
    if not np.isfinite(seen):  # no comparison with NaN is true, so NaN would never alarm
        raise FloatingPointError("the distance of two rows of counts could not be computed")
    as_far, made, usually = 0, 0, 0.0
    while made < 4 / max(alpha, LEAST_ALPHA) and as_far < _SETTLED:
        drawn = _drawn(total, m, rng)
        others = _measured(total - drawn, drawn, measure, steps)
        as_far += int((others >= seen - 1e-12).sum())
        made += _AT_ONCE
        usually += float(others.sum())
    return Distance(p=(1 + as_far) / (1 + made), distance=seen - usually / made)


def _drawn(total: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Batches of that many rows out of all rows, as counts. numpy's own limit is a billion rows; nobody has them here."""
    drawn: NDArray[np.int64] = rng.multivariate_hypergeometric(total, count, size=_AT_ONCE, method="marginals")
    return drawn


def _measured(before: NDArray[np.int64], after: NDArray[np.int64], measure: str, steps: Floats) -> Floats:
    """For each row of counts."""
    p, q = before / before.sum(axis=1, keepdims=True), after / after.sum(axis=1, keepdims=True)
    if measure == "jensen-shannon":
        middle = (p + q) / 2
        found: Floats = np.sqrt(np.maximum((_relative(p, middle) + _relative(q, middle)) / 2, 0.0))
    elif measure == "cramers-v":
        share = np.array([before.sum(axis=1), after.sum(axis=1)]) / (before + after).sum(axis=1)
        whole = share[0][:, None] * p + share[1][:, None] * q
        squares = np.divide((p - q) ** 2, whole, out=np.zeros_like(p), where=whole > 0).sum(axis=1)
        found = np.sqrt(share[0] * share[1] * squares)
    else:
        apart = np.abs(np.cumsum(p - q, axis=1))[:, :-1]
        found = apart.max(axis=1) if measure == "kolmogorov-smirnov" else (apart * steps).sum(axis=1)
    return found


def _relative(p: Floats, middle: Floats) -> Floats:
    """Kullback and Leibler's divergence, in bits."""
    ratio = np.divide(p, middle, out=np.ones_like(p), where=p > 0)
    bits: Floats = (p * np.log2(ratio)).sum(axis=1)
    return bits
