"""The page "Evidence" of a run, and of a task, in Airflow's own UI: `[pratique] evidence_page = True`.

For each task of ours it shows what the task told (its XCom, a pointer), and for each artifact that was named there what the
store holds about it, as far as somebody trusted signed it: checks, measures, findings with remedies, clearances and until when
they hold, and the training behind it.

It reads one store, `evidence_store`, and never one that an XCom names; it believes whom `evidence_policy` trusts. Whoever sees
it is logged in to Airflow and may read the XComs of that very DAG. It escapes what it did not write, loads nothing and runs
nothing (`pratique.reports`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from pratique.operators import guarding

if TYPE_CHECKING:
    from fastapi import FastAPI

PREFIX = "/pratique"
MOST = 12
"""Artifacts on one page."""


class EvidenceApp:
    """The ASGI application, built when it is first asked: Airflow loads plug-ins in processes that serve nobody."""

    def __init__(self) -> None:
        self._app: FastAPI | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if self._app is None:
            self._app = build()
        await self._app(scope, receive, send)


class Task(NamedTuple):
    """A task of ours in a run."""

    name: str
    state: str
    pointer: Mapping[str, Any]


def build() -> FastAPI:
    """The application behind Airflow's own login and its rights."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from fastapi import Depends, FastAPI
    from fastapi.responses import HTMLResponse

    from pratique import reports

    app = FastAPI(title="Pratique", docs_url=None, redoc_url=None, openapi_url=None)
    headers = {
        "Content-Security-Policy": reports.CSP, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }  # fmt: skip

    def run(dag_id: str, run_id: str, task_id: str = "") -> HTMLResponse:
        known = tasks(dag_id, run_id, task_id) or tasks(dag_id, run_id.replace(" ", "+"), task_id)
        return HTMLResponse(page(dag_id, run_id, known), headers=headers)

    allowed = [Depends(requires_access_dag("GET", entity)) for entity in (DagAccessEntity.XCOM, DagAccessEntity.TASK_INSTANCE)]
    app.add_api_route("/run", run, methods=["GET"], dependencies=allowed, response_class=HTMLResponse)
    return app


def page(dag_id: str, run_id: str, known: list[Task]) -> str:
    """The document."""
    from pratique import reports
    from pratique.reports import quoted

    parts = [f"<h1>Evidence</h1><p class=dim>{quoted(dag_id)} · {quoted(run_id)}</p>"]
    if known:
        parts += [_told(one) for one in known]
        parts.append(
            "<p class=dim>So the tasks told, and whoever may edit XComs can edit it. Below stands what was signed.</p>"
        )
    else:
        parts.append("<p>No gate and no promotion ran here.</p>")
    parts += [_about(one) for one in list(dict.fromkeys(_subject(one) for one in known if _subject(one)))[:MOST]]
    return reports.page(f"Evidence: {dag_id}", "".join(parts))


def _told(task: Task) -> str:
    """What a task left, as a card."""
    from pratique.reports import badge, quoted

    verdict = str(task.pointer.get("verdict") or "nothing told")
    mode = " under audit: it did not stop" if task.pointer.get("enforcement") == "audit" else ""
    reasons = task.pointer.get("reasons")
    why = [str(one)[:600] for one in reasons[:3]] if isinstance(reasons, list) else []
    return (
        f"<div class=card><p><b>{quoted(task.name)}</b> {badge(verdict, verdict in ('admitted', 'promoted'))}"
        f"<span class=dim>{mode} · the task: {quoted(task.state)}</span></p><p><code>{quoted(_subject(task))}</code></p>"
        + "".join(f"<p>{quoted(one)}</p>" for one in why)
        + "</div>"
    )


def tasks(dag_id: str, run_id: str, task_id: str = "") -> list[Task]:
    """The tasks of ours in a run, or one of them, from Airflow's database."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = select(TaskInstance).where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
    if task_id:
        query = query.where(TaskInstance.task_id == task_id)
    found = []
    with create_session() as session:
        for ti in session.scalars(query.order_by(TaskInstance.start_date, TaskInstance.task_id, TaskInstance.map_index)):
            if not guarding.ours(ti.operator):
                continue
            left = XComModel.get_many(
                run_id=run_id, key="return_value", task_ids=ti.task_id, dag_ids=dag_id, map_indexes=ti.map_index
            )
            row = session.scalars(left).first()
            value = XComModel.deserialize_value(row) if row else None
            name = ti.task_id if ti.map_index == -1 else f"{ti.task_id}[{ti.map_index}]"
            found.append(Task(name, str(ti.state or "none"), value if isinstance(value, dict) else {}))
    return found


def _about(digest: str) -> str:
    """What the store holds about an artifact; or why nothing can be shown."""
    from pratique import dossiers
    from pratique.errors import Error
    from pratique.policies import Policy
    from pratique.reports import quoted
    from pratique.store import Store

    try:
        policy = guarding.text("evidence_policy")
        if not policy:
            return "<p class=card>Nobody is trusted here: set <code>evidence_policy</code> in the section [pratique].</p>"
        found = dossiers.gather(Store(guarding.text("evidence_store")), digest, Policy.load(policy).trust.values())
        return dossiers.as_part(found, now=datetime.now(timezone.utc))
    except Error as error:
        return f"<h2>{quoted(digest[:71])}</h2><p class=card>{quoted(str(error))}</p>"


def _subject(task: Task) -> str:
    return str(task.pointer.get("subject") or "")[:100]
