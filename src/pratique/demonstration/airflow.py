"""A real Airflow inside this process: embedded SQLite, its own scheduling decisions and its own task runner, and no server.

    airflow = Airflow(Path("work/airflow"))
    run = airflow.run({"base_model": "models/base"}, {"admit_model": lambda: airflow.mark_success("admit_model")})
    run.states["promote"]

It does what `dag.test()` does, one task after the other, so that somebody can come between two tasks: swap a file, mark a
failed task as success, edit an XCom. The hands that do so are Airflow's own functions, those behind its API and UI.
What is used of Airflow's inside needs Airflow 3.3; the operators run on older ones.

Airflow reads its settings once, when it is first imported. So they are made here, before that, and nothing that the user
has set for an Airflow of their own is read or written.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pratique.demonstration import scheduling
from pratique.errors import Denied, Error, UsageError

if TYPE_CHECKING:
    from airflow.sdk import DAG

BUNDLE = "pratique-demonstration"
STUCK = 60.0
"""Seconds in which something must happen."""

_settled: Path | None = None
"""The AIRFLOW_HOME that was set up in this process; there can be only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a DAG run ended."""

    states: dict[str, str]
    """Airflow's state of each task: success, failed, upstream_failed ..."""

    reasons: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Why each task that failed did so."""

    rules: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """`check/rule` of each reason of a denial; an error's name where nothing could be decided."""

    remedies: dict[str, str] = field(default_factory=dict)
    """What to do about it, where somebody knows."""


def settle(home: Path) -> Path:
    """Set up the environment for an Airflow in this process, before anybody imports it; returns its home.

    Raises:
        UsageError: an Airflow with settings of somebody else's is already imported.
    """
    global _settled
    if _settled is not None:
        return _settled
    if "airflow" in sys.modules:
        raise UsageError("Airflow is already imported, with other settings", hint="use a new process")
    home = home.resolve()
    (home / "dags").mkdir(parents=True, exist_ok=True)
    for name in [one for one in os.environ if one.startswith("AIRFLOW_")]:
        del os.environ[name]
    os.environ.update(
        AIRFLOW_HOME=str(home),
        AIRFLOW__CORE__DAGS_FOLDER=str(home / "dags"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{home / 'airflow.db'}",
        AIRFLOW__LOGGING__LOGGING_LEVEL="CRITICAL",  # what is worth telling, the runs' reasons tell
    )
    _settled = home
    return home


class Airflow:
    """An Airflow without a server. Every instance in one process is the same Airflow, with the first one's home."""

    def __init__(self, home: Path) -> None:
        """Make the database.

        Raises:
            UsageError: an Airflow with settings of somebody else's is already imported, or it is too old for this.
        """
        self.home = settle(home)
        _refuse_older()
        if not (self.home / "airflow.db").exists():
            from airflow.utils.db import initdb

            initdb()
        self._dag_id = ""
        self._run_id = ""

    @property
    def run_id(self) -> str:
        """What the evidence of the current run names as its run."""
        return f"{self._dag_id}/{self._run_id}"

    def load(self, dag_file: Path) -> DAG:
        """Parse a DAG file as Airflow's DAG processor does, and register its DAG.

        Raises:
            UsageError: it cannot be imported, or holds no or several DAGs.
        """
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
        from airflow.models.dagbundle import DagBundleModel
        from airflow.utils.session import create_session

        bag = DagBag(dag_folder=str(dag_file), bundle_path=dag_file.parent, bundle_name=BUNDLE)
        for error in bag.import_errors.values():
            raise UsageError(f"{dag_file} cannot be imported: {error}")
        if len(bag.dags) != 1:
            raise UsageError(f"{dag_file} holds {len(bag.dags)} DAGs, not one")
        with create_session() as session:
            session.merge(DagBundleModel(name=BUNDLE))
        sync_bag_to_db(bag, BUNDLE, None)
        dag: DAG = next(iter(bag.dags.values()))
        return dag

    def run(
        self, params: Mapping[str, Any], between: Mapping[str, Callable[[], object]] | None = None, *, dag: DAG | None = None
    ) -> Run:
        """Trigger a DAG and see it through.

        Args:
            params: the DAG's parameters.
            between: called when the task of that name has finished, whichever way, and before anything else runs.
            dag: a DAG that `load` returned; the example `transfer_learning` if left out.
        """
        dag = dag or self.load(Path(str(files("pratique.example_dags") / "transfer_learning.py")))
        self._dag_id, self._run_id = dag.dag_id, scheduling.trigger(dag.dag_id, params)
        return self._see_through(dag, between or {})

    def mark_success(self, task_id: str) -> None:
        """What the UI's button does: set a task of the current run to success, and let those that waited for it run."""
        from airflow.models.dagbag import DBDagBag
        from airflow.utils.session import create_session
        from airflow.utils.state import TaskInstanceState

        with create_session() as session:
            dag = DBDagBag().get_latest_version_of_dag(self._dag_id, session=session)
            assert dag is not None, "the current run's DAG is registered"
            dag.set_task_instance_state(task_id=task_id, run_id=self._run_id, state=TaskInstanceState.SUCCESS, session=session)

    def edit_xcom(self, task_id: str, value: Mapping[str, Any]) -> None:
        """What the API's POST and PATCH do: put a value, and its items, in place of what a task of the current run left."""
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        with create_session() as session:
            for key, one in {**value, "return_value": dict(value)}.items():
                XComModel.set(
                    key=key, value=one, task_id=task_id, dag_id=self._dag_id, run_id=self._run_id,
                    serialize=False, session=session,
                )  # fmt: skip

    def xcom(self, task_id: str, key: str = "return_value") -> Any:
        """What a task of the current run left; None if nothing."""
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        with create_session() as session:
            query = XComModel.get_many(run_id=self._run_id, key=key, task_ids=task_id, dag_ids=self._dag_id)
            found = session.scalars(query).first()
            return XComModel.deserialize_value(found) if found else None

    def _see_through(self, dag: DAG, between: Mapping[str, Callable[[], object]]) -> Run:
        """The loop of `dag.test()`: ask Airflow what may run, run it, let others have their way, ask again."""
        told: dict[str, _Told] = {}
        last = time.monotonic()
        while (step := scheduling.step(self._dag_id, self._run_id)).running:
            if step.task is not None:
                name = scheduling.name(step.task)
                with open(self.home / "tasks.log", "a", encoding="utf-8") as log, redirect_stdout(log):
                    error = scheduling.execute(dag, step.task)
                told[name] = _why(error)
                between.get(name, _nobody)()
                last = time.monotonic()
            elif time.monotonic() - last > STUCK:
                raise Error(f"the run {self.run_id} is stuck: {step.states}")
            else:
                time.sleep(0.02)  # a task waits for its retry
        return Run(
            states=step.states,
            reasons={task: one.reasons for task, one in told.items() if one.reasons},
            rules={task: one.rules for task, one in told.items() if one.rules},
            remedies={task: one.remedy for task, one in told.items() if one.remedy},
        )


def _refuse_older() -> None:
    from airflow import __version__

    if tuple(int(part) for part in __version__.split(".")[:2]) < (3, 3):
        raise UsageError(f"this needs Airflow 3.3 or later, not {__version__}", hint="pip install -U apache-airflow")


class _Told(NamedTuple):
    """What a task failed with."""

    reasons: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    remedy: str = ""


def _why(error: BaseException | None) -> _Told:
    """The reasons behind what a task failed with, and the remedy."""
    if error is None:
        return _Told()
    ours = error if isinstance(error, Error) else error.__cause__
    if isinstance(ours, Denied):
        denials = ours.verdict.denials
        rules = tuple(f"{one.check}/{one.rule}" for one in denials)
        return _Told(tuple(str(one) for one in denials), rules, ours.verdict.remedy())
    if isinstance(ours, Error):
        return _Told((str(ours),), (type(ours).__name__,), ours.hint)
    return _Told((f"{type(error).__name__}: {error}",), (type(error).__name__,))


def _nobody() -> None:
    """Nobody comes between."""
