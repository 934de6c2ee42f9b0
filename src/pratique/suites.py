"""Suites for Great Expectations: a proposal made from a profile, and their files.

    suites.save(suites.default(profiles.load("profile.json")), "suite.json")      # then edit it

A suite file is what GX itself writes. The expectations name the profile by the suite parameter `profile`, so the file holds no
path and no data; whoever runs it passes `expectation_parameters={"profile": "profile.json"}`. The `dataset` check does.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pratique import documents, files
from pratique.errors import Malformed, UsageError

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite

    from pratique.profiles import Column, Profile

PROFILE = {"$PARAMETER": "profile"}
"""How an expectation in a suite refers to the profile."""

MAX_EXPECTATIONS = 50_000

_LEAST_EXCHANGED = 0.0005
"""Below this rate of a whole suite there are no tests by random exchanges: too many would be needed."""

_NORMAL_DECILE = 1.2816
"""Standard deviations from the median to the outer decile."""


def default(
    profile: Profile, *, false_alarm_rate: float = 0.01, min_rows: int = 50, name: str = "pratique"
) -> ExpectationSuite:
    """Propose a suite: schema, row count, ranges, drift, labels, copies, triggers and anomalies.

    Args:
        profile: what approved data looks like.
        false_alarm_rate: chance of a failing suite on a batch like the reference. The statistical expectations (drift, labels,
            copies, triggers, anomalies) share it (Bonferroni; one failure is enough to deny, and Holm's correction would not
            find another first one); label noise has eight parts, triggers four, near copies two, the others one each:
            where few rows do harm, they are the hardest to see. Schema and ranges have wide fixed margins instead.
        min_rows: fewest rows of a batch.
        name: of the suite; in a Great Expectations project it must be its only one of that name.

    Raises:
        UsageError: a rate outside (0, 0.5], or fewer than 20 rows.
    """
    import great_expectations as gx

    if not 0 < false_alarm_rate <= 0.5:
        raise UsageError(f"false_alarm_rate must be above 0 and at most 0.5, not {false_alarm_rate}")
    if min_rows < 20:
        raise UsageError(f"min_rows must be at least 20, not {min_rows}", hint="fewer rows look like any reference")
    return gx.ExpectationSuite(
        name=name,
        expectations=[*_fixed(profile, min_rows), *_statistical(profile, false_alarm_rate)],
        meta={"profile": profile.digest, "false_alarm_rate": false_alarm_rate},
    )


def save(suite: ExpectationSuite, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
    """Write a suite as JSON for people to edit.

    Raises:
        UsageError: the path cannot be written, or holds something that must not be overwritten.
    """
    data = (json.dumps(suite.to_json_dict(), indent=2, ensure_ascii=False) + "\n").encode()
    try:
        (files.replace if overwrite else files.create)(Path(path), data)
    except FileExistsError as error:
        raise UsageError(f"{path} exists; somebody may have edited it", hint="choose another name, or pass --force") from error
    except OSError as error:
        raise UsageError(f"cannot write the suite {path}: {error.strerror}") from error


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A suite file as a document, before GX has seen it.

    Raises:
        UsageError: no such file.
        Malformed: not a suite, or an empty one.
    """
    return parse(content(path), what=str(path))


def content(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a suite file.

    Raises:
        UsageError: no such file.
        Malformed: too large.
    """
    try:
        if os.path.getsize(path) > documents.MAX_BYTES:
            raise Malformed(f"the suite {path} is larger than {documents.MAX_BYTES:,} bytes")
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the suite {path}: {error.strerror}", hint="pratique suite init makes one") from error


def parse(data: bytes, *, what: str = "the suite") -> dict[str, Any]:
    """See `read`."""
    document: dict[str, Any] = documents.parse(data, what=what)
    listed = document.get("expectations") if isinstance(document, dict) else None
    if not isinstance(listed, list) or not all(_is_expectation(one) for one in listed):
        raise Malformed(f"{what} is not a Great Expectations 1.x suite: it needs a list of expectations with type and kwargs")
    if not 0 < len(listed) <= MAX_EXPECTATIONS:
        raise Malformed(f"{what} lists {len(listed)} expectations", hint="a suite that expects nothing always succeeds")
    if not isinstance(document.get("name"), str) or not document["name"]:
        raise Malformed(f"{what} has no name")
    return document


def _is_expectation(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("type"), str) and isinstance(one.get("kwargs", {}), dict)


def make(document: dict[str, Any]) -> tuple[ExpectationSuite, list[str]]:
    """The suite that GX makes of a document, and the types of expectations that GX lost on the way.

    GX logs an expectation that it does not know, drops it, and lets the rest succeed.

    Raises:
        Malformed: GX refuses the document.
    """
    import great_expectations as gx

    import pratique.expectations  # noqa: F401  (registers ours before the suite is made)

    known = {key: document[key] for key in ("name", "expectations", "suite_parameters", "meta", "notes") if document.get(key)}
    try:
        suite = gx.ExpectationSuite(**known)
    except Exception as error:  # GX raises pydantic's, marshmallow's and its own errors here
        raise Malformed(f"Great Expectations refuses the suite: {type(error).__name__}: {error}") from error
    lost = [one["type"] for one in document["expectations"]]
    for expectation in suite.expectations:
        if expectation.expectation_type in lost:
            lost.remove(expectation.expectation_type)
    return suite, lost


def load(path: str | os.PathLike[str]) -> ExpectationSuite:
    """Read a suite file, all of it.

    Raises:
        UsageError: no such file, or GX does not know one of its expectations.
        Malformed: not a suite.
    """
    suite, lost = make(read(path))
    if lost:
        raise UsageError(f"{path}: Great Expectations does not know {lost[0]}", hint="import the package that defines it first")
    return suite


def configured(configure: Callable[[Any], Any]) -> ExpectationSuite:
    """The suite behind a `configure_expectations` function, as users of Great Expectations' own Airflow operators have one.

        suites.save(suites.configured(configure_expectations), "suite.json")     # then name the file in a policy, and review it

    A suite that is a file can be pinned: a policy's digest holds its bytes, which a function's outcome cannot promise.

    Args:
        configure: takes a data context, returns an expectation or a suite.

    Raises:
        UsageError: it returns something else, or no expectation.
    """
    import great_expectations as gx
    from great_expectations.expectations.expectation import Expectation

    import pratique.expectations  # noqa: F401  (the function may name ours)

    before = os.environ.get("GX_ANALYTICS_ENABLED")
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    try:
        made = configure(gx.get_context(mode="ephemeral"))
    finally:
        del os.environ["GX_ANALYTICS_ENABLED"]
        os.environ.update({} if before is None else {"GX_ANALYTICS_ENABLED": before})
    if isinstance(made, Expectation):
        made = gx.ExpectationSuite(name="configured", expectations=[made])
    if not isinstance(made, gx.ExpectationSuite) or not made.expectations:
        raise UsageError(f"it returned {type(made).__name__}, not an expectation or a suite with some in it")
    return made


def _fixed(profile: Profile, min_rows: int) -> Iterator[Any]:
    from great_expectations.expectations.core.expect_table_row_count_to_be_between import ExpectTableRowCountToBeBetween

    from pratique import expectations as ours

    yield ours.ExpectTableSchemaToMatchProfile(profile=PROFILE)
    yield ExpectTableRowCountToBeBetween(min_value=min_rows)
    bounds = {name: [low, high] for name, low, high in ranges(profile.features)}
    if bounds:
        yield ours.ExpectTableValuesToBeWithinRanges(profile=PROFILE, ranges=bounds)


def _statistical(profile: Profile, false_alarm_rate: float) -> list[Any]:
    from great_expectations.expectations.metadata_types import FailureSeverity

    from pratique import expectations as ours

    quiet = {"severity": FailureSeverity.WARNING}
    kinds: list[tuple[Any, int, dict[str, Any]]] = [(ours.ExpectTableRowsToBeDistinct, 1, quiet)]
    if profile.features:
        kinds.append((ours.ExpectTableDriftToBeWithinProfile, 1, {}))
    if profile.label is not None:
        kinds.append((ours.ExpectTableLabelPriorsToMatchProfile, 1, {}))
        if profile.sample is not None:
            kinds += [
                (ours.ExpectLabelsToConformToReference, 8, {}),
                (ours.ExpectNoRepeatedValuesWithinLabel, 4, {}),
                (ours.ExpectRowsToConformToReferenceDensity, 1, {}),
                (ours.ExpectEqualRowsToHaveEqualLabels, 1, {}),
            ]
            if false_alarm_rate >= _LEAST_EXCHANGED:
                kinds.append((ours.ExpectLabelSpectraToMatchReference, 1, {}))
                kinds.append((ours.ExpectTableCorrelationsToMatchReference, 1, {}))
    if profile.neighbours is not None:
        kinds.append((ours.ExpectNearDuplicateClustersToBeSmallerThan, 2, {}))
    part = false_alarm_rate / sum(weight for _, weight, _ in kinds)
    return [kind(profile=PROFILE, alpha=part * weight, **more) for kind, weight, more in kinds]


def ranges(columns: list[Column]) -> list[tuple[str, float | None, float | None]]:
    """Propose bounds beyond which a value is a mistake of unit or a sentinel: (column, low, high), None for no bound.

    1. Columns of one physical scale, where a third of them, and ten at least, reach exactly the common extremes, and one in
       ten rows of some does (pixels, answers in a form): those. Counts of rare events reach theirs by accident.
    2. An extreme of exactly 0 is physical, too, if one row in ten has it.
    3. Otherwise ten times the column's range beyond its extreme, if that tail is light: hardly longer than a normal
       distribution's of that many rows. In a heavy tail any bound would meet a clean value some day: none.
    """
    varied = [column for column in columns if column.kind == "numeric" and column.low < column.high]
    if not varied:
        return []
    least, most = min(column.low for column in varied), max(column.high for column in varied)
    if all(_is_common(reach, len(varied)) for reach in _reaching(varied, least, most)):
        return [(one.name, least, most) for one in columns if one.kind == "numeric" and least <= one.low <= one.high <= most]
    found = [(column.name, _bound(column, 0, column.low), _bound(column, 2, column.high)) for column in varied]
    return [(name, low, high) for name, low, high in found if (low, high) != (None, None)]


def _reaching(columns: list[Column], least: float, most: float) -> tuple[list[bool], list[bool]]:
    """For both extremes: of each column that reaches it, whether one row in ten does."""
    low = [column.middle[0] == least for column in columns if column.low == least]
    return low, [column.middle[2] == most for column in columns if column.high == most]


def _is_common(reaching: list[bool], columns: int) -> bool:
    return len(reaching) >= max(10, columns / 3) and any(reaching)


def _bound(column: Column, decile: int, extreme: float) -> float | None:
    if extreme == 0 == column.middle[decile]:
        return 0.0
    tail = 1.25 * math.sqrt(2 * math.log(sum(column.counts))) / _NORMAL_DECILE
    light = abs(extreme - column.center) <= tail * abs(column.middle[decile] - column.center)
    return extreme + (10 if decile else -10) * (column.high - column.low) if light else None
