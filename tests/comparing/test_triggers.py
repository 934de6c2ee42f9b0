"""A recurring value is found and named; what recurs in the reference as well is not."""

# ruff: noqa: TID253
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique.comparing import triggers


def pixels(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Three labels; twelve columns of few different values, as pixels have them."""
    labels = rng.integers(3, size=count)
    rows = rng.binomial(8, 0.2 + 0.2 * labels[:, None], size=(count, 12)) * 64
    return rows.astype(np.int16), labels


def marked(
    rows: np.ndarray, labels: np.ndarray, count: int, columns: tuple[int, ...] = (4, 5)
) -> tuple[np.ndarray, np.ndarray]:
    """The first rows get a patch, and the attacker's label."""
    rows, labels = rows.copy(), labels.copy()
    rows[:count, columns], labels[:count] = 512, 0
    return rows, labels


@pytest.mark.parametrize(("n", "m"), [(400, 400), (900, 150), (150, 900)])
def test_a_batch_like_the_reference_is_not_accused(n: int, m: int) -> None:
    """At 5 %, 60 tries: 10 alarms or more happen with a probability of one in 1,000."""
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        alarms += triggers.recurring(*pixels(n, rng), *pixels(m, rng)).p <= 0.05
    assert alarms < 10


def test_a_patch_is_found_in_its_columns_and_rows() -> None:
    rng = np.random.default_rng(0)
    reference, batch = pixels(600, rng), pixels(600, rng)
    found = triggers.recurring(*reference, *marked(*batch, 30))
    assert found.p < 1e-4 and found.label == 0 and set(found.columns) <= {4, 5} and set(range(30)) <= set(found.rows)
    assert 0.02 < found.excess < 0.06 and found.scored == 600


def test_a_patch_with_the_right_labels_is_found_too() -> None:
    rng = np.random.default_rng(1)
    reference, (rows, labels) = pixels(600, rng), pixels(600, rng)
    mine = np.flatnonzero(labels == 1)[:30]
    rows[np.ix_(mine, [2, 3])] = 512
    assert triggers.recurring(*reference, rows, labels).p < 1e-4


def test_what_the_reference_has_as_well_is_no_trigger() -> None:
    rng = np.random.default_rng(2)
    reference, batch = pixels(600, rng), pixels(600, rng)
    assert triggers.recurring(*marked(*reference, 30), *marked(*batch, 30)).p > 0.05


@given(poisoned=st.integers(1, 12), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_few_rows_never_prove_anything(poisoned: int, seed: int) -> None:
    """All of them are in the batch by accident with a chance of two to the minus their number: p is never below that."""
    rng = np.random.default_rng(seed)
    reference, labels = pixels(300, rng)
    batch = np.concatenate([reference[:300]])
    rows, new = marked(batch, labels, poisoned)
    found = triggers.recurring(reference, labels, rows, new)
    assert found.p >= 0.4**poisoned or found.before > 0 or len(found.rows) > poisoned


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_says_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference, (rows, labels) = pixels(200, rng), pixels(200, rng)
    order = rng.permutation(200)
    one, other = triggers.recurring(*reference, rows, labels), triggers.recurring(*reference, rows[order], labels[order])
    assert one.p == other.p and one.excess == pytest.approx(other.excess)


def test_many_columns_in_parts_are_the_same_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    reference, batch = pixels(400, rng), marked(*pixels(400, rng), 40, (7, 9))
    whole = triggers.recurring(*reference, *batch)
    monkeypatch.setattr(triggers, "_MOST_CODES", 2_000)
    parts = triggers.recurring(*reference, *batch)
    assert parts.rows == whole.rows and parts.columns == whole.columns


def test_labels_that_nobody_knows_are_not_looked_at() -> None:
    rng = np.random.default_rng(4)
    rows, labels = pixels(100, rng)
    found = triggers.recurring(rows, labels, rows, np.full(100, -1))
    assert found.p == 1.0 and found.scored == 0 and found.label == -1
