"""Successes that say nothing: Great Expectations 1.x lets them pass, this check does not.

What GX itself refuses (a set of None, a missing bound where one is demanded) is not repeated here. The tables were found by
running every exported expectation with as little as it takes, and on columns without values; a test does so again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

Kwargs = Mapping[str, Any]


def why(kind: str, kwargs: Kwargs, figures: Mapping[str, Any], valueless: Collection[str]) -> str:
    """Why the success of an expectation of that type says nothing; empty if it does say something.

    Args:
        kind: its type.
        kwargs: what it was asked.
        figures: what GX reports about it.
        valueless: columns of the table that hold nothing but nulls.
    """
    count, missing = figures.get("element_count"), figures.get("missing_count", 0)
    if count is not None and count == (missing or 0):
        return "there are no values to look at"
    if kind not in _ABOUT_NULLS and any(name in valueless for name in _columns(kwargs)):
        return "there are no values to look at"
    if kwargs.get("row_condition") and count is None and figures.get("observed_value") in _NOTHING:
        return "its condition may have selected no rows"
    if kwargs.get("mostly") == 0:
        return "with mostly=0 it cannot fail"
    demanded = _DEMANDED.get(kind)
    if demanded is not None and not demanded(kwargs):
        return "as it is configured it cannot fail"
    if "observed_value" in figures and figures["observed_value"] is None and kind not in _UNOBSERVED:
        return "nothing was observed"
    return ""


def _columns(kwargs: Kwargs) -> list[str]:
    listed = kwargs.get("column_list") or []
    return [*(str(kwargs[name]) for name in ("column", "column_A", "column_B") if name in kwargs), *map(str, listed)]


def _given(*names: str) -> Callable[[Kwargs], bool]:
    return lambda kwargs: any(kwargs.get(name) is not None for name in names)


def _filled(name: str) -> Callable[[Kwargs], bool]:
    return lambda kwargs: bool(kwargs.get(name))


def _quantiles(kwargs: Kwargs) -> bool:
    ranges = (kwargs.get("quantile_ranges") or {}).get("value_ranges") or []
    return any(bound is not None for pair in ranges for bound in pair)


_BOUNDED = (
    "column_max", "column_mean", "column_median", "column_min", "column_proportion_of_non_null_values",
    "column_proportion_of_unique_values", "column_stdev", "column_sum", "column_unique_value_count", "table_column_count",
    "table_row_count",
)  # fmt: skip

_DEMANDED: dict[str, Callable[[Kwargs], bool]] = {
    **{f"expect_{name}_to_be_between": _given("min_value", "max_value") for name in _BOUNDED},
    "expect_column_kl_divergence_to_be_less_than": lambda kwargs: (
        _given("threshold")(kwargs) and _given("partition_object")(kwargs)
    ),
    "expect_column_quantile_values_to_be_between": _quantiles,
    "expect_column_values_to_match_regex": lambda kwargs: kwargs.get("regex") not in (None, "", ".*", "(?s).*"),
    "expect_column_values_to_be_in_type_list": _given("type_list"),
    "expect_column_values_to_not_be_in_set": _filled("value_set"),
    "expect_column_distinct_values_to_contain_set": _filled("value_set"),
    "expect_table_columns_to_match_ordered_list": _given("column_list"),
    "expect_table_columns_to_match_set": lambda kwargs: (
        bool(kwargs.get("column_set")) or kwargs.get("exact_match") is not False
    ),
}
"""What an expectation needs to be able to fail."""

_ABOUT_NULLS = {
    "expect_column_to_exist", "expect_column_values_to_be_null", "expect_column_proportion_of_non_null_values_to_be_between",
    "expect_column_values_to_be_of_type", "expect_column_values_to_be_in_type_list",
    "expect_column_psi_to_be_less_than", "expect_column_jensen_shannon_distance_to_be_less_than",
    "expect_column_cramers_v_to_be_less_than", "expect_column_categories_to_match_profile",  # count nulls as a value
    "expect_table_columns_to_match_ordered_list",
}  # fmt: skip
"""Expectations that a column without values can meet or not."""

_UNOBSERVED = {
    "expect_column_distinct_values_to_be_in_set", "expect_column_distinct_values_to_contain_set",
    "expect_column_distinct_values_to_equal_set",
}  # fmt: skip
"""Expectations that report nothing observed in the short form of results, whatever they saw."""

_NOTHING: tuple[Any, ...] = (None, 0, [])
