"""The contract that every check must keep, as one assertion for a test suite:

def test_contract(tmp_path):
    assert_check_contract(my_check, good=tmp_path / "model", options={}, work=tmp_path)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pratique import checking
from pratique.artifacts import Kind, Subject, open_artifact
from pratique.checking import Check, Report, Setting
from pratique.errors import CheckError
from pratique.statements import Evidence, stamp

_KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")


def assert_check_contract(
    chosen: Check[Any],
    *,
    good: Path,
    work: Path,
    options: Mapping[str, Any] | None = None,
    setting: Setting | None = None,
    kind: Kind = "model",
) -> Report:
    """Assert what the gate relies on; returns the report about the good artifact.

    Args:
        chosen: the check.
        good: an artifact that it should have nothing grave to say about.
        work: an empty folder for this test.
        options: what the check is asked.

    Raises:
        AssertionError: naming what does not hold.
    """
    asked = checking.options_for(chosen, options or {}, setting)
    artifact = open_artifact(good, kind=kind, into=work / "snapshots")

    assert _KEBAB.match(chosen.name), f"{chosen.name!r} is not kebab-case"
    assert chosen.version and chosen.kinds, "a check has a version and knows at least one kind of artifact"
    first, second = (checking.run(chosen, artifact, asked) for _ in range(2))
    assert first == second, "the same bytes and options get the same report"
    _assert_documented(chosen, first)
    _assert_survives_signing(chosen, artifact.subject, kind, first)
    assert asked.digest == checking.options_for(chosen, options or {}, setting).digest, "the same question has the same digest"
    _assert_garbage_is_not_praised(chosen, asked, kind, work)
    return first


def _assert_documented(chosen: Check[Any], report: Report) -> None:
    for finding in report.findings:
        assert finding.rule in chosen.rules, f"the rule {finding.rule!r} is not in the check's table of rules"
        assert finding.message, f"a finding of {finding.rule!r} says nothing"
    for measure in report.measures:
        assert any(fnmatchcase(measure, known) for known in chosen.measures), f"the measure {measure!r} is not documented"


def _assert_survives_signing(chosen: Check[Any], subject: Subject, kind: Kind, report: Report) -> None:
    zero = "sha256:" + "0" * 64
    now = datetime.now(timezone.utc)
    evidence = Evidence(
        check=chosen.name, check_version=chosen.version, subject=subject, kind=kind, report=report, options_digest=zero,
        policy_digest=zero, run_id="", made_at=now,
    )  # fmt: skip
    again = Evidence.parse(evidence.statement())
    assert again.report == report and stamp(again.made_at) == stamp(now), "the report survives being written and read"


def _assert_garbage_is_not_praised(chosen: Check[Any], asked: checking.Options, kind: Kind, work: Path) -> None:
    """Bytes that mean nothing get a finding or a CheckError; never a report that no policy could object to."""
    garbage = work / "garbage"
    garbage.mkdir(parents=True)
    (garbage / "model.safetensors").write_bytes(bytes(range(256)) * 4)
    (garbage / "data.csv").write_bytes(b"\xff\xfe\x00\x01" * 64)
    artifact = open_artifact(garbage, kind=kind, into=work / "snapshots")
    try:
        report = checking.run(chosen, artifact, asked)
    except CheckError:
        return
    assert report.findings or report.measures, "garbage got a report without a finding and without a measure"
