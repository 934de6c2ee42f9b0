"""Copies are found; rows that are merely near, and copies that the reference has too, are not called so."""

# ruff: noqa: TID253
from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique.comparing import copies, encoding


def rows_of(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Clean rows of many shapes, in steps."""
    normal, fixed = rng.standard_normal((count, 30)), np.random.default_rng(1)
    made = {
        "one column": normal[:, :1],
        "two columns": normal[:, :2],
        "five columns": normal[:, :5],
        "twenty columns": normal[:, :20],
        "three dimensions of thirty": np.tanh(normal[:, :3] @ fixed.standard_normal((3, 30))) + 0.02 * normal,
        "twenty dense clusters": fixed.standard_normal((20, 6))[rng.integers(20, size=count)] + 0.03 * normal[:, :6],
        "a dense spot": np.where(rng.random((count, 1)) < 0.3, 0.001, 1.0) * normal[:, :2],
        "heavy tails": np.sign(normal[:, :5]) * np.abs(normal[:, :5]) ** 3,
        "dice": rng.integers(1, 7, (count, 4)),
        "mostly zero": np.where(rng.random((count, 12)) < 0.9, 0, rng.integers(1, 4, (count, 12))),
    }[kind]
    return np.clip(np.round(made * encoding.STEP), -2048, 2048).astype(np.int16)


SHAPES = [
    "one column", "two columns", "five columns", "twenty columns", "three dimensions of thirty", "twenty dense clusters",
    "a dense spot", "heavy tails", "dice", "mostly zero",
]  # fmt: skip


def alarms(reference: np.ndarray, batch: np.ndarray) -> bool:
    """What the expectation concludes, from its parts."""
    found = copies.nearness(reference)
    known = copies.near(reference, copies.radius(found, len(reference), len(reference)))
    seen = copies.near(batch, copies.radius(found, len(reference), len(batch)))
    size = max(
        copies.chance_size(known.pairs, len(reference), len(batch)),
        copies.usual_size(known.largest, len(reference), len(batch)),
    )
    growth = max(1.0, len(batch) / len(reference))
    allowed = max(
        int(len(batch) * max(0.01, 2 * known.share * growth)),
        copies.explained(known.extra, known.pairs, len(reference), len(batch)),
    )
    return seen.largest >= size or seen.extra > allowed


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("n", "m"), [(300, 300), (800, 100), (150, 600)])
def test_clean_rows_are_no_copies(shape: str, n: int, m: int) -> None:
    """At most three chances of one in a thousand each: of eight batches, two alarm once in 4,000 tries."""
    hits = 0
    for seed in range(8):
        rng = np.random.default_rng([seed, n, m])
        hits += alarms(rows_of(shape, n, rng), rows_of(shape, m, rng))
    assert hits <= 1


@pytest.mark.parametrize("shape", ["five columns", "twenty columns", "three dimensions of thirty", "heavy tails"])
def test_copies_but_for_a_little_noise_are_found(shape: str) -> None:
    rng = np.random.default_rng(0)
    reference, batch = rows_of(shape, 500, rng), rows_of(shape, 500, rng)
    assert not alarms(reference, batch)
    batch[:6] = batch[6] + rng.integers(-1, 2, (6, batch.shape[1]))
    assert alarms(reference, batch)
    seen = copies.near(batch, copies.radius(copies.nearness(reference), 500, 500))
    assert seen.largest == 7 and seen.groups[0] == tuple(range(7))


def test_dense_places_of_few_columns_tell_no_copies_apart() -> None:
    """Where clean rows are as near to each other as noisy copies would be, nothing is said."""
    rng = np.random.default_rng(0)
    reference, batch = rows_of("one column", 500, rng), rows_of("one column", 500, rng)
    batch[:3] = batch[3]
    assert not alarms(reference, batch)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.5, 1.5, np.nan])), min_size=1, max_size=50))
@settings(deadline=None, max_examples=200)
def test_exact_groups_are_what_counting_says(rows: list[tuple[int, float]]) -> None:
    found = copies.exact(pd.DataFrame(rows, columns=["x", "x"]))
    sizes = pd.Series([(x, None if np.isnan(y) else y) for x, y in rows]).value_counts()
    assert found.largest == sizes.max() and found.extra == len(rows) - len(sizes)
    assert found.pairs == sum(size * (size - 1) // 2 for size in sizes) and found.compared == len(rows)
    for group in found.groups:
        assert len({str(rows[row]) for row in group}) == 1


@given(st.integers(2, 60), st.integers(0, 2**32 - 1), st.integers(0, 6))
@settings(deadline=None, max_examples=100)
def test_near_groups_are_the_connected_ones(count: int, seed: int, radius: int) -> None:
    rows = np.random.default_rng(seed).integers(0, 40, (count, 2)).astype(np.int16)
    group = list(range(count))
    for i in range(count):
        for j in range(i):
            if ((rows[i].astype(int) - rows[j]) ** 2).sum() <= radius**2 and group[i] != group[j]:
                old, new = group[i], group[j]
                group = [new if one == old else one for one in group]
    found = copies.near(rows, radius)
    sizes = pd.Series(group).value_counts()
    assert found.largest == sizes.max() and found.extra == count - len(sizes)


def test_groups_across_blocks_are_one() -> None:
    """600 rows are compared in two blocks; a chain of neighbours runs through both."""
    rows = (np.arange(600, dtype=np.int16) * 10)[np.random.default_rng(0).permutation(600), None]
    assert copies.near(rows, 10).largest == 600
    assert copies.near(rows, 9).largest == 1


def test_a_large_batch_is_sampled_and_says_so() -> None:
    rows = np.random.default_rng(0).integers(-2000, 2000, (500, 6)).astype(np.int16)
    rows[::2] = rows[0]
    found = copies.near(rows, 0, most=100)
    assert found.compared == 100 and found.largest > 20
    assert {row % 2 for row in found.groups[0]} == {0}


@pytest.mark.parametrize(
    ("reference", "batch", "pairs", "expected"), [(448, 448, 0, 4), (5000, 5000, 0, 4), (448, 448, 100, 7), (200, 2000, 0, 7)]
)
def test_few_reference_rows_rule_out_little(reference: int, batch: int, pairs: int, expected: int) -> None:
    assert copies.chance_size(pairs, reference, batch) == expected


@given(st.integers(0, 50), st.integers(50, 5000), st.integers(20, 5000))
@settings(deadline=None, max_examples=200)
def test_what_is_explained_grows_with_the_reference_copies_and_the_batch(extra: int, reference: int, batch: int) -> None:
    allowed = copies.explained(extra, extra, reference, batch)
    assert allowed <= copies.explained(extra + 1, extra + 1, reference, batch)
    assert allowed <= copies.explained(extra, extra, reference, batch + 100)
    assert copies.explained(extra, extra, reference, batch, 1e-6) >= allowed
    assert copies.chance_size(extra, reference, batch) <= copies.chance_size(extra + 1, reference, batch)


def test_copies_as_often_as_in_the_reference_are_explained() -> None:
    """Pairs turn up at a rate; in 2,000 tries of 1 in 1,000, seven alarms or more would happen once in 200."""
    rng = np.random.default_rng(0)
    hits = sum(rng.poisson(8) > copies.explained(k := int(rng.poisson(8)), k, 300, 300) for _ in range(2000))
    assert hits <= 6


def test_a_row_that_is_common_in_the_reference_may_be_common() -> None:
    """An image of nothing: one row in twenty. Nine of them in the reference, up to 25 in a batch as large."""
    rng = np.random.default_rng(1)
    hits = sum(rng.poisson(12) >= copies.usual_size(int(rng.poisson(12)), 300, 300) for _ in range(2000))
    assert hits <= 6
    assert copies.usual_size(1, 300, 300) == 2


def test_nearness_of_a_table_of_equal_rows() -> None:
    found = copies.nearness(np.zeros((60, 3), np.int16))
    assert (found.closest, found.close) == (0.0, 0.0) and found.dimension == 1.0
    assert copies.radius(found, 60, 100) == 0.0
