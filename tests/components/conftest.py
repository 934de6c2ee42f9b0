"""A small world of keys, policies and models; steps called as functions; and whole pipelines on Kubeflow's local runner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pratique.signing import KeySigner
from pratique.testing import StepArtifact, StepMetrics, folder_of

RELEASE = """
version: 1
subject: model
trust:
  gate: {key: ../keys/gate.pub}
require:
  artifact: {deny_at: medium}
"""
TROJAN = b"cos\nsystem\n(S'echo gotcha'\ntR."
RUN = "run-1"


@dataclass
class World:
    """Where a pipeline lives, and its steps, called one by one with what each needs."""

    root: Path
    gated: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        for name in ("gate", "trainer", "promoter", "mallory"):
            KeySigner.generate().save(self.key(name))
        self.write_policy("release", RELEASE)
        self.deliver()

    def key(self, name: str) -> Path:
        return self.root / "keys" / f"{name}.key"

    def signer(self, name: str) -> KeySigner:
        return KeySigner.load(self.key(name))

    def write_policy(self, name: str, text: str) -> str:
        folder_of(self.root / "policies", {f"{name}.yaml": text.encode()})
        return str(self.root / "policies" / f"{name}.yaml")

    @property
    def policy(self) -> str:
        return str(self.root / "policies" / "release.yaml")

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def production(self) -> Path:
        return self.root / "production"

    @property
    def promoted(self) -> list[str]:
        """What stands in production, if anything."""
        return sorted(path.name for path in self.production.rglob("*") if path.is_file())

    def deliver(self, value: float = 0.0, name: str = "model") -> Path:
        """An honest model: nothing but numbers."""
        import numpy
        from safetensors.numpy import save_file

        folder = self.root / name
        folder.mkdir(exist_ok=True)
        save_file({"w": numpy.full((2, 2), value, dtype="float32")}, folder / "model.safetensors")
        return folder

    def trojan(self, name: str = "model") -> Path:
        """A model that runs a command when it is loaded."""
        folder = self.deliver(name=name)
        (folder / "model.pkl").write_bytes(TROJAN)
        return folder

    def check(self, artifact: Path | None = None, component: str = "scan_artifact", **more: Any) -> dict[str, Any]:
        """One check as a step; returns its outputs."""
        import pratique.components

        out = self._outputs("evidence", "report")
        asked = {"store": str(self.store), "key": str(self.key("gate")), "run_id": RUN, **more}
        digest = getattr(pratique.components, component).python_func(handle(artifact or self.model), **out, **asked)
        return {**out, "digest": digest}

    def gate(self, artifact: Path | None = None, **more: Any) -> dict[str, Any]:
        """The gate as a step; returns its outputs."""
        from pratique.components import gate

        out = self._outputs("admitted", "clearance", "report")
        asked = {"policy": self.policy, "store": str(self.store), "key": str(self.key("gate")), "run_id": RUN, **more}
        gate.python_func(handle(artifact or self.model), **out, **asked)
        return out

    def promote(self, model: Any, clearance: Any, **more: Any) -> str:
        """Promotion as a step; returns where the model went."""
        from pratique.components import promote_model

        asked = {
            "policy": self.policy, "store": str(self.store), "key": str(self.key("promoter")), "run_id": RUN,
            "destination": str(self.production), "channel": "production", **more,
        }  # fmt: skip
        return str(promote_model.python_func(model, clearance, **asked))

    def audit(self, **more: Any) -> dict[str, Any]:
        """An audit as a step; returns its outputs."""
        from pratique.components import audit

        trust = "  gate: {key: ../keys/gate.pub}\n"
        policy = self.write_policy("audited", RELEASE.replace(trust, trust + "  promoter: {key: ../keys/promoter.pub}\n"))
        out = self._outputs("report")
        asked = {"policy": policy, "store": str(self.store), "key": "", "renew": "", "run_id": RUN, **more}
        audit.python_func(asked.pop("destination", str(self.production)), **asked, **out)
        return out

    @property
    def last(self) -> Path:
        """Where the outputs of the last step are, or would be."""
        return self.root / f"out-{self.gated}"

    def _outputs(self, *names: str) -> dict[str, Any]:
        self.gated += 1
        return {**{name: handle(self.last / name) for name in names}, "metrics": StepMetrics()}


def handle(path: Path | str) -> StepArtifact:
    return StepArtifact(uri=str(path))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def stopped() -> Callable[..., str]:
    """Call a step that must be stopped; returns the one line that says why."""

    def run(step: Callable[..., Any], *arguments: Any, **more: Any) -> str:
        with pytest.raises(SystemExit) as caught:
            step(*arguments, **more)
        line = caught.value.code
        assert isinstance(line, str) and line and line.isprintable(), repr(line)
        return line

    return run
