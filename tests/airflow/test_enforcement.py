"""`enforcement="audit"`: a gate that only tells. It hides nothing, clears nothing, and promotes nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pratique.artifacts import Subject
from pratique.checking import Severity
from pratique.demonstration.airflow import Airflow
from pratique.operators import CheckOperator, GateOperator, PromoteModelOperator, ScanArtifactOperator
from pratique.signing import KeySigner
from pratique.statements import Clearance, Evidence
from pratique.store import Store
from pratique.vouching import collect

from .conftest import Ti, World

Execute = Callable[[Any], Any]
GUARDED = """
from airflow.sdk import Asset, dag, task

from pratique.operators import GateOperator, PromoteModelOperator

NAMES = ("artifact", "policy", "store", "destination", "gate_key", "promoter_key", "enforcement")


@dag(schedule=None, params=dict.fromkeys(NAMES, ""))
def ratchet():
    given = {name: "{{ params.%s }}" % name for name in ("artifact", "policy", "store")}
    gate = GateOperator(
        task_id="gate", key="{{ params.gate_key }}", enforcement="{{ params.enforcement }}",
        outlets=[Asset("x-model://judged")], **given,
    )

    @task
    def train(base: str) -> bool:
        from pathlib import Path

        return any(Path(base).rglob("*"))

    train(gate.output["path"])
    promote = PromoteModelOperator(
        task_id="promote", destination="{{ params.destination }}", key="{{ params.promoter_key }}",
        outlets=[Asset("x-model://production")], **given,
    )
    gate >> promote


ratchet()
"""


@pytest.fixture
def failed() -> type[Exception]:
    from airflow.sdk.exceptions import AirflowFailException

    return AirflowFailException


def gate(world: World, **more: Any) -> GateOperator:
    given = {name: world.params[name] for name in ("artifact", "policy", "store")}
    return GateOperator(task_id="gate", **{"key": world.params["gate_key"], **given, **more})


def test_an_audit_tells_signs_and_stores_a_denial_and_clears_nothing(
    world: World, execute: Execute, ti: Ti, caplog: pytest.LogCaptureFixture
) -> None:
    world.trojan()
    operator = gate(world, enforcement="audit")
    with caplog.at_level(logging.ERROR):
        pointer = execute(operator)
    assert (pointer["verdict"], pointer["enforcement"], pointer["clearance"]) == ("denied", "audit", "")
    assert "os.system" in pointer["reasons"][0] and pointer["remedy"]
    assert (Path(pointer["path"]) / "model.pkl").exists(), "the pipeline goes on with the copy that was looked at"
    key, subject, store = (
        KeySigner.load(world.key("gate")).trusted(),
        Subject(digest=pointer["subject"]),
        Store(operator.store or ""),
    )
    (seen,) = collect(store, "evidence", subject, [key], Evidence.parse).vouched
    assert seen.statement.report.worst is Severity.CRITICAL and b'"FAILED"' in seen.statement.statement()
    assert not collect(store, "clearances", subject, [key], Clearance.parse).vouched


def test_an_audit_of_an_honest_model_is_an_admission(world: World, execute: Execute) -> None:
    pointer = execute(gate(world, enforcement="audit"))
    assert pointer["verdict"] == "admitted" and pointer["clearance"]


def test_promotion_refuses_what_an_audit_let_pass(world: World, execute: Execute, failed: type[Exception]) -> None:
    world.trojan()
    subject = execute(gate(world, enforcement="audit"))["subject"]
    given = {name: world.params[name] for name in ("artifact", "policy", "store", "destination")}
    with pytest.raises(failed, match=r"os\.system"):
        execute(PromoteModelOperator(task_id="promote", expect=subject, key=world.params["promoter_key"], **given))
    assert not world.promoted


def test_a_promotion_cannot_be_told_to_audit(world: World) -> None:
    given = {name: world.params[name] for name in ("artifact", "policy", "store", "destination")}
    with pytest.raises(TypeError, match="enforcement"):
        PromoteModelOperator(task_id="promote", enforcement="audit", **given)


@pytest.mark.parametrize("word", ["", "Audit", "warn", None, "enforce,audit"])
def test_a_word_that_nobody_knows_is_no_leniency(world: World, execute: Execute, failed: type[Exception], word: Any) -> None:
    with pytest.raises(failed, match="is no enforcement"):
        execute(gate(world, enforcement=word))
    assert not (world.root / "store").exists(), "nothing was looked at"


def test_what_cannot_be_decided_fails_under_audit_too(world: World, execute: Execute) -> None:
    from airflow.sdk.exceptions import AirflowException

    (world.root / "file").write_bytes(b"")
    with pytest.raises(AirflowException, match="cannot write to the store"):
        execute(gate(world, enforcement="audit", store=str(world.root / "file")))
    with pytest.raises(AirflowException, match="cannot read the key"):
        execute(gate(world, enforcement="audit", key=str(world.root / "nothing.key")))


def test_one_check_can_audit_as_well(world: World, execute: Execute, failed: type[Exception]) -> None:
    world.trojan()
    asked = {"artifact": str(world.model), "store": world.params["store"]}
    assert execute(ScanArtifactOperator(task_id="scan", enforcement="audit", **asked))["verdict"] == "denied"
    assert execute(CheckOperator(task_id="c", check="artifact", enforcement="audit", **asked))["verdict"] == "denied"
    with pytest.raises(failed):
        execute(ScanArtifactOperator(task_id="scan", **asked))


def test_in_a_dag_an_audit_stops_nothing_but_promotion(world: World, airflow: Airflow, tmp_path: Path) -> None:
    file = tmp_path / "ratchet.py"
    file.write_text(GUARDED)
    dag = airflow.load(file)
    world.trojan()
    run = airflow.run({**world.params, "enforcement": "audit"}, dag=dag)
    assert run.states == {"gate": "success", "train": "success", "promote": "failed"} and not world.promoted
    assert airflow.xcom("gate")["verdict"] == "denied" and told(airflow, "judged")["verdict"] == "denied"
    run = airflow.run({**world.params, "enforcement": "enforce"}, dag=dag)
    assert run.states == {"gate": "failed", "train": "upstream_failed", "promote": "upstream_failed"}


def test_the_event_of_an_outlet_says_what_was_decided(world: World, airflow: Airflow, tmp_path: Path) -> None:
    file = tmp_path / "ratchet.py"
    file.write_text(GUARDED)
    run = airflow.run({**world.params, "enforcement": "enforce"}, dag=airflow.load(file))
    assert set(run.states.values()) == {"success"}
    gate, promote = airflow.xcom("gate"), airflow.xcom("promote")
    assert {name: told(airflow, "judged")[name] for name in ("subject", "clearance", "verdict")} == {
        "subject": gate["subject"], "clearance": gate["clearance"], "verdict": "admitted",
    }  # fmt: skip
    assert told(airflow, "production") | {"uri": promote["uri"], "sequence": 1} == told(airflow, "production")


def told(airflow: Airflow, name: str) -> dict[str, Any]:
    """What the newest event of an asset carries."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session

    with create_session() as session:
        query = session.query(AssetEvent).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        found = query.filter(AssetModel.uri == f"x-model://{name}").order_by(AssetEvent.id.desc()).first()
        assert found is not None
        extra: dict[str, Any] = found.extra["pratique"]
        return extra
