"""What this package adds to Airflow's servers, each only if a setting asks for it (`pratique.operators.guarding`)."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin  # noqa: TID253

from pratique.operators import guarding


def _middlewares() -> list[dict[str, Any]]:
    if not guarding.switched_on("protect_gates"):
        return []
    from pratique.operators.protecting import GateGuard

    return [{"name": "pratique-protect-gates", "middleware": GateGuard, "args": [], "kwargs": {}}]


def _listeners() -> list[Any]:
    if not guarding.switched_on("record_overrides"):
        return []
    from pratique.operators import overseeing

    return [overseeing]


def _apps() -> list[dict[str, Any]]:
    if not guarding.switched_on("evidence_page"):
        return []
    from pratique.operators.pages import PREFIX, EvidenceApp

    return [{"name": "pratique-evidence", "app": EvidenceApp(), "url_prefix": PREFIX}]


def _views() -> list[dict[str, Any]]:
    if not guarding.switched_on("evidence_page"):
        return []
    from pratique.operators.pages import PREFIX

    run = f"{PREFIX}/run?dag_id={{DAG_ID}}&run_id={{RUN_ID}}"
    return [
        {"name": "Evidence", "href": run, "destination": "dag_run", "url_route": "pratique-run"},
        {
            "name": "Evidence",
            "href": f"{run}&task_id={{TASK_ID}}",
            "destination": "task_instance",
            "url_route": "pratique-task",
        },
    ]


class PratiquePlugin(AirflowPlugin):
    """The plugin."""

    name = "pratique"
    fastapi_root_middlewares = _middlewares()
    listeners = _listeners()
    fastapi_apps = _apps()
    external_views = _views()
