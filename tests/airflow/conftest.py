"""One real Airflow for the whole session, settled before anybody imports Airflow; and a small world of keys and policies."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pratique.demonstration import airflow as embedded
from pratique.demonstration.airflow import Airflow
from pratique.signing import KeySigner
from pratique.testing import folder_of

_HOME = Path(tempfile.mkdtemp(prefix="pratique-airflow-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
embedded.settle(_HOME)

RELEASE = """
version: 1
subject: model
trust:
  gate: {key: ../keys/gate.pub}
require:
  artifact: {deny_at: medium}
"""
PICKLE = b"cos\nsystem\n(S'echo gotcha'\ntR."


@dataclass
class Ti:
    """What an operator needs of a task instance."""

    dag_id: str = "pipeline"
    run_id: str = "manual__1"
    xcoms: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


@dataclass
class World:
    """Where a pipeline lives."""

    root: Path

    def __post_init__(self) -> None:
        for name in ("gate", "promoter", "mallory"):
            KeySigner.generate().save(self.key(name))
        folder_of(self.root / "policies", {"release.yaml": RELEASE.encode()})
        self.deliver()

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def production(self) -> Path:
        return self.root / "production"

    def key(self, name: str) -> Path:
        return self.root / "keys" / f"{name}.key"

    def deliver(self, value: float = 0.0) -> None:
        """An honest model: nothing but numbers."""
        import numpy
        from safetensors.numpy import save_file

        self.model.mkdir(exist_ok=True)
        save_file({"w": numpy.full((2, 2), value, dtype="float32")}, self.model / "model.safetensors")

    def trojan(self) -> None:
        """A model that runs a command when it is loaded."""
        (self.model / "model.pkl").write_bytes(PICKLE)

    @property
    def promoted(self) -> list[str]:
        """What stands in production, if anything: digests, and channels that point to one."""
        return sorted(path.name for path in (*self.production.glob("sha256/*"), *self.production.glob("channels/*.json")))

    @property
    def params(self) -> dict[str, str]:
        return {
            "artifact": str(self.model), "policy": str(self.root / "policies" / "release.yaml"),
            "store": str(self.root / "store"), "destination": str(self.production),
            "gate_key": str(self.key("gate")), "promoter_key": str(self.key("promoter")),
        }  # fmt: skip


@pytest.fixture
def ti() -> Ti:
    return Ti()


@pytest.fixture
def execute(ti: Ti) -> Callable[[Any], Any]:
    """Run an operator as a task runner would, without one."""
    return lambda operator: operator.execute({"ti": ti})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(scope="session")
def airflow() -> Airflow:
    """About fifteen seconds, once: the database, and Airflow's own modules."""
    return Airflow(_HOME)
