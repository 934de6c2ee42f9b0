"""Rows become the same small integers on every machine, whatever is in them."""

# ruff: noqa: TID253
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique.comparing import encoding

LIMIT = 8 * encoding.STEP


@dataclass(frozen=True)
class Known:
    """What a profile tells of a column (`encoding.Feature`)."""

    name: str
    kind: str = "numeric"
    values: list[str] = field(default_factory=list)
    center: float = 0.0
    scale: float = 1.0
    width: int = 1


floats = st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=40)


@given(floats, st.floats(-1e9, 1e9), st.floats(1e-300, 1e300))
@settings(deadline=None, max_examples=200)
def test_any_number_has_a_code_within_the_cut(values: list[float], center: float, scale: float) -> None:
    codes = encoding.encode(pd.DataFrame({"x": values}), [Known("x", center=center, scale=scale)])
    assert codes.dtype == np.int16 and np.abs(codes).max() <= LIMIT
    assert all(code == 0 for code, value in zip(codes[:, 0], values, strict=True) if np.isnan(value))


def test_what_lies_beyond_the_cut_is_as_far_as_the_cut() -> None:
    codes = encoding.encode(pd.DataFrame({"x": [-np.inf, -9.0, 8.0, 1e308, np.inf]}), [Known("x")])
    assert codes[:, 0].tolist() == [-LIMIT, -LIMIT, LIMIT, LIMIT, LIMIT]


@given(st.lists(st.floats(-7, 7), min_size=2, max_size=30))
@settings(deadline=None, max_examples=200)
def test_the_order_of_numbers_is_kept(values: list[float]) -> None:
    codes = encoding.encode(pd.DataFrame({"x": sorted(values)}), [Known("x")])[:, 0]
    assert (np.diff(codes) >= 0).all()
    assert np.abs(codes / encoding.STEP - sorted(values)).max() <= 0.5 / encoding.STEP + 1e-9


def test_categories_are_one_hot_and_strangers_are_nothing() -> None:
    frame = pd.DataFrame({"c": ["a", "b", "new", None], "x": [1.0, 2.0, 3.0, 4.0]})
    codes = encoding.encode(frame, [Known("c", "categorical", ["a", "b"], width=2), Known("x", width=0)])
    assert codes.tolist() == [[256, 0], [0, 256], [0, 0], [0, 0]]


def test_two_categories_are_as_far_apart_as_any_other_two() -> None:
    codes = encoding.encode(pd.DataFrame({"c": list("abc")}), [Known("c", "categorical", list("abc"), width=3)])
    squares = encoding.squared_distances(codes, codes)
    assert set(squares[~np.eye(3, dtype=bool)]) == {2.0 * encoding.STEP**2}


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 8), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=100)
def test_distances_are_exact(rows: int, others: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(-LIMIT, LIMIT + 1, (count, width)).astype(np.int16) for count in (rows, others))
    expected = ((a.astype(np.int64)[:, None] - b.astype(np.int64)[None]) ** 2).sum(2)
    assert np.array_equal(encoding.squared_distances(a, b), expected)


@given(st.integers(0, 3000), st.integers(1, 700))
def test_blocks_cover_every_row_once(count: int, size: int) -> None:
    assert [row for part in encoding.blocks(count, size) for row in range(part.start, part.stop)] == list(range(count))


def test_a_draw_hangs_on_every_value() -> None:
    """A fixed seed would tell an attacker, before he writes the batch, which rows nobody is going to compare."""
    rows = np.arange(4000, dtype=np.int16).reshape(1000, 4)
    other = rows.copy()
    other[999, 3] += 1
    first, again, changed = (encoding.draw(one).choice(1000, 10, replace=False).tolist() for one in (rows, rows.copy(), other))
    assert first == again != changed
