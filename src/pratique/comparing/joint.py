"""Whether columns hang together as before: what no column shows by itself.

    correlations   the largest change of any correlation, against random exchanges
    kernel         maximum mean discrepancy, against random exchanges (Gretton et al., A kernel two-sample test, 2012)
    classifier     how well the two can be told apart (Lopez-Paz and Oquab, Revisiting classifier two-sample tests, 2017)

Exchanges change the places of rows of the reference and of the batch within a label only: how frequent labels are is another
test's question, and does not disturb these. They stop early once nothing can be the matter (Besag and Clifford, 1991).
"""

# ruff: noqa: TID253
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pratique.comparing.encoding import STEP, draw

MOST_ROWS = 4_000
"""Rows of a side that are compared; of a larger one, as many drawn at random."""

MOST_COLUMNS = 128
"""Columns whose correlations are compared; of a wider table, as many drawn at random."""

MOST_LEARNT = 1_000
"""Columns that the kernel and the classifier look at; of a wider table, as many drawn at random."""

LEAST_ALPHA = 1e-5

_FEATURES = 256
_SETTLED = 20
_AT_ONCE = 50

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """How differently the columns hang together."""

    p: float
    """Probability of such a difference if batch and reference are alike."""

    effect: float
    """Of correlations: the change. Of the kernel: the discrepancy (0 to 1.4), minus what chance puts there. Of the classifier:
    how often it is right about a pair of rows, one of each side, minus one half."""

    columns: tuple[int, ...]
    """The two whose correlation changed the most."""

    rows: tuple[int, ...]
    """Row numbers of the batch that look the least like the reference, the worst first."""

    scored: int
    """Rows of the batch that were looked at."""


def correlations(
    reference: NDArray[np.int16], reference_labels: Ints, batch: NDArray[np.int16], batch_labels: Ints, alpha: float = 0.001
) -> Joint:
    """Compare all pairs of columns. Labels are numbers; rows without one (-1) are exchanged among themselves."""
    rng, before, after = _sides(reference, batch)
    rows = np.concatenate([reference[before], batch[after]])
    columns = np.flatnonzero(rows.std(axis=0) > 0)
    if len(columns) > MOST_COLUMNS:
        columns = np.sort(rng.choice(columns, MOST_COLUMNS, replace=False))
    if len(columns) < 2:
        return Joint(p=1.0, effect=0.0, columns=(), rows=(), scored=len(after))
    values = rows[:, columns].astype(float)
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    labels = np.concatenate([reference_labels[before], batch_labels[after]])
    fresh = np.arange(len(rows)) >= len(before)

    def largest(new: NDArray[np.bool_]) -> float:
        return float(np.abs(_fisher(values[new]) - _fisher(values[~new])).max())

    seen = np.abs(_fisher(values[fresh]) - _fisher(values[~fresh]))
    one, other = (int(place) for place in np.unravel_index(int(seen.argmax()), seen.shape))
    change = abs(np.tanh(_fisher(values[fresh])[one, other]) - np.tanh(_fisher(values[~fresh])[one, other]))
    p = _exchanged(float(seen.max()), largest, labels, fresh, rng, alpha)
    return Joint(p=p, effect=float(change), columns=(int(columns[one]), int(columns[other])), rows=(), scored=len(after))


def kernel(
    reference: NDArray[np.int16], reference_labels: Ints, batch: NDArray[np.int16], batch_labels: Ints, alpha: float = 0.001
) -> Joint:
    """Compare all columns at once, by a Gaussian kernel as wide as the usual distance, in 256 random features of it."""
    rng, before, after = _sides(reference, batch)
    rows = _learnt(reference[before], batch[after], rng)
    labels = np.concatenate([reference_labels[before], batch_labels[after]])
    fresh = np.arange(len(rows)) >= len(before)
    some = rows[rng.permutation(len(rows))[:1000]]
    usual = float(np.median(np.linalg.norm(some - np.roll(some, 1, axis=0), axis=1)))
    waves = rng.standard_normal((rows.shape[1], _FEATURES // 2)) / max(usual, 1e-9)
    features = np.concatenate([np.cos(rows @ waves), np.sin(rows @ waves)], axis=1) / np.sqrt(_FEATURES / 2)

    def discrepancy(new: NDArray[np.bool_]) -> float:
        return float(np.linalg.norm(features[new].mean(axis=0) - features[~new].mean(axis=0)))

    seen = discrepancy(fresh)
    usually = float(np.mean([discrepancy(_exchange(labels, fresh, rng)) ** 2 for _ in range(_AT_ONCE)]))
    witness = features @ (features[fresh].mean(axis=0) - features[~fresh].mean(axis=0))
    worst = np.argsort(-witness[fresh], kind="stable")[:100]
    p = _exchanged(seen, discrepancy, labels, fresh, rng, alpha)
    effect = float(np.sqrt(max(seen**2 - usually, 0.0)))
    return Joint(p=p, effect=effect, columns=(), rows=tuple(int(row) for row in after[worst]), scored=len(after))


def classifier(reference: NDArray[np.int16], batch: NDArray[np.int16]) -> Joint:
    """Learn to tell them apart from one half of the rows, and count on the other half; then the other way round.

    Fisher's linear discriminant, shrunk; Mann and Whitney's test on rows that it was not made of, twice the smaller p. It needs
    no labels, so label shift shows here, too.
    """
    rng, before, after = _sides(reference, batch)
    rows = _learnt(reference[before], batch[after], rng)
    fresh = np.arange(len(rows)) >= len(before)
    half = np.zeros(len(rows), dtype=bool)
    for side in (np.flatnonzero(fresh), np.flatnonzero(~fresh)):
        half[rng.permutation(side)[: len(side) // 2]] = True
    smallest, right, scores = 1.0, [], np.empty(len(rows))
    for known in (half, ~half):
        direction = _discriminant(rows[known], fresh[known])
        scores[~known] = rows[~known] @ direction
        new, old = scores[~known & fresh], scores[~known & ~fresh]
        test = stats.mannwhitneyu(new, old, alternative="greater", method="asymptotic")
        smallest = min(smallest, float(test.pvalue)) if np.ptp(scores[~known]) > 0 else smallest
        right.append(float(test.statistic) / (len(new) * len(old)))
    worst = np.argsort(-scores[fresh], kind="stable")[:100]
    effect = float(np.mean(right)) - 0.5
    if not np.isfinite([smallest, effect]).all():  # no comparison with NaN is true, so NaN would never alarm
        raise FloatingPointError("how well the rows can be told apart could not be computed")
    return Joint(
        p=min(1.0, 2 * smallest), effect=effect, columns=(), rows=tuple(int(row) for row in after[worst]), scored=len(after)
    )  # fmt: skip


def _sides(reference: NDArray[np.int16], batch: NDArray[np.int16]) -> tuple[np.random.Generator, Ints, Ints]:
    rng = draw(batch)
    before, after = (np.sort(rng.permutation(len(side))[:MOST_ROWS]) for side in (reference, batch))
    return rng, before, after


def _learnt(before: NDArray[np.int16], after: NDArray[np.int16], rng: np.random.Generator) -> Floats:
    """Both sides' rows, in units of scale."""
    columns = np.sort(rng.permutation(before.shape[1])[:MOST_LEARNT])
    return np.concatenate([before[:, columns], after[:, columns]]).astype(float) / STEP


def _fisher(values: Floats) -> Floats:
    """Correlations, stretched so that their spread does not hang on them (Fisher's z); 0 where a column is constant."""
    centred = values - values.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=0))
    centred = centred / np.where(scale > 1e-9, scale, np.inf)
    stretched: Floats = np.arctanh(np.clip(centred.T @ centred, -0.999, 0.999))
    np.fill_diagonal(stretched, 0.0)
    return stretched


def _discriminant(rows: Floats, fresh: NDArray[np.bool_]) -> Floats:
    new, old = rows[fresh], rows[~fresh]
    apart = new.mean(axis=0) - old.mean(axis=0)
    residual = np.concatenate([new - new.mean(axis=0), old - old.mean(axis=0)])
    within = residual.T @ residual / len(residual)
    shrunk = within + (0.1 * np.trace(within) / len(within) + 1e-6) * np.eye(len(within))
    direction: Floats = np.linalg.solve(shrunk, apart)
    return direction


def _exchange(labels: Ints, fresh: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """The sides of rows, shuffled within each label."""
    order, shuffled = np.argsort(labels, kind="stable"), fresh.copy()
    mixed = np.lexsort((rng.random(len(labels)), labels))
    shuffled[order] = fresh[mixed]
    return shuffled


def _exchanged(
    seen: float,
    statistic: Callable[[NDArray[np.bool_]], float],
    labels: Ints,
    fresh: NDArray[np.bool_],
    rng: np.random.Generator,
    alpha: float,
) -> float:
    """How often exchanges look as telling as what was seen."""
    if not np.isfinite(seen):  # no comparison with NaN is true, so NaN would never alarm
        raise FloatingPointError("how the columns hang together could not be computed")
    as_telling, made = 0, 0
    while made < 4 / max(alpha, LEAST_ALPHA) and as_telling < _SETTLED:
        made += _AT_ONCE
        as_telling += sum(statistic(_exchange(labels, fresh, rng)) >= seen - 1e-12 for _ in range(_AT_ONCE))
    return (1 + as_telling) / (1 + made)
