"""Every row of a column is counted once, in the cell that the profile means."""

# ruff: noqa: TID253
from __future__ import annotations

import datetime
import decimal
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique.comparing import cells

numbers = st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=1, max_size=60)
finite = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60)
texts = st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "5", "x y", ""]), st.integers(-3, 9)), min_size=1, max_size=60)


@given(finite, numbers, st.integers(2, 20))
@settings(deadline=None, max_examples=200)
def test_every_number_is_counted_once(reference: list[float], batch: list[float], bins: int) -> None:
    inner = cells.edges(np.array(reference), bins)
    assert all(a < b for a, b in pairwise(inner)) and np.isfinite(inner).all()
    counts = cells.count_numbers(np.array(batch), inner)
    assert sum(counts) == len(batch) and len(counts) == len(inner) + 4
    assert counts[-3] == np.isnan(batch).sum()


@given(finite, st.integers(2, 20))
@settings(deadline=None, max_examples=200)
def test_the_reference_has_nothing_in_the_outermost_cells(reference: list[float], bins: int) -> None:
    values = np.array(reference)
    counts = cells.count_numbers(values, cells.edges(values, bins))[:-3]
    assert counts[0] == 0
    assert counts[-1] == 0 or values.max() == np.finfo(float).max  # nothing lies above the largest number there is


def test_bins_are_of_equal_mass() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    assert set(cells.count_numbers(values, cells.edges(values, 10))[1:-4]) <= {99, 100, 101}


def test_a_value_that_fills_a_bin_has_a_cell_of_its_own() -> None:
    values = np.array([0.0] * 70 + list(range(1, 31)))
    inner = cells.edges(values, 10)
    counts = cells.count_numbers(values, inner)
    assert counts[: len(inner)][inner.index(0.0) + 1] == 70


def test_a_constant_has_a_below_an_at_and_an_above() -> None:
    inner = cells.edges(np.full(50, 7.0), 10)
    assert cells.count_numbers(np.array([6.9, 7.0, 7.0, 7.1]), inner)[:3] == [1, 2, 1]


@given(texts, texts)
@settings(deadline=None, max_examples=200)
def test_every_text_is_counted_once(reference: list[object], batch: list[object]) -> None:
    known = cells.labels(pd.Series(reference, dtype=object))
    column = pd.Series(batch, dtype=object)
    counts = cells.count_texts(column, known)
    assert sum(counts) == len(batch) and counts[-1] == column.isna().sum()
    assert known == sorted(set(known))


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([5, 3]), pd.Series([5.0, 3.0]), pd.Series(["5", "3"]), pd.Series([5, 3], dtype="Int64"),
        pd.Series(["5", "3"], dtype="category"), pd.Series([5, "3"], dtype=object), pd.Series(np.array([5, 3], dtype="uint8")),
    ],
    ids=lambda column: str(column.dtype),
)  # fmt: skip
def test_one_label_however_it_was_stored(column: pd.Series) -> None:
    assert cells.labels(column) == ["3", "5"]
    assert cells.places(column, ["3", "5"]).tolist() == [1, 0]


def test_true_is_one_label_whoever_wrote_it() -> None:
    assert cells.labels(pd.Series([True, False])) == ["false", "true"]


def test_rare_values_share_a_cell() -> None:
    column = pd.Series(["a"] * 500 + ["b"] * 490 + [f"rare {i}" for i in range(10)])
    assert cells.categories(column) == ["a", "b"]
    assert cells.count_texts(column, ["a", "b"]) == [500, 490, 10, 0]


def test_a_category_explosion_keeps_a_hundred_values_at_most() -> None:
    column = pd.Series(np.repeat([f"{i:04d}" for i in range(500)], 10).tolist() + ["common"] * 200)
    known = cells.categories(column)
    assert known == ["common"] and sum(cells.count_texts(column, known)) == len(column)
    assert len(cells.categories(pd.Series(np.repeat([str(i) for i in range(101)], 100)))) <= cells.MOST_VALUES


def test_documents_are_not_listed() -> None:
    assert cells.categories(pd.Series(["x" * 10_000] * 50 + ["y"] * 50)) == ["y"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.Series([1.5, None]), "numeric"),
        (pd.Series([1, 2], dtype="Int64"), "numeric"),
        (pd.Series([decimal.Decimal("1.5"), None]), "numeric"),
        (pd.Series(["a", None]), "categorical"),
        (pd.Series(["a", 5], dtype=object), "categorical"),
        (pd.Series([True, False]), "categorical"),
        (pd.Series(["a"], dtype="category"), "categorical"),
        (pd.Series([None, None], dtype=object), "empty"),
        (pd.Series([np.nan]), "empty"),
        (pd.Series(pd.to_datetime(["2024-01-01"])), "other"),
        (pd.Series(pd.to_datetime(["2024-01-01"]).tz_localize("Europe/Berlin")), "other"),
        (pd.Series([datetime.date(2024, 1, 1), None], dtype=object), "other"),
        (pd.Series([datetime.time(1), None], dtype=object), "other"),
        (pd.Series([1 + 2j]), "other"),
        (pd.Series([b"a"], dtype=object), "other"),
    ],
)
def test_kinds(column: pd.Series, expected: str) -> None:
    assert cells.kind_of(column) == expected


def test_decimals_are_numbers() -> None:
    assert cells.numbers(pd.Series([decimal.Decimal("1.5"), None], dtype=object))[0] == 1.5
