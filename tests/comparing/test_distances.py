"""Distances are about nothing where nothing changed, whatever the size, and grow with the change."""

# ruff: noqa: TID253
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pratique.comparing.distances import MEASURES, distance

Counts = list[int]


def counts(rows: int, rng: np.random.Generator, shares: tuple[float, ...] = (0.1, 0.2, 0.4, 0.2, 0.1)) -> Counts:
    return [int(count) for count in rng.multinomial(rows, shares)]


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(("n", "m"), [(1000, 1000), (2000, 50), (60, 3000)])
def test_nothing_changed(measure: str, n: int, m: int) -> None:
    """At 5 %, 200 tries: 21 alarms or more happen with a probability of one in 1,000. The distance is 0 on average."""
    rng = np.random.default_rng([n, m])
    found = [distance(counts(n, rng), counts(m, rng), measure, alpha=0.05) for _ in range(200)]
    assert sum(one.p <= 0.05 for one in found) < 21
    spread = float(np.std([one.distance for one in found])) / np.sqrt(200)
    assert abs(float(np.mean([one.distance for one in found]))) < 4 * spread


@pytest.mark.parametrize("measure", MEASURES)
def test_a_change_is_seen_and_a_greater_one_is_farther(measure: str) -> None:
    rng = np.random.default_rng(0)
    reference = counts(2000, rng)
    little = distance(reference, counts(2000, rng, (0.15, 0.25, 0.3, 0.2, 0.1)), measure, alpha=0.001)
    much = distance(reference, counts(2000, rng, (0.4, 0.3, 0.2, 0.05, 0.05)), measure, alpha=0.001)
    assert little.p <= 0.001 and much.p <= 0.001 and 0 < little.distance < much.distance


def test_the_order_of_cells_matters_where_it_should() -> None:
    """The same difference of shares, near by and far away."""
    reference, near, far = [100, 100, 100, 100], [50, 150, 100, 100], [50, 100, 100, 150]
    for measure in ("jensen-shannon", "cramers-v"):
        one, other = distance(reference, near, measure), distance(reference, far, measure)
        assert one.distance == pytest.approx(other.distance, abs=0.01)
    assert distance(reference, far, "wasserstein").distance > 2 * distance(reference, near, "wasserstein").distance


def test_cramers_v_and_the_statistic_of_smirnov_are_those_of_scipy() -> None:
    reference, batch = [120, 80, 60, 40], [60, 90, 80, 70]
    rng = np.random.default_rng(0)
    drawn = [rng.multivariate_hypergeometric(np.add(reference, batch), 300) for _ in range(4000)]
    table = np.array([reference, batch])
    v = stats.contingency.association(table, method="cramer")
    usually = np.mean([stats.contingency.association(np.array([table.sum(0) - one, one])) for one in drawn[:400]])
    assert distance(reference, batch, "cramers-v").distance == pytest.approx(v - usually, abs=0.01)
    values = [np.repeat(np.arange(4), side) for side in (reference, batch)]
    statistic = stats.ks_2samp(*values).statistic
    found = distance(reference, batch, "kolmogorov-smirnov").distance
    assert statistic - 0.08 < found < statistic
    moved = distance(reference, batch, "wasserstein", [1.0, 1.0, 1.0])
    assert moved.distance == pytest.approx(stats.wasserstein_distance(*values), abs=0.1)


@given(
    reference=st.lists(st.integers(0, 60), min_size=1, max_size=8), seed=st.integers(0, 99), measure=st.sampled_from(MEASURES)
)
@settings(max_examples=60, deadline=None)
def test_any_counts_get_an_answer(reference: Counts, seed: int, measure: str) -> None:
    rng = np.random.default_rng(seed)
    batch = [int(rng.integers(60)) for _ in reference]
    found = distance(reference, batch, measure)
    assert 0 < found.p <= 1 and -1 <= found.distance <= max(len(reference), 1)
    same = distance(reference, reference, measure)
    assert same.p > 0.5 and same.distance <= 0


def test_the_same_counts_get_the_same_answer() -> None:
    assert distance([9, 5, 3], [1, 5, 9], "wasserstein") == distance([9, 5, 3], [1, 5, 9], "wasserstein")
