"""Why a proposed suite asks what it asks, and what it leaves out: for the people who are to edit it.

suite = suites.default(profile)
for one in proposals.reasons(profile, suite):
    print(one.type, one.why)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pratique import suites

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite

    from pratique.profiles import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One expectation of a suite, and why it is there."""

    type: str
    """As Great Expectations names it."""

    severity: str
    """`critical` or `warning`: what its failure weighs."""

    alpha: float | None
    """Its part of the suite's false-alarm rate; None if it is no statistical test."""

    why: str


def reasons(profile: Profile, suite: ExpectationSuite) -> list[Reason]:
    """A reason for each expectation of a suite that `suites.default` proposes."""
    return [
        Reason(
            type=one.expectation_type, severity=str(getattr(one.severity, "value", one.severity)),
            alpha=getattr(one, "alpha", None), why=_WHY[one.expectation_type](profile, one),
        )
        for one in suite.expectations
    ]  # fmt: skip


def left_out(profile: Profile) -> list[str]:
    """What the profile gives no grounds to ask, and why; a sentence each."""
    sentences = []
    ignored = [column.name for column in profile.columns if column.role == "ignored"]
    if ignored:
        sentences.append(f"values of {_columns(ignored)}: the profile ignores them")
    if profile.label is None:
        sentences.append(
            "label noise and frequencies, triggers, anomalies: there is no label column (pratique profile --label COLUMN)"
        )
    elif profile.sample is None:
        sentences.append(
            "label noise, triggers, anomalies: the profile holds no reference rows (pratique profile --sample 2000)"
        )  # fmt: skip
    if not profile.features:
        sentences.append("drift: there is no column but the label")
    if profile.neighbours is None:
        sentences.append("near copies: no column tells rows apart")
    bounds = {name: (low, high) for name, low, high in suites.ranges(profile.features)}
    numeric = [column.name for column in profile.features if column.kind == "numeric"]
    unbounded = [name for name in numeric if name not in bounds]
    if unbounded:
        sentences.append(f"ranges of {_columns(unbounded)}: constant, or so heavy in the tails that any value may come")
    half = [name for name in numeric if name in bounds and None in bounds[name]]
    if half:
        sentences.append(f"one end of the range of {_columns(half)}: heavy in that tail")
    return sentences


def _columns(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"column{'s' if len(names) > 1 else ''} {', '.join(map(repr, names[:5]))}{more}"


def _schema(profile: Profile, one: Any) -> str:
    return f"the reference has {len(profile.columns):,} columns; none may be missing, new, or of another kind"


def _rows(profile: Profile, one: Any) -> str:
    return f"fewer than {one.min_value:,} rows look like any reference"


def _ranges(profile: Profile, one: Any) -> str:
    numeric = sum(column.kind == "numeric" for column in profile.features)
    return f"{len(one.ranges):,} of {numeric:,} numeric columns have bounds beyond which lie wrong units and sentinels only"


def _distinct(profile: Profile, one: Any) -> str:
    share = profile.duplicates.share
    return f"{share:.2%} of the reference rows repeat another" if share else "no reference row repeats another"


def _drift(profile: Profile, one: Any) -> str:
    count = len(profile.features)
    return (
        f"{count:,} column{'s' if count > 1 else ''} of {profile.rows:,} reference rows; a change must be significant and large"
    )


def _priors(profile: Profile, one: Any) -> str:
    label = profile.label
    if label is None:
        raise ValueError("a profile without labels has no label frequencies")
    rarest = min(label.counts[: len(label.values)]) / profile.rows
    return f"{len(label.values)} labels in {label.name!r}; the rarest has {rarest:.1%} of the reference rows"


def _conform(profile: Profile, one: Any) -> str:
    rows = profile.sample.rows if profile.sample else 0
    return f"{rows:,} reference rows say where labels belong; a few wrong ones are the hardest to see, so the largest part"


def _triggers(profile: Profile, one: Any) -> str:
    return f"a backdoor's trigger recurs within its label; fewer than {_least(one.alpha)} rows of it prove nothing"


def _least(alpha: float) -> int:
    """Rows whose being all in the batch, if it is as large as the reference, is a chance below alpha."""
    return math.ceil(-math.log2(alpha))


def _strangers(profile: Profile, one: Any) -> str:
    return "rows far from every reference row of their label: from elsewhere, or with a trigger of large values"


def _contradictions(profile: Profile, one: Any) -> str:
    return "one input with two labels: one of them is wrong, if the reference has none such"


def _spectra(profile: Profile, one: Any) -> str:
    return "poisoned rows share something, and vary in a direction of their own; sees clean labels, too"


def _correlations(profile: Profile, one: Any) -> str:
    return "columns that are each what they were, and hang together otherwise"


def _near(profile: Profile, one: Any) -> str:
    rows = profile.neighbours.rows if profile.neighbours else 0
    return f"from {rows:,} reference rows it is known how near to each other different rows come"


_WHY: dict[str, Callable[[Profile, Any], str]] = {
    "expect_table_schema_to_match_profile": _schema,
    "expect_table_row_count_to_be_between": _rows,
    "expect_table_values_to_be_within_ranges": _ranges,
    "expect_table_rows_to_be_distinct": _distinct,
    "expect_table_drift_to_be_within_profile": _drift,
    "expect_table_label_priors_to_match_profile": _priors,
    "expect_labels_to_conform_to_reference": _conform,
    "expect_no_repeated_values_within_label": _triggers,
    "expect_rows_to_conform_to_reference_density": _strangers,
    "expect_equal_rows_to_have_equal_labels": _contradictions,
    "expect_label_spectra_to_match_reference": _spectra,
    "expect_table_correlations_to_match_reference": _correlations,
    "expect_near_duplicate_clusters_to_be_smaller_than": _near,
}
