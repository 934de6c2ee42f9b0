"""What every operator has in common: templates, dependencies through XComs, and parameters that are those of the checks."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import pratique.operators
from pratique import checking
from pratique.operators import CheckOperator, GateOperator, PromoteModelOperator, checks
from pratique.operators.base import PratiqueOperator

NAMES = sorted(name for name in pratique.operators.__all__ if name.endswith("Operator"))
GENERATED = sorted(checks.__all__)


def build(name: str) -> Any:
    """An operator with a word in each of its required parameters."""
    operator = getattr(pratique.operators, name)
    needed = [one.name for one in inspect.signature(operator.__init__).parameters.values() if one.default is one.empty]
    words = {one: one for one in needed if one not in ("self", "kwargs")}
    return operator(task_id="task", **words)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_templated_but_switches(name: str) -> None:
    operator = build(name)
    assert isinstance(operator, PratiqueOperator)
    parameters = set(inspect.signature(type(operator).__init__).parameters) - {"self", "kwargs", "resume", "same_run"}
    asked = set(getattr(operator, "options", {}))
    assert parameters - asked <= {*operator.template_fields, *checks_options(operator)}
    assert all(hasattr(operator, field) for field in operator.template_fields)


def checks_options(operator: Any) -> set[str]:
    if type(operator).__name__ not in GENERATED:
        return set()
    return set(checking.load(operator.check).options.model_fields)


@pytest.mark.parametrize("name", NAMES)
def test_no_parameter_hides_one_of_airflows_own(name: str) -> None:
    from airflow.sdk import BaseOperator

    operator = type(build(name))
    own = set(inspect.signature(operator.__init__).parameters) - {"self", "kwargs"}
    assert not own & set(inspect.signature(BaseOperator.__init__).parameters)
    assert all(own_field not in dir(BaseOperator) for own_field in operator.template_fields)


@pytest.mark.parametrize("name", GENERATED)
def test_an_operators_parameters_are_its_checks_options(name: str) -> None:
    operator = build(name)
    fields = checking.load(operator.check).options.model_fields
    parameters = inspect.signature(type(operator).__init__).parameters
    own = ("self", "artifact", "kind", "deny_at", "enforcement", "store", "key", "kwargs")
    assert set(parameters) - set(own) == set(fields)
    assert {one for one in fields if parameters[one].default is inspect.Parameter.empty} == {
        one for one, field in fields.items() if field.is_required()
    }


def test_every_check_of_ours_has_an_operator() -> None:
    ours = {name for name, point in checking.installed().items() if point.value.startswith("pratique.")}
    assert {build(name).check for name in GENERATED} == ours


def test_an_option_left_out_is_the_checks_own_default() -> None:
    scan: Any = build("ScanArtifactOperator")
    asked = checking.load("artifact").options
    assert asked.model_validate(scan.options) == asked.model_validate({})
    assert CheckOperator(task_id="x", check="artifact", artifact="m", options={"formats": None}).options == {}


def test_templates_are_rendered_also_inside_options() -> None:
    check = CheckOperator(
        task_id="x", check="{{ params.check }}", artifact="{{ params.model }}",
        options={"signers": ["{{ params.folder }}/a.pub"], "most": 5}, kind="{{ params.kind }}", deny_at="{{ params.at }}",
    )  # fmt: skip
    given = {"check": "provenance", "model": "s3://m", "folder": "/keys", "kind": "dataset", "at": "low"}
    check.render_template_fields({"params": given})
    assert (check.check, check.artifact, check.kind, check.deny_at) == ("provenance", "s3://m", "dataset", "low")
    assert check.options == {"signers": ["/keys/a.pub"], "most": 5}


def test_using_a_gates_output_makes_it_a_dependency() -> None:
    from airflow.sdk import DAG

    with DAG("pipeline", schedule=None) as dag:
        gate = GateOperator(task_id="gate", artifact="m")
        check = CheckOperator(task_id="check", check="artifact", artifact=gate.output["path"])
        nested = CheckOperator(task_id="nested", check="artifact", artifact="m", options={"x": [gate.output["path"]]})
        promote = PromoteModelOperator(
            task_id="promote", artifact="m", expect=gate.output["subject"], policy="p", destination="d"
        )
    assert {check.task_id, nested.task_id, promote.task_id} == dag.task_dict["gate"].downstream_task_ids


def test_a_dag_with_our_operators_survives_being_serialized() -> None:
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("pipeline", schedule=None) as dag:
        GateOperator(task_id="gate", artifact="{{ params.model }}") >> PromoteModelOperator(
            task_id="promote", artifact="m", policy="p", destination="d"
        )
    again = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    assert again.get_task("gate").downstream_task_ids == {"promote"}
    assert again.get_task("gate").artifact == "{{ params.model }}"
