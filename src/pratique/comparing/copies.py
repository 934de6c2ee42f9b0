"""Rows that are copies of each other: exactly, or so nearly that chance does not explain it.

How near is too near? Half the distance within which 1 % of the reference rows have their nearest neighbour, or less where
the batch is larger or the data has few dimensions: the radius at which three rows meet by chance in one batch of a thousand.
That extrapolates the reference's own neighbour distances by its intrinsic dimension (Facco et al., TwoNN, 2017), with a margin
because density varies. Measured, not proven: docs/checks/dataset.md.

How many copies are too many? More than the reference explains. It may hold copies of its own, and a reference without any
rules out only what would have shown in so few rows (`chance_size`, `explained`).
"""

# ruff: noqa: TID253
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pratique.comparing.encoding import blocks, draw, squared_distances

MOST_ROWS = 20_000
"""Rows compared with each other; of a larger batch, as many drawn at random."""

CHANCE = 0.001
"""Probability of a false alarm that is accepted where nobody says otherwise."""

_ACCIDENT = 3
"""Rows of a group that may be one accident upon another; a larger one is a row that is common."""

_SHARE = 0.05
"""The quantile of neighbour distances from which nearer ones are extrapolated."""


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
    numbered = frame.set_axis(range(frame.shape[1]), axis=1)
    group = numbered.groupby(list(numbered.columns), dropna=False, sort=False, observed=True).ngroup().to_numpy()
    return _grouped(group, np.arange(len(frame)))


def near(rows: NDArray[np.int16], radius: float, most: int = MOST_ROWS) -> Copies:
    """Groups of encoded rows linked by distances of at most `radius` steps."""
    chosen = np.arange(len(rows))
    if len(rows) > most:
        chosen = np.sort(draw(rows).choice(len(rows), most, replace=False))
    return _grouped(_linked(rows[chosen], radius), chosen)


def _linked(rows: NDArray[np.int16], radius: float) -> NDArray[np.int64]:
    """The connected component of each row. Block by block: a batch of equal rows would have 400 million links at once."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    group = np.arange(len(rows))
    for part in blocks(len(rows)):
        close = squared_distances(rows[part], rows) <= radius**2
        source, target = np.nonzero(close & (group[part, None] != group))  # only what is not linked yet
        if not len(source):
            continue
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


def radius(found: Nearness, reference_rows: int, batch_rows: int, chance: float = CHANCE) -> float:
    """How near is too near, in steps, for a batch of that many rows."""
    neighbours = np.sqrt(2 * chance / batch_rows)  # of a row, so that m rows make m * neighbours**2 / 2 triples
    known = _SHARE * batch_rows / reference_rows  # neighbours of a row of the batch within found.close
    return float(min(found.closest / 2, found.close * (neighbours / known) ** (1 / found.dimension)))


def chance_size(pairs: int, reference_rows: int, batch_rows: int, chance: float = CHANCE) -> int:
    """The smallest group of copies that the reference's own pairs do not explain, if they are accidents.

    `pairs` were seen in the reference, so three more are possible (the rule of three). A group of s rows is then expected
    m**s / s! * c**(s-1) times, c the chance that two rows are copies.
    """
    equal = min(1.0, (pairs + 3) / (reference_rows * (reference_rows - 1) / 2))
    size, expected = 1, float(batch_rows)
    while size < 3 or (expected > chance and size < batch_rows):
        size += 1
        expected *= batch_rows * equal / size
    return size


def usual_size(largest: int, reference_rows: int, batch_rows: int, chance: float = CHANCE) -> int:
    """The smallest group of copies that the reference's own groups do not explain: it has one of `largest` rows.

    Twice as large, and where one row is common (an image of nothing), as often as such a row may come by chance.
    """
    if largest < 2:
        return 2
    growth = batch_rows / reference_rows
    common = stats.nbinom.ppf(1 - chance, largest + 1, 1 / (1 + growth)) if largest > _ACCIDENT else 0.0
    return 1 + int(np.ceil(max(2 * largest * max(1.0, growth), common)))


def explained(extra: int, pairs: int, reference_rows: int, batch_rows: int, chance: float = CHANCE) -> int:
    """Rows beyond the first of their groups that a batch like the reference has at most, but for that chance.

    Groups turn up like accidents (Poisson), and how often is known only from the reference: negative binomial. A group of many
    rows counts as one accident: the mean of the squared sizes over the mean size is what one weighs.
    """
    growth = batch_rows / reference_rows * max(1.0, batch_rows / reference_rows)  # pairs of rows, where they are accidents
    weight = max(1.0, (2 * pairs - extra) / extra) if extra else 1.0
    return int(np.ceil(weight * stats.nbinom.ppf(1 - chance, extra / weight + 1, 1 / (1 + growth))))


def _grouped(group: NDArray[np.int64], places: NDArray[np.int64]) -> Copies:
    sizes = np.bincount(group, minlength=1)
    worst = np.argsort(-sizes, kind="stable")[:10]
    shown = tuple(tuple(int(row) for row in places[group == one][:10]) for one in worst if sizes[one] > 1)
    return Copies(
        largest=int(sizes.max()), extra=int(np.maximum(sizes - 1, 0).sum()), pairs=int((sizes * (sizes - 1) // 2).sum()),
        compared=len(group), groups=shown,
    )  # fmt: skip
