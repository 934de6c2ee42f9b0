"""What OpenLineage is told of a gate or a promotion, when it succeeded and when it failed.

Airflow's OpenLineage provider asks (`pip install 'pratique[openlineage]'`, a transport in `[openlineage]`); nobody else does.
A run gets a `TestRunFacet` with the outcome, and the artifact as its input; a promotion the promoted artifact as its output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage


def lineage(artifact: object, pointer: Mapping[str, Any]) -> OperatorLineage[Any, Any]:
    """The facets of one task.

    Args:
        artifact: what was looked at, as the operator was given it.
        pointer: what the task left (`pratique.operators.telling`); empty if it did not get that far.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import test_run

    verdict = str(pointer.get("verdict") or "undecided")
    audit = pointer.get("enforcement") == "audit"
    execution = test_run.TestExecution(
        name="pratique", type="promotion" if verdict == "promoted" else "gate",
        status="pass" if verdict in ("admitted", "promoted") else "fail", severity="warn" if audit else "error",
        description="; ".join(str(one) for one in pointer.get("reasons", ())) or verdict,
        expected=str(pointer.get("policy") or ""), actual=str(pointer.get("subject") or ""),
        params={name: str(pointer[name]) for name in ("verdict", "clearance", "channel", "sequence") if pointer.get(name)},
    )  # fmt: skip
    inputs = [InputDataset(*_named(artifact))] if isinstance(artifact, str) and artifact else []
    outputs = [OutputDataset(*_named(pointer["uri"]))] if pointer.get("uri") else []
    return OperatorLineage(inputs=inputs, outputs=outputs, run_facets={"test": test_run.TestRunFacet(tests=[execution])})


def _named(uri: str) -> tuple[str, str]:
    """Namespace and name of a dataset, by OpenLineage's naming: `s3://bucket` and `folder/model`; `file` and the path."""
    from pratique.sources.redacting import redact

    parts = urlsplit(redact(uri))
    if parts.scheme and parts.scheme != "file":
        return f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/") or "/"
    return "file", parts.path or uri
