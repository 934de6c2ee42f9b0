"""What expectations share that hold every row of a batch against the reference rows in the profile."""

# ruff: noqa: TID253
from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pratique.errors import CheckError
from pratique.expectations.base import ALPHA, CODES, ROWS, Limits, Number, RowsExpectation, enough
from pratique.expectations.labels import label_numbers
from pratique.profiles import Column, Profile

SHOWN = 10
"""Suspects that a result names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Reference rows and rows of the batch, as small integers; labels are numbers of the profile's, -1 for none of them."""

    reference: NDArray[np.int16]
    reference_labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    frame: Any
    """The batch itself, for what the integers do not hold."""

    batch: NDArray[np.int16]
    batch_labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a test says, as every expectation here judges it."""

    p: float
    effect: float
    suspects: tuple[int, ...]
    scored: int
    more: dict[str, Any]
    """Further details that JSON can hold."""


class SampleExpectation(RowsExpectation, ABC):
    """Fails if a test of the batch against the reference rows is significant at `alpha` and its effect reaches `floor`.

    Subclasses set `sentence` and the default floor, and write `test`.
    """

    alpha: Number = 0.01
    floor: Number = 0.0
    max_unscored: Number = 0.05

    limits: ClassVar[Limits] = {"alpha": ALPHA, "floor": (0.0, 0.5), "max_unscored": (0.0, 0.5)}
    success_keys: ClassVar[tuple[str, ...]] = ("profile", "alpha", "floor", "max_unscored")
    args_keys: ClassVar[tuple[str, ...]] = ("profile", "alpha", "floor", "max_unscored")
    metric_dependencies: ClassVar[tuple[str, ...]] = (ROWS, CODES)

    def judge(self, profile: Profile, metrics: dict[str, Any], wanted: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        """Hold every row against the reference sample."""
        frame, label = metrics[ROWS], profile.label
        enough(len(frame))
        if label is None:
            raise CheckError("the profile has no label")
        if profile.sample is None:
            raise CheckError("the profile holds no sample of reference rows")
        codes, classes, folds = profile.sample.arrays()
        numbers = label_numbers(frame, label)
        unscored = int((~np.isin(numbers, _common(classes))).sum())
        if unscored > wanted["max_unscored"] * len(frame):
            raise CheckError(f"{unscored} of {len(frame)} rows have labels too rare in the profile, unknown, or none")
        sides = Sides(
            reference=codes, reference_labels=classes, folds=folds, frame=frame, batch=metrics[CODES], batch_labels=numbers
        )  # fmt: skip
        found = self.test(sides, profile, wanted["alpha"])
        if not found.scored:
            raise CheckError("no label has enough rows to be compared")
        details = {
            "p": found.p, "effect": found.effect, "suspects": list(found.suspects[:SHOWN]),
            "suspect_count": len(found.suspects), "unscored": unscored, "scored": found.scored, **found.more,
        }  # fmt: skip
        return not (found.p <= wanted["alpha"] and found.effect >= wanted["floor"]), found.p, details

    @abstractmethod
    def test(self, sides: Sides, profile: Profile, alpha: float) -> Seen:
        """Compare them."""


def encoded_names(profile: Profile) -> list[tuple[Column, str]]:
    """The column behind each encoded number, and the category that it stands for (empty for a number)."""
    names: list[tuple[Column, str]] = []
    for column in profile.columns:
        if column.width:
            names.extend((column, value) for value in ([""] if column.kind == "numeric" else column.values))
    return names


def _common(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    from pratique.comparing.labels import LEAST_ROWS

    common: NDArray[np.int64] = np.flatnonzero(np.bincount(classes) >= LEAST_ROWS)
    return common
