"""From results of Great Expectations to findings and measures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pratique.checking import Finding, Severity
from pratique.checks.dataset.running import Outcome, Result
from pratique.checks.dataset.wording import title, word
from pratique.tables import Table

_SEVERITIES = {"critical": Severity.HIGH, "warning": Severity.MEDIUM, "info": Severity.LOW}

_RULES = {
    "expect_table_schema_to_match_profile": "schema",
    "expect_column_to_exist": "schema",
    "expect_table_columns_to_match_set": "schema",
    "expect_table_columns_to_match_ordered_list": "schema",
    "expect_table_column_count_to_equal": "schema",
    "expect_table_column_count_to_be_between": "schema",
    "expect_column_values_to_be_of_type": "schema",
    "expect_column_values_to_be_in_type_list": "schema",
    "expect_table_row_count_to_be_between": "row-count",
    "expect_table_row_count_to_equal": "row-count",
    "expect_table_rows_per_window_to_be_between": "row-count",
    "expect_table_to_be_fresh": "stale",
    "expect_table_values_to_be_within_ranges": "out-of-range",
    "expect_column_values_to_be_between": "out-of-range",
    "expect_column_min_to_be_between": "out-of-range",
    "expect_column_max_to_be_between": "out-of-range",
    "expect_table_drift_to_be_within_profile": "drift",
    "expect_column_psi_to_be_less_than": "drift",
    "expect_column_kl_divergence_to_be_less_than": "drift",
    "expect_column_categories_to_match_profile": "drift",
    "expect_column_cramers_v_to_be_less_than": "drift",
    "expect_column_jensen_shannon_distance_to_be_less_than": "drift",
    "expect_column_kolmogorov_smirnov_statistic_to_be_less_than": "drift",
    "expect_column_wasserstein_distance_to_be_less_than": "drift",
    "expect_table_correlations_to_match_reference": "joint-drift",
    "expect_table_mmd_to_be_less_than": "joint-drift",
    "expect_table_domain_classifier_auc_to_be_less_than": "joint-drift",
    "expect_table_label_priors_to_match_profile": "label-shift",
    "expect_labels_to_conform_to_reference": "label-noise",
    "expect_no_repeated_values_within_label": "triggers",
    "expect_rows_to_conform_to_reference_density": "strange-rows",
    "expect_label_spectra_to_match_reference": "spectra",
    "expect_equal_rows_to_have_equal_labels": "conflicting-labels",
    "expect_table_rows_to_be_distinct": "exact-duplicates",
    "expect_near_duplicate_clusters_to_be_smaller_than": "near-duplicates",
}

_SAMPLED = {
    kind: rule.replace("-", "_")
    for kind, rule in _RULES.items()
    if rule in ("triggers", "strange-rows", "spectra", "conflicting-labels", "joint-drift")
}
"""What measures of tests against the reference rows are called."""

_FIXES = {
    "schema": "restore the columns of the reference, or approve a new profile",
    "row-count": "send the whole batch, or change the bound in the suite",
    "stale": "send what is new; a delivery that comes again is not",
    "out-of-range": "look for a wrong unit, a sentinel or a broken row",
    "drift": "find out what changed at the source; if it is meant to be so, approve a new profile",
    "joint-drift": "find out what changed at the source; if it is meant to be so, approve a new profile",
    "label-shift": "check how the rows were selected and labelled",
    "label-noise": "have a person look at the named rows; they are suspects, not proven wrong",
    "triggers": "look at the named rows and columns: a patch, a token or a category that somebody put there?",
    "strange-rows": "have a person look at the named rows: do they belong to this table, and to their label?",
    "spectra": "look at what the named rows of that label have in common",
    "conflicting-labels": "decide which label is right; the same input cannot have two",
    "exact-duplicates": "remove repeated rows",
    "near-duplicates": "look at the named groups; injected copies give a few rows the weight of many",
    "expectation-failed": "see the expectation in the suite",
}


def describe(outcome: Outcome, table: Table) -> tuple[list[Finding], dict[str, float]]:
    """Every failure as a finding, every figure as a measure."""
    findings = [_lost(outcome)] if outcome.lost or not outcome.results else []
    unclear = 0
    for result in outcome.results:
        problem = result.error or result.vacuous
        if problem:
            unclear += 1
            findings.append(_unclear(result, problem))
        elif not result.success:
            findings.append(_failed(result, table))
    failed = sum(not result.success or bool(result.vacuous) for result in outcome.results)
    measures = {
        "expectations": float(outcome.expected),
        "evaluated": float(len(outcome.results) - unclear),
        "failed": float(failed),
        "false_alarm_budget": sum(result.alpha for result in outcome.results),
    }
    return findings, {**measures, **_figures(outcome.results)}


def _lost(outcome: Outcome) -> Finding:
    names = ", ".join(dict.fromkeys(outcome.lost)) or "all of them"
    return Finding(
        rule="suite-incomplete",
        severity=Severity.CRITICAL,
        message=f"{len(outcome.lost)} of {outcome.expected} expectations were not evaluated: {names}",
        fix="Great Expectations drops what it does not know: correct the type, or remove it from the suite",
    )


def _unclear(result: Result, problem: str) -> Finding:
    return Finding(
        rule="could-not-evaluate",
        severity=Severity.HIGH,
        message=f"{title(result)} could not be evaluated: {problem}",
        where=result.column,
        fix="a test that did not take place is no pass: repair the data, the suite or the profile",
    )


def _failed(result: Result, table: Table) -> Finding:
    details = result.figures.get("details") or {}
    rule = _RULES.get(result.type, "expectation-failed")
    if rule == "drift" and details.get("not_compared") and not details.get("drifted") and not details.get("all_null"):
        rule = "schema"
    message, where = word(result, table)
    return Finding(
        rule=rule, severity=_SEVERITIES.get(result.severity, Severity.HIGH), message=message, where=where, fix=_FIXES[rule]
    )  # fmt: skip


def _figures(results: Iterable[Result]) -> dict[str, float]:
    """Measures of our own expectations; the worst, if a suite asks twice."""
    found: dict[str, float] = {}

    def keep(name: str, value: Any, worse: Any) -> None:
        found[name] = worse(found.get(name, float(value)), float(value))

    for result in results:
        details, observed = result.figures.get("details") or {}, result.figures.get("observed_value")
        if result.error or not details:
            continue
        if result.type == "expect_table_drift_to_be_within_profile":
            keep("psi_max", observed, max)
            keep("drift_p", min(details["p"].values()), min)
        elif result.type == "expect_table_label_priors_to_match_profile":
            keep("label_shift_p", details["p"], min)
        elif result.type == "expect_labels_to_conform_to_reference":
            keep("label_noise_p", details["p"], min)
            keep("label_noise_compared", details["scored"], min)
        elif result.type in _SAMPLED:
            keep(f"{_SAMPLED[result.type]}_p", details["p"], min)
            keep(f"{_SAMPLED[result.type]}_compared", details["scored"], min)
        elif result.type == "expect_table_rows_to_be_distinct":
            keep("duplicates", observed, max)
        elif result.type == "expect_near_duplicate_clusters_to_be_smaller_than":
            keep("near_duplicates", details["share"], max)
            keep("near_duplicates_largest", details["largest"], max)
            keep("near_duplicates_compared", details["compared"], min)
    return found
