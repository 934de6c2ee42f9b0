"""Whether the highest scores belong to the new rows more often than chance gives them.

Within a stratum old and new rows are exchangeable if nothing is wrong, so, of the rows that it has among the highest, the new
ones are a hypergeometric number. The sum over strata is computed, not simulated.

How many of the highest? As many as 1, 2, 5 and 10 % of the new rows: with fewer wrong rows than that the surplus drowns, with
more nothing is lost. Four looks at the same order are far from independent, so four times the smallest tail (Bonferroni) is
too much; what they really amount to is simulated, with a seed of the caller's, and the smaller of both counts: where the
simulation ends, at one in ten thousand, Bonferroni goes on.
"""

# ruff: noqa: TID253
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVELS = (0.01, 0.02, 0.05, 0.10)

DRAWS = 9_999

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surplus:
    """Whether the new rows have more than their part of the highest scores."""

    p: float
    """Probability of so many, at the look that is the most telling, if old and new are alike."""

    rows: Ints
    """The rows of that look, highest first; old ones are numbered before new ones."""


def surplus(
    old: NDArray[np.float64], new: NDArray[np.float64], old_strata: Ints, new_strata: Ints, rng: np.random.Generator
) -> Surplus:
    """Compare scores of old and new rows, each row in a stratum (numbered from 0)."""
    strata = np.concatenate([old_strata, new_strata])
    order = np.argsort(-np.concatenate([old, new]), kind="stable")  # ties go to the old: they must not look suspicious
    size = int(strata.max(initial=0)) + 1
    both, fresh = np.bincount(strata, minlength=size), np.bincount(new_strata, minlength=size)
    looks = [order[: max(1, round(level * len(new)))] for level in LEVELS]
    tops = np.stack([np.bincount(strata[look], minlength=size) for look in looks])
    chances = [_at_least(top, both, fresh) for top in tops]
    tails = [chance[int((look >= len(old)).sum())] for chance, look in zip(chances, looks, strict=True)]
    best = int(np.argmin(tails))
    if not np.isfinite(tails).all():  # no comparison with NaN is true, so NaN would never alarm
        raise FloatingPointError("the chance of so many high scores could not be computed")
    bound = min(1.0, float(tails[best]) * len(LEVELS))
    simulated = _as_small(float(tails[best]), chances, tops, both, fresh, rng) if bound > 1 / DRAWS else 1.0
    return Surplus(p=min(bound, simulated), rows=looks[best])


def _at_least(top: Ints, both: Ints, fresh: Ints) -> NDArray[np.float64]:
    """P(at least k of the top rows are new), for every k."""
    chance = np.ones(1)
    for count, total, new in zip(top, both, fresh, strict=True):
        if count:
            chance = np.convolve(chance, stats.hypergeom.pmf(np.arange(count + 1), total, new, count))
    tails: NDArray[np.float64] = np.minimum(1.0, np.cumsum(chance[::-1])[::-1])
    return tails


def _as_small(
    smallest: float, chances: list[NDArray[np.float64]], tops: Ints, both: Ints, fresh: Ints, rng: np.random.Generator
) -> float:
    """How often the smallest tail of all looks is that small, if old and new are alike. A look contains those before it."""
    least, seen = np.ones(DRAWS), np.zeros(DRAWS, dtype=np.int64)
    taken, left = np.zeros_like(both), np.tile(fresh[:, None], DRAWS)
    for top, chance in zip(tops, chances, strict=True):
        for stratum in np.flatnonzero(top > taken):
            rest = both[stratum] - taken[stratum] - left[stratum]
            drawn = rng.hypergeometric(left[stratum], rest, top[stratum] - taken[stratum])
            left[stratum] -= drawn
            seen += drawn
        taken = top
        least = np.minimum(least, chance[seen])
    return float((1 + (least <= smallest * (1 + 1e-9)).sum()) / (1 + DRAWS))
