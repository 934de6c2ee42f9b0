"""Whether a dataset looks like the approved reference: a Great Expectations suite, run through Great Expectations itself.

    pratique profile approved.csv --label label -o profile.json
    pratique check dataset incoming.csv --kind dataset -o profile=profile.json

What it cannot see is written in docs/checks/dataset.md; the shortest form: poison that is already in the reference, attacks
that leave labels and distributions alone (clean-label triggers), and anything that is smaller than the stated power.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from pratique import calibrations
from pratique.artifacts import Artifact
from pratique.checking import Finding, Options, PolicyPath, Report, Severity, check
from pratique.errors import UsageError

if TYPE_CHECKING:
    from pratique.checks.dataset.running import Question
    from pratique.tables import Table

RULES = {
    "unreadable": "the table cannot be read, or can be read in more than one way",
    "unread-file": "a file beside the table may hold data that nobody looked at",
    "ignored-file": "documentation or signatures beside the table were not looked at",
    "no-rows": "the table has a header but no rows",
    "suite-incomplete": "Great Expectations did not evaluate every expectation of the suite",
    "could-not-evaluate": "an expectation raised an error, or had nothing to look at; that is not a pass",
    "schema": "columns are missing, unexpected, or hold another kind of values",
    "row-count": "too few or too many rows, in all or in a stretch of time",
    "stale": "the newest row is too old, or rows come from the future or have no time",
    "out-of-range": "values outside the range of a column",
    "drift": "columns are distributed otherwise than in the reference",
    "joint-drift": "columns hang together otherwise than in the reference",
    "label-shift": "labels are more or less frequent than in the reference, missing or unknown",
    "label-noise": "rows sit among rows of another label more often than in the reference",
    "triggers": "a value recurs among the rows of one label more often than in the reference",
    "strange-rows": "more rows than in the reference lie far from all rows of their label",
    "spectra": "the rows of a label vary in a direction in which those of the reference hardly do",
    "conflicting-labels": "rows repeat rows of another label",
    "exact-duplicates": "more rows are repeated than the reference explains",
    "near-duplicates": "rows are copies of each other but for a little noise",
    "underpowered": "inconclusive: the suite was not measured to find what the policy asks it to find",
    "expectation-failed": "another expectation of the suite failed",
}

MEASURES = {
    "rows": "rows of the table",
    "columns": "columns of the table",
    "expectations": "expectations in the suite",
    "evaluated": "expectations that were evaluated and had something to look at",
    "failed": "expectations that were not met, including those that could not be evaluated",
    "false_alarm_budget": "sum of the alphas of the suite's statistical expectations",
    "psi_max": "largest bias-corrected population stability index of a feature column",
    "drift_p": "smallest p-value of a column's drift test, Holm-corrected",
    "label_shift_p": "p-value of the test of label frequencies",
    "label_noise_p": "p-value of the test of label noise",
    "label_noise_compared": "rows that were scored for label noise; of a large table, a sample",
    "triggers_p": "p-value of the test of recurring values, corrected for their number",
    "triggers_compared": "rows that were looked at for recurring values; of a large table, a sample",
    "strange_rows_p": "p-value of the test of rows far from their label",
    "strange_rows_compared": "rows whose distance was measured; of a large table, a sample",
    "spectra_p": "p-value of the test of variance in new directions",
    "spectra_compared": "rows whose variance was compared; of a large table, a sample",
    "conflicting_labels_p": "p-value of the test of equal rows with different labels",
    "conflicting_labels_compared": "rows that were compared with each other and the reference's",
    "joint_drift_p": "p-value of the test of how columns hang together",
    "joint_drift_compared": "rows that were compared for that; of a large table, a sample",
    "duplicates": "share of rows that repeat another row exactly",
    "near_duplicates": "share of rows that nearly repeat another row",
    "near_duplicates_largest": "rows in the largest group of near copies",
    "near_duplicates_compared": "rows that were compared with each other for near copies; of a large table, a sample",
}


class DatasetOptions(Options):
    """What to compare with what."""

    profile: PolicyPath
    """The reference profile, as `pratique profile` makes it of approved data. It names the label column, too."""

    suite: PolicyPath | None = None
    """A Great Expectations 1.x suite file. Without one, the suite that `pratique.suites.default` proposes for the profile."""

    false_alarm_rate: float = Field(default=0.01, gt=0, le=0.5)
    """Of the proposed suite: chance that a batch just like the reference fails. A suite file holds its own alphas."""

    min_rows: int = Field(default=50, ge=20)
    """Of the proposed suite: fewest rows. With less than some hundred rows little can be detected."""

    must_detect: tuple[str, ...] = Field(default=(), max_length=100)
    """Poison that the suite must have been measured to find, each `kind=share`: `flipped-labels=0.02`. Else: inconclusive."""

    min_power: float = Field(default=0.8, gt=0, lt=1)
    """How often it must have found that; the lower end of the measured 95 % interval counts."""

    @field_validator("must_detect")
    @classmethod
    def _ensure_demands(cls, demands: tuple[str, ...]) -> tuple[str, ...]:
        for demand in demands:
            try:
                calibrations.parse_demand(demand)
            except UsageError as error:
                raise ValueError(f"{error}: {error.hint}") from error
        return demands


@check("dataset", version="1", kinds=("dataset",), options=DatasetOptions, rules=RULES, measures=MEASURES)
def dataset(artifact: Artifact, options: DatasetOptions) -> Report:
    """Drift, label noise, triggers, anomalies, duplicates, ranges and schema against a reference profile."""
    from pratique import profiles, tables
    from pratique.checks.dataset.describing import describe
    from pratique.checks.dataset.running import Question, run
    from pratique.errors import ArtifactRefused

    profile = profiles.load(options.profile)
    question = Question.ask(options, profile)
    try:
        table = tables.read(artifact.root)
    except ArtifactRefused as error:
        found = Finding(rule="unreadable", severity=Severity.CRITICAL, message=str(error), fix=error.hint)
        return Report(findings=(found,), materials=question.materials)
    findings = _beside(table)
    measures = {"rows": float(len(table.frame)), "columns": float(len(table.frame.columns))}
    if table.frame.empty:
        findings.append(
            Finding(rule="no-rows", severity=Severity.CRITICAL, message="the table has no rows", fix="send the batch")
        )
        return Report(findings=tuple(findings), measures=measures, materials=question.materials)
    findings += _underpowered(options, question, len(table.frame))
    found_by_suite, more = describe(run(question, table.frame), table)
    return Report(findings=(*findings, *found_by_suite), measures={**measures, **more}, materials=question.materials)


def _underpowered(options: DatasetOptions, question: Question, rows: int) -> list[Finding]:
    reasons = calibrations.shortfalls(
        question.suite or {}, profile=question.profile.digest, rows=rows, demands=options.must_detect, power=options.min_power
    )  # fmt: skip
    if not reasons:
        return []
    return [
        Finding(
            rule="underpowered",
            severity=Severity.HIGH,
            message=f"inconclusive: {'; '.join(reasons)}",
            fix="calibrate the suite (pratique suite calibrate); more reference rows and larger batches find more",
        )
    ]


def _beside(table: Table) -> list[Finding]:
    unread = [
        Finding(
            rule="unread-file",
            severity=Severity.HIGH,
            message=f"{name} is neither a table that is read nor documentation",
            where=name,
            fix="convert it to CSV or Parquet, or take it out of the artifact",
        )
        for name in table.unread
    ]
    ignored = [
        Finding(rule="ignored-file", severity=Severity.NOTE, message=f"{name} was not looked at", where=name)
        for name in table.ignored
    ]
    return unread + ignored
