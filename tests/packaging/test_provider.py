"""What Airflow says about the installed wheel: it is a provider, and all its operators are there."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import pratique

from .conftest import BIN, run

ASK = """
import inspect, json
from importlib import import_module
from importlib.resources import files
from pkgutil import iter_modules

from airflow.providers_manager import ProvidersManager
from airflow.sdk import BaseOperator
import pratique.operators

known = ProvidersManager().providers["pratique"]
modules = [one.name for one in iter_modules(pratique.operators.__path__, "pratique.operators.")]
print(json.dumps({
    "where": pratique.operators.__file__,
    "version": known.version,
    "info": dict(known.data),
    "public": sorted(pratique.operators.__all__),
    "found": sorted(
        [name, module] for module in modules for name, one in vars(import_module(module)).items()
        if inspect.isclass(one) and issubclass(one, BaseOperator) and one.__module__ == module and not name.startswith("_")
    ),
}))
"""


@pytest.fixture(scope="module")
def asked(python: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """About four seconds: a process with an Airflow of its own."""
    said: dict[str, Any] = json.loads(python(ASK, AIRFLOW_HOME=tmp_path_factory.mktemp("airflow")).splitlines()[-1])
    return said


def test_airflow_lists_the_provider(target: Path, tmp_path: Path) -> None:
    said = run(
        sys.executable, BIN / "airflow", "providers", "list", "-o", "json",
        cwd=tmp_path, PYTHONPATH=target, AIRFLOW_HOME=tmp_path / "airflow",
    )  # fmt: skip
    listed = {one["package_name"]: one for one in json.loads(said[said.index("[{") :])}
    assert listed["pratique"]["version"] == pratique.__version__
    assert "signed evidence" in listed["pratique"]["description"]


def test_airflow_knows_the_provider_as_it_is_installed(asked: Mapping[str, Any], target: Path) -> None:
    assert Path(asked["where"]).is_relative_to(target)
    assert asked["version"] == pratique.__version__
    assert asked["info"]["versions"] == [pratique.__version__] and asked["info"]["package-name"] == "pratique"


def test_every_operator_is_in_a_module_that_the_provider_names(asked: Mapping[str, Any]) -> None:
    """An operator in a module that is not named would work, and be missing from every catalogue."""
    named = {module for part in ("operators", "sensors") for one in asked["info"][part] for module in one["python-modules"]}
    operators = {name: module for name, module in asked["found"] if name != "PratiqueOperator"}
    assert set(operators.values()) == named
    public = [name for name in asked["public"] if name.endswith(("Operator", "Sensor"))]
    assert sorted({*operators} - {"DecoratedGateOperator"}) == public  # that one is `@task.pratique_gate`
    assert {"GateOperator", "PromoteModelOperator", "ScanArtifactOperator"} <= set(operators)


def test_every_integration_that_is_used_is_described(asked: Mapping[str, Any]) -> None:
    described = {one["integration-name"] for one in asked["info"]["integrations"]}
    used = {one["integration-name"] for part in ("operators", "sensors", "triggers", "hooks") for one in asked["info"][part]}
    assert used == described
