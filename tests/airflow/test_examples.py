"""The example DAGs that start from a promotion or from a calendar, played."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from pratique.demonstration.airflow import Airflow, Run
from pratique.operators import GateOperator, PromoteModelOperator

from .conftest import World


@pytest.fixture
def deploy(airflow: Airflow, world: World, execute: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> Callable[[], Run]:
    """Promote an honest model; returns what deploys it."""
    given = {name: world.params[name] for name in ("artifact", "policy", "store")}
    execute(GateOperator(task_id="gate", key=world.params["gate_key"], **given))
    door = {**given, "destination": world.params["destination"], "key": world.params["promoter_key"]}
    execute(PromoteModelOperator(task_id="promote", **door))
    public = world.root / "keys" / "promoter.pub"
    monkeypatch.setenv("AIRFLOW_VAR_PRATIQUE_DESTINATION", world.params["destination"])
    monkeypatch.setenv("AIRFLOW_VAR_PRATIQUE_PROMOTER", str(public))
    dag = airflow.load(Path(str(files("pratique.example_dags") / "deploy_verified.py")))
    return lambda: airflow.run({}, dag=dag)


def test_a_deployment_loads_what_was_promoted(deploy: Callable[[], Run], airflow: Airflow) -> None:
    assert deploy().states == {"fetch": "success", "serve": "success"}
    assert airflow.xcom("serve") == ["model.safetensors"]


def test_a_deployment_refuses_bytes_that_were_changed_in_production(deploy: Callable[[], Run], world: World) -> None:
    (folder,) = world.production.glob("sha256/*")
    folder.chmod(0o755)
    (folder / "model.pkl").write_bytes(b"cos\nsystem\n(S'echo gotcha'\ntR.")
    run = deploy()
    assert run.states["fetch"] == "failed" and run.states["serve"] == "upstream_failed"


def test_a_deployment_refuses_a_pointer_by_somebody_else(deploy: Callable[[], Run], world: World) -> None:
    shutil.copy(world.root / "keys" / "mallory.pub", world.root / "keys" / "promoter.pub")
    run = deploy()
    assert run.states["fetch"] == "failed" and run.states["serve"] == "upstream_failed"
