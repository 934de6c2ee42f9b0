"""What a scheduler and a worker do in a DAG run, one task after the other, by Airflow's own functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance
    from airflow.sdk import DAG
    from airflow.sdk.api.datamodels._generated import TaskInstance as WorkerTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where a run stands."""

    running: bool
    task: WorkerTask | None
    """What is to be run now; None if a task waits for its retry."""

    states: dict[str, str]
    """Airflow's state of each task."""


def trigger(dag_id: str, params: Mapping[str, Any]) -> str:
    """Make a run of a registered DAG; returns its id."""
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.utils.types import DagRunTriggeredByType

    run = trigger_dag(dag_id, triggered_by=DagRunTriggeredByType.TEST, conf=dict(params))
    assert run is not None, "only an unregistered DAG has no run"
    run_id: str = run.run_id
    return run_id


def step(dag_id: str, run_id: str) -> Step:
    """Let Airflow's own rules decide what may run, and mark one such task as queued."""
    from airflow.models.dagbag import DBDagBag
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, TaskInstanceState

    with create_session() as session:
        run = session.query(DagRun).filter_by(dag_id=dag_id, run_id=run_id).one()
        run.dag = DBDagBag().get_latest_version_of_dag(dag_id, session=session)
        if run.state == DagRunState.QUEUED:
            run.state = DagRunState.RUNNING
        ready, _ = run.update_state(session=session)
        for ti in ready:
            ti.try_number += 1
            ti.state = TaskInstanceState.SCHEDULED
        instances = run.get_task_instances(session=session)
        chosen = next((ti for ti in instances if ti.state == TaskInstanceState.SCHEDULED), None)
        if chosen is not None:
            chosen.state = TaskInstanceState.QUEUED
        return Step(
            running=run.state == DagRunState.RUNNING,
            task=None if chosen is None else _order(chosen),
            states={name(ti): str(ti.state or "none") for ti in instances},
        )


def execute(dag: DAG, task: WorkerTask) -> BaseException | None:
    """Run one queued task as a worker does; returns what it failed with. Its state goes where a worker reports it."""
    from airflow.sdk.execution_time.supervisor import run_task_in_process

    return run_task_in_process(ti=task, task=dag.task_dict[task.task_id]).error


def name(task: TaskInstance | WorkerTask) -> str:
    """The task's id, and its number if it is one of several mapped ones."""
    return task.task_id if task.map_index in (None, -1) else f"{task.task_id}[{task.map_index}]"


def _order(ti: TaskInstance) -> WorkerTask:
    """What a worker is told of a task."""
    from airflow.sdk.api.datamodels._generated import TaskInstance as WorkerTask

    return WorkerTask(
        id=ti.id, task_id=ti.task_id, dag_id=ti.dag_id, run_id=ti.run_id, try_number=ti.try_number, map_index=ti.map_index,
        dag_version_id=ti.dag_version_id,
    )  # fmt: skip
