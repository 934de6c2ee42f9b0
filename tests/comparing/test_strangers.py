"""Rows from elsewhere and contradictions are found; a batch like the reference is not accused."""

# ruff: noqa: TID253
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique.comparing import labels, spectra, strangers


def blobs(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Three labels, each around a point of its own in six columns."""
    classes = rng.integers(3, size=count)
    rows = 3 * np.random.default_rng(0).standard_normal((3, 6))[classes] + rng.standard_normal((count, 6))
    return np.clip(np.round(rows * 256), -2048, 2048).astype(np.int16), classes


def coarse(count: int, rng: np.random.Generator, known: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Few different rows, whose label is not certain: conflicts are natural here."""
    rows = rng.integers(12, size=(count, 2)) * 256
    usual = (rows.sum(1) // 256) % 2
    return rows.astype(np.int16), np.where(rng.random(count) < known, usual, 1 - usual)


def distant(n: int, m: int, seed: int, *, foreign: int = 0) -> tuple[labels.Conformity, np.ndarray]:
    rng = np.random.default_rng(seed)
    (reference, old), (batch, new) = blobs(n, rng), blobs(m, rng)
    where = rng.choice(m, foreign, replace=False)
    batch[where] = np.clip(batch[where] + rng.choice([-1, 1], (foreign, 6)) * 900, -2048, 2048)
    return strangers.strangers(reference, old, labels.deal(old, 5, rng), batch, new), where


def test_rows_like_the_reference_are_no_strangers() -> None:
    """At 5 %, 80 tries: 12 alarms or more happen with a probability of one in 1,000."""
    assert sum(distant(300, 300, seed)[0].p <= 0.05 for seed in range(80)) < 12


def test_rows_from_elsewhere_are_found_and_named() -> None:
    found, where = distant(500, 500, 0, foreign=20)
    assert found.p < 0.001 and set(found.suspects[:10]) <= set(where.tolist())


@pytest.mark.parametrize(("n", "m"), [(300, 300), (300, 1500), (1500, 150)])
@pytest.mark.parametrize("known", [0.9, 0.5, 1.0])
def test_natural_conflicts_are_no_alarm(n: int, m: int, known: float) -> None:
    alarms = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        alarms += strangers.conflicts(*coarse(n, rng, known), *coarse(m, rng, known)).p <= 0.05
    assert alarms <= 6


def test_copies_of_reference_rows_under_other_labels_are_named() -> None:
    rng = np.random.default_rng(1)
    (reference, old), (batch, new) = blobs(400, rng), blobs(400, rng)
    batch[:25], new[:25] = reference[:25], (old[:25] + 1) % 3
    found = strangers.conflicts(reference, old, batch, new)
    assert found.p < 0.001 and found.rows == tuple(range(25)) and found.before == 0


def test_copies_with_their_labels_are_no_conflict() -> None:
    rng = np.random.default_rng(1)
    reference, old = blobs(400, rng)
    found = strangers.conflicts(reference, old, reference, old)
    assert found.p == 1.0 and found.rows == ()


@given(seed=st.integers(0, 1000), values=st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_a_conflict_is_an_earlier_equal_row_with_another_label(seed: int, values: int) -> None:
    """Against the plain double loop."""
    rng = np.random.default_rng(seed)
    rows, classes = rng.integers(values, size=(40, 2)).astype(np.int16), rng.integers(3, size=40)
    found = strangers.conflicts(rows[:15], classes[:15], rows[15:], classes[15:]).rows

    def contradicts(row: int, other: int) -> bool:
        return bool((rows[other] == rows[row]).all() and classes[other] != classes[row])

    plain = [row - 15 for row in range(15, 40) if any(contradicts(row, earlier) for earlier in range(row))]
    assert list(found) == plain


# --- spectra ------------------------------------------------------------------------------------------------------------


def varied(n: int, m: int, seed: int, *, poisoned: int = 0, alpha: float = 0.01) -> tuple[spectra.Spectrum, np.ndarray]:
    rng = np.random.default_rng(seed)
    (reference, old), (batch, new) = blobs(n, rng), blobs(m, rng)
    where = np.flatnonzero(new == 1)[:poisoned]
    batch[where] = np.clip(batch[where] + np.array([600, 0, -600, 0, 0, 600]), -2048, 2048)
    return spectra.spectrum(reference, old, batch, new, alpha), where


@pytest.mark.parametrize(("n", "m"), [(200, 200), (90, 400), (400, 60)])
def test_labels_that_vary_as_before_are_not_accused(n: int, m: int) -> None:
    """At 5 %, 60 tries: 10 alarms or more happen with a probability of one in 1,000. Fewer rows than directions, too."""
    assert sum(varied(n, m, seed)[0].p <= 0.05 for seed in range(60)) < 10


def test_a_shared_direction_is_found_with_its_label_and_rows() -> None:
    found, where = varied(600, 600, 0, poisoned=25, alpha=0.001)
    assert found.p <= 0.001 and found.label == 1 and set(found.rows[:20]) <= set(where.tolist()) and found.ratio > 1.2


def test_the_same_batch_gets_the_same_answer() -> None:
    assert varied(200, 200, 7)[0] == varied(200, 200, 7)[0]


def test_constant_columns_have_no_direction() -> None:
    rows, classes = np.full((60, 3), 5, dtype=np.int16), np.arange(60) % 2
    assert spectra.spectrum(rows, classes, rows, classes).p > 0.05


def test_more_columns_than_rows_have_the_same_directions() -> None:
    """Found the other way round, so that ten thousand columns need no matrix of ten thousand by ten thousand."""
    rng = np.random.default_rng(5)
    residuals = rng.standard_normal((40, 90)) * 256 * np.linspace(3, 0.5, 90)
    wide = spectra._whitening(residuals)
    values, vectors = np.linalg.eigh(residuals.T @ residuals / 40)
    plain = vectors[:, ::-1][:, :20] / np.sqrt(values[::-1][:20])
    assert np.allclose(np.abs((wide[:, :20] * plain).sum(axis=0) * values[::-1][:20]), 1.0)


def test_ten_thousand_columns_are_compared_in_seconds() -> None:
    rng = np.random.default_rng(6)
    rows, labels_of = rng.integers(-500, 500, (240, 10_000)).astype(np.int16), np.arange(240) % 2
    found = spectra.spectrum(rows[:120], labels_of[:120], rows[120:], labels_of[120:])
    assert found.p > 0.001 and found.scored == 120
    assert strangers.conflicts(rows[:120], labels_of[:120], rows[120:], labels_of[120:]).rows == ()
