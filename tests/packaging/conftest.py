"""The wheel and the sdist, built once from a copy of the sources, and what it takes to install them somewhere.

The copy matters: setuptools leaves a `build` folder behind, and what lies in one from yesterday is in tomorrow's wheel.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
_MADE = (
    ".git", ".venv", "build", "dist", "report", "__pycache__", "*.egg-info", "*.pyc",
    ".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache", ".hypothesis", ".coverage",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Built:
    """What one build made."""

    source: Path
    """The copy of the sources that it was built from."""

    sdist: Path
    wheel: Path
    """Built from the sdist, as `python -m build` does."""

    wheel_from_tree: Path
    """Built from the sources, as `pip install .` does."""


def environment(**more: str | os.PathLike[str]) -> dict[str, str]:
    """This process's environment without what other tests have set in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PRATIQUE_", "PYTHON"))}
    return {**kept, **{name: str(value) for name, value in more.items()}}


def run(*command: str | os.PathLike[str], cwd: Path, **more: str | os.PathLike[str]) -> str:
    """Run a command that must succeed; returns what it says."""
    done = subprocess.run(command, cwd=cwd, env=environment(**more), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def install(python: Path, *what: str | os.PathLike[str], cwd: Path) -> None:
    """`pip install`, by uv where it is at hand. uv does not read pip's configuration: hand on where local wheels lie."""
    links = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.find-links"], capture_output=True, text=True, check=False
    ).stdout.split()
    found = [part for link in links for part in ("--find-links", link)]
    uv = [BIN / "uv", "pip", "install", "-q", "--python", python]
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    run(*(uv if (BIN / "uv").exists() else pip), *found, *what, cwd=cwd)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """About four seconds, once."""
    folder = tmp_path_factory.mktemp("packaging")
    source = Path(shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*_MADE)))
    build = (sys.executable, "-m", "build", "--no-isolation")
    run(*build, "--outdir", folder / "dist", source, cwd=folder)
    run(*build, "--wheel", "--outdir", folder / "tree", source, cwd=folder)
    return Built(
        source=source,
        sdist=next((folder / "dist").glob("*.tar.gz")),
        wheel=next((folder / "dist").glob("*.whl")),
        wheel_from_tree=next((folder / "tree").glob("*.whl")),
    )


@pytest.fixture(scope="session")
def target(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed into an empty folder, without what it needs: that comes from this environment."""
    folder = tmp_path_factory.mktemp("target")
    install(Path(sys.executable), "--no-deps", "--target", folder, built.wheel, cwd=folder)
    return folder


@pytest.fixture(scope="session")
def python(built: Built, target: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run code against the installed wheel."""
    folder = tmp_path_factory.mktemp("elsewhere")

    def python(code: str, *flags: str, **more: str | os.PathLike[str]) -> str:
        return run(sys.executable, *flags, "-c", code, cwd=folder, PYTHONPATH=target, **more)

    return python


@pytest.fixture
def safe_model(tmp_path: Path) -> Path:
    """A folder with one safetensors file, written without any library."""
    header = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    header += b" " * (-len(header) % 8)
    folder = tmp_path / "safe-model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    return folder


@contextmanager
def opened(wheel: Path) -> Iterator[zipfile.ZipFile]:
    """A wheel as the zip that it is."""
    with zipfile.ZipFile(wheel) as archive:
        yield archive


def rooms() -> dict[str, str]:
    """Package by folder, as setup.cfg maps them: `src/pratique` -> `pratique`, `operators` -> `pratique.operators` ..."""
    lines = setup_cfg()["options"]["package_dir"].split("\n")
    pairs = (line.split("=") for line in lines if line.strip())
    return {folder.strip(): package.strip() for package, folder in pairs}


def setup_cfg() -> ConfigParser:
    """The project's metadata."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser
