"""Triggers: a value, or two side by side, that recurs among the rows of one label."""

from __future__ import annotations

from typing import Any, ClassVar

from pratique.comparing.triggers import recurring
from pratique.expectations.base import Number
from pratique.expectations.samples import SampleExpectation, Seen, Sides, encoded_names
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
        found = recurring(sides.reference, sides.reference_labels, sides.batch, sides.batch_labels)
        more: dict[str, Any] = {"before": found.before, "label": "", "columns": []}
        if found.label >= 0 and profile.label is not None:
            names = encoded_names(profile)
            columns = dict.fromkeys(names[index][0].name for index in found.columns)
            more |= {"label": profile.label.values[found.label], "columns": list(columns)}
        return Seen(p=found.p, effect=found.excess, suspects=found.rows, scored=found.scored, more=more)
