"""The page "Evidence": who may see it, what it believes, and that it runs nothing that strangers wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pratique.demonstration.airflow import Airflow

from .conftest import World
from .test_guard_rails import SMALL, setting


@pytest.fixture
def client(airflow: Airflow, world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The application as Airflow's API server mounts it, with nobody logged in."""
    from airflow.api_fastapi.app import init_auth_manager
    from starlette.testclient import TestClient

    from pratique.operators.pages import EvidenceApp

    setting(monkeypatch, evidence_store=world.params["store"], evidence_policy=world.params["policy"])
    init_auth_manager()
    return TestClient(EvidenceApp())


@pytest.fixture
def log_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Be somebody, with a right or without."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.security import get_user

    from pratique.operators import pages

    def be(client: Any, role: str | None) -> None:
        app = pages.build()
        app.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(username="ann", role=role)
        client.app._app = app

    return be


@pytest.fixture
def run(airflow: Airflow, world: World, tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "small.py"
    file.write_text(SMALL)
    world.trojan()
    airflow.run(world.params, dag=airflow.load(file))
    return {"dag_id": "small", "run_id": airflow.run_id.partition("/")[2]}


def test_nobody_sees_it_without_logging_in_or_without_the_right(client: Any, log_in: Any, run: dict[str, str]) -> None:
    assert client.get("/run", params=run).status_code == 401
    log_in(client, None)
    assert client.get("/run", params=run).status_code == 403
    log_in(client, "viewer")
    assert client.get("/run", params=run).status_code == 200


def test_it_shows_what_was_told_and_the_signed_evidence_below(
    client: Any, log_in: Any, run: dict[str, str], airflow: Airflow
) -> None:
    log_in(client, "viewer")
    answer = client.get("/run", params=run)
    subject = airflow.xcom("inner.gate")["subject"]
    for part in ("inner.gate", "failed", "denied", "os.system", subject, "Findings", "pickle-global", "remedy"):
        assert part in answer.text
    assert "script-src" not in answer.text and answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["cache-control"] == "no-store"


def test_a_run_id_whose_plus_became_a_space_is_found(client: Any, log_in: Any, run: dict[str, str]) -> None:
    log_in(client, "viewer")
    assert "+" in run["run_id"]
    answer = client.get(f"/run?dag_id=small&run_id={run['run_id']}")
    assert "inner.gate" in answer.text


def test_what_strangers_wrote_is_escaped_and_their_store_is_not_read(
    client: Any, log_in: Any, run: dict[str, str], airflow: Airflow, tmp_path: Path
) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    told = {"verdict": hostile, "subject": hostile, "reasons": [hostile], "store": f"file://{tmp_path}/mallory"}
    airflow.edit_xcom("inner.gate", told)
    log_in(client, "viewer")
    answer = client.get("/run", params=run)
    assert answer.status_code == 200 and hostile not in answer.text and "&lt;img" in answer.text
    assert not (tmp_path / "mallory").exists() and "mallory" not in answer.text


@pytest.mark.parametrize("reasons", [None, "text", 7, [1, None], {"a": 1}])
def test_a_pointer_of_any_shape_makes_a_page(
    client: Any, log_in: Any, run: dict[str, str], airflow: Airflow, reasons: Any
) -> None:
    airflow.edit_xcom("inner.gate", {"reasons": reasons, "subject": 3, "verdict": ["x"]})
    log_in(client, "viewer")
    assert client.get("/run", params=run).status_code == 200


def test_without_somebody_to_trust_nothing_is_shown_as_evidence(
    client: Any, log_in: Any, run: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    setting(monkeypatch, evidence_policy="")
    log_in(client, "viewer")
    answer = client.get("/run", params=run)
    assert "Nobody is trusted here" in answer.text and "Findings" not in answer.text
    setting(monkeypatch, evidence_policy="/nowhere.yaml")
    assert "/nowhere.yaml" in client.get("/run", params=run).text


def test_a_run_without_gates_says_so(client: Any, log_in: Any) -> None:
    log_in(client, "viewer")
    answer = client.get("/run", params={"dag_id": "none", "run_id": "none"})
    assert answer.status_code == 200 and "No gate and no promotion ran here" in answer.text


def test_the_page_is_a_tab_only_if_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    from pratique.operators import plugin

    assert not plugin.PratiquePlugin.fastapi_apps and not plugin.PratiquePlugin.external_views
    setting(monkeypatch, evidence_page="True")
    assert [one["destination"] for one in plugin._views()] == ["dag_run", "task_instance"]
    assert plugin._apps()[0]["url_prefix"] == "/pratique"
