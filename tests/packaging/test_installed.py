"""The built wheel, installed into an empty folder: its command, its entry points, its rooms."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pratique

from .conftest import ROOT, run, setup_cfg

POINTS = '''
import json
from importlib.metadata import distribution
ours = distribution("pratique")

def works(loaded):
    """A function or a class; or a module with a cluster policy in it."""
    return callable(loaded) or callable(getattr(loaded, "dag_policy", None))

print(json.dumps({
    "where": str(ours.locate_file("pratique")),
    "points": [[one.group, one.name, one.value, works(one.load())] for one in ours.entry_points],
}))
'''
OF_ITSELF = """
import sys
before = set(sys.modules)
sys.path.insert(0, sys.argv[1])
from pratique.provider import get_provider_info
info = get_provider_info()
print(*sorted(set(sys.modules) - before))
"""


def test_the_command_runs(target: Path, tmp_path: Path) -> None:
    said = run(target / "bin" / "pratique", "--version", cwd=tmp_path, PYTHONPATH=target)
    assert said.strip() == f"pratique, version {pratique.__version__}"


def test_the_code_that_runs_is_the_wheels_and_not_the_working_trees(target: Path, python: Callable[..., str]) -> None:
    """Else these tests would prove nothing about the wheel."""
    names = "pratique, pratique.operators.gates, pratique.components, pratique.example_dags, pratique.checks.artifact"
    where = python(f"import {names}; print(*(one.__file__ for one in ({names})))").split()
    assert len(where) == 5 and all(Path(one).is_relative_to(target) for one in where)


def test_a_policy_is_checked_and_an_artifact_is_judged(target: Path, safe_model: Path, tmp_path: Path) -> None:
    """The command finds the baseline policy and the checks: data files and entry points are where they belong."""
    home = {"PYTHONPATH": target, "PRATIQUE_HOME": tmp_path / "home"}
    command = target / "bin" / "pratique"
    policy = tmp_path / "policy.yaml"
    policy.write_bytes((target / "pratique" / "baseline.yaml").read_bytes())
    assert "in order" in run(command, "policy", "check", policy, cwd=tmp_path, **home)
    admitted = json.loads(run(command, "gate", safe_model, "--format", "json", cwd=tmp_path, **home))
    assert admitted["verdict"] == "admitted" and [one["check"] for one in admitted["evidence"]] == ["artifact"]


def test_every_entry_point_of_setup_cfg_is_installed_and_loads(target: Path, python: Callable[..., str]) -> None:
    found = json.loads(python(POINTS))
    assert Path(found["where"]).is_relative_to(target)
    written = {
        (group, name.strip(), value.strip())
        for group, lines in setup_cfg()["options.entry_points"].items()
        for name, _, value in (line.partition("=") for line in lines.split("\n") if line.strip())
    }
    assert {tuple(one[:3]) for one in found["points"]} == written
    assert all(one[3] for one in found["points"])


def test_the_provider_needs_nothing_at_all(target: Path, tmp_path: Path) -> None:
    """Airflow asks while it is half imported itself: without site-packages, only Python's own modules may be loaded."""
    said = run(sys.executable, "-I", "-S", "-c", OF_ITSELF, target, cwd=tmp_path)
    loaded = set(said.split())
    assert {one for one in loaded if one.partition(".")[0] not in sys.stdlib_module_names} == {"pratique", "pratique.provider"}


def test_type_checkers_are_told_that_there_are_types(target: Path) -> None:
    """PEP 561: the marker must lie in the installed package."""
    assert (target / "pratique" / "py.typed").is_file() and (ROOT / "src" / "pratique" / "py.typed").is_file()
