"""Triggers: a value, or two side by side, that recurs among the rows of one label."""

# ruff: noqa: TID253
from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pratique.comparing import cells
from pratique.comparing.triggers import recurring
from pratique.expectations.base import Number
from pratique.expectations.samples import SampleExpectation, Seen, Sides
from pratique.profiles import Profile


class ExpectNoRepeatedValuesWithinLabel(SampleExpectation):
    """Expect no value, and no two values side by side, to recur among the rows of one label more often than in the reference.

    A backdoor's trigger does: a patch of pixels, a token, a rare category (`pratique.comparing.triggers`). Exact, so a few rows
    prove nothing: with a batch and a reference of one size, ten rows have a chance of one in a thousand at best.

    Args:
        profile: path of a profile with a sample of labelled rows, or a suite parameter.
        alpha: probability of failing on an unchanged table.
        floor: the smallest share of rows beyond those of the reference that matters.
        max_unscored: share of rows with unknown, missing or rare labels above which nothing is concluded.
    """

    floor: Number = 0.002

    sentence: ClassVar[str] = (
        "No value may recur among the rows of one label more often than in the profile (error rate $alpha, smallest excess "
        "$floor of all rows)."
    )

    def test(self, sides: Sides, profile: Profile, alpha: float) -> Seen:
        """Count values by label."""
        reference, batch, names = _all_columns(sides, profile)
        found = recurring(reference, sides.reference_labels, batch, sides.batch_labels)
        more: dict[str, Any] = {"before": found.before, "label": "", "columns": []}
        if found.label >= 0 and profile.label is not None:
            columns = dict.fromkeys(names[index] for index in found.columns)
            more |= {"label": profile.label.values[found.label], "columns": list(columns)}
        return Seen(p=found.p, effect=found.excess, suspects=found.rows, scored=found.scored, more=more)


def _all_columns(sides: Sides, profile: Profile) -> tuple[NDArray[np.int16], NDArray[np.int16], list[str]]:
    """Both sides' encoded columns and their names, with those that the encoding leaves out because the reference is constant.

    There a trigger is the easiest to hide from tests that need a scale: a corner of an image that is always black.
    """
    before: list[NDArray[np.int16]] = []
    after: list[NDArray[np.int16]] = []
    names: list[str] = []
    start = 0
    for column in profile.features:
        if column.width:
            part = slice(start, start + column.width)
            before.append(sides.reference[:, part])
            after.append(sides.batch[:, part])
            start += column.width
        elif column.kind == "numeric":
            before.append(np.zeros((len(sides.reference), 1), dtype=np.int16))
            after.append(_other_than(cells.numbers(sides.frame[column.name]), column.low)[:, None])
        else:
            continue
        names += [column.name] * after[-1].shape[1]
    return np.concatenate(before, axis=1), np.concatenate(after, axis=1), names


def _other_than(values: NDArray[np.float64], constant: float) -> NDArray[np.int16]:
    """0 for the constant and for nulls; a number of its own for any other value, one for all beyond the first 30,000."""
    other = ~np.isnan(values) & (values != constant)
    codes = np.zeros(len(values), dtype=np.int16)
    codes[other] = np.minimum(1 + np.unique(values[other], return_inverse=True)[1], 30_000)
    return codes
