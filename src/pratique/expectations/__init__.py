"""Expectations for Great Expectations 1.x: drift, ranges, label noise, triggers, anomalies, copies against a reference profile.

    import great_expectations as gx
    import pratique.expectations as pe          # registers the classes; without it GX drops them from a stored suite

    suite.add_expectation(pe.ExpectTableDriftToBeWithinProfile(profile={"$PARAMETER": "profile"}, alpha=0.0033))
    checkpoint.run(expectation_parameters={"profile": "profile.json"})

`profile` is a path, or `path#sha256:<hex>` to pin the file; see `pratique.profiles`. `pratique.suites` proposes a whole suite.

They read pandas batches. On any other execution engine they raise, which GX reports as success=False with an exception: it
never reads as a pass. The same holds for whatever else keeps them from looking: no rows, too few rows, a broken profile.
"""

from __future__ import annotations

from pratique.expectations.anomalies import (
    ExpectEqualRowsToHaveEqualLabels,
    ExpectLabelSpectraToMatchReference,
    ExpectRowsToConformToReferenceDensity,
)
from pratique.expectations.copies import ExpectNearDuplicateClustersToBeSmallerThan, ExpectTableRowsToBeDistinct
from pratique.expectations.distances import (
    ExpectColumnCategoriesToMatchProfile,
    ExpectColumnCramersVToBeLessThan,
    ExpectColumnJensenShannonDistanceToBeLessThan,
    ExpectColumnKolmogorovSmirnovStatisticToBeLessThan,
    ExpectColumnWassersteinDistanceToBeLessThan,
)
from pratique.expectations.drift import ExpectColumnPsiToBeLessThan, ExpectTableDriftToBeWithinProfile
from pratique.expectations.joint import (
    ExpectTableCorrelationsToMatchReference,
    ExpectTableDomainClassifierAucToBeLessThan,
    ExpectTableMmdToBeLessThan,
)
from pratique.expectations.labels import ExpectLabelsToConformToReference, ExpectTableLabelPriorsToMatchProfile
from pratique.expectations.ranges import ExpectTableValuesToBeWithinRanges
from pratique.expectations.schema import ExpectTableSchemaToMatchProfile
from pratique.expectations.times import ExpectTableRowsPerWindowToBeBetween, ExpectTableToBeFresh
from pratique.expectations.triggers import ExpectNoRepeatedValuesWithinLabel

__all__ = [
    "ExpectColumnCategoriesToMatchProfile",
    "ExpectColumnCramersVToBeLessThan",
    "ExpectColumnJensenShannonDistanceToBeLessThan",
    "ExpectColumnKolmogorovSmirnovStatisticToBeLessThan",
    "ExpectColumnPsiToBeLessThan",
    "ExpectColumnWassersteinDistanceToBeLessThan",
    "ExpectEqualRowsToHaveEqualLabels",
    "ExpectLabelSpectraToMatchReference",
    "ExpectLabelsToConformToReference",
    "ExpectNearDuplicateClustersToBeSmallerThan",
    "ExpectNoRepeatedValuesWithinLabel",
    "ExpectRowsToConformToReferenceDensity",
    "ExpectTableCorrelationsToMatchReference",
    "ExpectTableDomainClassifierAucToBeLessThan",
    "ExpectTableDriftToBeWithinProfile",
    "ExpectTableLabelPriorsToMatchProfile",
    "ExpectTableMmdToBeLessThan",
    "ExpectTableRowsPerWindowToBeBetween",
    "ExpectTableRowsToBeDistinct",
    "ExpectTableSchemaToMatchProfile",
    "ExpectTableToBeFresh",
    "ExpectTableValuesToBeWithinRanges",
]
