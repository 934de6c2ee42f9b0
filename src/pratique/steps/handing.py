"""What Kubeflow hands to a step, and what a step hands on. Types and metadata are for people; only bytes count."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from pratique import documents, signing
from pratique.artifacts import Artifact, digest_of, scan
from pratique.checking import Report, Severity
from pratique.errors import ArtifactChanged, ArtifactError, StoreError


class Handle(Protocol):
    """What Kubeflow hands to a step for an artifact that goes in or comes out (`kfp.dsl.Artifact`)."""

    uri: str
    metadata: dict[str, Any]

    @property
    def path(self) -> str:
        """Where the artifact lies, or belongs, in the step's own file system."""


class Tally(Protocol):
    """Where a step writes numbers (`kfp.dsl.Metrics`)."""

    def log_metric(self, metric: str, value: float) -> None:
        """Show one number."""


def source(artifact: Handle) -> str:
    """Where to take an artifact from: where Kubeflow put it, else where it says that it lies (an importer of a hub's URI).

    Raises:
        ArtifactError: it says nothing.
    """
    if not artifact.uri:
        raise ArtifactError("the input artifact has no URI", hint="did the step before it write to `.path`?")
    return artifact.path if artifact.path and os.path.exists(artifact.path) else artifact.uri


def bundle_in(handle: Handle, what: str) -> bytes:
    """The bytes of a signed statement; not one more than anybody parses.

    Raises:
        ArtifactError: it cannot be read.
    """
    try:
        with open(handle.path or "", "rb") as stream:
            return stream.read(documents.MAX_BYTES + 1)
    except OSError as error:
        raise ArtifactError(f"cannot read {what}: {error.strerror}", hint="pass the output of the step that made it") from error


def hand_over(artifact: Artifact, target: Handle) -> None:
    """Copy what was judged to where the next step looks for it, and look again at what was written.

    Raises:
        StoreError: it cannot be written. ArtifactChanged: something else writes there. Nothing is left behind.
    """
    goal = Path(target.path)
    with _whole_or_nothing(goal, "the admitted copy") as work:
        if artifact.is_file:
            shutil.copyfile(artifact.root, work)
        else:  # like copytree, without the read-only modes of a snapshot: Kubeflow has to clean up after a run
            work.mkdir()
            for path in sorted(artifact.root.rglob("*")):
                inner = work / path.relative_to(artifact.root)
                inner.mkdir() if path.is_dir() else shutil.copyfile(path, inner)
    if digest_of(scan(goal), is_file=artifact.is_file) != artifact.subject.digest:
        _remove(goal)
        raise ArtifactChanged(f"the admitted copy {goal} is not what was judged", hint="something else writes there")
    target.metadata.update(subject=artifact.subject.digest, name=artifact.subject.name)


def write_bundle(handle: Handle, bundle: bytes, digest: str, more: Mapping[str, str]) -> None:
    """A signed statement as an artifact. Its metadata is for people who browse; nothing reads it.

    Raises:
        StoreError: it cannot be written.
    """
    with _whole_or_nothing(Path(handle.path), "the signed statement") as work:
        work.write_bytes(bundle)
    handle.metadata.update(media_type=signing.BUNDLE, digest=digest, **more)


def count(metrics: Tally, report: Report, prefix: str = "") -> None:
    """Every measure, and how many findings there are of each severity."""
    for measure, value in report.measures.items():
        metrics.log_metric(prefix + measure, float(value))
    for severity in Severity:
        number = sum(finding.severity is severity for finding in report.findings)
        metrics.log_metric(f"{prefix}findings_{severity.name.lower()}", float(number))


@contextmanager
def _whole_or_nothing(goal: Path, what: str) -> Iterator[Path]:
    """A place to write to, which takes the goal's name once it is complete, even if an earlier try left something there."""
    work = goal.with_name(f".{uuid.uuid4().hex}.part")
    try:
        goal.parent.mkdir(parents=True, exist_ok=True)
        yield work
        _remove(goal)
        os.replace(work, goal)
    except OSError as error:
        raise StoreError(f"cannot write {what} to {goal}: {error.strerror or error}") from error
    finally:
        _remove(work)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
