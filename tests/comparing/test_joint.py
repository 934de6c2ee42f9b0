"""Columns that hang together otherwise are found; a batch like the reference, or with other shares of labels, is not."""

# ruff: noqa: TID253
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pratique.comparing import joint

TESTS: list[Callable[..., joint.Joint]] = [
    joint.correlations,
    joint.kernel,
    lambda old, old_labels, new, new_labels, alpha=0.01: joint.classifier(old, new),
]


def rows(count: int, rng: np.random.Generator, *, tied: float = 0.3, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Two labels at two places; the first two of five columns are tied."""
    labels = (rng.random(count) < share).astype(np.int64)
    x = rng.standard_normal((count, 5))
    x[:, 1] = tied * x[:, 0] + np.sqrt(1 - tied**2) * x[:, 1]
    return np.clip(np.round((x + 2 * labels[:, None]) * 256), -2048, 2048).astype(np.int16), labels


@pytest.mark.parametrize("number", range(len(TESTS)))
@pytest.mark.parametrize(("n", "m"), [(200, 200), (400, 60), (60, 400)])
def test_a_batch_like_the_reference_is_not_accused(number: int, n: int, m: int) -> None:
    """At 5 %, 60 tries: 10 alarms or more happen with a probability of one in 1,000."""
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng([seed, n])
        alarms += TESTS[number](*rows(n, rng), *rows(m, rng), 0.05).p <= 0.05
    assert alarms < 10


@pytest.mark.parametrize("test", [joint.correlations, joint.kernel])
def test_other_shares_of_labels_are_another_tests_question(test: Callable[..., joint.Joint]) -> None:
    alarms = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        alarms += test(*rows(300, rng, share=0.5), *rows(300, rng, share=0.7), 0.05).p <= 0.05
    assert alarms < 7


def test_a_correlation_that_changed_is_named() -> None:
    rng = np.random.default_rng(0)
    found = joint.correlations(*rows(500, rng), *rows(500, rng, tied=-0.5), 0.001)
    assert found.p <= 0.001 and found.columns == (0, 1) and found.effect > 0.15


def test_rows_that_moved_together_are_told_apart() -> None:
    rng = np.random.default_rng(1)
    reference, (batch, labels) = rows(500, rng), rows(500, rng)
    batch[:100, 3] += 500
    batch[:100, 4] -= 500
    found = joint.classifier(reference[0], batch)
    assert found.p < 0.001 and found.effect > 0.05 and len(set(found.rows[:20]) & set(range(100))) >= 18
    assert joint.kernel(*reference, batch, labels, 0.01).p <= 0.01


@pytest.mark.parametrize("number", range(len(TESTS)))
def test_constants_and_a_single_column(number: int) -> None:
    constant, labels = np.full((80, 3), 7, dtype=np.int16), np.arange(80) % 2
    assert TESTS[number](constant, labels, constant, labels).p > 0.05
    single = np.arange(80, dtype=np.int16)[:, None]
    assert TESTS[number](single, labels, single, labels).p > 0.05


def test_the_same_batch_gets_the_same_answer() -> None:
    rng = np.random.default_rng(3)
    sides = *rows(100, rng), *rows(100, rng)
    assert all(test(*sides) == test(*sides) for test in TESTS)
