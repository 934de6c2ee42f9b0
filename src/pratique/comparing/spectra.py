"""Whether the rows of a label vary in a direction in which the reference hardly does.

Poisoned rows share something, and what they share adds variance in one direction (Tran et al., Spectral signatures, 2018). In
the raw features it drowns in what varies anyway; where the trusted rows' own variance has been divided out it stands out
(Hayase et al., SPECTRE, 2021).

1. One half of the reference, drawn at random, gives the means of the labels and the covariance within them. The other half is
   calibration and was not looked at: scaling by the rows that one compares with is what makes such tests alarm on clean data.
2. Of each label, the largest eigenvalue of the second moments about that mean, in at most 32 whitened directions.
3. Calibration rows and rows of the batch change places at random within their label: that gives the chance of such a value.
   The most telling label counts, and it is compared with the most telling one of every exchange (Westfall and Young, 1993).
4. Exchanging stops early once it is clear that nothing is the matter (Besag and Clifford, 1991).
"""

# ruff: noqa: TID253
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pratique.comparing.encoding import draw
from pratique.comparing.labels import LEAST_ROWS, deal

MOST_ROWS = 20_000
DIRECTIONS = 32
_SETTLED = 20
"""Exchanges as telling as what was seen, after which no more are made: p cannot become small any more."""

_AT_ONCE = 100
LEAST_ALPHA = 1e-5
"""The smallest error rate that can be asked for: it takes four times as many exchanges as it is one in."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """The label whose rows vary the most beyond the reference."""

    p: float
    """Probability of any label so far beyond if batch and reference are alike; not below a quarter of the error rate."""

    ratio: float
    """Its largest variance, over that of the calibration rows: about 1 if nothing changed."""

    label: int
    """Which label; -1 if none could be compared."""

    rows: tuple[int, ...]
    """Row numbers of the batch that lie farthest along that direction, farthest first."""

    scored: int
    """Rows that were looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Class:
    label: int
    old: Floats
    new: Floats
    places: Ints


def spectrum(
    reference: NDArray[np.int16], reference_labels: Ints, batch: NDArray[np.int16], batch_labels: Ints, alpha: float = 0.001
) -> Spectrum:
    """Test a batch against the reference. Labels are numbers of the reference's labels, -1 for none of them.

    `alpha` is the error rate that p will be compared with; smaller ones take more exchanges.
    """
    rng = draw(batch)
    places = np.flatnonzero(batch_labels >= 0)
    if len(places) > MOST_ROWS:
        places = np.sort(rng.choice(places, MOST_ROWS, replace=False))
    classes = _classes(reference, reference_labels, batch, batch_labels, places, rng)
    if not classes:
        return Spectrum(p=1.0, ratio=1.0, label=-1, rows=(), scored=0)
    before, after = (np.array([_top(getattr(one, side)) for one in classes]) for side in ("old", "new"))
    if not np.isfinite(after).all():  # no comparison with NaN is true, so NaN would never alarm
        raise FloatingPointError("the variance of a label could not be computed")
    first = _exchanged(classes, _AT_ONCE, rng)  # sets the units of the labels, and is not counted
    middle, spread = np.median(first, axis=0), np.maximum(np.std(first, axis=0), 1e-9)
    seen = ((after - middle) / spread).max() - 1e-9
    as_telling, made = 0, 0
    while made < 4 / max(alpha, LEAST_ALPHA) and as_telling < _SETTLED:
        made += _AT_ONCE
        others = _exchanged(classes, _AT_ONCE, rng, seen * spread + middle)
        as_telling += int((((others - middle) / spread).max(axis=1) >= seen).sum())
    worst = int(np.argmax((after - middle) / spread))
    one = classes[worst]
    along = np.abs(one.new @ np.linalg.eigh(one.new.T @ one.new)[1][:, -1])
    return Spectrum(
        p=(1 + as_telling) / (1 + made), ratio=float(after[worst] / max(before[worst], 1e-9)), label=one.label,
        rows=tuple(int(row) for row in one.places[np.argsort(-along, kind="stable")]), scored=sum(len(c.new) for c in classes),
    )  # fmt: skip


def _classes(
    reference: NDArray[np.int16],
    labels: Ints,
    batch: NDArray[np.int16],
    batch_labels: Ints,
    places: Ints,
    rng: np.random.Generator,
) -> list[_Class]:
    """Whitened rows of each label that the reference has enough of and the batch has."""
    half = deal(labels, 2, rng)
    counts = np.bincount(labels, minlength=1), np.bincount(batch_labels[places], minlength=int(labels.max()) + 1)
    usable = [label for label in range(len(counts[0])) if counts[0][label] >= LEAST_ROWS and counts[1][label]]
    if not usable:
        return []
    trusted = {label: reference[(labels == label) & (half == 0)].astype(float) for label in usable}
    means = {label: rows.mean(axis=0) for label, rows in trusted.items()}
    whiten = _whitening(np.concatenate([trusted[label] - means[label] for label in usable]))
    return [
        _Class(
            label=label,
            old=(reference[(labels == label) & (half == 1)] - means[label]) @ whiten,
            new=(batch[mine] - means[label]) @ whiten,
            places=mine,
        )
        for label in usable
        for mine in (places[batch_labels[places] == label],)
    ]


def _whitening(residuals: Floats) -> Floats:
    """Directions and scales; where the trusted rows do not vary, one step of 1/256 unit counts as their deviation."""
    count, width = residuals.shape
    if width <= count:
        values, vectors = np.linalg.eigh(residuals.T @ residuals / count)
    else:  # as many directions as rows, found from the rows' own products: a matrix of columns might not fit into memory
        values, mixtures = np.linalg.eigh(residuals @ residuals.T / count)
        vectors = residuals.T @ mixtures / np.sqrt(np.maximum(values, 1e-9) * count)
    kept = vectors[:, ::-1][:, :DIRECTIONS]
    scales: Floats = kept / np.sqrt(np.maximum(values[::-1][:DIRECTIONS], 1.0))
    return scales


def _top(rows: Floats) -> float:
    return float(np.linalg.eigvalsh(rows.T @ rows / len(rows))[-1])


def _exchanged(classes: list[_Class], times: int, rng: np.random.Generator, telling: Floats | None = None) -> Floats:
    """The largest eigenvalue of each label (columns) for random exchanges (rows), or a bound of it below what would be telling.

    H. Wolkowicz and G. Styan, Bounds for eigenvalues using traces, 1980: most matrices need not be decomposed.
    """
    found = np.empty((times, len(classes)))
    for number, one in enumerate(classes):
        pooled = np.concatenate([one.old, one.new])
        size, width = len(one.new), pooled.shape[1]
        chosen = np.argpartition(rng.random((times, len(pooled))), size - 1, axis=1)[:, :size]
        picked = np.zeros((times, len(pooled)))
        np.put_along_axis(picked, chosen, 1.0, axis=1)
        upper = np.triu_indices(width)
        moments = (picked @ (pooled[:, upper[0]] * pooled[:, upper[1]])) / size
        matrices = np.zeros((times, width, width))
        matrices[:, upper[0], upper[1]] = matrices[:, upper[1], upper[0]] = moments
        trace, squares = np.trace(matrices, axis1=1, axis2=2), (matrices**2).sum(axis=(1, 2))
        bound = trace / width + np.sqrt((width - 1) / width * np.maximum(squares - trace**2 / width, 0)) + 1e-9
        near = np.full(times, True) if telling is None else bound * (1 + 1e-9) >= telling[number]
        found[:, number] = bound
        found[near, number] = np.linalg.eigvalsh(matrices[near])[:, -1]
    return found
