"""What a DAG file pays for us at every parse, and what Airflow is told about us."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import pytest

import pratique
from pratique import provider

MOST_SECONDS, MOST_MODULES = 0.05, 60
HEAVY = (
    "torch", "great_expectations", "kfp", "sigstore", "model_signing", "pandas", "numpy", "pyarrow", "opacus", "mlflow",
    "sklearn", "kubernetes", "openlineage", "safetensors", "fsspec", "yaml",
)  # fmt: skip
OURS = ("pratique.policies", "pratique.gate", "pratique.signing", "pratique.checking", "pratique.checks", "pratique.reports")

MEASURE = """
import importlib.util, json, sys, time
import airflow.sdk, airflow.sdk.exceptions
before, start = set(sys.modules), time.process_time()
import pratique.operators
for name in pratique.operators.__all__:
    getattr(pratique.operators, name)
seconds, added = time.process_time() - start, sorted(set(sys.modules) - before)
for number, file in enumerate(sys.argv[1:]):
    spec = importlib.util.spec_from_file_location(f"dag_{number}", file)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
print(json.dumps({"seconds": seconds, "added": added, "after_dags": sorted(set(sys.modules) - before)}))
"""


def example_dags() -> list[Path]:
    return sorted(Path(str(one)) for one in files("pratique.example_dags").iterdir() if one.name.endswith(".py"))


@pytest.fixture(scope="module")
def measured() -> dict[str, object]:
    command = [sys.executable, "-c", MEASURE, *map(str, example_dags())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def roots(modules: object) -> set[str]:
    assert isinstance(modules, list)
    return {one.partition(".")[0] for one in modules} | {one for one in modules if one.startswith("pratique.")}


def test_the_operators_cost_a_dag_file_next_to_nothing(measured: dict[str, object]) -> None:
    assert measured["seconds"] <= MOST_SECONDS  # type: ignore[operator]
    assert len(measured["added"]) <= MOST_MODULES  # type: ignore[arg-type]


@pytest.mark.parametrize("when", ["added", "after_dags"])
def test_nothing_heavy_is_imported_before_a_task_runs(measured: dict[str, object], when: str) -> None:
    assert not roots(measured[when]) & {*HEAVY, *OURS}


def test_the_provider_is_described_as_airflow_wants_it() -> None:
    import jsonschema

    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())
    info = provider.get_provider_info()
    jsonschema.validate(info, schema)
    assert info["versions"] == [pratique.__version__] and info["package-name"] == "pratique"
    names = {one["integration-name"] for one in info["integrations"]}
    assert {one["integration-name"] for one in info["operators"]} <= names


def test_the_provider_names_every_module_with_operators() -> None:
    import pratique.operators

    info = provider.get_provider_info()
    named = {module for part in ("operators", "sensors") for one in info[part] for module in one["python-modules"]}
    classes = [
        getattr(pratique.operators, name) for name in pratique.operators.__all__ if name.endswith(("Operator", "Sensor"))
    ]
    assert named == {one.__module__ for one in classes} | {"pratique.operators.decorating"}
    assert all(import_module(one) for one in named)


@pytest.mark.parametrize("part", ["triggers", "notifications", "task-decorators"])
def test_whatever_else_the_provider_names_is_there(part: str) -> None:
    for one in provider.get_provider_info()[part]:
        if isinstance(one, dict) and "python-modules" in one:
            assert all(import_module(module) for module in one["python-modules"])
        else:
            module, _, name = (one["class-name"] if isinstance(one, dict) else one).rpartition(".")
            assert callable(getattr(import_module(module), name))


def test_describing_the_provider_imports_nothing() -> None:
    """Airflow asks while its configuration is half read; importing it from there would be circular."""
    code = "import sys; from pratique.provider import get_provider_info as g; g(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {"airflow", "pydantic", "cryptography", *HEAVY} & loaded
    assert {one for one in loaded if one.startswith("pratique")} == {"pratique", "pratique.provider"}


def test_the_example_dags_guard_what_they_say() -> None:
    from pratique.demonstration.airflow import Airflow

    assert Airflow  # settled by conftest before Airflow is imported
    from airflow.dag_processing.dagbag import DagBag

    found = {}
    for file in example_dags():
        bag = DagBag(dag_folder=str(file), bundle_path=file.parent)
        assert not bag.import_errors
        found.update(bag.dags)
    assert set(found) == {"add_a_gate", "audit_dataset", "deploy_verified", "transfer_learning"}
    dag = found["transfer_learning"]
    after = {task: sorted(dag.task_dict[task].downstream_task_ids) for task in dag.task_dict}
    assert after == {
        "admit_base": ["fine_tune"], "admit_dataset": ["fine_tune"], "fine_tune": ["admit_model", "promote"],
        "admit_model": ["promote"], "promote": [],
    }  # fmt: skip
    assert all(one.trigger_rule.value == "all_success" for one in dag.task_dict.values())
