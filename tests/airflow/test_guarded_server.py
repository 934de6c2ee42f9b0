"""The guard-rails as users turn them on: by settings alone, on a whole Airflow with this package installed."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from .conftest import World
from .live import LiveAirflow
from .test_guard_rails import SMALL, UNGUARDED

pytestmark = pytest.mark.slow

ON = {f"AIRFLOW__PRATIQUE__{name}": "True" for name in ("REQUIRE_GATES", "PROTECT_GATES", "RECORD_OVERRIDES", "EVIDENCE_PAGE")}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    one = World(tmp_path_factory.mktemp("guarded"))
    one.trojan()
    return one


@pytest.fixture(scope="module")
def live(world: World) -> Iterator[LiveAirflow]:
    reads = {f"AIRFLOW__PRATIQUE__EVIDENCE_{name.upper()}": world.params[name] for name in ("store", "policy")}
    with LiveAirflow(world.root / "airflow", {"small.py": SMALL, "unguarded.py": UNGUARDED}, {**ON, **reads}) as airflow:
        yield airflow


@pytest.fixture(scope="module")
def run(live: LiveAirflow, world: World) -> str:
    one = live.trigger("small", world.params)
    assert live.states(one)["inner.gate"] == "failed"
    return one


def test_a_gate_cannot_be_marked_through_the_api(live: LiveAirflow, run: str) -> None:
    for path, body in ((f"{run}/taskInstances/inner.gate", {"new_state": "success"}), (run, {"state": "success"})):
        with pytest.raises(urllib.error.HTTPError) as refused:
            live.api("PATCH", path, body)
        assert refused.value.code == 403 and b"guarded by pratique" in refused.value.read()
    assert live.api("PATCH", f"{run}/taskInstances/inner.gate", {"note": "who broke this?"})
    assert live.api("PATCH", f"{run}/taskInstances/other", {"new_state": "success"})


def test_a_promotion_without_a_gate_is_an_import_error(live: LiveAirflow) -> None:
    def found() -> str | None:
        errors = live.api("GET", "/importErrors")["import_errors"]
        return next((str(one["stack_trace"]) for one in errors if "unguarded" in one["filename"]), None)

    assert "promotes a model, but no gate" in live.until(found, 120, "the DAG file was refused")


def test_the_page_of_evidence_is_a_tab_and_shows_the_denial(live: LiveAirflow, run: str) -> None:
    plugin = next(one for one in live.api("GET", "/plugins")["plugins"] if one["name"] == "pratique")
    assert [one["destination"] for one in plugin["external_views"]] == ["dag_run", "task_instance"]
    _, _, dag, _, run_id = run.split("/")
    with urllib.request.urlopen(f"{live.base}/pratique/run?dag_id={dag}&run_id={run_id}", timeout=60) as answer:
        page = answer.read().decode()  # here everybody is an admin; who may see it: test_evidence_page.py
    assert "os.system" in page and "Findings" in page and "inner.gate" in page
