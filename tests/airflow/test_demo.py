"""The main job: one command plays an honest delivery and every attack, and says how each ended and why."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pratique.demonstration import pages, show
from pratique.demonstration import world as worlds
from pratique.demonstration.airflow import Airflow
from pratique.demonstration.outcomes import Outcome
from pratique.demonstration.scenarios import SCENARIOS
from pratique.demonstration.world import World

pytest.importorskip("torch")
pytest.importorskip("sklearn")

ATTACKS = (
    "weights changed after signing", "signed by somebody else", "a pickle with code in it", "an extra unsigned file",
    "flipped labels", "injected near-duplicates", "a drifted dataset", "gate marked success by hand", "gate's XCom edited",
    "evidence forged", "evidence replayed from another model", "swapped between gate and promotion",
)  # fmt: skip


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The demo as a user starts it, with its report and JSON; about forty seconds."""
    report = tmp_path_factory.mktemp("demo") / "page.html"
    command = [sys.executable, "-m", "pratique.cli", "demo", "--json", "--report", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    return {"code": done.returncode, "told": json.loads(done.stdout or "null"), "err": done.stderr, "page": report.read_text()}


def test_the_honest_supplier_is_promoted_and_every_attack_is_stopped(played: dict[str, Any]) -> None:
    assert played["code"] == 0, played["err"]
    assert [one["scenario"] for one in played["told"]] == ["honest supplier", *ATTACKS]
    assert [one["verdict"] for one in played["told"]] == [one["expected"] for one in played["told"]]
    assert played["told"][0]["verdict"] == "promoted"


def test_machines_get_what_they_were_promised(played: dict[str, Any]) -> None:
    assert all(set(one) == {"scenario", "expected", "verdict", "reasons", "seconds"} for one in played["told"])
    assert all(one["reasons"] for one in played["told"][1:]), "every denial has a reason"


def test_the_page_shows_every_scenario_and_asks_nobody_for_anything(played: dict[str, Any]) -> None:
    page = played["page"]
    assert all(f">{name.replace(chr(39), '&#x27;')}</a>" in page for name in ATTACKS)
    assert "http" not in page.replace("http-equiv", "") and "<script" not in page
    assert "13 of 13 as expected" in page


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return worlds.build(tmp_path_factory.mktemp("world") / "w", lambda text: None)


def test_an_attack_that_is_stopped_for_another_reason_is_not_as_expected(
    world: World, airflow: Airflow, tmp_path: Path
) -> None:
    scenario = next(one for one in SCENARIOS if one.name == "an extra unsigned file")
    outcome, _ = show.play_one(scenario, world, airflow, tmp_path / "right", None)
    assert outcome.as_expected
    wrong = dataclasses.replace(scenario, because="provenance/wrong-signer")
    outcome, _ = show.play_one(wrong, world, airflow, tmp_path / "wrong", None)
    assert outcome.verdict == outcome.expected and not outcome.as_expected


def test_a_broken_policy_is_not_taken_for_a_stopped_attack(world: World, airflow: Airflow, tmp_path: Path) -> None:
    broken = World(root=tmp_path / "broken")
    world.copy(broken.root)
    policy = broken.policies / "base.yaml"
    policy.write_text(policy.read_text().replace("deny_at", "denyat"))
    outcome, _ = show.play_one(SCENARIOS[1], broken, airflow, tmp_path / "played", None)
    assert outcome.verdict == "stopped at admit_base" and not outcome.as_expected


def test_a_scenario_that_nobody_knows_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pratique.cli", "demo", "--only", "honest suplier", "--report", str(tmp_path / "r.html")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2 and "honest suplier" in done.stderr and "honest supplier" in done.stderr
    assert not (tmp_path / "r.html").exists()


def test_what_strangers_wrote_is_escaped_on_the_page() -> None:
    hostile = "<img src=x onerror=alert(1)>"
    outcome = Outcome(
        scenario=hostile, expected=hostile, verdict=hostile, reasons=(hostile,), remedy=hostile, seconds=1.0, story=hostile,
        states={"admit_base": hostile}, overruled=(), as_expected=False,
    )  # fmt: skip
    assert hostile not in pages.of_demo([outcome])
