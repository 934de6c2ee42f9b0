"""Labels: how often each occurs, and whether rows sit among rows of their own label."""

# ruff: noqa: TID253
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from pratique import profiles
from pratique.comparing import cells, encoding
from pratique.comparing.drift import compare
from pratique.comparing.labels import conformity
from pratique.errors import CheckError
from pratique.expectations.base import ALPHA, CODES, COUNTS, ROWS, CountsExpectation, Limits, Number, RowsExpectation, enough
from pratique.profiles import Column, Profile


class ExpectTableLabelPriorsToMatchProfile(CountsExpectation):
    """Expect each label to be as frequent as in the profile, and no label that the profile does not know.

    Args:
        profile: path of a profile with a label, or a suite parameter.
        alpha: probability of failing on an unchanged table.
        floor: the smallest bias-corrected PSI that matters.
    """

    alpha: Number = 0.01
    floor: Number = 0.02

    sentence: ClassVar[str] = (
        "Labels must be as frequent as in the profile (error rate $alpha, smallest effect $floor), and none unknown or missing."
    )
    limits: ClassVar[Limits] = {"alpha": ALPHA, "floor": (0.0, 2.0)}
    success_keys: ClassVar[tuple[str, ...]] = ("profile", "alpha", "floor")
    args_keys: ClassVar[tuple[str, ...]] = ("profile", "alpha", "floor")

    def judge(self, profile: Profile, metrics: dict[str, Any], wanted: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        """Compare the counts of labels."""
        counted, label = metrics[COUNTS], _label(profile)
        enough(counted.rows)
        if label.name not in counted.counts:
            raise CheckError(f"the batch has no label column {label.name!r} that could be compared")
        counts = counted.counts[label.name]
        unknown, nulls = counts[-2:]
        shift = compare(label.counts, counts)
        shifted = shift.p <= wanted["alpha"] and shift.psi >= wanted["floor"]
        details = {
            "p": shift.p,
            "unknown": unknown,
            "nulls": nulls,
            "counts": dict(zip(label.values, counts[:-2], strict=True)),
            "shifted": shifted,
        }
        return not (shifted or unknown or nulls), shift.psi, details


class ExpectLabelsToConformToReference(RowsExpectation):
    """Expect no more rows that sit among rows of another label than the reference has: flipped or noisy labels.

    A cross-conformal test on nearest reference neighbours (`pratique.comparing.labels`). Fails if it is
    significant at `alpha` and the excess share of such rows reaches `floor`. The rows that it names are suspects, no proof.

    Args:
        profile: path of a profile with a sample of labelled rows, or a suite parameter.
        alpha: probability of failing on an unchanged table.
        floor: the smallest share of nonconforming rows that matters.
        max_unscored: share of rows with unknown, missing or rare labels above which nothing is concluded.
    """

    alpha: Number = 0.01
    floor: Number = 0.005
    max_unscored: Number = 0.05

    sentence: ClassVar[str] = (
        "No more rows than in the profile may sit among rows of another label (error rate $alpha, smallest excess $floor)."
    )
    limits: ClassVar[Limits] = {"alpha": ALPHA, "floor": (0.0, 0.5), "max_unscored": (0.0, 0.5)}
    success_keys: ClassVar[tuple[str, ...]] = ("profile", "alpha", "floor", "max_unscored")
    args_keys: ClassVar[tuple[str, ...]] = ("profile", "alpha", "floor", "max_unscored")
    metric_dependencies: ClassVar[tuple[str, ...]] = (ROWS, CODES)

    def judge(self, profile: Profile, metrics: dict[str, Any], wanted: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        """Score every row against the reference sample."""
        frame, label = metrics[ROWS], _label(profile)
        enough(len(frame))
        if profile.sample is None:
            raise CheckError("the profile holds no sample of reference rows")
        codes, classes, folds = profile.sample.arrays()
        found = conformity(codes, classes, folds, metrics[CODES], label_numbers(frame, label))
        if found.unscored > wanted["max_unscored"] * len(frame):
            raise CheckError(f"{found.unscored} of {len(frame)} rows have labels too rare in the profile, unknown, or none")
        details = {
            "p": found.p, "excess": found.excess, "suspects": list(found.suspects[:10]),
            "suspect_count": len(found.suspects), "unscored": found.unscored, "scored": found.scored,
        }  # fmt: skip
        return not (found.p <= wanted["alpha"] and found.excess >= wanted["floor"]), found.p, details


class Codes(TableMetricProvider):
    """The rows as the profile encodes them: once for all expectations that ask."""

    metric_name = CODES
    value_keys = ("profile",)

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,  # noqa: N805  (GX calls it with the class)
        execution_engine: Any,
        metric_domain_kwargs: Any,
        metric_value_kwargs: Any,
        metrics: Any,
        runtime_configuration: Any,
    ) -> Any:
        frame, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE)
        return encode(frame, profiles.find(metric_value_kwargs["profile"]))


def encode(frame: Any, profile: Profile) -> Any:
    """The frame's rows as the profile encodes them.

    Raises:
        CheckError: a column is missing or holds something else.
    """
    single(frame, profile.features)
    unlike = [column.name for column in profile.features if cells.kind_of(frame[column.name]) not in (column.kind, "empty")]
    if unlike:
        raise CheckError(f"column {unlike[0]!r} holds values of another kind than in the profile")
    return encoding.encode(frame, profile.columns)


def single(frame: Any, columns: Sequence[Column]) -> None:
    """Refuse a frame in which one of these columns is missing or twice."""
    present = Counter(frame.columns)
    wrong = [column.name for column in columns if present[column.name] != 1]
    if wrong:
        raise CheckError(f"the batch has no single column {wrong[0]!r}")


def label_numbers(frame: Any, label: Column) -> Any:
    """For each row the number of its label in the profile, -1 for none of them.

    Raises:
        CheckError: there is no such column, or two.
    """
    single(frame, [label])
    places = cells.places(frame[label.name], label.values)
    return np.where(places < len(label.values), places, -1)


def _label(profile: Profile) -> Column:
    if profile.label is None:
        raise CheckError("the profile has no label")
    return profile.label
