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


class PratiquePlugin(AirflowPlugin):
    """The plugin."""

    name = "pratique"
    fastapi_root_middlewares = _middlewares()
    listeners = _listeners()
