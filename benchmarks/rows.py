"""One line of a benchmark's table; every script here has a `measure()` that returns some."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A figure, and what it is held against. Both were measured in one run, on one machine."""

    what: str
    figure: float
    unit: str
    peer: str = ""
    """Whom it is compared with, and their figure in the same unit."""

    ratio: float | None = None
    """How many times better than the peer: above 1 is better, whichever way the unit points."""

    goal: str = ""
    note: str = ""
    """Why a goal was missed, or how to read the figure."""


def table(rows: Iterable[Row]) -> str:
    """The rows as Markdown."""
    head = "| what | figure | peer | ratio | goal | note |\n|---|---|---|---|---|---|\n"
    return head + "\n".join(
        f"| {one.what} | {one.figure:,.4g} {one.unit} | {one.peer} | {'' if one.ratio is None else f'{one.ratio:.2f}'} "
        f"| {one.goal} | {one.note} |"
        for one in rows
    )
