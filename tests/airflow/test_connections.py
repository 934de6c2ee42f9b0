"""Stores, keys and policies by the name of an Airflow connection."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pratique import provider
from pratique.operators import EvidenceSensor, GateOperator, PromoteModelOperator
from pratique.operators.connecting import SignerHook, StoreHook, TrustHook

from .conftest import World

Execute = Callable[[Any], Any]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def one(name: str, conn_type: str, host: str) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps({"conn_type": conn_type, "host": host}))

    return one


@pytest.fixture
def named(world: World, connect: Callable[..., None]) -> World:
    connect("evidence", "pratique_store", world.params["store"])
    connect("gate", "pratique_signer", world.params["gate_key"])
    connect("promoter", "pratique_signer", world.params["promoter_key"])
    connect("release", "pratique_trust", world.params["policy"])
    return world


@pytest.fixture
def failed() -> type[Exception]:
    from airflow.sdk.exceptions import AirflowFailException

    return AirflowFailException


def gate(world: World, **more: Any) -> GateOperator:
    given = {"artifact": str(world.model), "policy": "conn:release", "store": "conn:evidence", "key": "conn:gate"}
    return GateOperator(task_id="gate", **{**given, **more})


def test_a_pipeline_of_connections_admits_and_promotes(named: World, execute: Execute) -> None:
    subject = execute(gate(named))["subject"]
    assert Path(named.params["store"]).exists()
    promote = PromoteModelOperator(
        task_id="promote", artifact=str(named.model), policy="conn:release", store="conn:evidence", key="conn:promoter",
        destination=named.params["destination"], expect=subject,
    )  # fmt: skip
    assert execute(promote)["verdict"] == "promoted"
    assert EvidenceSensor(task_id="judged", subject=subject, policy="conn:release", store="conn:evidence").poke({}) is True


def test_it_denies_as_well(named: World, execute: Execute, failed: type[Exception]) -> None:
    named.trojan()
    with pytest.raises(failed, match=r"os\.system"):
        execute(gate(named))


@pytest.mark.parametrize(
    "wrong", [{"key": "conn:evidence"}, {"store": "conn:gate"}, {"policy": "conn:nowhere"}, {"store": "conn:"}]
)
def test_a_connection_of_another_type_or_none_decides_nothing(
    named: World, execute: Execute, failed: type[Exception], wrong: dict[str, str]
) -> None:
    with pytest.raises(failed, match="connection"):
        execute(gate(named, **wrong))
    assert not Path(named.params["store"]).exists()


def test_an_empty_connection_is_not_the_default(
    named: World, execute: Execute, failed: type[Exception], connect: Callable[..., None]
) -> None:
    connect("evidence", "pratique_store", "")
    connect("release", "pratique_trust", "")
    for wrong in ({"store": "conn:evidence"}, {"policy": "conn:release"}):
        with pytest.raises(failed, match="the host of the connection"):
            execute(gate(named, **{"store": named.params["store"], "policy": named.params["policy"], **wrong}))


def test_the_button_test_says_what_is_there(named: World, connect: Callable[..., None], tmp_path: Path) -> None:
    assert StoreHook("evidence").test_connection() == (True, f"{named.params['store']} can be read")
    fine, told = SignerHook("gate").test_connection()
    assert fine and told.startswith("signs as sha256:")
    assert TrustHook("release").test_connection()[0] and "trusts gate" in TrustHook("release").test_connection()[1]
    for hook, conn_type in ((SignerHook, "pratique_signer"), (TrustHook, "pratique_trust"), (StoreHook, "pratique_store")):
        connect("wrong", conn_type, "nosuch://x" if hook is StoreHook else str(tmp_path / "nothing"))
        fine, told = hook("wrong").test_connection()
        assert not fine and told


def test_airflow_is_told_of_each_type() -> None:
    for one in provider.get_provider_info()["connection-types"]:
        module, _, name = one["hook-class-name"].rpartition(".")
        hook = getattr(import_module(module), name)
        assert (hook.conn_type, hook.hook_name) == (one["connection-type"], one["hook-name"])
        assert set(hook.get_ui_field_behaviour()) == {"hidden_fields", "relabeling", "placeholders"}
