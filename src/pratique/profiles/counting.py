"""Counting a batch in the cells of a profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pratique.comparing import cells
from pratique.profiles.model import Profile
from pratique.profiles.parts import Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A batch in the cells of a profile."""

    rows: int
    """Rows of the batch."""

    counts: dict[str, list[int]]
    """For each column that could be counted, rows per cell."""

    missing: tuple[str, ...]
    """Columns of the profile that the batch has not."""

    unexpected: tuple[str, ...]
    """Columns of the batch that the profile has not."""

    unlike: dict[str, str]
    """Columns whose values are of another kind, and of which."""


def count(frame: Any, profile: Profile) -> Counted:
    """Count every column but the ignored ones."""
    present = [str(name) for name in frame.columns]
    named = {column.name for column in profile.columns}
    counts, unlike = {}, {}
    for column in profile.columns:
        if column.role != "ignored" and present.count(column.name) == 1:
            kind = cells.kind_of(frame[column.name])
            if kind == "empty" or kind == column.kind or (column.role == "label" and kind == "numeric"):
                counts[column.name] = _count(frame[column.name], column)
            else:
                unlike[column.name] = kind
    return Counted(
        rows=len(frame),
        counts=counts,
        missing=tuple(column.name for column in profile.columns if column.name not in present),
        unexpected=tuple(sorted({name for name in present if name not in named or present.count(name) > 1})),
        unlike=unlike,
    )


def _count(series: Any, column: Column) -> list[int]:
    if column.kind == "numeric":
        return cells.count_numbers(cells.numbers(series), column.edges)
    return cells.count_texts(series, column.values)
