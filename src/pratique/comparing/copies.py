"""Rows that are copies of each other: exactly, or so nearly that chance does not explain it.

How near is too near? Half the distance within which 1 % of the reference rows have their nearest neighbour, or less where
the batch is larger or the data has few dimensions: the radius at which three rows meet by chance in one batch of a thousand.
That extrapolates the reference's own neighbour distances by its intrinsic dimension (Facco et al., TwoNN, 2017), with a margin
because density varies. Measured, not proven: docs/checks/dataset.md.
"""

# ruff: noqa: TID253
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pratique.comparing.encoding import blocks, squared_distances

MOST_ROWS = 20_000
"""Rows compared with each other; of a larger batch, as many drawn at random."""

_SHARE = 0.05
"""The quantile of neighbour distances from which nearer ones are extrapolated."""

_CHANCE = 0.001
"""Chance meetings of three rows that are accepted per batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Groups of rows that are copies of each other."""

    largest: int
    """Rows in the largest group; 1 if nothing is copied."""

    extra: int
    """Rows beyond the first of each group."""

    pairs: int
    """Pairs of rows in one group."""

    compared: int
    """Rows that were looked at."""

    groups: tuple[tuple[int, ...], ...]
    """Row numbers, the largest groups first; at most ten groups and ten rows of each."""

    @property
    def share(self) -> float:
        """Extra rows per row."""
        return self.extra / max(self.compared, 1)


def exact(frame: Any) -> Copies:
    """Groups of rows of a DataFrame with equal values everywhere."""
    group = frame.groupby(list(frame.columns), dropna=False, sort=False).ngroup().to_numpy()
    return _grouped(group, np.arange(len(frame)))


def near(rows: NDArray[np.int16], radius: float, most: int = MOST_ROWS) -> Copies:
    """Groups of encoded rows linked by distances of at most `radius` steps."""
    chosen = np.arange(len(rows))
    if len(rows) > most:
        chosen = np.sort(np.random.default_rng(0).choice(len(rows), most, replace=False))
    return _grouped(_linked(rows[chosen], radius), chosen)


def _linked(rows: NDArray[np.int16], radius: float) -> NDArray[np.int64]:
    """The connected component of each row. Block by block: a batch of equal rows would have 400 million links at once."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    group = np.arange(len(rows))
    for part in blocks(len(rows)):
        source, target = np.nonzero(squared_distances(rows[part], rows) <= radius**2)
        first = np.unique(group, return_index=True)[1][group]  # keeps what earlier blocks have linked
        links = np.concatenate([source + part.start, np.arange(len(rows))]), np.concatenate([target, first])
        graph = coo_array((np.ones(len(links[0]), dtype=bool), links), shape=(len(rows), len(rows)))
        group = connected_components(graph, directed=False)[1].astype(np.int64)
    return group


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearness:
    """How near to each other different rows of a table are. Distances in steps."""

    closest: float
    """1 % of the rows have a neighbour within this distance."""

    close: float
    """5 % of the rows do."""

    dimension: float
    """How the number of neighbours grows with the distance: the lower of two estimates, and two thirds of that."""


def nearness(rows: NDArray[np.int16]) -> Nearness:
    """Measure the nearest two neighbours of every row."""
    first, second = np.empty(len(rows)), np.empty(len(rows))
    for part in blocks(len(rows)):
        squares = squared_distances(rows[part], rows)
        squares[np.arange(len(squares)), np.arange(part.start, part.stop)] = np.inf
        two = np.sqrt(np.partition(squares, 1, axis=1)[:, :2])
        first[part], second[part] = two[:, 0], two[:, 1]
    closest, close, middling = (float(q) for q in np.quantile(first, (0.01, _SHARE, 0.25)))
    apart = first > 0
    growth = float(np.log(second[apart] / first[apart]).sum())
    overall = float(apart.sum()) / growth if growth > 0 else 1.0
    tail = np.log(0.25 / _SHARE) / np.log(middling / close) if 0 < close < middling else 1.0
    return Nearness(closest=closest, close=close, dimension=float(np.clip(min(overall, tail) / 1.5, 1.0, 100.0)))


def radius(found: Nearness, reference_rows: int, batch_rows: int) -> float:
    """How near is too near, in steps, for a batch of that many rows."""
    neighbours = np.sqrt(2 * _CHANCE / batch_rows)  # of a row, so that m rows make m * neighbours**2 / 2 triples
    known = _SHARE * batch_rows / reference_rows  # neighbours of a row of the batch within found.close
    return float(min(found.closest / 2, found.close * (neighbours / known) ** (1 / found.dimension)))


def chance_size(pairs: int, reference_rows: int, batch_rows: int) -> int:
    """The smallest group of equal rows that chance does not explain in a table of few distinct values.

    `pairs` equal pairs were seen in the reference, so three more are possible (the rule of three). A group of s rows is then
    expected m**s / s! * c**(s-1) times, c the chance that two rows are equal.
    """
    equal = min(1.0, (pairs + 3) / (reference_rows * (reference_rows - 1) / 2))
    size, expected = 1, float(batch_rows)
    while size < 3 or (expected > _CHANCE and size < batch_rows):
        size += 1
        expected *= batch_rows * equal / size
    return size


def _grouped(group: NDArray[np.int64], places: NDArray[np.int64]) -> Copies:
    sizes = np.bincount(group, minlength=1)
    worst = np.argsort(-sizes, kind="stable")[:10]
    shown = tuple(tuple(int(row) for row in places[group == one][:10]) for one in worst if sizes[one] > 1)
    return Copies(
        largest=int(sizes.max()), extra=int(np.maximum(sizes - 1, 0).sum()), pairs=int((sizes * (sizes - 1) // 2).sum()),
        compared=len(group), groups=shown,
    )  # fmt: skip
