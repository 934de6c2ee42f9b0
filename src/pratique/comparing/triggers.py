"""Values that recur within one label more often than in the reference: what a trigger leaves behind, however it was chosen.

A backdoor's trigger is the same few values in every poisoned row: a patch of pixels, a token, a rare category (Gu et al.,
BadNets, 2017). To the rest of the table it is nothing; among the rows of its target label it repeats.

1. A cell is a value of a column, or a pair of values of two columns side by side, among the rows of one label. Columns of an
   image's pixels are in reading order, so a patch is side by side; in other tables a column alone is enough.
2. Given how many rows of both sides have the value, the batch's part of them is hypergeometric if nothing changed.
3. There are thousands of cells, but most hold too few rows ever to be telling. They are not counted: R. E. Tarone, A modified
   Bonferroni method for discrete data, 1990. p is the smallest tail times the number of cells that could have had it.

The guarantee costs power that no better test could give back: k poisoned rows of a reference and a batch of one size have a
chance of 2**-k of being all in the batch by accident, so p is never below that. Whether the poisoned rows' label is wrong
(BadNets) or right (clean-label) makes no difference here.
"""

# ruff: noqa: TID253
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pratique.comparing.encoding import draw
from pratique.comparing.labels import LEAST_ROWS

MOST_ROWS = 20_000
"""Rows of a batch that are looked at; of a larger one, as many drawn at random."""

MOST_SHARE = 0.5
"""A value that more rows of its label have, on both sides together, is no trigger but what that column holds."""

_LEAST_COUNT = 4

_MOST_CODES = 100_000_000
"""Cells of rows at once."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """The value that recurs the most surprisingly."""

    p: float
    """Probability that any value recurs so surprisingly if batch and reference are alike."""

    excess: float
    """Rows with that value beyond their part, per row of the batch: about the share of poisoned rows."""

    label: int
    """Among rows of which label; -1 if nothing recurs."""

    columns: tuple[int, ...]
    """Which of the encoded columns hold it: one, or two side by side."""

    before: int
    """Rows of the reference with that label and that value."""

    rows: tuple[int, ...]
    """Row numbers of the batch that have it."""

    scored: int
    """Rows that were looked at."""


def recurring(
    reference: NDArray[np.int16], reference_labels: Ints, batch: NDArray[np.int16], batch_labels: Ints, most: int = MOST_ROWS
) -> Trigger:
    """Look for a recurring value. Labels are numbers of the reference's labels, -1 for none of them."""
    places = np.flatnonzero(batch_labels >= 0)
    if len(places) > most:
        places = np.sort(draw(batch).choice(places, most, replace=False))
    tails, least, best, winner = [np.ones(1)], [np.ones(1)], 1.0, None
    counts = np.bincount(reference_labels[reference_labels >= 0], minlength=1)
    for label in np.flatnonzero(counts >= LEAST_ROWS).tolist():
        old, new = reference[reference_labels == label], places[batch_labels[places] == label]
        for first in range(0, old.shape[1], _MOST_CODES // (len(old) + len(new))):
            found = _cells(old, batch[new], slice(first, first + _MOST_CODES // (len(old) + len(new))))
            if found is None:
                continue
            tails.append(found.tail)
            least.append(found.least)
            if found.tail.min() < best:
                best, winner = float(found.tail.min()), (label, new, found, int(found.tail.argmin()))
    attainable = np.concatenate(least)
    p = min(1.0, best * float((attainable <= best * (1 + 1e-9)).sum()))
    if not np.isfinite(p):  # no comparison with NaN is true, so NaN would never alarm
        raise FloatingPointError("the chance of recurring values could not be computed")
    if winner is None:
        return Trigger(p=1.0, excess=0.0, label=-1, columns=(), before=0, rows=(), scored=len(places))
    name, new, found, cell = winner
    have = found.having(cell, batch[new])
    total = int(found.total[cell])
    part = total * len(new) / found.rows
    return Trigger(
        p=p, excess=float((have.sum() - part) / max(len(places), 1)), label=name, columns=found.columns(cell),
        before=total - int(have.sum()), rows=tuple(int(row) for row in new[have]), scored=len(places),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cells:
    """Cells of one label."""

    rows: int
    place: Ints
    """Its column; those of pairs are numbered after those of single columns."""

    width: int
    start: int
    value: Ints
    total: Ints
    tail: NDArray[np.float64]
    """The chance of so many of its rows in the batch, or more."""

    least: NDArray[np.float64]
    """The smallest such chance that it could have had."""

    def columns(self, cell: int) -> tuple[int, ...]:
        place = int(self.place[cell])
        single = place < self.width
        first = self.start + (place if single else place - self.width)
        return (first,) if single else (first, first + 1)

    def having(self, cell: int, batch: NDArray[np.int16]) -> NDArray[np.bool_]:
        columns = self.columns(cell)
        spelt: NDArray[np.bool_] = _spelt(batch[:, list(columns)])[:, -1] == self.value[cell]
        return spelt


def _cells(old: NDArray[np.int16], new: NDArray[np.int16], part: slice) -> _Cells | None:
    """Every value that enough rows have; None if there is none."""
    codes = np.concatenate([old[:, part], new[:, part]])
    spelt, fresh = _spelt(codes), np.arange(len(codes)) >= len(old)
    places, values, totals, counts = [], [], [], []
    for place, column in enumerate(spelt.T):
        value, inverse, total = np.unique(column, return_inverse=True, return_counts=True)
        often = np.flatnonzero((total >= _LEAST_COUNT) & (total <= MOST_SHARE * len(codes)))
        if len(often):
            places.append(np.full(len(often), place))
            values.append(value[often])
            totals.append(total[often])
            counts.append(np.bincount(inverse[fresh], minlength=len(value))[often])
    if not places:
        return None
    total, count = np.concatenate(totals), np.concatenate(counts)
    tail = stats.hypergeom.sf(count - 1, len(codes), total, len(new))
    least = stats.hypergeom.sf(np.minimum(total, len(new)) - 1, len(codes), total, len(new))
    return _Cells(
        rows=len(codes), place=np.concatenate(places), width=codes.shape[1], start=part.start, value=np.concatenate(values),
        total=total, tail=tail, least=least,
    )  # fmt: skip


def _spelt(codes: NDArray[np.int16]) -> Ints:
    """A number for each value of a column, then one for each pair of values side by side."""
    single = codes.astype(np.int64) + 32_768
    pairs = single[:, :-1] * 65_536 + single[:, 1:] + 65_536  # no pair is spelt like a single value
    return np.concatenate([single, pairs], axis=1)
