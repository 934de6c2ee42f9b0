"""Wrong labels are found and named; a batch like the reference is not accused."""

# ruff: noqa: TID253
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pratique.comparing import labels, tops

FOLDS = 5


def blobs(count: int, rng: np.random.Generator, apart: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Three labels, each around a point of its own in six columns."""
    classes = rng.integers(3, size=count)
    centers = np.random.default_rng(0).standard_normal((3, 6))
    rows = apart * (centers / np.linalg.norm(centers, axis=1, keepdims=True))[classes] + rng.standard_normal((count, 6))
    return np.clip(np.round(rows * 256), -2048, 2048).astype(np.int16), classes


def flipped(classes: np.ndarray, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The labels with a share of them wrong, and which."""
    rows = rng.choice(len(classes), round(share * len(classes)), replace=False)
    wrong = classes.copy()
    wrong[rows] = (wrong[rows] + rng.integers(1, 3, len(rows))) % 3
    return wrong, rows


def conformity(n: int, m: int, seed: int, *, share: float = 0.0, apart: float = 4.0) -> tuple[labels.Conformity, np.ndarray]:
    rng = np.random.default_rng(seed)
    (reference, old), (batch, new) = blobs(n, rng, apart), blobs(m, rng, apart)
    new, rows = flipped(new, share, rng)
    return labels.conformity(reference, old, labels.deal(old, FOLDS, rng), batch, new), rows


@pytest.mark.parametrize(("n", "m", "apart"), [(300, 300, 4.0), (300, 300, 1.0), (600, 60, 4.0), (120, 600, 2.0)])
def test_a_batch_like_the_reference_is_not_accused(n: int, m: int, apart: float) -> None:
    """At 5 %, 80 tries: 12 alarms or more happen with a probability of one in 1,000."""
    assert sum(conformity(n, m, seed, apart=apart)[0].p <= 0.05 for seed in range(80)) < 12


def test_wrong_labels_are_found_and_named() -> None:
    found, rows = conformity(400, 400, 0, share=0.05)
    assert found.p < 0.001 and 0.02 < found.excess < 0.1
    assert len(set(found.suspects[:15]) & set(rows.tolist())) >= 14
    assert found.scored == 400 and found.unscored == 0


@pytest.mark.parametrize("share", [0.02, 0.05, 0.2])
def test_more_reference_rows_see_fewer_wrong_labels(share: float) -> None:
    assert all(conformity(1500, 400, seed, share=share)[0].p < 0.005 for seed in range(3))


def test_labels_that_mean_nothing_cannot_be_wrong() -> None:
    """Where labels are random already, more of it is no news."""
    assert sum(conformity(300, 300, seed, share=0.2, apart=0.0)[0].p <= 0.01 for seed in range(30)) <= 3


def test_poisoned_rows_cannot_vouch_for_each_other() -> None:
    """A dense clump of wrongly labelled rows: among each other they agree; neighbours are reference rows only."""
    rng = np.random.default_rng(3)
    (reference, old), (batch, new) = blobs(400, rng), blobs(400, rng)
    clump = np.flatnonzero(new == 0)[:20]
    batch[clump], new[clump] = batch[clump[0]], 1
    found = labels.conformity(reference, old, labels.deal(old, FOLDS, rng), batch, new)
    assert found.p < 0.001 and set(clump.tolist()) <= set(found.suspects)


def test_labels_that_the_reference_does_not_know_are_counted_not_scored() -> None:
    rng = np.random.default_rng(0)
    (reference, old), (batch, new) = blobs(200, rng), blobs(100, rng)
    new[:7] = -1
    found = labels.conformity(reference, old, labels.deal(old, FOLDS, rng), batch, new)
    assert (found.unscored, found.scored) == (7, 93) and not set(range(7)) & set(found.suspects)


def test_a_label_too_rare_to_have_neighbours_is_not_scored() -> None:
    rng = np.random.default_rng(0)
    (reference, old), (batch, new) = blobs(200, rng), blobs(100, rng)
    old[old == 2] = 1
    old[: labels.LEAST_ROWS - 1] = 2
    found = labels.conformity(reference, old, labels.deal(old, FOLDS, rng), batch, new)
    assert found.unscored == (new == 2).sum()


def test_a_batch_that_fills_no_more_than_a_fold() -> None:
    assert 0 < conformity(300, 20, 0)[0].p <= 1


def test_a_large_batch_is_sampled_and_says_so() -> None:
    rng = np.random.default_rng(0)
    (reference, old), (batch, new) = blobs(300, rng), blobs(400, rng)
    new, rows = flipped(new, 0.2, rng)
    found = labels.conformity(reference, old, labels.deal(old, FOLDS, rng), batch, new, most=200)
    assert found.scored == 200 and found.p < 0.001
    assert len(set(found.suspects[:20]) & set(rows.tolist())) >= 18


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=100)
def test_hands_are_equal_within_a_label(classes: list[int], seed: int) -> None:
    dealt = labels.deal(np.array(classes), FOLDS, np.random.default_rng(seed))
    for label in set(classes):
        hands = np.bincount(dealt[np.array(classes) == label], minlength=FOLDS)
        assert hands.max() - hands.min() <= 1


# --- tops ---------------------------------------------------------------------------------------------------------------


def ranked(n: int, m: int, rng: np.random.Generator, wrong: int = 0) -> tops.Surplus:
    old, new = rng.random(n), rng.random(m)
    new[:wrong] += 1
    return tops.surplus(old, new, rng.integers(4, size=n), rng.integers(4, size=m), rng)


@pytest.mark.parametrize(("n", "m"), [(400, 400), (2000, 100), (100, 800)])
def test_scores_of_one_kind_have_no_surplus(n: int, m: int) -> None:
    """Close to its level, too: a correction that is too careful sees nothing. Of 100, 1 to 13 are below 5 %."""
    rng = np.random.default_rng([n, m])
    hits = sum(ranked(n, m, rng).p <= 0.05 for _ in range(100))
    assert 1 <= hits <= 13


def test_ten_high_scores_among_two_equal_sides() -> None:
    """That the ten highest are all new has a chance of 2**-10; four looks cost less than four times that."""
    found = ranked(450, 450, np.random.default_rng(0), wrong=10)
    assert 2**-10 < found.p < 4 * 2**-9


def test_what_is_certain_is_not_cut_off_by_the_simulation() -> None:
    assert ranked(450, 450, np.random.default_rng(0), wrong=40).p < 1e-8


def test_ties_are_no_surplus() -> None:
    """Copies of reference rows have equal scores; whoever comes first in memory must not be the suspect."""
    same = np.ones(100)
    assert tops.surplus(same, same, np.zeros(100, int), np.zeros(100, int), np.random.default_rng(0)).p > 0.3


def test_the_tail_is_the_hypergeometric_one() -> None:
    tail = tops._at_least(np.array([10]), np.array([100]), np.array([50]))
    assert tail == pytest.approx(stats.hypergeom.sf(np.arange(-1, 10), 100, 50, 10))


def test_strata_are_added() -> None:
    """Two strata of which one is all new: only the other can surprise."""
    tail = tops._at_least(np.array([3, 4]), np.array([3, 40]), np.array([3, 10]))
    assert tail[:4].tolist() == pytest.approx([1, 1, 1, 1])
    assert tail[4:] == pytest.approx(stats.hypergeom.sf(np.arange(0, 4), 40, 10, 4))
