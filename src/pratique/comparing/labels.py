"""Whether more rows of a batch sit among rows of another label than rows of the reference do.

1. Score a row: distance to its k-th nearest trusted row of the same label, over the distance to the k-th nearest of any other
   one label. Neighbours are always reference rows, so poisoned rows cannot vouch for each other.
2. The reference is cut into five folds. A fold is scored against the other four, and a random fifth of the batch against
   the very same four: given those, both are exchangeable within a label if nothing is wrong.
3. Among the 1, 2, 5 and 10 % highest scores of all, count the rows of the batch. Given how many of each (label, fold) there
   are, the count is a sum of hypergeometric variables: its tail is computed, not simulated.
4. Four looks, so four times the smallest tail (Bonferroni).

This is cross-conformal inference (Vovk 2015) with matched folds; the folds' counts are treated as independent, which is the
one approximation (measured: docs/checks/dataset.md).
"""

# ruff: noqa: TID253
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pratique.comparing.encoding import blocks, draw, squared_distances

LEVELS = (0.01, 0.02, 0.05, 0.10)
NEIGHBOURS = 5
LEAST_ROWS = 10
"""Reference rows that a label needs to have neighbours; rows of rarer labels are not scored."""

MOST_ROWS = 100_000
"""Rows of a batch that are scored; of a larger one, as many drawn at random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformity:
    """How well a batch's labels conform to the reference."""

    p: float
    """Probability of so many nonconforming rows if batch and reference are alike."""

    excess: float
    """Share of the batch above the telling threshold, minus that of the reference: about the share of wrong labels."""

    suspects: tuple[int, ...]
    """Row numbers of the batch above that threshold, worst first. Some are merely unusual."""

    unscored: int
    """Rows whose label is unknown, missing, or too rare in the reference."""

    scored: int
    """Rows that were looked at."""


def conformity(
    reference: NDArray[np.int16],
    reference_labels: NDArray[np.int64],
    reference_folds: NDArray[np.int64],
    batch: NDArray[np.int16],
    batch_labels: NDArray[np.int64],
    most: int = MOST_ROWS,
) -> Conformity:
    """Test a batch against the reference. Labels are numbers of the reference's labels, -1 for none of them."""
    common = np.flatnonzero(np.bincount(reference_labels[reference_labels >= 0], minlength=1) >= LEAST_ROWS)
    old, new = np.isin(reference_labels, common), np.isin(batch_labels, common)
    places, rng = np.flatnonzero(new), draw(batch)
    if len(places) > most:
        places = np.sort(rng.choice(places, most, replace=False))
    count = int(reference_folds.max()) + 1
    folds = deal(batch_labels[places], count, rng)
    before, after = np.empty(int(old.sum())), np.empty(len(places))
    for fold in range(count):
        trusted = old & (reference_folds != fold)
        rows, labels = reference[trusted], reference_labels[trusted]
        mine, theirs = old & (reference_folds == fold), places[folds == fold]
        before[mine[old]] = scores(reference[mine], reference_labels[mine], rows, labels, common)
        after[folds == fold] = scores(batch[theirs], batch_labels[theirs], rows, labels, common)
    strata = _strata(reference_labels[old], reference_folds[old], count), _strata(batch_labels[places], folds, count)
    p, top = _test(before, after, *strata)
    chosen = top[top >= len(before)] - len(before)
    excess = len(chosen) / max(len(after), 1) - (len(top) - len(chosen)) / max(len(before), 1)
    return Conformity(
        p=p, excess=excess, suspects=tuple(int(row) for row in places[chosen]), unscored=int((~new).sum()), scored=len(places)
    )  # fmt: skip


def deal(labels: NDArray[np.int64], folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A fold for every row: within each label, a random deal of equal hands."""
    dealt = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        dealt[rows] = (np.arange(len(rows)) + rng.integers(folds)) % folds
    return dealt


def scores(
    rows: NDArray[np.int16],
    labels: NDArray[np.int64],
    trusted: NDArray[np.int16],
    trusted_labels: NDArray[np.int64],
    classes: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Nonconformity of each row: below 1 if it is closer to its own label."""
    result = np.empty(len(rows))
    for part in blocks(len(rows)):
        squares = squared_distances(rows[part], trusted)
        near = np.stack([_kth(squares[:, trusted_labels == label]) for label in classes], axis=1)
        own = np.arange(len(near)), np.searchsorted(classes, labels[part])
        same = near[own]
        near[own] = np.inf
        result[part] = (same + 1) / (near.min(axis=1) + 1)  # one step of slack: copies have no distance at all
    return result


def _kth(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    k = min(NEIGHBOURS, squares.shape[1]) - 1
    return np.sqrt(np.partition(squares, k, axis=1)[:, k])


def _strata(labels: NDArray[np.int64], folds: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return labels * count + folds


def _test(
    before: NDArray[np.float64], after: NDArray[np.float64], strata_before: NDArray[np.int64], strata_after: NDArray[np.int64]
) -> tuple[float, NDArray[np.int64]]:
    """The corrected p-value, and the rows above the threshold that gave it (reference rows are numbered first)."""
    everything = np.concatenate([before, after])
    strata = np.concatenate([strata_before, strata_after])
    order = np.argsort(-everything, kind="stable")  # ties go to the reference: they must not look suspicious
    size = int(strata.max(initial=0)) + 1
    both, new = np.bincount(strata, minlength=size), np.bincount(strata_after, minlength=size)
    best, chosen = 2.0, order[:0]
    for level in LEVELS:
        top = order[: max(1, round(level * len(everything)))]
        seen = int((top >= len(before)).sum())
        tail = _tail(np.bincount(strata[top], minlength=size), both, new, seen)
        if tail < best:
            best, chosen = tail, top
    return min(1.0, best * len(LEVELS)), chosen


def _tail(tops: Sequence[int] | NDArray[np.int64], both: NDArray[np.int64], new: NDArray[np.int64], seen: int) -> float:
    """P(at least `seen` of the top rows are new), each stratum hypergeometric."""
    chance = np.ones(1)
    for top, total, fresh in zip(tops, both, new, strict=True):
        if top:
            chance = np.convolve(chance, stats.hypergeom.pmf(np.arange(top + 1), total, top, fresh))
    tail = float(chance[seen:].sum())
    if not np.isfinite(tail):  # no comparison with NaN is true, so NaN would never alarm
        raise FloatingPointError("the tail of the count of nonconforming rows could not be computed")
    return min(1.0, tail)
