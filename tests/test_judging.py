"""`decide` is pure, total and monotonic; and each way to fool it is a denial with its own reason."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique import errors
from pratique.artifacts import Subject
from pratique.checking import Finding, Report, Severity
from pratique.clearing import ensure_clearance
from pratique.judging import Verdict, decide
from pratique.policies import Bound, Policy, Requirement, Waiver
from pratique.statements import Clearance, Evidence, Vouched
from pratique.testing import vouched

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
DIGESTS = ["sha256:" + digit * 64 for digit in "0123"]
KEYS = [f"sha256:{digit * 64}" for digit in "abc"]

checks = st.sampled_from(["one", "two", "three"])
rules = st.sampled_from(["r", "s"])
measures = st.sampled_from(["m", "n"])
subjects = st.builds(Subject, digest=st.sampled_from(DIGESTS[:2]))
reports = st.builds(
    Report,
    findings=st.lists(
        st.builds(Finding, rule=rules, severity=st.sampled_from(Severity), message=st.just("seen")), max_size=2
    ).map(tuple),
    measures=st.dictionaries(measures, st.floats(0, 1), max_size=2),
)
evidence = st.builds(
    Evidence,
    check=checks,
    check_version=st.just("1"),
    subject=subjects,
    kind=st.sampled_from(["model", "dataset"]),
    report=reports,
    options_digest=st.sampled_from(DIGESTS[2:]),
    policy_digest=st.just(DIGESTS[0]),
    run_id=st.sampled_from(["", "run"]),
    made_at=st.integers(-2, 20).map(lambda days: NOW - timedelta(days=days)),
)
pieces = st.builds(
    lambda seen, signers, digest: vouched(seen, *signers, digest=digest),
    evidence,
    st.sets(st.sampled_from(KEYS), min_size=1),
    st.sampled_from(DIGESTS),
)
requirements = st.builds(
    Requirement, options=st.just({}), options_digest=st.sampled_from(DIGESTS[2:]), deny_at=st.sampled_from(Severity),
    measures=st.dictionaries(measures, st.builds(Bound, min=st.floats(0, 0.3), max=st.floats(0.3, 1)), max_size=1),
    max_age=st.just(timedelta(days=7)), signers=st.just(frozenset(KEYS[:2])), threshold=st.sampled_from([1, 2]),
)  # fmt: skip
waivers = st.builds(
    Waiver, check=checks, rule=st.one_of(rules, measures), subject=st.sampled_from(DIGESTS[:2]), reason=st.just("known"),
    owner=st.just("me"), until=st.sampled_from([NOW - timedelta(days=1), NOW + timedelta(days=1)]),
)  # fmt: skip
policies = st.builds(
    Policy, subject=st.just("model"), trust=st.just({}), require=st.dictionaries(checks, requirements, min_size=1, max_size=3),
    waivers=st.lists(waivers, max_size=2).map(tuple), clearance=st.just(timedelta(days=3)), digest=st.just(DIGESTS[0]),
    file=st.just("policy.yaml"), base=st.just(Path()),
)  # fmt: skip
run_ids = st.sampled_from(["", "run"])


@settings(max_examples=400, deadline=None)
@given(policies, subjects, st.lists(pieces, max_size=6), run_ids, st.data())
def test_taking_evidence_away_never_admits(
    policy: Policy, subject: Subject, seen: list[Any], run_id: str, data: st.DataObject
) -> None:
    before = decide(policy, subject, seen, now=NOW, run_id=run_id)
    kept = [one for one in seen if data.draw(st.booleans())]
    after = decide(policy, subject, kept, now=NOW, run_id=run_id)
    assert before.admitted or not after.admitted


@settings(max_examples=300, deadline=None)
@given(policies, subjects, st.lists(pieces, max_size=6))
def test_taking_measures_or_signatures_away_never_admits(policy: Policy, subject: Subject, seen: list[Any]) -> None:
    before = decide(policy, subject, seen, now=NOW)
    bare = [
        dataclasses.replace(
            p, statement=dataclasses.replace(p.statement, report=dataclasses.replace(p.statement.report, measures={}))
        )
        for p in seen
    ]
    unsigned = [dataclasses.replace(p, witnesses=p.witnesses[1:]) for p in seen]
    for poorer in (bare, unsigned):
        assert before.admitted or not decide(policy, subject, poorer, now=NOW).admitted


@settings(max_examples=300, deadline=None)
@given(policies, subjects, st.lists(pieces, max_size=6), run_ids)
def test_it_is_a_pure_function_of_a_set(policy: Policy, subject: Subject, seen: list[Any], run_id: str) -> None:
    forwards = decide(policy, subject, seen, now=NOW, run_id=run_id)
    backwards = decide(policy, subject, [*reversed(seen), *seen], now=NOW, run_id=run_id)
    assert (forwards.admitted, forwards.evidence, forwards.waived) == (backwards.admitted, backwards.evidence, backwards.waived)
    assert forwards == decide(policy, subject, seen, now=NOW, run_id=run_id)


@settings(max_examples=300, deadline=None)
@given(policies, subjects, st.lists(pieces, max_size=6))
def test_an_admission_never_outlives_what_it_stands_on(policy: Policy, subject: Subject, seen: list[Any]) -> None:
    verdict = decide(policy, subject, seen, now=NOW)
    if verdict.admitted:
        assert verdict.evidence
        assert NOW - timedelta(minutes=5) <= verdict.expires <= NOW + policy.clearance
        later = decide(policy, subject, seen, now=verdict.expires - timedelta(seconds=1))
        assert later.admitted or verdict.expires <= NOW


@given(subjects, st.lists(pieces, max_size=3))
def test_a_policy_that_requires_nothing_admits_nothing(subject: Subject, seen: list[Any]) -> None:
    assert not decide(policy_of(require={}), subject, seen, now=NOW).admitted


# --- by name ------------------------------------------------------------------------------------------------------------

SUBJECT = Subject(digest=DIGESTS[0], name="base")
HIGH = Finding(rule="pickle-global", severity=Severity.HIGH, message="os.system", where="x.pkl", fix="use safetensors")


def requirement(**changes: Any) -> Requirement:
    fields: dict[str, Any] = dict(
        options={}, options_digest=DIGESTS[2], deny_at=Severity.HIGH, measures={}, max_age=timedelta(days=1),
        signers=frozenset(KEYS[:1]), threshold=1,
    )  # fmt: skip
    return Requirement(**{**fields, **changes})


def policy_of(**changes: Any) -> Policy:
    fields: dict[str, Any] = dict(
        subject="model", trust={}, require={"one": requirement()}, waivers=(), clearance=timedelta(days=3), digest=DIGESTS[3],
        file="", base=Path(),
    )  # fmt: skip
    return Policy(**{**fields, **changes})


def piece(signers: frozenset[str] = frozenset(KEYS[:1]), **changes: Any) -> Vouched[Evidence]:
    fields: dict[str, Any] = dict(
        check="one", check_version="1", subject=SUBJECT, kind="model", report=Report(), options_digest=DIGESTS[2],
        policy_digest=DIGESTS[3], run_id="run-1", made_at=NOW,
    )  # fmt: skip
    return vouched(Evidence(**{**fields, **changes}), *signers, digest=DIGESTS[1])


def rules_of(policy: Policy, *seen: Vouched[Evidence], **more: Any) -> list[str]:
    return [denial.rule for denial in decide(policy, SUBJECT, seen, now=NOW, **more).denials]


def test_good_evidence_admits() -> None:
    verdict = decide(policy_of(), SUBJECT, [piece()], now=NOW)
    assert verdict.admitted
    assert verdict.levels == ("PRATIQUE_ONE",)


def test_no_evidence() -> None:
    assert rules_of(policy_of()) == ["no-evidence"]


def test_evidence_replayed_from_another_model() -> None:
    assert rules_of(policy_of(), piece(subject=Subject(digest=DIGESTS[1]))) == ["no-evidence"]


def test_a_datasets_evidence_for_a_model_with_the_same_bytes() -> None:
    assert rules_of(policy_of(), piece(kind="dataset")) == ["no-evidence"]


def test_evidence_of_another_check() -> None:
    assert rules_of(policy_of(), piece(check="two")) == ["no-evidence"]


def test_the_check_was_asked_something_easier() -> None:
    assert rules_of(policy_of(), piece(options_digest=DIGESTS[3])) == ["other-question"]


def test_stale_evidence() -> None:
    assert rules_of(policy_of(), piece(made_at=NOW - timedelta(days=1, seconds=1))) == ["stale"]


def test_evidence_from_the_future() -> None:
    assert rules_of(policy_of(), piece(made_at=NOW + timedelta(hours=1))) == ["stale"]
    assert rules_of(policy_of(), piece(made_at=NOW + timedelta(minutes=1))) == []


def test_evidence_signed_by_somebody_who_may_sign_other_things() -> None:
    assert rules_of(policy_of(), piece(signers=frozenset(KEYS[1:2]))) == ["signer"]


def test_evidence_of_another_run_when_a_run_is_asked_for() -> None:
    assert rules_of(policy_of(), piece(), run_id="run-2") == ["other-run"]
    assert rules_of(policy_of(), piece(), run_id="run-1") == []


def test_a_grave_finding_denies_with_its_place_and_remedy() -> None:
    verdict = decide(policy_of(), SUBJECT, [piece(report=Report(findings=(HIGH,)))], now=NOW)
    assert [(d.rule, d.where, d.fix) for d in verdict.denials] == [("pickle-global", "x.pkl", "use safetensors")]
    assert "use safetensors" in errors.Denied(verdict).diagnostics()


def test_a_mild_finding_does_not_deny() -> None:
    mild = dataclasses.replace(HIGH, severity=Severity.MEDIUM)
    assert rules_of(policy_of(), piece(report=Report(findings=(mild,)))) == []


def test_a_measure_that_was_not_measured_or_is_out_of_bounds() -> None:
    policy = policy_of(require={"one": requirement(measures={"power": Bound(min=0.8, max=float("inf"))})})
    assert rules_of(policy, piece()) == ["power"]
    assert rules_of(policy, piece(report=Report(measures={"power": 0.79}))) == ["power"]
    assert rules_of(policy, piece(report=Report(measures={"power": 0.8}))) == []


def test_two_of_two_signers_and_one_key_twice() -> None:
    policy = policy_of(require={"one": requirement(signers=frozenset(KEYS[:2]), threshold=2)})
    assert rules_of(policy, piece(), piece()) == ["signer"]
    assert rules_of(policy, piece(), piece(signers=frozenset(KEYS[1:2]))) == []


def waiver(**changes: Any) -> Waiver:
    fields: dict[str, Any] = dict(
        check="one", rule="pickle-global", subject=SUBJECT.digest, reason="r", owner="o", until=NOW + timedelta(hours=1)
    )
    return Waiver(**{**fields, **changes})


def waived(one: Waiver) -> Verdict:
    return decide(policy_of(waivers=(one,)), SUBJECT, [piece(report=Report(findings=(HIGH,)))], now=NOW)


def test_a_waiver_admits_until_it_expires_and_is_listed() -> None:
    verdict = waived(waiver())
    assert verdict.admitted
    assert verdict.waived == ("one/pickle-global",)
    assert verdict.expires == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    "changes",
    [{"until": NOW}, {"subject": DIGESTS[1]}, {"rule": "other"}, {"check": "two"}],
    ids=["expired", "another artifact", "another rule", "another check"],
)
def test_a_waiver_for_something_else_waives_nothing(changes: dict[str, Any]) -> None:
    assert not waived(waiver(**changes)).admitted


def test_missing_evidence_cannot_be_waived() -> None:
    assert not decide(policy_of(waivers=(waiver(rule="no-evidence"),)), SUBJECT, [], now=NOW).admitted


# --- clearances ---------------------------------------------------------------------------------------------------------


def clearance(signers: frozenset[str] = frozenset(KEYS[:1]), **changes: Any) -> Vouched[Clearance]:
    fields: dict[str, Any] = dict(
        subject=SUBJECT, kind="model", verifier="urn:pratique:gate:" + KEYS[0], resource_uri="x", policy_digest=DIGESTS[3],
        evidence=(), levels=("PRATIQUE_ONE",), made_at=NOW, expires=NOW + timedelta(days=1),
    )  # fmt: skip
    return vouched(Clearance(**{**fields, **changes}), *signers, digest=DIGESTS[1])


def test_a_live_clearance_holds() -> None:
    ensure_clearance(clearance(), SUBJECT, now=NOW, revoked=frozenset(), policy_digest=DIGESTS[3])


@pytest.mark.parametrize(
    ("attack", "error"),
    [
        (clearance(subject=Subject(digest=DIGESTS[1])), errors.WrongSubject),
        (clearance(signers=frozenset(KEYS[1:2])), errors.WrongSigner),
        (clearance(verifier="urn:pratique:gate:" + KEYS[1]), errors.WrongSigner),
        (clearance(verifier="gate"), errors.WrongSigner),
        (clearance(policy_digest=DIGESTS[1]), errors.EvidenceError),
        (clearance(expires=NOW), errors.Stale),
        (clearance(made_at=NOW + timedelta(hours=1)), errors.Stale),
    ],
    ids=["another model", "another signer", "another verifier", "no verifier", "another policy", "lapsed", "not yet"],
)
def test_a_clearance_that_does_not_hold(attack: Vouched[Clearance], error: type[Exception]) -> None:
    with pytest.raises(error):
        ensure_clearance(attack, SUBJECT, now=NOW, revoked=frozenset(), policy_digest=DIGESTS[3])
