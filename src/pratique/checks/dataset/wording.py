"""One sentence per failed expectation, and the place that it points to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pratique.checks.dataset.running import Result
from pratique.tables import Table


def word(result: Result, table: Table) -> tuple[str, str]:
    """What a failed expectation saw, and where."""
    details = result.figures.get("details") or {}
    return _WRITERS.get(result.type, _other)(result, details, table)


def _schema(result: Result, details: Mapping[str, Any], table: Table) -> tuple[str, str]:
    parts = [f"{what} {_names(details[key])}" for key, what in _SCHEMA.items() if details.get(key)]
    return "; ".join(parts), ""


_SCHEMA = {"missing": "missing columns:", "unexpected": "unexpected columns:", "other_kind": "columns with other values:"}


def _drift(result: Result, details: Mapping[str, Any], table: Table) -> tuple[str, str]:
    parts = []
    if details.get("drifted"):
        psi, p = details["psi"], details["p"]
        worst = [f"{name!r} (PSI {psi[name]:.2f}, p {p[name]:.1g})" for name in details["drifted"][:5]]
        parts.append(
            f"{len(details['drifted'])} of {len(psi)} columns drifted: {', '.join(worst)}{_more(details['drifted'], 5)}"
        )
    if details.get("all_null"):
        parts.append(f"columns without any value: {_names(details['all_null'])}")
    if details.get("not_compared"):
        parts.append(f"columns that are missing, unexpected or of another kind: {_names(details['not_compared'])}")
    return "; ".join(parts), str(details["drifted"][0]) if details.get("drifted") else ""


def _priors(result: Result, details: Mapping[str, Any], table: Table) -> tuple[str, str]:
    parts = [
        f"{details[key]} rows have {what}"
        for key, what in (("unknown", "unknown labels"), ("nulls", "no label"))
        if details[key]
    ]
    if details["shifted"]:
        counts = ", ".join(f"{name!r}: {count}" for name, count in list(details["counts"].items())[:10])
        parts.append(f"label frequencies changed (PSI {result.figures['observed_value']:.2f}, p {details['p']:.1g}): {counts}")
    return "; ".join(parts), ""


def _noise(result: Result, details: Mapping[str, Any], table: Table) -> tuple[str, str]:
    rows = ", ".join(table.where(row) for row in details["suspects"])
    message = (
        f"about {details['excess']:.1%} more rows than in the reference sit among rows of another label "
        f"(p {details['p']:.1g}); "
        f"{details['suspect_count']} suspects, worst first: {rows}"
    )
    return message, table.where(details["suspects"][0]) if details["suspects"] else ""


def _trigger(result: Result, details: Mapping[str, Any], table: Table) -> tuple[str, str]:
    columns = " and ".join(repr(name) for name in details["columns"])
    message = (
        f"{details['suspect_count']} rows of label {details['label']!r} have one value in {columns}, where the reference has "
        f"{details['before']} such rows (p {details['p']:.1g}): {_rows(details, table)}"
    )
    return message, _first(details, table)


def _strange(result: Result, details: Mapping[str, Any], table: Table) -> tuple[str, str]:
    message = (
        f"about {details['effect']:.1%} more rows than in the reference lie far from all rows of their label "
        f"(p {details['p']:.1g}); {details['suspect_count']} suspects, worst first: {_rows(details, table)}"
    )
    return message, _first(details, table)


def _spectra(result: Result, details: Mapping[str, Any], table: Table) -> tuple[str, str]:
    message = (
        f"rows of label {details['label']!r} vary {details['ratio']:.1f} times as much as the reference's in one direction "
        f"(p {details['p']:.1g}); the farthest along it: {_rows(details, table)}"
    )
    return message, _first(details, table)


def _conflicts(result: Result, details: Mapping[str, Any], table: Table) -> tuple[str, str]:
    message = (
        f"{details['suspect_count']} rows repeat a row of another label, here or in the reference, where "
        f"{details['before']:.1%} do (p {details['p']:.1g}): {_rows(details, table)}"
    )
    return message, _first(details, table)


def _joint(result: Result, details: Mapping[str, Any], table: Table) -> tuple[str, str]:
    if details.get("columns"):
        pair = " and ".join(repr(name) for name in details["columns"])
        return f"the correlation of {pair} changed by {details['effect']:.2f} (p {details['p']:.1g})", details["columns"][0]
    message = (
        f"all columns together are distributed otherwise than in the reference: {title(result)} saw {details['effect']:.2f} "
        f"beyond chance (p {details['p']:.1g}); the least alike: {_rows(details, table)}"
    )
    return message, _first(details, table)


def _distance(result: Result, details: Mapping[str, Any], table: Table) -> tuple[str, str]:
    parts = [f"column {result.column!r} has no value"] if details["all_null"] else []
    if details.get("gone"):
        parts.append(f"categories of column {result.column!r} are gone: {_names(details['gone'])}")
    if details.get("new"):
        parts.append(f"{details['new']} rows of column {result.column!r} hold new or rare categories (p {details['p']:.1g})")
    if "measure" in details:
        seen = float(result.figures["observed_value"])
        parts.append(f"column {result.column!r} moved by {details['measure']} {seen:.2f} beyond chance (p {details['p']:.1g})")
    return "; ".join(parts), result.column


def _fresh(result: Result, details: Mapping[str, Any], table: Table) -> tuple[str, str]:
    age = float(result.figures["observed_value"])
    parts = [f"the newest row by column {result.column!r} is {age:.1f} hours old at {details['as_of']}: {details['newest']}"]
    if details["future"]:
        rows = ", ".join(table.where(row) for row in details["rows"])
        parts.append(f"{details['future']} rows come from the future: {rows}")
    if details["timeless"]:
        parts.append(f"{details['timeless']} rows have no time")
    return "; ".join(parts), result.column


def _windows(result: Result, details: Mapping[str, Any], table: Table) -> tuple[str, str]:
    listed = ", ".join(f"{count} from {start}" for start, count in details["counts"].items())
    parts = [f"{details['wrong']} of {details['windows']} stretches of time have too few or too many rows: {listed}"]
    if details["timeless"]:
        parts.append(f"{details['timeless']} rows have no time")
    return "; ".join(parts), result.column


def _rows(details: Mapping[str, Any], table: Table) -> str:
    return ", ".join(table.where(row) for row in details["suspects"])


def _first(details: Mapping[str, Any], table: Table) -> str:
    return table.where(details["suspects"][0]) if details["suspects"] else ""


def _copies(result: Result, details: Mapping[str, Any], table: Table) -> tuple[str, str]:
    groups = [", ".join(table.where(row) for row in group) for group in details["groups"][:3]]
    near = " nearly" if result.type.startswith("expect_near") else ""
    message = (
        f"{details['extra']} rows{near} repeat another row, {details['allowed']} would be no surprise; "
        f"the largest group has {details['largest']}: {' | '.join(groups)}"
    )
    return message, table.where(details["groups"][0][0]) if details["groups"] else ""


def _ranges(result: Result, details: Mapping[str, Any], table: Table) -> tuple[str, str]:
    parts = []
    for name, one in list(details["outside"].items())[:5]:
        seen = ", ".join(f"{value} ({table.where(row)})" for value, row in zip(one["values"], one["rows"], strict=True))
        parts.append(f"{one['count']} values of column {name!r} are not between {one['low']} and {one['high']}: {seen}")
    if len(details["outside"]) > 5:
        parts.append(f"{len(details['outside']) - 5} more columns have such values")
    if details["valueless"]:
        parts.append(f"columns without any value: {_names(details['valueless'])}")
    return "; ".join(parts), next(iter([*details["outside"], *details["valueless"]]))


def _range(result: Result, details: Mapping[str, Any], table: Table) -> tuple[str, str]:
    low, high = result.kwargs.get("min_value"), result.kwargs.get("max_value")
    values = ", ".join(str(value)[:40] for value in result.figures.get("partial_unexpected_list", [])[:5])
    rows = [
        table.where(int(row))
        for row in result.figures.get("partial_unexpected_index_list", [])[:5]
        if not isinstance(row, dict)
    ]
    count = result.figures.get("unexpected_count", "some")
    message = f"{count} values of column {result.column!r} are not between {low} and {high}: {values}"
    return message + (f" ({', '.join(rows)})" if rows else ""), result.column


def _other(result: Result, details: Mapping[str, Any], table: Table) -> tuple[str, str]:
    seen = {
        key: result.figures[key]
        for key in ("observed_value", "unexpected_count", "unexpected_percent")
        if key in result.figures
    }
    figures = ", ".join(f"{key} {str(value)[:80]}" for key, value in seen.items())
    return f"{title(result)} was not met" + (f": {figures}" if figures else ""), result.column


_WRITERS = {
    "expect_table_schema_to_match_profile": _schema,
    "expect_table_drift_to_be_within_profile": _drift,
    "expect_table_label_priors_to_match_profile": _priors,
    "expect_labels_to_conform_to_reference": _noise,
    "expect_no_repeated_values_within_label": _trigger,
    "expect_rows_to_conform_to_reference_density": _strange,
    "expect_label_spectra_to_match_reference": _spectra,
    "expect_table_to_be_fresh": _fresh,
    "expect_table_rows_per_window_to_be_between": _windows,
    "expect_equal_rows_to_have_equal_labels": _conflicts,
    "expect_table_correlations_to_match_reference": _joint,
    "expect_table_mmd_to_be_less_than": _joint,
    "expect_table_domain_classifier_auc_to_be_less_than": _joint,
    "expect_column_categories_to_match_profile": _distance,
    "expect_column_cramers_v_to_be_less_than": _distance,
    "expect_column_jensen_shannon_distance_to_be_less_than": _distance,
    "expect_column_kolmogorov_smirnov_statistic_to_be_less_than": _distance,
    "expect_column_wasserstein_distance_to_be_less_than": _distance,
    "expect_table_rows_to_be_distinct": _copies,
    "expect_near_duplicate_clusters_to_be_smaller_than": _copies,
    "expect_table_values_to_be_within_ranges": _ranges,
    "expect_column_values_to_be_between": _range,
}


def title(result: Result) -> str:
    """The expectation, as the suite names it."""
    return result.type + (f" on column {result.column!r}" if result.column else "")


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(repr(name) for name in listed[:10]) + _more(listed, 10)


def _more(listed: list[Any], shown: int) -> str:
    return f" and {len(listed) - shown} more" if len(listed) > shown else ""
