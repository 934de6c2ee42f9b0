"""Rows unlike any reference row, labels that vary in a new direction, equal rows with different labels."""

from __future__ import annotations

from typing import Any, ClassVar

from pratique.comparing import spectra, strangers
from pratique.expectations.base import Number
from pratique.expectations.samples import SampleExpectation, Seen, Sides
from pratique.profiles import Profile


class ExpectRowsToConformToReferenceDensity(SampleExpectation):
    """Expect no more rows far from every reference row of their label than the reference has.

    A cross-conformal test on distances to the fifth nearest (`pratique.comparing.strangers`). It sees rows from elsewhere, and
    triggers of large values; it does not see what stays among its own.

    Args:
        profile: path of a profile with a sample of labelled rows, or a suite parameter.
        alpha: probability of failing on an unchanged table.
        floor: the smallest share of such rows that matters.
        max_unscored: share of rows with unknown, missing or rare labels above which nothing is concluded.
    """

    floor: Number = 0.005

    sentence: ClassVar[str] = (
        "No more rows than in the profile may lie far from all rows of their label (error rate $alpha, smallest excess $floor)."
    )

    def test(self, sides: Sides, profile: Profile, alpha: float) -> Seen:
        """Measure distances."""
        found = strangers.strangers(sides.reference, sides.reference_labels, sides.folds, sides.batch, sides.batch_labels)
        return Seen(p=found.p, effect=found.excess, suspects=found.suspects, scored=found.scored, more={})


class ExpectLabelSpectraToMatchReference(SampleExpectation):
    """Expect the rows of no label to vary in a direction in which the reference hardly does.

    Spectral signatures on features that are whitened by one half of the reference and calibrated by the other, by exchanges
    (`pratique.comparing.spectra`). It sees poisoned rows that share something, whether their labels are right or wrong.

    Args:
        profile: path of a profile with a sample of labelled rows, or a suite parameter.
        alpha: probability of failing on an unchanged table; at least 1e-5.
        floor: how much larger the variance must be, as a share of it, to matter.
        max_unscored: share of rows with unknown, missing or rare labels above which nothing is concluded.
    """

    floor: Number = 0.1

    limits: ClassVar[dict[str, tuple[float, float]]] = {**SampleExpectation.limits, "alpha": (spectra.LEAST_ALPHA, 0.5)}

    sentence: ClassVar[str] = (
        "The rows of no label may vary in a direction in which the profile's hardly do (error rate $alpha, smallest excess "
        "$floor of the variance)."
    )

    def test(self, sides: Sides, profile: Profile, alpha: float) -> Seen:
        """Compare the largest variances."""
        found = spectra.spectrum(sides.reference, sides.reference_labels, sides.batch, sides.batch_labels, alpha)
        label = profile.label.values[found.label] if profile.label is not None and found.label >= 0 else ""
        more: dict[str, Any] = {"label": label, "ratio": found.ratio}
        return Seen(p=found.p, effect=found.ratio - 1, suspects=found.rows, scored=found.scored, more=more)


class ExpectEqualRowsToHaveEqualLabels(SampleExpectation):
    """Expect no more rows than in the reference to repeat the values of a row with another label, in the batch or the profile.

    Args:
        profile: path of a profile with a sample of labelled rows, or a suite parameter.
        alpha: probability of failing on an unchanged table.
        floor: the smallest share of such rows, beyond that of the reference, that matters.
        max_unscored: share of rows with unknown, missing or rare labels above which nothing is concluded.
    """

    floor: Number = 0.001

    sentence: ClassVar[str] = (
        "No more rows than in the profile may repeat a row of another label (error rate $alpha, smallest excess $floor)."
    )

    def test(self, sides: Sides, profile: Profile, alpha: float) -> Seen:
        """Count contradictions."""
        found = strangers.conflicts(sides.reference, sides.reference_labels, sides.batch, sides.batch_labels)
        effect = found.share - found.before
        return Seen(p=found.p, effect=effect, suspects=found.rows, scored=len(sides.batch), more={"before": found.before})
