"""The guard-rails, each off until it is turned on: what they refuse, what they record, and what they leave alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pratique.artifacts import Subject
from pratique.demonstration.airflow import Airflow
from pratique.operators import GateOperator, PromoteModelOperator, overseeing, policing
from pratique.signing import KeySigner
from pratique.statements import Evidence
from pratique.store import Store
from pratique.vouching import collect

from .conftest import World

SAFE, RULES = "all_success", (
    "none_failed", "none_failed_min_one_success", "none_skipped", "one_done", "one_success", "all_done", "always",
    "all_done_min_one_success", "all_skipped", "all_failed", "one_failed",
)  # fmt: skip


def setting(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"AIRFLOW__PRATIQUE__{name.upper()}", value)


# --- no promotion without a gate before it ----------------------------------------------------------------------------------


@pytest.fixture
def dag() -> Iterator[Any]:
    from airflow.sdk import DAG

    with DAG("pipeline", schedule=None) as one:
        yield one


def gate(**more: Any) -> GateOperator:
    return GateOperator(**{"task_id": "gate", "artifact": "m", **more})


def promote(**more: Any) -> PromoteModelOperator:
    return PromoteModelOperator(**{"task_id": "promote", "artifact": "m", "policy": "p", "destination": "d", **more})


def plain(name: str, **more: Any) -> Any:
    from airflow.providers.standard.operators.empty import EmptyOperator

    return EmptyOperator(task_id=name, **more)


def refused(dag: Any) -> list[str]:
    return list(policing.violations(dag))


def test_a_gate_anywhere_before_it_on_a_safe_chain_guards_a_promotion(dag: Any) -> None:
    gate() >> plain("train") >> plain("evaluate") >> promote()
    assert not refused(dag)


def test_a_promotion_without_a_gate(dag: Any) -> None:
    plain("train") >> promote()
    assert refused(dag) == [
        "task 'promote' promotes a model, but no gate that stops stands before it in a chain of all_success"
    ]


@pytest.mark.parametrize("rule", RULES)
def test_a_promotion_that_does_not_wait_for_its_gate(dag: Any, rule: str) -> None:
    gate() >> promote(trigger_rule=rule)
    (why,) = refused(dag)
    assert f"the trigger rule {rule}" in why


@pytest.mark.parametrize("rule", RULES)
def test_a_gate_that_is_only_reached_by_way_of_a_task_that_does_not_wait(dag: Any, rule: str) -> None:
    gate() >> plain("clean_up", trigger_rule=rule) >> promote()
    assert len(refused(dag)) == 1


def test_a_second_chain_without_a_gate_changes_nothing_and_a_gate_beside_it_neither(dag: Any) -> None:
    done = promote()
    [gate() >> plain("train"), plain("fetch")] >> done
    beside = promote(task_id="beside")
    plain("other") >> beside
    assert [one.split("'")[1] for one in refused(dag)] == ["beside"]


@pytest.mark.parametrize("word", ["audit", "{{ var.value.enforcement }}", ""])
def test_a_gate_that_may_only_tell_guards_nothing(dag: Any, word: str) -> None:
    gate(enforcement=word) >> promote()
    assert len(refused(dag)) == 1


def test_a_gate_that_is_a_teardown_guards_nothing(dag: Any) -> None:
    gate().as_teardown() >> promote()
    assert len(refused(dag)) == 1


def test_mapped_gates_and_promotions_are_seen(dag: Any) -> None:
    mapped = GateOperator.partial(task_id="gate").expand(artifact=["a", "b"])
    given = {"policy": "p", "destination": "d"}
    mapped >> PromoteModelOperator.partial(task_id="guarded", **given).expand(artifact=["a", "b"])
    PromoteModelOperator.partial(task_id="bare", **given).expand(artifact=["a", "b"])
    audit = GateOperator.partial(task_id="audit", artifact="a").expand(enforcement=["enforce", "audit"])
    audit >> promote(task_id="behind")
    assert [one.split("'")[1] for one in refused(dag)] == ["bare", "behind"]


def test_a_deployment_of_what_another_dag_has_judged_verifies_by_itself(dag: Any) -> None:
    from airflow.sdk import Asset

    promote(same_run=False) >> plain("roll_out", outlets=[Asset("s3://models/face")])
    assert not refused(dag)


def test_an_asset_of_production_comes_only_from_guarded_tasks(dag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk import Asset

    one = plain("upload", outlets=[Asset("s3://models/face")])
    assert not refused(dag)
    setting(monkeypatch, production_assets="x-prod, s3://models/*")
    assert len(refused(dag)) == 1
    gate() >> one
    assert not refused(dag)
    plain("named", outlets=[Asset(name="x-prod", uri="s3://elsewhere")])
    plain("scratch", outlets=[Asset("s3://scratch/face")])
    assert [one.split("'")[1] for one in refused(dag)] == ["named"]


def test_other_peoples_operators_that_promote_can_be_named(dag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, promotion_operators="acme.Deploy, EmptyOperator")
    plain("deploy")
    assert refused(dag) == [
        "task 'deploy' is a EmptyOperator, but no gate that stops stands before it in a chain of all_success"
    ]


UNGUARDED = """
from airflow.sdk import DAG
from pratique.operators import PromoteModelOperator

with DAG("unguarded", schedule=None):
    PromoteModelOperator(task_id="promote", artifact="m", policy="p", destination="d")
"""


@pytest.mark.usefixtures("airflow")
def test_airflow_itself_refuses_the_file_once_it_is_turned_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "unguarded.py"
    file.write_text(UNGUARDED)
    assert not errors_of(file), "off by default"
    setting(monkeypatch, require_gates="True")
    assert "task 'promote' promotes a model" in errors_of(file)
    file.write_text(UNGUARDED.replace("    Promote", "    GateOp(task_id='g', artifact='m') >> Promote").replace(
        "import PromoteModelOperator", "import PromoteModelOperator, GateOperator as GateOp"
    ))  # fmt: skip
    assert not errors_of(file)
    setting(monkeypatch, require_gates="perhaps")
    assert "require_gates" in errors_of(file), "a word that is neither is not taken for `off`"


@pytest.mark.usefixtures("airflow")
def test_the_example_dags_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.resources import files

    setting(monkeypatch, require_gates="True")
    for one in files("pratique.example_dags").iterdir():
        if one.name.endswith(".py"):
            assert not errors_of(Path(str(one)))


def errors_of(file: Path) -> str:
    from airflow.dag_processing.dagbag import DagBag

    return "\n".join(DagBag(dag_folder=str(file), bundle_path=file.parent).import_errors.values())


# --- nobody edits a gate by hand --------------------------------------------------------------------------------------------

SMALL = """
from airflow.sdk import dag, task, task_group

from pratique.operators import GateOperator

@dag(schedule=None, params=dict.fromkeys(("artifact", "policy", "store", "gate_key"), ""))
def small():
    given = {name: "{{ params.%s }}" % name for name in ("artifact", "policy", "store")}

    @task_group
    def inner():
        GateOperator(task_id="gate", key="{{ params.gate_key }}", **given)

    @task
    def other():
        return 1

    inner() >> other()


small()
"""
Ask = Callable[..., Any]


async def anything_goes(scope: Any, receive: Any, send: Any) -> None:
    """An API that takes everything."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": (await receive()).get("body", b"") or b"taken"})


@pytest.fixture
def guarded() -> Any:
    """The middleware, before an API that takes everything."""
    from starlette.testclient import TestClient

    from pratique.operators.protecting import GateGuard

    return TestClient(GateGuard(anything_goes))


@pytest.fixture(scope="module")
def api(airflow: Airflow) -> Any:
    """Airflow's own API application without and with the middleware, and somebody who may do everything. It is dear."""
    from airflow.api_fastapi.app import create_app
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.security import get_user
    from starlette.testclient import TestClient

    from pratique.operators.protecting import GateGuard

    app = create_app(apps="core")
    app.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(username="boss", role="admin")
    return TestClient(app), TestClient(GateGuard(app))


@pytest.fixture
def failed_run(airflow: Airflow, world: World, tmp_path: Path) -> str:
    """A run whose gate failed, as the API names it."""
    file = tmp_path / "small.py"
    file.write_text(SMALL)
    world.trojan()
    run = airflow.run(world.params, dag=airflow.load(file))
    assert run.states == {"inner.gate": "failed", "other": "upstream_failed"}
    return f"/api/v2/dags/small/dagRuns/{airflow.run_id.partition('/')[2]}"


def bulk(**entity: Any) -> dict[str, Any]:
    return {"actions": [{"action": "update", "entities": [entity]}]}


def edits(run: str) -> list[tuple[str, str, Any]]:
    """Every way by which the API lets somebody say that the gate said yes."""
    gate = f"{run}/taskInstances/inner.gate"
    forged, done = {"value": {"verdict": "admitted"}, "map_index": -1}, {"new_state": "success"}
    run_id = run.rpartition("/")[2]
    everywhere = {"dag_id": "small", "dag_run_id": run_id, "task_id": "inner.gate"}
    return [
        ("PATCH", gate, done),
        ("PATCH", f"{gate}/-1", done),
        ("PATCH", f"{gate}?update_mask=new_state", {**done, "note": "trust me"}),
        ("PATCH", gate, {"new_state": "skipped"}),
        ("PATCH", f"{run}/taskGroupInstances/inner", done),
        ("PATCH", f"{run}/taskInstances", bulk(task_id="inner.gate", **done)),
        ("PATCH", "/api/v2/dags/~/dagRuns/~/taskInstances", bulk(**everywhere, **done)),
        ("PATCH", f"{gate}/xcomEntries/return_value", forged),
        ("POST", f"{gate}/xcomEntries", {"key": "path", **forged}),
        ("DELETE", f"{gate}/xcomEntries/return_value", None),
        ("PATCH", run, {"state": "success"}),
        ("PATCH", run.rpartition("/")[0], bulk(dag_run_id=run_id, state="success")),
        ("DELETE", gate, None),
    ]  # fmt: skip


def passing(run: str) -> list[tuple[str, str, Any]]:
    """What is nobody's business."""
    return [
        ("GET", f"{run}/taskInstances/inner.gate", None),
        ("PATCH", f"{run}/taskInstances/inner.gate", {"note": "who broke this?"}),
        ("PATCH", f"{run}/taskInstances/inner.gate/-1", {"note": "who broke this?"}),
        ("PATCH", f"{run}/taskInstances/inner.gate/dry_run", {"new_state": "success"}),
        ("PATCH", f"{run}/taskInstances/other", {"new_state": "success"}),
        ("PATCH", f"{run}/taskInstances", bulk(task_id="other", new_state="failed")),
        ("POST", f"{run}/taskInstances/other/xcomEntries", {"key": "k", "value": 1, "map_index": -1}),
        ("PATCH", run, {"note": "mine"}),
        ("POST", f"{run.rpartition('/dagRuns')[0]}/clearTaskInstances", {"dry_run": True, "task_ids": ["inner.gate"]}),
        ("PATCH", run, {"state": "failed"}),
    ]


def test_every_edit_of_a_gate_is_refused(guarded: Any, failed_run: str) -> None:
    deleted = {"actions": [{"action": "delete", "entities": ["inner.gate"]}]}
    for method, path, body in [*edits(failed_run), ("PATCH", f"{failed_run}/taskInstances", deleted)]:
        answer = guarded.request(method, path, json=body)
        assert answer.status_code == 403 and "guarded by pratique" in answer.json()["detail"], (method, path, answer.text)


def test_everything_else_passes(guarded: Any, failed_run: str) -> None:
    for method, path, body in passing(failed_run):
        answer = guarded.request(method, path, json=body)
        assert answer.status_code == 200 and answer.text == (json.dumps(body, separators=(",", ":")) if body else "taken")


@pytest.mark.slow
def test_a_real_api_server_changes_nothing_that_is_refused(api: Any, failed_run: str, airflow: Airflow) -> None:
    _, real = api
    before = airflow.xcom("inner.gate")
    for method, path, body in edits(failed_run):
        assert real.request(method, path, json=body).status_code == 403, (method, path)
    assert state(real, failed_run) == "failed" and airflow.xcom("inner.gate") == before
    for method, path, body in passing(failed_run):
        answer = real.request(method, path, json=body)
        assert answer.status_code < 300, (method, path, answer.text)


@pytest.mark.slow
def test_without_the_guard_airflow_takes_every_edit(api: Any, failed_run: str) -> None:
    """Or the tests above would show nothing: each is a request that Airflow understands."""
    bare, _ = api
    for method, path, body in edits(failed_run):
        if state(bare, failed_run) != "failed":
            bare.patch(f"{failed_run}/taskInstances/inner.gate", json={"new_state": "failed"})
        answer = bare.request(method, path, json=body)
        assert answer.status_code < 300 and '"errors":[{' not in answer.text, (method, path, answer.text)
        if body == {"new_state": "success"}:
            assert state(bare, failed_run) == "success"


@pytest.mark.parametrize("key", ["a%0Ab", "x/dry_run", "x/hitlDetails", "%2e%2e"])
def test_no_key_of_an_xcom_slips_past(guarded: Any, failed_run: str, key: str) -> None:
    answer = guarded.patch(f"{failed_run}/taskInstances/inner.gate/xcomEntries/{key}", json={"value": 1})
    assert answer.status_code == 403


@pytest.mark.parametrize("body", [b"", b"{", b'{"note": "harmless"}', b'"\\ud800"', b"\xff", b"[]", b"null"])
@pytest.mark.parametrize("method", ["PATCH", "POST", "PUT", "DELETE"])
def test_no_body_makes_a_change_harmless(guarded: Any, failed_run: str, method: str, body: bytes) -> None:
    gate = f"{failed_run}/taskInstances/inner.gate"
    for path in (gate, f"{gate}/-1", f"{gate}/xcomEntries/path"):
        if method == "PATCH" and b"harmless" in body and not path.endswith("path"):
            continue  # a note
        assert guarded.request(method, path, content=body).status_code == 403


def test_what_is_too_long_to_look_at_is_refused(guarded: Any, failed_run: str) -> None:
    answer = guarded.patch(f"{failed_run}/taskInstances/other", content=b'{"note": "' + b"x" * (5 << 20) + b'"}')
    assert answer.status_code == 403 and "too long" in answer.text


def state(client: Any, run: str) -> str:
    return str(client.get(f"{run}/taskInstances/inner.gate").json()["state"])


# --- who overrides a gate leaves a trace ------------------------------------------------------------------------------------


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch, world: World) -> Iterator[None]:
    """Airflow's listeners, with ours among them."""
    from airflow.listeners.listener import get_listener_manager

    setting(monkeypatch, override_key=str(world.key("mallory")), override_store=world.params["store"])
    manager = get_listener_manager()
    manager.add_listener(overseeing)
    yield
    manager.pm.unregister(overseeing)


@pytest.mark.slow
@pytest.mark.usefixtures("listening")
def test_a_manual_override_is_signed_evidence(api: Any, failed_run: str, airflow: Airflow, world: World) -> None:
    bare, _ = api
    subject = airflow.xcom("inner.gate")["subject"]
    assert bare.patch(f"{failed_run}/taskInstances/inner.gate", json={"new_state": "success"}).status_code == 200
    run = overseeing.subject_of_run("small", failed_run.rpartition("/")[2])
    key = KeySigner.load(world.key("mallory")).trusted()
    for about in (run, Subject(digest=subject)):
        (one,) = collect(Store(world.params["store"]), "evidence", about, [key], Evidence.parse).vouched
        (finding,) = one.statement.report.findings
        assert (one.statement.check, finding.rule, one.statement.run_id) == ("override", "manual-override", airflow.run_id)
        assert "the user boss set the task inner.gate" in finding.message and "it was denied" in finding.message


@pytest.mark.slow
@pytest.mark.usefixtures("listening")
def test_what_runs_and_what_is_none_of_ours_is_no_override(api: Any, failed_run: str, world: World) -> None:
    bare, _ = api
    assert bare.patch(f"{failed_run}/taskInstances/other", json={"new_state": "success"}).status_code == 200
    assert not list(Path(world.params["store"]).rglob("override"))


@pytest.mark.parametrize("state", ["success", "skipped", "failed"])
def test_airflows_word_that_nobody_ran_it_is_recorded(
    failed_run: str, airflow: Airflow, world: World, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """The same without a server: the listener itself, with the task as the database has it."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    setting(monkeypatch, override_key=str(world.key("mallory")), override_store=world.params["store"])
    error = {"error": None} if state == "failed" else {}
    with create_session() as session:
        run_id = failed_run.rpartition("/")[2]
        ti = session.query(TaskInstance).filter_by(dag_id="small", run_id=run_id, task_id="inner.gate").one()
        getattr(overseeing, f"on_task_instance_{state}")(previous_state="running", task_instance=ti, **error)
        assert not list(Path(world.params["store"]).rglob("override")), "it ran, so nobody overrode it"
        getattr(overseeing, f"on_task_instance_{state}")(previous_state=None, task_instance=ti, **error)
    key = KeySigner.load(world.key("mallory")).trusted()
    about = Subject(digest=airflow.xcom("inner.gate")["subject"])
    (one,) = collect(Store(world.params["store"]), "evidence", about, [key], Evidence.parse).vouched
    assert f"to {state} by hand" in one.statement.report.findings[0].message


# --- all of it is off -------------------------------------------------------------------------------------------------------


def test_nothing_is_added_to_airflow_unless_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    from pratique.operators import plugin

    assert not plugin.PratiquePlugin.listeners and not plugin.PratiquePlugin.fastapi_root_middlewares
    setting(monkeypatch, protect_gates="True", record_overrides="True")
    assert plugin._listeners() == [overseeing] and len(plugin._middlewares()) == 1


def test_the_settings_are_described_as_they_are_read() -> None:
    """Every name that the code reads, and no other, with its default."""
    import re

    from pratique import operators
    from pratique.provider import get_provider_info

    folder = Path(str(operators.__file__)).parent
    source = "\n".join(path.read_text() for path in folder.glob("*.py"))
    read = set(re.findall(r'guarding\.(?:switched_on|listed|text)\("(\w+)"\)|(?<![\w.])listed\("(\w+)"\)', source))
    options = get_provider_info()["config"]["pratique"]["options"]
    assert {a or b for a, b in read} == set(options)
    assert json.dumps(options)
