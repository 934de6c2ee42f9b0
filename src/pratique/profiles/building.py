"""Making a reference profile of approved data."""

# ruff: noqa: TID253
from __future__ import annotations

import base64
import difflib
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pratique import tables
from pratique.comparing import cells, copies, encoding, labels
from pratique.errors import UsageError
from pratique.profiles.model import Profile
from pratique.profiles.parts import MAX_COLUMNS, MAX_LABELS, MAX_SAMPLE, MAX_WIDTH, Column, Duplicates, Neighbours, Sample

FOLDS = 5
LEAST_ROWS = 50
"""With fewer reference rows no test in this package can tell anything."""

_MOST_CODES = 4_000_000
"""Encoded numbers in a profile, two bytes each."""

_MOST_COMPARED = 5_000

Progress = Callable[[int, int], None]
"""Told how many steps are done, and of how many."""


def build_profile(
    source: Any, *, label: str | None, ignore: tuple[str, ...], bins: int, sample: int, seed: int, progress: Progress
) -> Profile:
    """See `pratique.profiles.build`."""
    if not 2 <= bins <= 256:
        raise UsageError(f"bins must be between 2 and 256, not {bins}")
    if not 0 <= sample <= MAX_SAMPLE:
        raise UsageError(f"sample must be between 0 and {MAX_SAMPLE:,}, not {sample:,}")
    frame = _usable(source if isinstance(source, pd.DataFrame) else _read(source), label, ignore)
    columns: list[Column] = []
    steps = len(frame.columns) + 1  # the last one compares rows with each other
    for name in frame.columns:
        progress(len(columns), steps)
        columns.append(_column(frame[name], name, label, name in ignore, bins))
    progress(len(columns), steps)
    rng = np.random.default_rng(seed)
    codes = encoding.encode(frame, columns)
    compared = [column.name for column in columns if column.role != "ignored"]
    if not compared:
        raise UsageError("every column is ignored", hint="a profile describes at least one")
    return Profile(
        rows=len(frame),
        columns=columns,
        duplicates=_duplicates(copies.exact(frame[compared])),
        neighbours=_neighbours(codes, rng),
        sample=_sample(frame, codes, columns, sample, rng),
    )


def _read(source: Any) -> Any:
    table = tables.read(source)
    if table.unread:
        raise UsageError(
            f"{table.unread[0]} is neither a table that is read nor documentation", hint="take it out of the folder"
        )
    return table.frame


def _usable(frame: Any, label: str | None, ignore: tuple[str, ...]) -> Any:
    if frame.shape[1] > MAX_COLUMNS:
        raise UsageError(f"the table has {frame.shape[1]:,} columns; a profile describes at most {MAX_COLUMNS:,}")
    if len(frame) < LEAST_ROWS:
        raise UsageError(f"{len(frame)} rows are too few for a reference", hint=f"at least {LEAST_ROWS}, better some hundred")
    names = [str(name) for name in frame.columns]
    twin = next((name for name, count in Counter(names).items() if count > 1), None)
    if twin is not None:
        raise UsageError(f"column {twin!r} is there twice")
    if "" in names:
        raise UsageError("a column has no name")
    missing = [name for name in [*ignore, *([label] if label is not None else [])] if name not in names]
    if missing:
        raise _absent(missing[0], names, missing[0] in ignore)
    if label in ignore:
        raise UsageError(f"column {label!r} cannot be the label and be ignored")
    return frame.set_axis(names, axis=1).reset_index(drop=True)


def _absent(name: str, names: list[str], ignored: bool) -> UsageError:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5) or [one for one in names if one.lower() == name.lower()]
    if ignored:
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        hint = f"the columns are {', '.join(map(repr, names[:10]))}{more}"
    else:
        hint = "name the label column, or say that there is none: --label ''"
    return UsageError(f"there is no column {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""), hint=hint)


def _column(series: Any, name: str, label: str | None, ignored: bool, bins: int) -> Column:
    if name == label:
        return _label(series, name)
    kind = cells.kind_of(series)
    if ignored:
        return Column(name=name, kind="other", role="ignored")
    if kind in ("empty", "other"):
        what = "only nulls" if kind == "empty" else f"{series.dtype} values, which are not compared"
        raise UsageError(f"column {name!r} holds {what}", hint="drop it from the reference, or ignore it")
    return _numeric(series, name, bins) if kind == "numeric" else _categorical(series, name)


def _numeric(series: Any, name: str, bins: int) -> Column:
    values = cells.numbers(series)
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise UsageError(f"column {name!r} holds no finite number", hint="drop it from the reference, or ignore it")
    low, *middle, high = (float(value) for value in np.quantile(finite, (0, 0.1, 0.5, 0.9, 1), method="nearest"))
    scale = _scale(finite, middle[2] - middle[0]) if low < high else 0.0
    if not np.isfinite(scale):
        raise UsageError(f"column {name!r} holds numbers too large to compare")
    inner = cells.edges(values, bins)
    counts = cells.count_numbers(values, inner)
    return Column(
        name=name, kind="numeric", role="feature", edges=inner, counts=counts, low=low, high=high, middle=middle, scale=scale
    )  # fmt: skip


def _scale(values: NDArray[np.float64], middle: float) -> float:
    """The standard deviation; in heavy tails, where a few rows would dwarf all others, one that the middle 80 % agree with."""
    with np.errstate(over="ignore", invalid="ignore"):
        deviation, usual = float(np.std(values)), middle / 2.563  # of a normal distribution
        return min(deviation, 3 * usual) if usual > 0 else deviation


def _categorical(series: Any, name: str) -> Column:
    known = cells.categories(series)
    return Column(name=name, kind="categorical", role="feature", values=known, counts=cells.count_texts(series, known))


def _label(series: Any, name: str) -> Column:
    if series.isna().any():
        raise UsageError(f"the label column {name!r} has nulls", hint="an approved row has a label")
    known = cells.labels(series)
    if not 2 <= len(known) <= MAX_LABELS:
        raise UsageError(
            f"the label column {name!r} has {len(known)} distinct values; 2 to {MAX_LABELS} are classes",
            hint="for any other target build the profile without a label",
        )
    return Column(name=name, kind="categorical", role="label", values=known, counts=cells.count_texts(series, known))


def _duplicates(found: copies.Copies) -> Duplicates:
    return Duplicates(share=found.share, largest=found.largest, pairs=found.pairs)


def _neighbours(codes: NDArray[np.int16], rng: np.random.Generator) -> Neighbours | None:
    if not codes.shape[1]:
        return None
    some = codes[rng.choice(len(codes), min(len(codes), _MOST_COMPARED), replace=False)]
    found = copies.nearness(some)
    known = _duplicates(copies.near(some, copies.radius(found, len(some), len(some))))
    return Neighbours(rows=len(some), closest=found.closest, close=found.close, dimension=found.dimension, copies=known)


def _sample(frame: Any, codes: NDArray[np.int16], columns: list[Column], most: int, rng: np.random.Generator) -> Sample | None:
    label = next((column for column in columns if column.role == "label"), None)
    rows = min(len(codes), most, _MOST_CODES // max(codes.shape[1], 1))
    if label is None or rows < 1 or not 0 < codes.shape[1] <= MAX_WIDTH:
        return None
    chosen = rng.permutation(len(codes))[:rows]
    classes = cells.places(frame[label.name], label.values)[chosen]
    _refuse_rare(classes, label)
    return Sample(
        rows=rows, width=codes.shape[1], codes=_text(codes[chosen].astype("<i2")), labels=_text(classes.astype(np.uint8)),
        folds=_text(labels.deal(classes, FOLDS, rng).astype(np.uint8)),
    )  # fmt: skip


def _refuse_rare(classes: NDArray[np.int64], label: Column) -> None:
    counts = np.bincount(classes, minlength=len(label.values))
    rare = counts < labels.LEAST_ROWS
    if counts[rare].sum() > 0.02 * len(classes):
        names = ", ".join(repr(value) for value, few in zip(label.values, rare, strict=True) if few)
        raise UsageError(
            f"labels {names} have fewer than {labels.LEAST_ROWS} reference rows each, and together more than 2 %",
            hint="collect more of them, or leave out the test of label noise: sample=0",
        )


def _text(values: NDArray[Any]) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")
