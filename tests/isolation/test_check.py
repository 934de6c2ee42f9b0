"""The check itself: options, exceptions, measures, evidence; and two environments of Airflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pratique import checking
from pratique.artifacts import open_artifact
from pratique.checking import Report, Severity
from pratique.checks.isolation import MAX_FINDINGS, isolation_check
from pratique.cli import cli
from pratique.errors import CheckError, UsageError
from pratique.isolation.rules import AIRFLOW, KUBERNETES, RULES
from pratique.testing import assert_check_contract, folder_of

from ..markdown import ROOT, plain, table
from .world import GOLDEN, account, binding, cluster, group, pod, thing

STORES = {"train_stores": ["s3://scratch"]}
NOW = datetime.now(timezone.utc)


def describe(folder: Path, objects: list[dict[str, Any]], **files: bytes) -> Path:
    data = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).encode()
    return folder_of(folder, {"objects.json": data, **files})


def look(tmp_path: Path, objects: list[dict[str, Any]] | None = None, **options: Any) -> Report:
    root = describe(tmp_path / "environment", cluster() if objects is None else objects)
    return asked(root, **options)


def asked(root: Path, **options: Any) -> Report:
    artifact = open_artifact(root, kind="environment")
    return checking.run(isolation_check, artifact, checking.options_for(isolation_check, {**STORES, **options}))


def rules(report: Report) -> list[str]:
    return [one.rule for one in report.findings]


def test_contract(tmp_path: Path) -> None:
    good = describe(tmp_path / "good", cluster())
    report = assert_check_contract(isolation_check, good=good, work=tmp_path / "work", options=STORES, kind="environment")
    assert rules(report) == ["proved"] and report.worst is Severity.NOTE
    assert report.measures["rules_proved"] == len(KUBERNETES) == 20
    assert {name: value for name, value in report.measures.items() if name.startswith("rules_") and name != "rules_proved"} == {
        "rules_violated": 0,
        "rules_unknown": 0,
        "rules_excepted": 0,
    }
    assert report.measures["pods"] >= 4 and report.measures["network_policies"] >= 9 and report.measures["secrets"] == 0


def test_a_breach_has_its_path_and_its_remedy(tmp_path: Path) -> None:
    world = [
        *cluster(),
        binding("ops", "edit", "ClusterRole", account("ml-train", "trainer")),
        binding("ml-deploy", "edit", "ClusterRole", account("ops", "argo")),
    ]
    report = look(tmp_path, world)
    first = report.findings[0]
    assert first.rule == "identity-takeover" and first.severity is Severity.CRITICAL and first.fix
    assert first.message.count("and so become") == 2 and "cannot be decided" not in first.message
    assert report.measures["rules_violated"] == 1 and report.measures["rules_proved"] == 19


def test_what_could_not_be_decided_denies_like_a_breach(tmp_path: Path) -> None:
    world = [*cluster(), pod("ml-deploy", "web", container={"args": ["s3://models/v1"]})]
    assert "shared-bucket" not in rules(look(tmp_path / "said", world))
    (finding,) = (one for one in look(tmp_path / "unsaid", world, train_stores=None).findings if "s3://models/v1" in one.where)
    assert (
        finding.rule == "shared-bucket"
        and finding.severity >= Severity.HIGH
        and finding.message.startswith("cannot be decided")
    )
    service = thing("v1", "Service", "bad", "ml-deploy", spec={"type": 7})
    report = look(tmp_path / "unread", [*cluster(), service])
    assert [one.severity for one in report.findings if one.rule == "network-bridge"] == [Severity.HIGH]
    assert report.measures["rules_unknown"] == 1


def test_nothing_is_proved_by_what_cannot_be_read_or_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    report = asked(describe(tmp_path / "environment", cluster(), **{"notes.md": b"nobody reads this"}))
    assert rules(report) == ["unreadable"] and report.measures["rules_proved"] == 0
    for objects in ([], [thing("v1", "Namespace", "ml-train")]):
        report = look(tmp_path / str(len(objects)), objects)
        assert "incomplete" in rules(report) and "no-admission-gate" in rules(report)
        assert report.worst is Severity.CRITICAL and report.measures["rules_proved"] == 0


def test_a_rendering_is_no_cluster_unless_it_says_so(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "chart", {"chart.yaml": GOLDEN.read_bytes()})
    assert "incomplete" in rules(asked(root))
    assert rules(asked(root, scope="rendering")) == ["proved"]


def test_namespaces_of_other_names_are_not_there(tmp_path: Path) -> None:
    report = look(tmp_path, deploy=["production"])
    assert {"incomplete", "no-default-deny", "pod-security", "no-admission-gate"} <= set(rules(report))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"train": []}, "at least 1"),
        ({"train": ["a"], "deploy": ["a"]}, "named twice"),
        ({"deploy": ["ml-train"]}, "named twice"),
        ({"pod_cidrs": ["ten"]}, "does not appear to be"),
        ({"scope": "galaxy"}, "cluster"),
        ({"kubernetes": False}, "nothing to judge"),
        (
            {"exceptions": [{"rule": "proved", "where": "x", "reason": "x", "owner": "x", "until": "2030-01-01T00:00:00Z"}]},
            "no rule",
        ),
        (
            {
                "exceptions": [
                    {"rule": "network-bridge", "where": "x", "reason": "x", "owner": "", "until": "2030-01-01T00:00:00Z"}
                ]
            },
            "at least 1",
        ),
        (
            {
                "exceptions": [
                    {"rule": "network-bridge", "where": "x", "reason": "x", "owner": "x", "until": "2030-01-01T00:00:00"}
                ]
            },
            "timezone",
        ),
    ],
)
def test_options_that_make_no_sense(options: Mapping[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        checking.options_for(isolation_check, options)


def test_a_bucket_behind_any_number_of_other_words(tmp_path: Path) -> None:
    """Training hides where it writes behind a hundred thousand arguments."""
    words = [f"word-{number}" for number in range(100_000)]
    world = [
        *cluster(),
        pod("ml-train", "job", container={"args": ["s3://models/v1", *words]}),
        pod("ml-deploy", "web", container={"args": ["s3://models/v1"]}),
    ]
    assert "shared-bucket" in rules(look(tmp_path, world))


# --- exceptions ---------------------------------------------------------------------------------------------------------

PORT = thing("v1", "Service", "gateway", "ml-deploy", spec={"type": "LoadBalancer"})


def exception(days: float, **changes: str) -> dict[str, str]:
    one = {
        "rule": "network-bridge",
        "where": "Service ml-deploy/gateway",
        "reason": "the shop",
        "owner": "platform@example.com",
    }
    return {**one, "until": (NOW + timedelta(days=days)).isoformat(), **changes}


def test_an_exception_covers_exactly_one_breach_and_is_told_each_time(tmp_path: Path) -> None:
    other = thing("v1", "Service", "second", "ml-deploy", spec={"type": "NodePort"})
    report = look(tmp_path / "one", [*cluster(), PORT], exceptions=[exception(30)])
    assert rules(report) == ["exception", "proved"]
    assert "platform@example.com" in report.findings[0].message and "the shop" in report.findings[0].message
    assert report.measures["rules_excepted"] == 1 and report.measures["rules_proved"] == 19
    report = look(tmp_path / "two", [*cluster(), PORT, other], exceptions=[exception(30)])
    assert rules(report) == ["network-bridge", "exception", "proved"] and report.measures["rules_violated"] == 1


@pytest.mark.parametrize(("days", "rule"), [(-1, "exception-expired"), (400, "exception-expired")])
def test_an_exception_that_ended_or_never_will_covers_nothing(days: float, rule: str, tmp_path: Path) -> None:
    report = look(tmp_path, [*cluster(), PORT], exceptions=[exception(days)])
    assert rules(report)[:2] == ["network-bridge", rule] and report.worst is Severity.HIGH


def test_an_exception_is_no_pattern(tmp_path: Path) -> None:
    for number, where in enumerate(("Service ml-deploy/*", "Service", "*")):
        report = look(tmp_path / str(number), [*cluster(), PORT], exceptions=[exception(30, where=where)])
        assert rules(report)[:2] == ["network-bridge", "exception-unused"]


def test_an_exception_from_one_rule_is_none_from_another(tmp_path: Path) -> None:
    report = look(tmp_path, [*cluster(), PORT], exceptions=[exception(30, rule="host-network")])
    assert rules(report)[:2] == ["network-bridge", "exception-unused"]


def test_more_breaches_than_anybody_reads_are_counted(tmp_path: Path) -> None:
    more = [pod("ml-deploy", f"p{number}", container={"image": f"r/i:{number}"}) for number in range(MAX_FINDINGS + 5)]
    report = look(tmp_path, [*cluster(), *more])
    assert len(report.findings) == MAX_FINDINGS + 2 and report.measures["breaches"] == MAX_FINDINGS + 5
    assert "5 unpinned-image" in report.findings[-2].message and report.findings[-2].severity is Severity.HIGH


# --- Airflow ------------------------------------------------------------------------------------------------------------

TRAIN: dict[str, Any] = {
    "deployment": "https://train.example",
    "broker": "redis://a",
    "queues": ["train"],
    "images": [f"r/w@sha256:{'1' * 64}"],
    "connections": {
        "db": {"conn_type": "postgres", "host": "db", "login": "train", "password": "of training!"},
        "fs": {"conn_type": "fs"},
    },
    "variables": {"api_key": "the key of training"},
    "pools": {"default_pool": {"slots": 1}},
    "storage": ["s3://train-logs"],
    "bundles": ["https://git.example/train"],
    "imports": ["training_lib"],
}
DEPLOY: dict[str, Any] = {
    "deployment": "https://deploy.example",
    "broker": "redis://b",
    "queues": ["deploy"],
    "images": [f"r/w@sha256:{'2' * 64}"],
    "connections": {
        "db": {"conn_type": "postgres", "host": "db", "login": "deploy", "password": "of deployment!"},
        "fs": {"conn_type": "fs"},
    },
    "variables": {"api_key": "the key of deployment"},
    "pools": {"default_pool": {"slots": 1}},
    "storage": ["s3://deploy-logs"],
    "bundles": ["https://git.example/deploy"],
    "deployers": ["pratique.operators.promoting"],
}
SAME = {"deployment": "https://train.example", "multi_team": True}
BOTH_SIDES = {"train": "train.json", "deploy": "deploy.json"}


def airflow(tmp_path: Path, train: Mapping[str, Any], deploy: Mapping[str, Any], **options: Any) -> Report:
    root = folder_of(
        tmp_path / "airflow", {"train.json": json.dumps(train).encode(), "deploy.json": json.dumps(deploy).encode()}
    )
    return asked(root, **{"kubernetes": False, "airflow": BOTH_SIDES, **options})


def test_two_airflows_that_share_nothing(tmp_path: Path) -> None:
    report = airflow(tmp_path, TRAIN, DEPLOY)
    assert rules(report) == ["proved"] and report.measures["rules_proved"] == len(AIRFLOW) == 9


def test_one_airflow_with_teams_of_their_own(tmp_path: Path) -> None:
    shared = {"connections": {}, "pools": {}}
    report = airflow(tmp_path, {**TRAIN, **SAME, **shared, "team": "t"}, {**DEPLOY, **SAME, **shared, "team": "d"})
    assert rules(report) == ["proved"]


@pytest.mark.parametrize(
    ("rule", "train", "deploy"),
    [
        (
            "airflow-deployment",
            {"pools": {}, "connections": {}},
            {"deployment": "https://train.example/", "pools": {}, "connections": {}},
        ),
        (
            "airflow-deployment",
            {**SAME, "team": "a", "pools": {}, "connections": {}},
            {**SAME, "team": "a", "pools": {}, "connections": {}},
        ),
        (
            "airflow-connection",
            {"connections": {"a": {"conn_type": "x", "password": "correct horse"}}},
            {"connections": {"b": "https://u:correct%20horse@h"}},
        ),
        (
            "airflow-connection",
            {"connections": {"a": "postgres://me:one-pass@db/x"}},
            {"connections": {"b": "postgres://me:two-pass@DB/y"}},
        ),
        (
            "airflow-connection",
            {"connections": {"a": {"extra": '{"role_arn": "arn:aws:iam::1:role/ml"}'}}},
            {"connections": {"b": {"extra": {"role_arn": "arn:aws:iam::1:role/ml"}}}},
        ),
        ("airflow-connection", {**SAME, "team": "a", "pools": {}}, {**SAME, "team": "b", "pools": {}}),
        ("airflow-variable", {"variables": {"token": "correct horse"}}, {"variables": {"deep": {"other": "correct horse"}}}),
        ("airflow-pool", {**SAME, "team": "a", "connections": {}}, {**SAME, "team": "b", "connections": {}}),
        ("airflow-queue", {"broker": "redis://b"}, {"queues": ["train"]}),
        ("airflow-storage", {"storage": ["s3a://bucket/logs"]}, {"storage": ["s3://bucket/logs/deploy/"]}),
        ("airflow-bundle", {"bundles": ["https://git.example/dags.git"]}, {"bundles": ["https://git.example/dags"]}),
        ("airflow-image", {"images": ["r/w:1"]}, {"images": ["r/w:1"]}),
        ("airflow-import", {"imports": ["pratique.operators"]}, {}),
    ],
)
def test_what_two_airflows_share(rule: str, train: Mapping[str, Any], deploy: Mapping[str, Any], tmp_path: Path) -> None:
    report = airflow(tmp_path, {**TRAIN, **train}, {**DEPLOY, **deploy})
    assert set(rules(report)) == {rule, "proved"}
    assert "correct horse" not in str(report), "secrets are compared, and never told"


@pytest.mark.parametrize("field", ["connections", "variables", "pools", "queues", "storage", "bundles", "images"])
def test_what_a_side_leaves_out_cannot_be_judged(field: str, tmp_path: Path) -> None:
    report = airflow(tmp_path, TRAIN, {key: value for key, value in DEPLOY.items() if key != field})
    first = report.findings[0]
    assert first.severity >= Severity.HIGH and first.message.startswith("cannot be decided") and field in first.message


@pytest.mark.parametrize(
    "bad", [b"[]", b"{", b'{"deployment": 1}', b'{"deployment": "x", "queue": []}', b'{"connections": {}}']
)
def test_a_file_that_describes_no_airflow(bad: bytes, tmp_path: Path) -> None:
    root = folder_of(tmp_path / "airflow", {"train.json": bad, "deploy.json": json.dumps(DEPLOY).encode()})
    with pytest.raises(CheckError, match=r"train\.json"):
        asked(root, kubernetes=False, airflow=BOTH_SIDES)


def test_a_file_that_is_not_there_or_that_nobody_reads(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=r"there is no file prod\.json"):
        airflow(tmp_path / "a", TRAIN, DEPLOY, airflow={"train": "train.json", "deploy": "prod.json"})
    root = folder_of(tmp_path / "airflow", {"train.json": b"{}", "deploy.json": b"{}", "more.yaml": b""})
    (root / "train.json").write_text(json.dumps(TRAIN))
    (root / "deploy.json").write_text(json.dumps(DEPLOY))
    assert rules(asked(root, kubernetes=False, airflow=BOTH_SIDES)) == ["unreadable"]


def test_a_password_of_another_shape_is_not_told(tmp_path: Path) -> None:
    bad = {**TRAIN, "connections": {"db": {"password": ["hunter2hunter2"]}}}
    with pytest.raises(CheckError) as error:
        airflow(tmp_path, bad, DEPLOY)
    assert "hunter2" not in str(error.value) and "hunter2" not in str(error.value.__cause__ or "")


def test_kubernetes_and_airflow_in_one_description(tmp_path: Path) -> None:
    root = describe(
        tmp_path / "both", cluster(), **{"train.json": json.dumps(TRAIN).encode(), "deploy.json": json.dumps(DEPLOY).encode()}
    )
    report = asked(root, airflow=BOTH_SIDES)
    assert rules(report) == ["proved"] and report.measures["rules_proved"] == len(AIRFLOW) + len(KUBERNETES)


# --- surfaces -----------------------------------------------------------------------------------------------------------


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRATIQUE_HOME", str(tmp_path / "home"))
    good = describe(tmp_path / "good", cluster())
    bad = describe(tmp_path / "bad", [*cluster(), binding("ml-deploy", "edit", "ClusterRole", group("system:serviceaccounts"))])
    for root, code, words in ((good, 0, "is admitted"), (bad, 1, "group system:serviceaccounts")):
        arguments = ["check", "isolation", str(root), "--kind", "environment", "-o", 'train_stores=["s3://scratch"]']
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == code and words in done.output


def test_the_severities_and_remedies_on_the_page() -> None:
    rows = table(ROOT / "docs/checks/isolation.md", "rule", "severity", "meaning", "what to do")
    assert [(plain(row[0]), row[1], plain(row[3])) for row in rows] == [
        (name, rule.severity.name.lower(), plain(rule.fix)) for name, rule in RULES.items()
    ]
