"""Making a reference profile of approved data."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pratique import tables
from pratique.comparing import cells, copies, encoding, labels
from pratique.errors import UsageError
from pratique.profiles import MAX_LABELS, Column, Duplicates, Neighbours, Profile, Sample

FOLDS = 5
LEAST_ROWS = 50
"""With fewer reference rows no test in this package can tell anything."""

_MOST_CODES = 4_000_000
"""Bytes of encoded rows in a profile."""

_MOST_COMPARED = 5_000


def build_profile(source: Any, *, label: str | None, ignore: tuple[str, ...], bins: int, sample: int, seed: int) -> Profile:
    """See `pratique.profiles.build`."""
    frame = source if isinstance(source, pd.DataFrame) else tables.read(source).frame
    frame = _usable(frame, label, ignore, bins)
    columns = [_column(frame[name], name, label, name in ignore, bins) for name in frame.columns]
    rng = np.random.default_rng(seed)
    codes = encoding.encode(frame, columns)
    return Profile(
        rows=len(frame),
        columns=columns,
        duplicates=_duplicates(copies.exact(frame)),
        neighbours=_neighbours(codes, rng),
        sample=_sample(frame, codes, columns, sample, rng),
    )


def _usable(frame: Any, label: str | None, ignore: tuple[str, ...], bins: int) -> Any:
    if not 2 <= bins <= 256:
        raise UsageError(f"bins must be between 2 and 256, not {bins}")
    if len(frame) < LEAST_ROWS:
        raise UsageError(f"{len(frame)} rows are too few for a reference", hint=f"at least {LEAST_ROWS}, better some hundred")
    names = [str(name) for name in frame.columns]
    twins = {name for name in names if names.count(name) > 1}
    if twins:
        raise UsageError(f"column {min(twins)!r} is there twice")
    missing = [name for name in [*ignore, *([label] if label is not None else [])] if name not in names]
    if missing:
        raise UsageError(f"there is no column {missing[0]!r}", hint="name the label column, or say that there is none")
    if label in ignore:
        raise UsageError(f"column {label!r} cannot be the label and be ignored")
    return frame.set_axis(names, axis=1).reset_index(drop=True)


def _column(series: Any, name: str, label: str | None, ignored: bool, bins: int) -> Column:
    if name == label:
        return _label(series, name)
    kind = cells.kind_of(series)
    if ignored:
        return Column(name=name, kind="other" if kind == "empty" else kind, role="ignored")
    if kind in ("empty", "other"):
        what = "only nulls" if kind == "empty" else f"{series.dtype} values, which are not compared"
        raise UsageError(f"column {name!r} holds {what}", hint="drop it from the reference, or ignore it")
    return _numeric(series, name, bins) if kind == "numeric" else _categorical(series, name)


def _numeric(series: Any, name: str, bins: int) -> Column:
    values = cells.numbers(series)
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise UsageError(f"column {name!r} holds no finite number", hint="drop it from the reference, or ignore it")
    low, high, mean, scale = (float(f(finite)) for f in (np.min, np.max, np.mean, np.std))
    if not np.isfinite([mean, scale]).all():
        raise UsageError(f"column {name!r} holds numbers too large to average")
    inner = cells.edges(values, bins)
    return Column(
        name=name, kind="numeric", role="feature", edges=inner, counts=cells.count_numbers(values, inner),
        low=low, high=high, mean=mean, scale=scale if low < high else 0.0,
    )  # fmt: skip


def _categorical(series: Any, name: str) -> Column:
    values = cells.texts(series)
    known = cells.categories(values)
    return Column(name=name, kind="categorical", role="feature", values=known, counts=cells.count_texts(values, known))


def _label(series: Any, name: str) -> Column:
    values = cells.texts(series)
    if any(value is None for value in values):
        raise UsageError(f"the label column {name!r} has nulls", hint="an approved row has a label")
    known = sorted(set(values.tolist()))
    if not 2 <= len(known) <= MAX_LABELS:
        raise UsageError(
            f"the label column {name!r} has {len(known)} distinct values; 2 to {MAX_LABELS} are classes",
            hint="for any other target build the profile without a label",
        )
    return Column(name=name, kind="categorical", role="label", values=known, counts=cells.count_texts(values, known))


def _duplicates(found: copies.Copies) -> Duplicates:
    return Duplicates(share=found.share, largest=found.largest)


def _neighbours(codes: NDArray[np.int8], rng: np.random.Generator) -> Neighbours | None:
    if not codes.shape[1]:
        return None
    some = codes[rng.choice(len(codes), min(len(codes), _MOST_COMPARED), replace=False)]
    distance, dimension = copies.neighbour_distances(some)
    close = copies.near(some, copies.radius(distance, dimension, len(some), len(some)))
    return Neighbours(rows=len(some), distance=distance, dimension=dimension, copies=_duplicates(close))


def _sample(frame: Any, codes: NDArray[np.int8], columns: list[Column], most: int, rng: np.random.Generator) -> Sample | None:
    label = next((column for column in columns if column.role == "label"), None)
    rows = min(len(codes), most, _MOST_CODES // max(codes.shape[1], 1))
    if label is None or rows < 1 or not codes.shape[1]:
        return None
    chosen = rng.permutation(len(codes))[:rows]
    number = {value: index for index, value in enumerate(label.values)}
    classes = np.array([number[value] for value in cells.texts(frame[label.name])[chosen]], dtype=np.int64)
    return Sample(
        rows=rows, width=codes.shape[1], codes=_text(codes[chosen]), labels=_text(classes.astype(np.uint8)),
        folds=_text(labels.deal(classes, FOLDS, rng).astype(np.uint8)),
    )  # fmt: skip


def _text(values: NDArray[Any]) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")
