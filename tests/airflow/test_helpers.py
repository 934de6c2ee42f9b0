"""What makes gates easy to add: the decorator, the group, the sensor, the notice. None of them opens a door."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pratique.demonstration.airflow import Airflow
from pratique.operators import BlockedGateNotifier, EvidenceSensor, GateOperator

from .conftest import Ti, World

Execute = Callable[[Any], Any]
HELPED = """
from airflow.sdk import dag, task

from pratique.operators import BlockedGateNotifier, guarded_promotion

NAMES = ("artifact", "policy", "store", "destination", "gate_key", "promoter_key", "webhook")


@dag(
    schedule=None, params=dict.fromkeys(NAMES, ""),
    default_args={"on_failure_callback": BlockedGateNotifier(url="{{ params.webhook }}")},
)
def helped():
    @task.pratique_gate(policy="{{ params.policy }}", store="{{ params.store }}", key="{{ params.gate_key }}")
    def admit(folder: str, params: dict) -> str:
        if params["webhook"] == "skip":
            from airflow.sdk.exceptions import AirflowSkipException

            raise AirflowSkipException("nothing to see here")
        return f"{folder}/model"

    @task
    def train(base: str) -> str:
        return base

    trained = train(admit("{{ params.artifact }}/..")["path"])
    guarded_promotion(
        artifact=trained, policy="{{ params.policy }}", destination="{{ params.destination }}",
        store="{{ params.store }}", gate_key="{{ params.gate_key }}", promoter_key="{{ params.promoter_key }}",
    )


helped()
"""


class Hook(BaseHTTPRequestHandler):
    """A webhook that keeps what it is sent."""

    heard: ClassVar[list[dict[str, Any]]] = []
    answer = 200

    def do_POST(self) -> None:
        self.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.answer)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def webhook() -> Iterator[tuple[str, type[Hook]]]:
    hook = type("Heard", (Hook,), {"heard": []})
    server = HTTPServer(("127.0.0.1", 0), hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/T0/secret", hook
    server.shutdown()


@pytest.fixture
def play(airflow: Airflow, world: World, tmp_path: Path) -> Callable[..., Any]:
    file = tmp_path / "helped.py"
    file.write_text(HELPED)
    return lambda **params: airflow.run({**world.params, **params}, dag=airflow.load(file))


# --- the decorator, and the group -----------------------------------------------------------------------------------------


def test_a_decorated_gate_and_a_guarded_promotion_let_an_honest_model_through(
    play: Callable[..., Any], world: World, airflow: Airflow
) -> None:
    run = play()
    tasks = ("admit", "train", "guarded_promotion.gate", "guarded_promotion.promote")
    assert run.states == dict.fromkeys(tasks, "success"), run.reasons
    assert airflow.xcom("train") == airflow.xcom("admit")["path"] != str(world.model)
    assert len(world.promoted) == 2


def test_a_decorated_gate_stops_a_trojan_and_says_so_at_once(
    play: Callable[..., Any], world: World, webhook: tuple[str, type[Hook]]
) -> None:
    world.trojan()
    url, hook = webhook
    run = play(webhook=url)
    assert run.states["admit"] == "failed" and not world.promoted
    assert {run.states[one] for one in run.states if one != "admit"} == {"upstream_failed"}
    (notice,) = hook.heard
    assert (notice["dag_id"], notice["task_id"], notice["verdict"]) == ("helped", "admit", "denied")
    assert "os.system" in notice["text"] and "Remedy: " in notice["text"] and notice["subject"].startswith("sha256:")


def test_a_function_that_skips_does_not_skip_its_gate(play: Callable[..., Any], world: World, airflow: Airflow) -> None:
    run = play(webhook="skip")
    assert run.states["admit"] == "failed" and "nothing to see here" in run.reasons["admit"][0]
    assert airflow.xcom("admit")["verdict"] == "undecided" and not world.promoted


def test_a_model_swapped_within_a_guarded_promotion_is_not_promoted(airflow: Airflow, world: World, tmp_path: Path) -> None:
    file = tmp_path / "helped.py"
    file.write_text(
        HELPED.replace("artifact=trained", 'artifact="{{ params.artifact }}"').replace("helped", "helped_elsewhere")
    )
    run = airflow.run(world.params, {"guarded_promotion.gate": lambda: world.deliver(666.0)}, dag=airflow.load(file))
    assert run.states["guarded_promotion.promote"] == "failed" and not world.promoted


# --- the sensor -----------------------------------------------------------------------------------------------------------


def gate(world: World, execute: Execute) -> str:
    given = {name: world.params[name] for name in ("artifact", "policy", "store")}
    return str(execute(GateOperator(task_id="gate", key=world.params["gate_key"], enforcement="audit", **given))["subject"])


def sensor(world: World, subject: str, **more: Any) -> EvidenceSensor:
    asked = {"subject": subject, "policy": world.params["policy"], "store": world.params["store"], "poke_interval": 0.01}
    return EvidenceSensor(task_id="judged", **{**asked, **more})


def test_the_sensor_waits_for_evidence_and_is_satisfied_by_it(world: World, execute: Execute) -> None:
    subject = gate(world, execute)
    shutil.move(world.params["store"], world.root / "kept")
    waiting = sensor(world, subject)
    assert waiting.poke({}) is False
    shutil.move(world.root / "kept", world.params["store"])
    assert waiting.poke({}) is True


def test_the_sensor_fails_when_its_time_is_over(world: World, execute: Execute) -> None:
    from airflow.sdk.exceptions import AirflowSensorTimeout

    with pytest.raises(AirflowSensorTimeout):
        execute(sensor(world, f"sha256:{'0' * 64}", timeout=0.02))


def test_the_sensor_does_not_wait_for_better_evidence_than_a_denial(
    world: World, execute: Execute, failed: type[Exception]
) -> None:
    world.trojan()
    with pytest.raises(failed, match=r"os\.system"):
        execute(sensor(world, gate(world, execute)))


@pytest.fixture
def failed() -> type[Exception]:
    from airflow.sdk.exceptions import AirflowFailException

    return AirflowFailException


@pytest.mark.parametrize(
    "asked", [{"subject": ""}, {"subject": "sha256:no"}, {"policy": ""}, {"policy": "baseline"}, {"run_id": ""}]
)
def test_a_sensor_that_asks_nothing_is_not_satisfied(
    world: World, execute: Execute, failed: type[Exception], asked: dict[str, str]
) -> None:
    with pytest.raises(failed):
        execute(sensor(world, **{"subject": gate(world, execute), **asked}))


def test_another_runs_evidence_is_not_this_runs(world: World, execute: Execute) -> None:
    subject = gate(world, execute)
    assert sensor(world, subject, run_id="pipeline/manual__1").poke({}) is True
    assert sensor(world, subject, run_id="pipeline/manual__2").poke({}) is False


@pytest.mark.parametrize("soft", ["soft_fail", "never_fail"])
def test_a_sensor_cannot_be_made_to_skip(world: World, soft: str) -> None:
    with pytest.raises(ValueError, match="leave it out"):
        sensor(world, "sha256:x", **{soft: True})


def test_a_deferred_sensor_verifies_again_whatever_the_trigger_says(world: World, execute: Execute) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    subject = gate(world, execute)
    shutil.move(world.params["store"], world.root / "kept")
    waiting = sensor(world, subject, deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute({"ti": Ti()})
    with pytest.raises(TaskDeferred):
        waiting.looked({"ti": Ti()}, {"verdict": "admitted"})  # an event that somebody wrote into the database
    assert deferred.value.method_name == "looked"
    name, arguments = deferred.value.trigger.serialize()
    trigger = again(name, json.loads(json.dumps(arguments)))
    shutil.move(world.root / "kept", world.params["store"])
    assert asyncio.run(first(trigger)) == {"verdict": "admitted"}
    assert waiting.looked({"ti": Ti()}, {"verdict": "admitted"})["subject"] == subject


def test_a_trigger_does_not_wait_for_ever_for_a_denied_model(world: World, execute: Execute) -> None:
    world.trojan()
    asked = {"subject": gate(world, execute), "policy": world.params["policy"], "store": world.params["store"]}
    name = "pratique.operators.triggers.EvidenceTrigger"
    assert asyncio.run(first(again(name, {**asked, "run_id": "", "every": 0.01}))) == {"verdict": "denied"}
    wrong = {**asked, "policy": "nowhere.yaml", "run_id": "", "every": 0.01}
    assert asyncio.run(first(again(name, wrong))) == {"verdict": "undecided"}


def again(name: str, arguments: dict[str, Any]) -> Any:
    """A trigger as the triggerer makes it of what lies in the database."""
    from importlib import import_module

    module, _, which = name.rpartition(".")
    return getattr(import_module(module), which)(**arguments)


async def first(trigger: Any) -> Any:
    async for event in trigger.run():
        return event.payload
    return None


# --- the notice -----------------------------------------------------------------------------------------------------------


class Told(Ti):
    """A task instance whose XComs can be read."""

    task_id = "gate"
    map_index = -1

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int) -> Any:
        return self.xcoms.get(key)


def test_a_notice_is_about_our_tasks_only(world: World, webhook: tuple[str, type[Hook]]) -> None:
    from airflow.sdk import BaseOperator

    url, hook = webhook
    notify = BlockedGateNotifier(url=url)
    notify.notify({"ti": Told(), "task": BaseOperator(task_id="other")})
    assert not hook.heard
    notify.notify({"ti": Told(), "task": GateOperator(task_id="gate", artifact="m")})
    assert [one["text"] for one in hook.heard] == ["pipeline.gate: failed"]


def test_a_webhook_that_fails_is_told_without_its_url(webhook: tuple[str, type[Hook]]) -> None:
    from pratique.errors import Error

    url, hook = webhook
    context = {"ti": Told(), "task": GateOperator(task_id="gate", artifact="m")}
    hook.answer = 500
    for wrong in (url, "http://127.0.0.1:9/T0/secret", "file:///etc/passwd", ""):
        with pytest.raises(Error) as caught:
            BlockedGateNotifier(url=wrong).notify(context)
        assert "secret" not in str(caught.value) and caught.value.__cause__ is None
