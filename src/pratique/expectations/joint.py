"""Drift of a table that no column shows by itself."""

from __future__ import annotations

from typing import ClassVar

from pratique.comparing import joint
from pratique.expectations.base import Limits, Number
from pratique.expectations.samples import SampleExpectation, Seen, Sides, encoded_names
from pratique.profiles import Profile

_LIMITS: Limits = {**SampleExpectation.limits, "alpha": (joint.LEAST_ALPHA, 0.5)}


class ExpectTableCorrelationsToMatchReference(SampleExpectation):
    """Expect no correlation of two columns to have changed.

    Against random exchanges within labels (`pratique.comparing.joint`); the largest change of all pairs counts. Categories take
    part as columns of zeros and ones; of more than 128 columns, 128 drawn at random.

    Args:
        profile: path of a profile with a sample of labelled rows, or a suite parameter.
        alpha: probability of failing on an unchanged table.
        floor: the smallest change of a correlation that matters.
        max_unscored: share of rows with unknown, missing or rare labels above which nothing is concluded.
    """

    floor: Number = 0.1

    limits: ClassVar[Limits] = _LIMITS
    sentence: ClassVar[str] = (
        "No correlation of two columns may differ from the profile's: significantly (error rate $alpha) and by $floor or more."
    )

    def test(self, sides: Sides, profile: Profile, alpha: float) -> Seen:
        """Compare all pairs."""
        found = joint.correlations(sides.reference, sides.reference_labels, sides.batch, sides.batch_labels, alpha)
        names = encoded_names(profile)
        columns = list(dict.fromkeys(names[index][0].name for index in found.columns))
        return Seen(p=found.p, effect=found.effect, suspects=(), scored=found.scored, more={"columns": columns})


class ExpectTableMmdToBeLessThan(SampleExpectation):
    """Expect all columns together to be distributed as in the reference, by maximum mean discrepancy.

    A Gaussian kernel, against random exchanges within labels (`pratique.comparing.joint`). For embeddings, too, if they are the
    table's columns.

    Args:
        profile: path of a profile with a sample of labelled rows, or a suite parameter.
        alpha: probability of failing on an unchanged table.
        floor: the smallest discrepancy, minus what chance puts there, that matters.
        max_unscored: share of rows with unknown, missing or rare labels above which nothing is concluded.
    """

    floor: Number = 0.05

    limits: ClassVar[Limits] = _LIMITS
    sentence: ClassVar[str] = (
        "All columns together must be distributed as in the profile: no maximum mean discrepancy that is significant (error "
        "rate $alpha) and $floor or more."
    )

    def test(self, sides: Sides, profile: Profile, alpha: float) -> Seen:
        """Compare all columns at once."""
        found = joint.kernel(sides.reference, sides.reference_labels, sides.batch, sides.batch_labels, alpha)
        return Seen(p=found.p, effect=found.effect, suspects=found.rows, scored=found.scored, more={})


class ExpectTableDomainClassifierAucToBeLessThan(SampleExpectation):
    """Expect that nothing can be learnt that tells rows of the batch from rows of the reference.

    A classifier two-sample test on held-out halves (`pratique.comparing.joint`). Labels take no part, so a table whose labels
    became more or less frequent is told apart as well.

    Args:
        profile: path of a profile with a sample of labelled rows, or a suite parameter.
        alpha: probability of failing on an unchanged table.
        floor: how much more often than half the classifier must be right (area under its curve, minus 1/2) to matter.
        max_unscored: share of rows with unknown, missing or rare labels above which nothing is concluded.
    """

    floor: Number = 0.05

    sentence: ClassVar[str] = (
        "Rows must not be told from rows of the profile: no classifier may be right significantly (error rate $alpha) and by "
        "$floor more often than by chance."
    )

    def test(self, sides: Sides, profile: Profile, alpha: float) -> Seen:
        """Learn and count."""
        found = joint.classifier(sides.reference, sides.batch)
        return Seen(p=found.p, effect=found.effect, suspects=found.rows, scored=found.scored, more={})
