"""`AuditOperator`: a promotion was right when it was made; this asks whether it still is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pratique.operators import AuditOperator, GateOperator, PromoteModelOperator

from .conftest import Ti, World

Execute = Callable[[Any], Any]


@pytest.fixture
def promoted(world: World, execute: Execute) -> str:
    """An honest model in production."""
    given = {name: world.params[name] for name in ("artifact", "policy", "store")}
    execute(GateOperator(task_id="gate", key=world.params["gate_key"], **given))
    door = {**given, "destination": world.params["destination"], "key": world.params["promoter_key"]}
    return str(execute(PromoteModelOperator(task_id="promote", **door))["subject"])


def audit(world: World, **more: Any) -> AuditOperator:
    given = {name: world.params[name] for name in ("policy", "store", "destination")}
    trust = [str(world.root / "keys" / "promoter.pub")]
    return AuditOperator(task_id="audit", **{**given, "trust": trust, **more})


@pytest.fixture
def failed() -> type[Exception]:
    from airflow.sdk.exceptions import AirflowFailException

    return AirflowFailException


def test_what_is_in_order_is_sound(world: World, execute: Execute, promoted: str) -> None:
    pointer = execute(audit(world))
    assert (pointer["verdict"], pointer["channels"]) == ("sound", {"production": "holds"})
    assert execute(audit(world, renew_key=world.params["promoter_key"]))["channels"] == {"production": "renewed"}


def test_swapped_bytes_fail_it(world: World, execute: Execute, promoted: str, ti: Ti, failed: type[Exception]) -> None:
    folder = world.production / "sha256" / promoted.removeprefix("sha256:")
    folder.chmod(0o755)
    (folder / "model.pkl").write_bytes(b"cos\nsystem\n(S'echo gotcha'\ntR.")
    with pytest.raises(failed, match="production changed"):
        execute(audit(world))
    assert ti.xcoms["return_value"]["verdict"] == "denied" and len(json.dumps(ti.xcoms["return_value"])) < 2048


def test_what_was_revoked_since_fails_it_and_is_not_renewed(
    world: World, execute: Execute, promoted: str, failed: type[Exception]
) -> None:
    policy = world.root / "policies" / "release.yaml"
    policy.write_text(policy.read_text() + f"revoked:\n- {{digest: '{promoted}', reason: poisoned}}\n")
    with pytest.raises(failed, match="revoked"):
        execute(audit(world, renew_key=world.params["promoter_key"]))


def test_a_promotion_by_somebody_else_fails_it(world: World, execute: Execute, promoted: str, failed: type[Exception]) -> None:
    with pytest.raises(failed, match="production void"):
        execute(audit(world, trust=[str(world.root / "keys" / "mallory.pub")]))


def test_without_evidence_it_denies_unless_a_gate_looks_again(
    world: World, execute: Execute, promoted: str, failed: type[Exception]
) -> None:
    fresh = str(world.root / "fresh")
    with pytest.raises(failed, match="there is no evidence"):
        execute(audit(world, store=fresh))
    assert execute(audit(world, store=fresh, key=world.params["gate_key"]))["verdict"] == "sound"


@pytest.mark.parametrize("wrong", [{"trust": []}, {"trust": ""}, {"trust": [""]}, {"policy": "baseline"}, {"destination": ""}])
def test_an_audit_of_nothing_is_not_sound(
    world: World, execute: Execute, promoted: str, failed: type[Exception], wrong: dict[str, Any]
) -> None:
    with pytest.raises(failed):
        execute(audit(world, **wrong))


def test_a_destination_without_channels_is_not_sound(world: World, execute: Execute, failed: type[Exception]) -> None:
    (world.root / "empty").mkdir()
    with pytest.raises(failed, match="nothing was ever promoted"):
        execute(audit(world, destination=str(world.root / "empty")))


def test_a_channel_that_is_missing_is_tried_again_and_then_fails(world: World, execute: Execute, promoted: str) -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    with pytest.raises(AirflowException, match="staging unknown") as caught:
        execute(audit(world, channels=["staging"]))
    assert not isinstance(caught.value, AirflowFailException)
