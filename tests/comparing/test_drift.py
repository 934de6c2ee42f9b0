"""Drift is significance and effect; clean tables do not alarm, whatever their sizes."""

# ruff: noqa: TID253
from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pratique.comparing import drift

counts = st.lists(st.integers(0, 500), min_size=1, max_size=30)


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_any_two_rows_of_counts_compare(data: st.DataObject) -> None:
    reference = data.draw(counts)
    batch = data.draw(st.lists(st.integers(0, 500), min_size=len(reference), max_size=len(reference)))
    for ordered in (True, False):
        found = drift.compare(reference, batch, ordered=ordered)
        assert 0 <= found.p <= 1 and np.isfinite(found.psi)


@given(counts)
@settings(deadline=None, max_examples=200)
def test_nothing_changed(same: list[int]) -> None:
    found = drift.compare(same, same)
    assert found.p == 1.0 and found.psi <= 1e-12


@given(st.lists(st.integers(50, 500), min_size=2, max_size=12), st.lists(st.integers(50, 500), min_size=2, max_size=12))
@settings(deadline=None, max_examples=200)
def test_the_effect_is_the_same_from_either_side(one: list[int], other: list[int]) -> None:
    one, other = one[: len(other)], other[: len(one)]
    assert drift.compare(one, other).psi == pytest.approx(drift.compare(other, one).psi)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=3, max_size=12, unique_by=sum), st.randoms())
@settings(deadline=None, max_examples=200)
def test_the_order_of_categories_does_not_matter(pairs: list[tuple[int, int]], chance: random.Random) -> None:
    shuffled = chance.sample(pairs, len(pairs))
    one, other = (drift.compare(*zip(*rows, strict=True)) for rows in (pairs, shuffled))
    assert one.p == pytest.approx(other.p) and one.psi == pytest.approx(other.psi)


def test_holm() -> None:
    assert drift.holm({"a": 0.01, "b": 0.04, "c": 0.03}) == {"a": 0.03, "c": 0.06, "b": 0.06}


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_never_helps(p: dict[str, float]) -> None:
    adjusted = drift.holm(p)
    assert all(p[name] <= adjusted[name] <= 1 for name in p)
    ranked = sorted(p, key=p.__getitem__)
    assert [adjusted[name] for name in ranked] == sorted(adjusted.values())
    assert min(adjusted.values()) == min(1.0, len(p) * min(p.values()))


SHAPES = {
    "ten equal cells": np.ones(10) / 10,
    "one common value": np.array([0.95] + [0.01] * 5),
    "twenty of Zipf": 1 / np.arange(1, 21) / (1 / np.arange(1, 21)).sum(),
    "a hundred of Zipf": 1 / np.arange(1, 101) / (1 / np.arange(1, 101)).sum(),
}
SIZES = [(1000, 60), (448, 448), (200, 2000), (100_000, 500)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_clean_columns_do_not_drift(shape: str, n: int, m: int) -> None:
    """At 1 %, 400 tries: 13 alarms or fewer happen with a probability of 0.9999. PSI has no bias to either side."""
    rng = np.random.default_rng([n, m])
    tries = zip(rng.multinomial(n, SHAPES[shape], 400).tolist(), rng.multinomial(m, SHAPES[shape], 400).tolist(), strict=True)
    found = [drift.compare(before, after, ordered=shape == "ten equal cells") for before, after in tries]
    assert sum(one.p <= 0.01 for one in found) <= 13
    mean = np.mean([one.psi for one in found])
    assert abs(mean) < 0.04 and abs(mean) < 5 * np.std([one.psi for one in found]) / 10


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_the_tail_that_holm_looks_at_is_honest(n: int, m: int) -> None:
    """At 1 in 2,000 over all shapes, 20,000 tries: ten expected, 25 or more with a probability of 5e-5."""
    rng = np.random.default_rng([n, m, 1])
    alarms = 0
    for shape in SHAPES.values():
        for before, after in zip(
            rng.multinomial(n, shape, 5000).tolist(), rng.multinomial(m, shape, 5000).tolist(), strict=True
        ):
            alarms += drift.compare(before, after).p <= 0.0005
    assert alarms < 25


def test_a_psi_above_a_tenth_is_nothing_in_a_small_clean_batch() -> None:
    """The folklore's threshold alarms on every clean column of a hundred rows; minus its mean, the index does not."""
    rng = np.random.default_rng(0)
    plain, corrected = [], []
    for before, after in zip(
        rng.multinomial(1000, np.ones(10) / 10, 200), rng.multinomial(100, np.ones(10) / 10, 200), strict=True
    ):
        p, q = before / before.sum(), (after + 0.5) / (after.sum() + 5)
        plain.append(((q - p) * np.log(q / p)).sum())
        corrected.append(drift.compare(before.tolist(), after.tolist(), ordered=True).psi)
    assert np.mean(plain) > 0.09 and abs(np.mean(corrected)) < 0.01


@pytest.mark.parametrize(("n", "m"), [(448, 448), (10_000, 100), (10_000, 60), (200, 2000)])
def test_nulls_that_never_were_do_not_drown_in_their_neighbours(n: int, m: int) -> None:
    few = round(0.05 * m)
    batch = [(m - few) // 10] * 10
    found = drift.compare([n // 10] * 10 + [0, 0, 0], [*batch, few, 0, 0], ordered=True)
    assert found.p < (1e-4 if n > m / 2 else 1e-2) and found.psi > 0.09


def test_a_new_category_and_a_lost_one() -> None:
    assert drift.compare([500, 480, 0, 0], [250, 210, 40, 0]).p < 1e-6
    assert drift.compare([500, 400, 80, 0], [260, 240, 0, 0]).p < 1e-6


def test_a_shift_of_half_a_deviation() -> None:
    rng = np.random.default_rng(0)
    edges = stats.norm.ppf(np.arange(1, 10) / 10)
    after = np.bincount(np.searchsorted(edges, rng.normal(0.5, 1, 448)), minlength=10)
    found = drift.compare([45] * 10, after.tolist(), ordered=True)
    assert found.p < 1e-6 and found.psi > 0.1


def test_twenty_rows_can_tell_something() -> None:
    """Cells that expect too few are joined, not thrown together: half of the range empties."""
    assert drift.compare([100] * 10, [4] * 5 + [0] * 5, ordered=True).p < 1e-3


def test_one_cell_says_nothing() -> None:
    assert drift.compare([50, 0], [70, 0]) == drift.Shift(p=1.0, psi=0.0)
    assert drift.compare([50, 3], [0, 0]) == drift.Shift(p=1.0, psi=0.0)
