"""What OpenLineage is told, by its provider's own extractor."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pratique.operators import GateOperator, PromoteModelOperator
from pratique.operators.tracing import lineage

from .conftest import Ti, World

Execute = Callable[[Any], Any]


def told(operator: Any, how: str = "complete") -> dict[str, Any]:
    """As Airflow's provider asks for it and writes it down."""
    from airflow.providers.openlineage.extractors.base import DefaultExtractor
    from openlineage.client.serde import Serde

    found = getattr(DefaultExtractor(operator), f"extract_on_{how}")(Ti())
    inputs, outputs = ([json.loads(Serde.to_json(one)) for one in part] for part in (found.inputs, found.outputs))
    facets = {name: json.loads(Serde.to_json(one)) for name, one in found.run_facets.items()}
    return {"inputs": inputs, "outputs": outputs, "facets": facets}


def gate(world: World, **more: Any) -> GateOperator:
    given = {name: world.params[name] for name in ("artifact", "policy", "store")}
    return GateOperator(task_id="gate", key=world.params["gate_key"], **given, **more)


def test_an_admission_and_a_promotion_are_told(world: World, execute: Execute) -> None:
    operator = gate(world)
    subject = execute(operator)["subject"]
    said = told(operator)
    (test,) = said["facets"]["test"]["tests"]
    assert (test["status"], test["severity"], test["actual"]) == ("pass", "error", subject)
    assert [(one["namespace"], one["name"]) for one in said["inputs"]] == [("file", str(world.model))] and not said["outputs"]
    given = {name: world.params[name] for name in ("artifact", "policy", "store", "destination")}
    promote = PromoteModelOperator(task_id="promote", key=world.params["promoter_key"], **given)
    uri = execute(promote)["uri"]
    said = told(promote)
    assert said["facets"]["test"]["tests"][0]["type"] == "promotion" and said["outputs"][0]["name"] == uri


def test_a_denial_is_told_as_a_failure_and_under_audit_as_a_warning(world: World, execute: Execute) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    world.trojan()
    operator, audit = gate(world), gate(world, enforcement="audit")
    with pytest.raises(AirflowFailException):
        execute(operator)
    (test,) = told(operator, "failure")["facets"]["test"]["tests"]
    assert (test["status"], test["severity"]) == ("fail", "error") and "os.system" in test["description"]
    execute(audit)
    (test,) = told(audit)["facets"]["test"]["tests"]
    assert (test["status"], test["severity"]) == ("fail", "warn")


def test_a_task_that_never_ran_is_no_pass(world: World) -> None:
    (test,) = told(gate(world), "failure")["facets"]["test"]["tests"]
    assert (test["status"], test["description"]) == ("fail", "undecided")


def test_no_password_is_told() -> None:
    found = lineage("s3://key:secret@bucket/models/face", {"uri": "s3://key:secret@production/sha256/0"})
    assert [(one.namespace, one.name) for one in (*found.inputs, *found.outputs)] == [
        ("s3://bucket", "models/face"), ("s3://production", "sha256/0"),
    ]  # fmt: skip
