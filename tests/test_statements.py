"""Every statement survives being written, signed, read and verified; and nothing else is one."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique import signing
from pratique.artifacts import Subject
from pratique.checking import Finding, Report, Severity
from pratique.errors import CheckError, Malformed
from pratique.signing import INTOTO
from pratique.sources import Resolution
from pratique.statements import Clearance, Evidence, Material, TrainingRecord
from pratique.testing import MemorySigner

SIGNER = MemorySigner()
text = st.text(st.characters(codec="utf-8"), max_size=20)
digests = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:".__add__)
subjects = st.builds(Subject, digest=digests, name=text)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(timezone.utc))
kinds = st.sampled_from(["model", "dataset", "environment"])
origins = st.builds(
    Resolution, uri=text, pinned=text, scheme=text, ids=st.dictionaries(text, text, max_size=3), mutable=st.booleans(),
    notes=st.lists(text, max_size=2).map(tuple),
)  # fmt: skip
evidence = st.builds(
    Evidence, check=text, check_version=text, subject=subjects, kind=kinds,
    report=st.builds(
        Report,
        findings=st.lists(
            st.builds(Finding, rule=text, severity=st.sampled_from(Severity), message=text, where=text, fix=text), max_size=3
        ).map(tuple),
        measures=st.dictionaries(text, st.floats(allow_nan=False, allow_infinity=False), max_size=3),
        materials=st.lists(subjects, max_size=2).map(tuple),
    ),
    options_digest=digests, policy_digest=digests, run_id=text, made_at=moments, origin=st.none() | origins,
)  # fmt: skip
records = st.builds(
    TrainingRecord,
    subject=subjects,
    materials=st.lists(
        st.builds(Material, role=st.sampled_from(["base", "dataset"]), subject=subjects, uri=text), max_size=3
    ).map(tuple),
    parameters=st.dictionaries(text, st.integers(-5, 5) | text | st.booleans()),
    builder=text,
    run_id=text,
    started_at=moments,
    finished_at=moments,
)
clearances = st.builds(
    Clearance,
    subject=subjects,
    kind=kinds,
    verifier=text,
    resource_uri=text,
    policy_digest=digests,
    evidence=st.lists(digests, max_size=2).map(tuple),
    levels=st.lists(text, min_size=1, max_size=3).map(tuple),
    made_at=moments,
    expires=moments,
    run_id=text,
    channel=text,
    sequence=st.integers(0, 2**31),
    waived=st.lists(text, max_size=2).map(tuple),
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(evidence, records, clearances))
def test_every_statement_survives_write_sign_verify_read(one: Any) -> None:
    verified = signing.verify(
        signing.sign(one.statement(), INTOTO, SIGNER), [signing.TrustedKey(name="k", public=SIGNER.public)]
    )
    again = type(one).parse(verified.payload)
    assert again == one
    assert again.statement() == one.statement()


@settings(max_examples=60, deadline=None)
@given(st.one_of(evidence, records, clearances), st.data())
def test_a_statement_with_a_part_missing_or_of_another_type_is_malformed_or_says_the_same(
    one: Any, data: st.DataObject
) -> None:
    value = json.loads(one.statement())
    holders: list[Any] = [value]
    for holder in holders:
        holders += [
            inner
            for inner in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(inner, (dict, list)) and inner
        ]
    victim = data.draw(st.sampled_from(holders))
    key = data.draw(st.sampled_from(sorted(victim) if isinstance(victim, dict) else range(len(victim))))
    replacement = data.draw(st.sampled_from(["gone", None, 7, [], {}, "x"]))
    if replacement == "gone":
        del victim[key]
    else:
        victim[key] = replacement
    with contextlib.suppress(Malformed):
        assert type(one).parse(json.dumps(value).encode()).subject is not None


def load(one: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(one.statement())
    return value


EVIDENCE = Evidence(
    check="artifact",
    check_version="1",
    subject=Subject(digest="sha256:" + "0" * 64, name="base"),
    kind="model",
    report=Report(),
    options_digest="sha256:" + "1" * 64,
    policy_digest="sha256:" + "2" * 64,
    run_id="",
    made_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
)


def two_subjects(value: dict[str, Any]) -> None:
    value["subject"] *= 2


def no_subject(value: dict[str, Any]) -> None:
    value["subject"] = []


def short_digest(value: dict[str, Any]) -> None:
    value["subject"][0]["digest"]["sha256"] = "ab"


def upper_case_digest(value: dict[str, Any]) -> None:
    value["subject"][0]["digest"]["sha256"] = "A" * 64


def another_predicate(value: dict[str, Any]) -> None:
    value["predicateType"] = "https://slsa.dev/provenance/v1"


def old_statement(value: dict[str, Any]) -> None:
    value["_type"] = "https://in-toto.io/Statement/v0.1"


def no_time_zone(value: dict[str, Any]) -> None:
    value["predicate"]["pratique"]["madeAt"] = "2026-01-01T00:00:00"


def invented_severity(value: dict[str, Any]) -> None:
    value["predicate"]["pratique"]["findings"] = [{"rule": "r", "severity": "FINE", "message": "", "where": "", "fix": ""}]


def options_not_named(value: dict[str, Any]) -> None:
    value["predicate"]["configuration"].reverse()


@pytest.mark.parametrize(
    "attack",
    [
        two_subjects,
        no_subject,
        short_digest,
        upper_case_digest,
        another_predicate,
        old_statement,
        no_time_zone,
        invented_severity,
        options_not_named,
    ],
)
def test_evidence_that_is_not_evidence(attack: Any) -> None:
    value = load(EVIDENCE)
    assert Evidence.parse(json.dumps(value).encode()) == EVIDENCE
    attack(value)
    with pytest.raises(Malformed):
        Evidence.parse(json.dumps(value).encode())


def test_keys_that_we_do_not_know_are_ignored_as_in_toto_demands() -> None:
    value = load(EVIDENCE)
    value["predicate"]["theirs"] = 1
    assert Evidence.parse(json.dumps(value).encode()) == EVIDENCE


def test_a_failed_summary_is_not_a_clearance() -> None:
    one = Clearance(
        subject=EVIDENCE.subject, kind="model", verifier="v", resource_uri="u", policy_digest="sha256:" + "1" * 64, evidence=(),
        levels=("L",), made_at=EVIDENCE.made_at, expires=EVIDENCE.made_at,
    )  # fmt: skip
    value = load(one)
    value["predicate"]["verificationResult"] = "FAILED"
    with pytest.raises(Malformed):
        Clearance.parse(json.dumps(value).encode())


@pytest.mark.parametrize("worst", Severity)
def test_the_test_result_says_how_bad_it_is(worst: Severity) -> None:
    report = Report(findings=(Finding(rule="r", severity=worst, message="m"),))
    result = load(Evidence(**{**{k: getattr(EVIDENCE, k) for k in EVIDENCE.__slots__}, "report": report}))["predicate"][
        "result"
    ]
    assert result == ("FAILED" if worst >= Severity.HIGH else "WARNED" if worst >= Severity.LOW else "PASSED")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_could_not_be_measured_is_no_measure(value: float) -> None:
    with pytest.raises(CheckError):
        Report(measures={"m": value})
