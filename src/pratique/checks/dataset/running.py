"""Running a suite through Great Expectations, and noticing when Great Expectations did not run all of it.

What GX lets pass, and what is done about it here (each has a test):

1. It drops expectations that it does not know: ours are imported first, and types are counted before and after.
2. Expectations about values succeed on a column without values, and some cannot fail as they are configured: `vacuous`.
3. An exception inside an expectation looks like a failure: it is told apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pratique import documents, suites
from pratique.artifacts import Subject
from pratique.checks.dataset import vacuous
from pratique.checks.dataset.containing import contained
from pratique.errors import CheckError, UsageError
from pratique.profiles import Profile

if TYPE_CHECKING:
    from pratique.checks.dataset import DatasetOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a table."""

    profile: Profile
    profile_path: Path
    suite: Mapping[str, Any] | None
    """A suite file's document; None for the proposed suite."""

    false_alarm_rate: float
    min_rows: int
    materials: tuple[Subject, ...]

    @classmethod
    def ask(cls, options: DatasetOptions, profile: Profile) -> Question:
        """Read each file once: what is named as material is what is used."""
        materials, document = [profile.subject(options.profile.name)], None
        if options.suite is not None:
            data = suites.content(options.suite)
            document = suites.parse(data, what=str(options.suite))
            refuse_other_profiles(document)
            materials.append(Subject(digest=documents.sha256(data), name=options.suite.name))
        return cls(
            profile=profile, profile_path=options.profile, suite=document, materials=tuple(materials),
            false_alarm_rate=options.false_alarm_rate, min_rows=options.min_rows,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What GX said about one expectation."""

    type: str
    severity: str
    success: bool
    kwargs: Mapping[str, Any]
    figures: Mapping[str, Any]
    error: str
    """Why it could not be evaluated; empty if it could."""

    vacuous: str
    """Why its success says nothing; empty if it does say something, or failed."""

    alpha: float
    """The error rate that it was given; 0 if it is no statistical test."""

    @property
    def column(self) -> str:
        """The column that it is about, if it is about one."""
        return str(self.kwargs.get("column", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A whole suite's results."""

    expected: int
    results: tuple[Result, ...]
    lost: tuple[str, ...]
    """Types that were in the suite and have no result."""


def run(question: Question, frame: Any) -> Outcome:
    """Evaluate the suite on a pandas DataFrame.

    Raises:
        CheckError: Great Expectations gave up on the suite as a whole.
    """
    with contained():
        if question.suite is not None:
            suite, _ = suites.make(dict(question.suite))
            wanted = Counter(one["type"] for one in question.suite["expectations"])
        else:
            suite = suites.default(
                question.profile, false_alarm_rate=question.false_alarm_rate, min_rows=question.min_rows
            )  # fmt: skip
            wanted = Counter(one.expectation_type for one in suite.expectations)
        parameters = {"profile": f"{question.profile_path}#{question.profile.digest}"}
        valueless = {str(name) for name, empty in frame.isna().all().items() if empty}
        alphas = _alphas()
        results = tuple(_result(one, valueless, alphas) for one in _validate(suite, frame, parameters))
    lost = wanted - Counter(one.type for one in results)
    return Outcome(expected=wanted.total(), results=results, lost=tuple(sorted(lost.elements())))


def _validate(suite: Any, frame: Any, parameters: dict[str, Any]) -> list[Any]:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("dataset").add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    try:
        outcome = batch.validate(suite, result_format="SUMMARY", expectation_parameters=parameters)
    except Exception as error:  # GX raises a dozen of its own kinds, e.g. for a suite parameter that nobody gave
        raise CheckError(f"Great Expectations could not run the suite: {type(error).__name__}: {error}") from error
    return list(outcome.results)


def _alphas() -> dict[str, float]:
    """What our expectations take for alpha where a suite does not say: GX leaves defaults out of its results."""
    from pratique import expectations as ours

    fields = {name: getattr(ours, name).__fields__ for name in ours.__all__}
    return {getattr(ours, name).expectation_type: one["alpha"].default for name, one in fields.items() if "alpha" in one}


def _result(raw: Any, valueless: Collection[str], alphas: Mapping[str, float]) -> Result:
    config, figures = raw.expectation_config, raw.result or {}
    return Result(
        type=config.type,
        severity=str(getattr(config.severity, "value", config.severity) or "critical"),
        success=bool(raw.success),
        kwargs=config.kwargs,
        figures=figures,
        error=_error(raw.exception_info or {}),
        vacuous=vacuous.why(config.type, config.kwargs, figures, valueless) if raw.success else "",
        alpha=float(config.kwargs.get("alpha", alphas.get(config.type, 0.0))),
    )


def _error(info: Mapping[str, Any]) -> str:
    """GX reports exceptions flat, or one level down by metric."""
    for one in (info, *(value for value in info.values() if isinstance(value, Mapping))):
        if one.get("raised_exception"):
            lines = str(one.get("exception_message") or "an exception without a message").strip().splitlines()
            return lines[0] if lines else "an exception without a message"
    return ""


def refuse_other_profiles(document: Mapping[str, Any]) -> None:
    """Refuse a suite that looks at something which the evidence would not name."""
    for one in document["expectations"]:
        named = (one.get("kwargs") or {}).get("profile", suites.PROFILE)
        if named != suites.PROFILE:
            raise UsageError(
                f"{one['type']} names a profile of its own, which would not be in the evidence",
                hint='write "profile": {"$PARAMETER": "profile"} in the suite and name the profile in the options',
            )
