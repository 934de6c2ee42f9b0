"""Fakes that implement our public protocols, in memory. No mocks: what they do is real, only small."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from pratique.artifacts import Artifact, Kind
from pratique.checking import Options, Report
from pratique.signing import Witness
from pratique.statements import Vouched

S = TypeVar("S")


@dataclass(frozen=True)
class MemorySigner:
    """A signer whose key never touches a disk (`signing.Signer`)."""

    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        """The key that verifies."""
        return self.private.public_key()

    def sign(self, message: bytes) -> bytes:
        """A DER-encoded ECDSA signature."""
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))


def vouched(statement: S, *signers: str, digest: str = "sha256:" + "0" * 64) -> Vouched[S]:
    """A statement as if the holders of keys with these fingerprints had signed it, for what comes after verification."""
    witnesses = tuple(
        Witness(fingerprint=one, actor=one, who="a test", steps=(), marks=frozenset({one})) for one in sorted(signers)
    )
    return Vouched(statement=statement, digest=digest, witnesses=witnesses)


@dataclass(frozen=True, kw_only=True)
class ScriptedCheck:
    """A check that reports what it was told to, or raises it (`checking.Check`)."""

    report: Report | Exception
    name: str = "scripted"
    version: str = "1"
    kinds: frozenset[Kind] = frozenset({"model", "dataset"})
    options: type[Options] = Options
    rules: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, artifact: Artifact, options: Options, /) -> Report:
        """Report, or raise."""
        if isinstance(self.report, Exception):
            raise self.report
        return self.report


@dataclass
class StepArtifact:
    """An artifact as Kubeflow hands it to a step (`steps.handing.Handle`), here at a local path."""

    uri: str
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where it lies, or belongs."""
        return self.uri


@dataclass
class StepMetrics:
    """What a step counts (`steps.handing.Tally`)."""

    numbers: dict[str, float] = field(default_factory=dict)

    def log_metric(self, metric: str, value: float) -> None:
        """Keep one number."""
        self.numbers[metric] = value


def folder_of(root: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder; returns the folder."""
    root.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root
