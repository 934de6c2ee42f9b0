"""Installing into an empty virtual environment, as a user does. What is missing from the metadata shows only there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import BIN, ROOT, Built, environment, install, run

pytestmark = pytest.mark.slow

ABSENT = """
from importlib.util import find_spec
print(*[name for name in {names!r} if find_spec(name)])
"""
OPERATE = """
from pratique.operators import GateOperator

class Ti:
    dag_id, run_id, xcoms = "pipeline", "manual__1", {{}}
    def xcom_push(self, key, value):
        self.xcoms[key] = value

pointer = GateOperator(task_id="admit_base", artifact={model!r}).execute({{"ti": Ti()}})
print(pointer["verdict"], Ti.xcoms["path"] == pointer["path"] != "")
"""
PICKLE = b"cos\nsystem\n(S'echo gotcha'\ntR."


def empty(folder: Path) -> Path:
    """An empty virtual environment; returns its Python."""
    uv = BIN / "uv"
    command = [uv, "venv", "-q", "--python", sys.executable] if uv.exists() else [sys.executable, "-m", "venv"]
    run(*command, folder, cwd=folder.parent)
    return folder / "bin" / "python"


def there(python: Path, *names: str, cwd: Path) -> list[str]:
    return run(python, "-c", ABSENT.format(names=names), cwd=cwd).split()


def test_the_core_alone_judges_a_model(built: Built, safe_model: Path, tmp_path: Path) -> None:
    """`pip install .`: no Airflow, no KFP, no torch, no numpy; the gate works, and still says no."""
    python = empty(tmp_path / "venv")
    install(python, "--constraint", ROOT / "constraints.txt", built.source, cwd=tmp_path)
    heavy = ("airflow", "kfp", "torch", "great_expectations", "pandas", "numpy", "pyarrow", "sklearn")
    assert there(python, *heavy, cwd=tmp_path) == []
    pratique, home = tmp_path / "venv" / "bin" / "pratique", {"PRATIQUE_HOME": tmp_path / "home"}
    assert "is admitted" in run(pratique, "gate", safe_model, cwd=tmp_path, **home)

    (safe_model / "model.pkl").write_bytes(PICKLE)
    denied = subprocess.run(
        [pratique, "gate", safe_model], cwd=tmp_path, env=environment(**home), capture_output=True, text=True, check=False
    )
    assert denied.returncode == 1 and "os.system" in denied.stdout


def test_an_airflow_worker_needs_no_other_extra(built: Built, safe_model: Path, tmp_path: Path) -> None:
    """`pip install 'pratique[airflow]'`: the operators import, and a gate runs, without data, torch and kfp."""
    python = empty(tmp_path / "venv")
    install(python, "--constraint", ROOT / "constraints.txt", f"pratique[airflow] @ {built.wheel.as_uri()}", cwd=tmp_path)
    assert there(python, "airflow", "kfp", "torch", "great_expectations", "sklearn", cwd=tmp_path) == ["airflow"]
    home = {"PRATIQUE_HOME": tmp_path / "home", "AIRFLOW_HOME": tmp_path / "airflow"}
    said = run(python, "-c", OPERATE.format(model=str(safe_model)), cwd=tmp_path, **home)
    assert said.splitlines()[-1] == "admitted True"
    listed = run(tmp_path / "venv" / "bin" / "airflow", "providers", "list", "-o", "plain", cwd=tmp_path, **home)
    assert "pratique" in listed
