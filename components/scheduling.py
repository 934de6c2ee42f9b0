"""An audit as a recurring run, without the traps on the way: `schedule_audit(client, "audit.yaml", ...)`.

What the SDK lets pass in silence (measured): a cron of five fields, where the backend wants six; `enable_caching=False`, which
is dropped when a version is named; every run that was missed, caught up at once; a version that moves. So this

1. reads the cron strictly,
2. reads the compiled file, and refuses one with a task that may be answered from the cache, or that does not fit together,
3. uploads it as a version named after its digest, and
4. schedules that version, one run at a time, without catching up, under a service account that somebody chose.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FIELDS = (("second", 0, 59), ("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 6))
_PART = re.compile(r"(?:\*|\?|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """What now runs on a schedule."""

    recurring_run_id: str
    pipeline_id: str
    version_id: str
    digest: str
    """`sha256:<hex>` of the compiled file, which names the version."""


def schedule_audit(
    client: Any,
    pipeline: Path | str,
    *,
    name: str,
    cron: str,
    experiment_id: str,
    service_account: str,
    parameters: Mapping[str, Any] | None = None,
    pipeline_id: str = "",
) -> Scheduled:
    """Schedule a compiled pipeline.

    Args:
        client: a `kfp.Client`.
        pipeline: the compiled file.
        name: of the recurring run, and of the pipeline if it is a new one.
        cron: six fields, seconds first: `0 0 3 * * *` is every night at three.
        experiment_id: where its runs are listed.
        service_account: whose rights its pods have; nobody's by default, because the default's are too many.
        parameters: of the pipeline.
        pipeline_id: of a pipeline that is there already; then this is a new version of it.

    Raises:
        UsageError: the cron is none, or something is empty.
        ArtifactRefused: the file is no compiled pipeline, or no run of it would be an audit.
        ArtifactError: it cannot be read.
    """
    from pratique import documents, files
    from pratique.errors import ArtifactError, UsageError
    from pratique.pipelines.reading import MAX_BYTES

    for word, value in (("name", name), ("experiment_id", experiment_id), ("service_account", service_account)):
        if not value.strip():
            raise UsageError(f"{word} is empty", hint="is a variable not set?")
    ensure_cron(cron)  # 1
    try:
        data = files.read(pipeline, most=MAX_BYTES, regular=True)
    except OSError as error:
        raise ArtifactError(f"cannot read {pipeline}: {error.strerror or error}", hint="kfp dsl compile makes it") from error
    _ensure_uncached(data, str(pipeline))  # 2
    digest = documents.sha256(data)
    with tempfile.TemporaryDirectory() as folder:  # 3; the client takes a path, and what lies at the caller's may change
        copy = Path(folder) / "pipeline.yaml"
        copy.write_bytes(data)
        if not pipeline_id:
            pipeline_id = client.upload_pipeline(str(copy), pipeline_name=name).pipeline_id
        version = client.upload_pipeline_version(
            str(copy), pipeline_version_name=digest.replace(":", "-"), pipeline_id=pipeline_id
        )
    run = client.create_recurring_run(  # 4
        experiment_id, name, cron_expression=cron, max_concurrency=1, no_catchup=True, params=dict(parameters or {}),
        pipeline_id=pipeline_id, version_id=version.pipeline_version_id, service_account=service_account,
    )  # fmt: skip
    return Scheduled(
        recurring_run_id=run.recurring_run_id, pipeline_id=pipeline_id, version_id=version.pipeline_version_id, digest=digest
    )


def ensure_cron(cron: str) -> None:
    """A cron of six fields, as the backend reads it (robfig/cron).

    Raises:
        UsageError: which field is not in order.
    """
    from pratique.errors import UsageError

    fields = cron.split()
    if len(fields) == 5:
        raise UsageError(f"{cron!r} has five fields, and Kubeflow's has six", hint=f"seconds first: '0 {cron}'")
    if len(fields) != 6:
        raise UsageError(f"{cron!r} has {len(fields)} fields, not six", hint="such as '0 0 3 * * *'")
    for (word, least, most), field in zip(_FIELDS, fields, strict=True):
        for part in field.split(","):
            found = _PART.match(part)
            numbers = [int(one) for one in found.groups()[:2] if one] if found else []
            every = found is None or found[3] is None or 0 < int(found[3]) <= most
            if found is None or not every or not all(least <= one <= most for one in numbers) or numbers != sorted(numbers):
                raise UsageError(
                    f"{field!r} is no {word} in {cron!r}", hint=f"{least} to {most}, '*', or a list or range of those"
                )


def _ensure_uncached(data: bytes, what: str) -> None:
    from pratique.errors import ArtifactRefused
    from pratique.pipelines import graphs
    from pratique.pipelines.reading import read

    pipeline = read(data, what=what)
    for sentence, where in pipeline.faults:
        raise ArtifactRefused(f"{what} does not fit together: {sentence} ({where})", hint="pratique kfp lint says more")
    for node in graphs.nodes(pipeline):
        if node.task.cached:
            raise ArtifactRefused(
                f"the task {node.path} may be answered from the cache: an audit that looks at nothing",
                hint="pass it to `pratique.components.uncached`, and compile again",
            )
