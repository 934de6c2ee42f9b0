"""A listener: whoever sets the state of a gate or of a promotion by hand leaves signed evidence. `record_overrides = True`.

Airflow calls it in the API server. The evidence is a finding `manual-override` by the check `override`, about the artifact that
the task was about (`pratique report` shows it) and about the run: the subject `sha256` of `<dag id>/<run id>`. No policy
asks for it, and nothing is admitted or denied by it. Airflow hears of states only: its own log has the edits of XComs.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl  # noqa: TID253

from pratique.operators import guarding

if TYPE_CHECKING:
    from pratique.artifacts import Kind, Subject

CHECK, RULE = "override", "manual-override"

_log = logging.getLogger(__name__)


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """A task succeeded. Without a state before, it did not run: somebody said so."""
    _changed(previous_state, task_instance, "success")


@hookimpl
def on_task_instance_skipped(previous_state: Any, task_instance: Any) -> None:
    """A task was skipped, or somebody said so."""
    _changed(previous_state, task_instance, "skipped")


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any, error: Any) -> None:
    """A task failed, or somebody said so."""
    _changed(previous_state, task_instance, "failed")


def _changed(before: Any, ti: Any, state: str) -> None:
    if before is not None or not guarding.ours(getattr(ti, "operator", None)):
        return
    where = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}"
    _log.warning("MANUAL OVERRIDE: somebody set %s to %s", where, state)
    for digest in record(ti, state):
        _log.warning("the override of %s is recorded as %s", where, digest)


def record(ti: Any, state: str) -> list[str]:
    """Sign and store that a task's state was set by hand; returns the digests of the evidence.

    Raises:
        UsageError, StoreError: the key or the store does not answer. Airflow logs it; the override stands.
    """
    from datetime import datetime, timezone

    from pratique import documents, signing
    from pratique.checking import Finding, Options, Report, Severity
    from pratique.operators.base import as_gate
    from pratique.statements import Evidence
    from pratique.store import Store

    pointer = _pointer(ti)
    message = f"{_who(ti)} set the task {ti.task_id} of {ti.dag_id}/{ti.run_id} to {state} by hand; it was {told(pointer)}"
    fix = "ask who did it and why; clear the task, so that it runs again"
    report = Report(findings=(Finding(rule=RULE, severity=Severity.HIGH, message=message, where=ti.task_id, fix=fix),))
    store = Store(guarding.text("override_store"))
    digests = []
    with as_gate(guarding.text("override_key") or None) as signer:
        for subject, kind in _subjects(ti, pointer):
            evidence = Evidence(
                check=CHECK, check_version="1", subject=subject, kind=kind, report=report, options_digest=Options().digest,
                policy_digest=documents.sha256(b""), run_id=f"{ti.dag_id}/{ti.run_id}", made_at=datetime.now(timezone.utc),
            )  # fmt: skip
            bundle = signing.sign(evidence.statement(), signing.INTOTO, signer)
            digests.append(store.add("evidence", subject, bundle, check=CHECK))
    return digests


def told(pointer: dict[str, Any]) -> str:
    """What the task itself had said, as far as its XCom still says it."""
    return str(pointer.get("verdict") or "undecided")[:20]


def subject_of_run(dag_id: str, run_id: str) -> Subject:
    """What overrides of a run are about, whatever its XComs say."""
    from pratique.artifacts import Subject

    name = f"{dag_id}/{run_id}"
    return Subject(digest=f"sha256:{hashlib.sha256(name.encode()).hexdigest()}", name=name)


def _subjects(ti: Any, pointer: dict[str, Any]) -> list[tuple[Subject, Kind]]:
    from pratique.artifacts import Subject
    from pratique.errors import ArtifactRefused
    from pratique.operators.gates import KINDS

    found: list[tuple[Subject, Kind]] = [(subject_of_run(ti.dag_id, ti.run_id), "environment")]
    kind: Kind = next((one for one in KINDS if one == pointer.get("kind")), "model")
    try:
        return [*found, (Subject(digest=str(pointer.get("subject"))), kind)]
    except ArtifactRefused:
        return found


def _pointer(ti: Any) -> dict[str, Any]:
    """The XCom that the task left, if any. Somebody may have edited it."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        query = XComModel.get_many(
            run_id=ti.run_id, key="return_value", task_ids=ti.task_id, dag_ids=ti.dag_id, map_indexes=ti.map_index
        )
        row = session.scalars(query).first()
        value = XComModel.deserialize_value(row) if row else None
    return value if isinstance(value, dict) else {}


def _who(ti: Any) -> str:
    """Who did it, by Airflow's own log."""
    from airflow.models.log import Log
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    session = object_session(ti)
    if session is None:
        return "somebody"
    events = (
        "patch_task_instance",
        "patch_task_instances",
        "bulk_task_instances",
        "patch_task_group_instances",
        "patch_dag_run",
    )
    query = select(Log.owner).where(Log.dag_id == ti.dag_id, Log.run_id == ti.run_id, Log.event.in_(events))
    owner = session.scalars(query.order_by(Log.id.desc()).limit(1)).first()
    return f"the user {owner}" if owner else "somebody"
