"""Rows that are copies of each other: exactly, or so nearly that chance does not explain it.

How near is too near? Half the distance within which 1 % of the reference rows have their nearest neighbour, or less where
the batch is larger or the data has few dimensions: the radius at which three rows meet by chance in one batch of a thousand.
That count extrapolates the reference's own neighbour distances by its intrinsic dimension (Facco et al., TwoNN, 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pratique.comparing.encoding import blocks, squared_distances

MOST_ROWS = 20_000
"""Rows compared with each other; of a larger batch, as many drawn at random."""

_QUANTILE = 0.01
_TRIPLES = 0.001
"""Expected chance meetings of three rows in a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Groups of rows that are copies of each other."""

    largest: int
    """Rows in the largest group; 1 if nothing is copied."""

    extra: int
    """Rows beyond the first of each group."""

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


def near(rows: NDArray[np.int8], radius: float, most: int = MOST_ROWS) -> Copies:
    """Groups of encoded rows linked by distances of at most `radius` steps."""
    chosen = np.arange(len(rows))
    if len(rows) > most:
        chosen = np.sort(np.random.default_rng(0).choice(len(rows), most, replace=False))
    return _grouped(_linked(rows[chosen], radius), chosen)


def _linked(rows: NDArray[np.int8], radius: float) -> NDArray[np.int64]:
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


def neighbour_distances(rows: NDArray[np.int8]) -> tuple[float, float]:
    """The distance within which 1 % of rows have a neighbour, in steps, and the intrinsic dimension of the data."""
    first, second = np.empty(len(rows)), np.empty(len(rows))
    for part in blocks(len(rows)):
        squares = squared_distances(rows[part], rows)
        squares[np.arange(len(squares)), np.arange(part.start, part.stop)] = np.inf
        two = np.sqrt(np.partition(squares, 1, axis=1)[:, :2].astype(np.float64))
        first[part], second[part] = two[:, 0], two[:, 1]
    apart = first > 0
    growth = np.log(second[apart] / first[apart]).sum()
    dimension = float(apart.sum() / growth) if growth > 0 else 1.0
    return float(np.quantile(first, _QUANTILE)), min(max(dimension, 1.0), 100.0)


def radius(distance: float, dimension: float, reference_rows: int, batch_rows: int) -> float:
    """How near is too near, in steps, for a batch of that many rows."""
    neighbours = np.sqrt(2 * _TRIPLES / batch_rows)  # per row: m rows with two neighbours each make m * n**2 / 2 triples
    chance = neighbours / (_QUANTILE * batch_rows / reference_rows)
    return distance * float(min(0.5, chance ** (1 / dimension)))


def _grouped(group: NDArray[np.int64], places: NDArray[np.int64]) -> Copies:
    sizes = np.bincount(group, minlength=1)
    worst = np.argsort(-sizes, kind="stable")[:10]
    shown = tuple(tuple(int(row) for row in places[group == one][:10]) for one in worst if sizes[one] > 1)
    return Copies(
        largest=int(sizes.max()), extra=int(np.maximum(sizes - 1, 0).sum()), compared=len(group), groups=shown
    )  # fmt: skip
