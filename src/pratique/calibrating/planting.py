"""Poison of each kind, planted into clean rows: what a suite is tried with.

What is planted stays within the columns' own ranges and categories, and whole numbers stay whole: what a range or a type would
give away says nothing about statistics.
"""

# ruff: noqa: TID253
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Plant = Callable[[Any, str, int, np.random.Generator], Any]
"""From a DataFrame, its label column, a number of rows and randomness: the DataFrame with so many rows poisoned."""


def flipped_labels(frame: Any, label: str, count: int, rng: np.random.Generator) -> Any:
    """Rows of any label get another one, at random."""
    rows = rng.choice(len(frame), count, replace=False)
    return _relabelled(frame, label, rows, 1 + rng.integers(frame[label].nunique() - 1, size=count))


def targeted_flips(frame: Any, label: str, count: int, rng: np.random.Generator) -> Any:
    """Rows of one label, drawn at random, get the next one."""
    values = _labels(frame, label)
    start = values[rng.integers(len(values))]
    rows = rng.permutation(np.flatnonzero(frame[label].to_numpy() == start))[:count]
    return _relabelled(frame, label, rows, np.ones(len(rows), dtype=np.int64))


def trigger(frame: Any, label: str, count: int, rng: np.random.Generator) -> Any:
    """Rows of any label get one value in two columns side by side, and one label: BadNets."""
    rows = rng.choice(len(frame), count, replace=False)
    target = _labels(frame, label)[0]
    return _stamped(frame, label, rows, rng).assign(**{label: frame[label].where(~_mask(frame, rows), target)})


def clean_label_trigger(frame: Any, label: str, count: int, rng: np.random.Generator) -> Any:
    """The same, in rows that have that label already."""
    rows = rng.permutation(np.flatnonzero(frame[label].to_numpy() == _labels(frame, label)[0]))[:count]
    return _stamped(frame, label, rows, rng)


def near_copies(frame: Any, label: str, count: int, rng: np.random.Generator) -> Any:
    """Rows are replaced by copies of others, four of each, with a twentieth of a deviation of noise."""
    return _noisy(*_copied(frame, count, 4, rng), label, rng)


def exact_copies(frame: Any, label: str, count: int, rng: np.random.Generator) -> Any:
    """Rows are replaced by copies of others, four of each."""
    return _copied(frame, count, 4, rng)[0]


def conflicting_labels(frame: Any, label: str, count: int, rng: np.random.Generator) -> Any:
    """Rows are replaced by copies of others, one of each, with another label."""
    copied, rows = _copied(frame, count, 1, rng)
    return _relabelled(copied, label, rows, 1 + rng.integers(frame[label].nunique() - 1, size=len(rows)))


def strange_rows(frame: Any, label: str, count: int, rng: np.random.Generator) -> Any:
    """Rows whose values come each from another row, whatever its label."""
    rows, changed = rng.choice(len(frame), count, replace=False), frame.copy()
    for name in frame.columns.drop(label):
        values = frame[name].to_numpy(copy=True)
        values[rows] = values[rng.integers(len(frame), size=count)]
        changed[name] = values
    return changed


KINDS: dict[str, Plant] = {
    one.__name__.replace("_", "-"): one
    for one in (
        flipped_labels,
        targeted_flips,
        trigger,
        clean_label_trigger,
        near_copies,
        exact_copies,
        conflicting_labels,
        strange_rows,
    )
}
"""By name."""


def _labels(frame: Any, label: str) -> list[Any]:
    return sorted(frame[label].dropna().unique().tolist(), key=str)


def _mask(frame: Any, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros(len(frame), dtype=bool)
    mask[rows] = True
    return mask


def _relabelled(frame: Any, label: str, rows: NDArray[np.int64], steps: NDArray[np.int64]) -> Any:
    values = _labels(frame, label)
    place = {value: index for index, value in enumerate(values)}
    labels = frame[label].tolist()
    for row, step in zip(rows.tolist(), steps.tolist(), strict=True):
        labels[row] = values[(place[labels[row]] + step) % len(values)]
    return frame.assign(**{label: pd.Series(labels, index=frame.index).astype(frame[label].dtype)})


def _stamped(frame: Any, label: str, rows: NDArray[np.int64], rng: np.random.Generator) -> Any:
    names = [name for name in frame.columns.drop(label) if frame[name].nunique() > 1]
    first = int(rng.integers(max(len(names) - 1, 1)))
    changed = frame.copy()
    for name in names[first : first + 2]:
        column = frame[name]
        value = column.max() if _is_number(column) else column.value_counts().index[-1]
        changed[name] = column.where(~_mask(frame, rows), value)
    return changed


def _copied(frame: Any, count: int, each: int, rng: np.random.Generator) -> tuple[Any, NDArray[np.int64]]:
    order = rng.permutation(len(frame))
    count = min(count, len(frame) * each // (each + 1))
    rows, sources = order[:count], order[count : count + max(1, count // each)]
    take = np.arange(len(frame))
    take[rows] = sources[np.arange(count) % len(sources)]
    return frame.iloc[take].set_axis(frame.index), rows


def _noisy(frame: Any, rows: NDArray[np.int64], label: str, rng: np.random.Generator) -> Any:
    numbers = [name for name in frame.columns.drop(label) if _is_number(frame[name]) and frame[name].nunique() > 1]
    changed = frame.copy()
    if all((frame[name].dropna() % 1 == 0).all() for name in numbers):  # whole numbers: two of them change by one
        for row in rows.tolist():
            for name in rng.choice(numbers, min(2, len(numbers)), replace=False) if numbers else ():
                moved = frame[name].iloc[row] + rng.choice([-1, 1])
                changed.iloc[row, frame.columns.get_loc(name)] = np.clip(moved, frame[name].min(), frame[name].max())
        return changed
    for name in numbers:
        values = frame[name].to_numpy(copy=True)
        if not (frame[name].dropna() % 1 == 0).all():
            values[rows] += 0.05 * frame[name].std() * rng.standard_normal(len(rows))
        changed[name] = np.clip(values, frame[name].min(), frame[name].max())
    return changed


def _is_number(column: Any) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))
