"""The attacks on a gate by whoever has buttons, files or a shell, on a whole Airflow: `make attack-matrix` prints the table.

Four promotions stand behind one gate: one that believes that it runs because the gate said yes, one that reads the gate's XCom,
and ours, under a safe trigger rule and under none. Each attack has a world, and a run, of its own.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from pratique import signing
from pratique.artifacts import open_artifact
from pratique.checking import Report
from pratique.policies import Policy
from pratique.signing import KeySigner
from pratique.statements import Evidence
from pratique.store import Store

from .conftest import World
from .live import LiveAirflow

pytestmark = pytest.mark.slow

MATRIX = """
import shutil

from airflow.sdk import dag, task

from pratique.operators import GateOperator, PromoteModelOperator

NAMES = ("artifact", "policy", "store", "destination", "gate_key", "promoter_key")


@dag(schedule=None, params=dict.fromkeys(NAMES, ""))
def matrix():
    given = {name: "{{ params.%s }}" % name for name in ("artifact", "policy", "store")}
    door = {**given, "destination": "{{ params.destination }}", "key": "{{ params.promoter_key }}"}
    gate = GateOperator(task_id="gate", key="{{ params.gate_key }}", **given)

    @task
    def believes_state(params=None):
        shutil.copytree(params["artifact"], params["destination"] + "/believes_state")

    @task(trigger_rule="all_done")
    def believes_xcom(params=None, ti=None):
        if (ti.xcom_pull(task_ids="gate") or {}).get("verdict") != "admitted":
            raise RuntimeError("the XCom says no")
        shutil.copytree(params["artifact"], params["destination"] + "/believes_xcom")

    ours = PromoteModelOperator(task_id="ours", channel="ours", **door)
    anyway = PromoteModelOperator(task_id="ours_anyway", channel="ours_anyway", trigger_rule="all_done", **door)
    gate >> [believes_state(), believes_xcom(), ours, anyway]


matrix()
"""
DEPLOY = """
import shutil

from airflow.sdk import Asset, dag, task

from pratique.operators import PromoteModelOperator

URI = "{{ (triggering_asset_events.values() | first | first).extra.pratique.uri }}"


@dag(schedule=[Asset("x-model://judged")])
def deploy():
    @task
    def believes_event(uri):
        shutil.copytree(uri, "ROOT/events/believes_event")

    believes_event(URI)
    PromoteModelOperator(
        task_id="ours", artifact=URI, policy="ROOT/honest/policies/release.yaml", store="ROOT/honest/store",
        destination="ROOT/events", key="ROOT/honest/keys/promoter.key", same_run=False,
    )


deploy()
"""
NAIVE, OURS = ("believes_state", "believes_xcom"), ("ours", "ours_anyway")
DOORS = (*NAIVE, *OURS)


class Attack:
    """A run, and what somebody does after it."""

    def __init__(self, airflow: LiveAirflow, world: World) -> None:
        self.airflow, self.world = airflow, world
        self.run = airflow.trigger("matrix", world.params)

    @property
    def gate(self) -> str:
        return f"{self.run}/taskInstances/gate"

    def mark(self, state: str) -> None:
        self.airflow.api("PATCH", self.gate, {"new_state": state})

    def edit_xcom(self) -> None:
        value = {**self.airflow.api("GET", f"{self.gate}/xcomEntries/return_value?deserialize=true")["value"]}
        forged = {**value, "verdict": "admitted", "reasons": [], "path": str(self.world.model)}
        self.airflow.api("PATCH", f"{self.gate}/xcomEntries/return_value", {"value": forged, "map_index": -1})

    def say(self, who: str) -> None:
        """That all is well with the model that stands there, in the gate's own words, for this very run."""
        policy, artifact = Policy.load(self.world.params["policy"]), open_artifact(str(self.world.model))
        run_id = "matrix/" + self.run.rpartition("/")[2].replace("%3A", ":").replace("%2B", "+")
        evidence = Evidence(
            check="artifact", check_version="1", subject=artifact.subject, kind="model", report=Report(),
            options_digest=policy.require["artifact"].options_digest, policy_digest=policy.digest, run_id=run_id,
            made_at=datetime.now(timezone.utc),
        )  # fmt: skip
        bundle = signing.sign(evidence.statement(), signing.INTOTO, KeySigner.load(self.world.key(who)))
        Store(self.world.params["store"]).add("evidence", artifact.subject, bundle, check="artifact")

    def replay(self) -> None:
        """Evidence about an honest model, under the name of this one."""
        store, bad = Store(self.world.params["store"]), open_artifact(str(self.world.model)).subject
        shutil.rmtree(Path(store.uri) / "evidence" / "sha256" / bad.hex)
        (self.world.model / "model.pkl").unlink()
        honest = open_artifact(str(self.world.model)).subject
        self.say("gate")
        for _, bundle in list(store.read("evidence", honest)):
            store.add("evidence", bad, bundle, check="artifact")
        self.world.trojan()

    def promoted(self) -> frozenset[str]:
        """What stands in production now, by the doors."""
        found = {one for one in NAIVE if (self.world.production / one).exists()}
        return frozenset(
            found | {one for one in OURS if (self.world.production / "channels" / f"{one}.sigstore.json").exists()}
        )


Deed = Callable[[Attack], object]


def forged(attack: Attack) -> None:
    attack.say("mallory")
    attack.edit_xcom()
    attack.mark("success")


def replayed(attack: Attack) -> None:
    attack.replay()
    attack.edit_xcom()
    attack.mark("success")


ATTACKS: dict[str, tuple[bool, Deed, frozenset[str]]] = {
    "honest model, nobody does anything": (True, lambda attack: None, frozenset(DOORS)),
    "bad model, nobody does anything": (False, lambda attack: None, frozenset()),
    "gate marked as success": (False, lambda attack: attack.mark("success"), frozenset({"believes_state"})),
    "gate marked as success, XCom edited": (False, lambda a: (a.edit_xcom(), a.mark("success")), frozenset(NAIVE)),
    "gate marked as skipped, XCom edited": (False, lambda a: (a.edit_xcom(), a.mark("skipped")), frozenset({"believes_xcom"})),
    "model swapped after the gate": (True, lambda attack: attack.world.trojan(), frozenset(NAIVE)),
    "evidence forged with another key": (False, forged, frozenset(NAIVE)),
    "evidence replayed from another model": (False, replayed, frozenset(NAIVE)),
}
"""What is done, to an honest model or a bad one, and which doors it opens."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("matrix")


@pytest.fixture(scope="module")
def live(root: Path) -> Iterator[LiveAirflow]:
    started = time.monotonic()
    dags = {"matrix.py": MATRIX, "deploy.py": DEPLOY.replace("ROOT", str(root))}
    with LiveAirflow(root / "airflow", dags) as airflow:
        print(f"\nAirflow took {time.monotonic() - started:.0f} s to start")
        yield airflow


@pytest.fixture(scope="module")
def played(live: LiveAirflow, root: Path) -> dict[str, frozenset[str]]:
    """All attacks, side by side: which doors let the model through after each."""
    attacks = {}
    for number, (name, (honest, _, _)) in enumerate(ATTACKS.items()):
        world = World(root / (f"world-{number}" if number else "honest"))
        if not honest:
            world.trojan()
        attacks[name] = Attack(live, world)
    for name, attack in attacks.items():
        live.states(attack.run)
        if attack.promoted() and not name.startswith("honest"):
            shutil.rmtree(attack.world.production)  # an honest model, before somebody swaps it
        ATTACKS[name][1](attack)
        if not name.startswith("honest"):
            live.clear(attack.run, list(DOORS))
    for attack in attacks.values():
        live.states(attack.run)
    found = {name: attack.promoted() for name, attack in attacks.items()}
    print(table(found))
    return found


def table(found: dict[str, frozenset[str]]) -> str:
    """For people: which promotion fell for what."""
    head = f"| {'attack':<40} | " + " | ".join(f"{one:<14}" for one in DOORS) + " |"
    rule = "|".join(["", "-" * 42, *("-" * 16 for _ in DOORS), ""])
    rows = [
        f"| {name:<40} | " + " | ".join(f"{'PROMOTED' if one in opened else 'no':<14}" for one in DOORS) + " |"
        for name, opened in found.items()
    ]
    return "\n".join(["", head, rule, *rows])


@pytest.mark.parametrize("name", ATTACKS)
def test_naive_promotions_fall_and_ours_never_does(played: dict[str, frozenset[str]], name: str) -> None:
    assert played[name] == ATTACKS[name][2]
    assert name.startswith("honest") or not played[name] & set(OURS)


def test_a_forged_event_of_an_asset_deploys_nothing(live: LiveAirflow, root: Path, played: dict[str, Any]) -> None:
    """Nor does it keep an honest one from being deployed."""
    bad = World(root / "forged")
    bad.trojan()
    assert deployed(live, root, bad.model) == {"believes_event": "success", "ours": "failed"}
    assert (root / "events" / "believes_event" / "model.pkl").exists() and not (root / "events" / "channels").exists()
    shutil.rmtree(root / "events")
    assert deployed(live, root, root / "honest" / "model") == {"believes_event": "success", "ours": "success"}
    assert (root / "events" / "channels" / "production.sigstore.json").exists()


def deployed(live: LiveAirflow, root: Path, model: Path) -> dict[str, str]:
    """Say that a model was judged, as anybody may who may create events; the states of the deployment that follows."""
    before = live.api("GET", "/dags/deploy/dagRuns")["total_entries"]
    asset = next(one["id"] for one in live.api("GET", "/assets?limit=100")["assets"] if one["uri"] == "x-model://judged")
    extra = {"pratique": {"verdict": "admitted", "uri": str(model)}}
    live.api("POST", "/assets/events", {"asset_id": asset, "extra": extra})

    def started() -> Any:
        told = live.api("GET", "/dags/deploy/dagRuns")
        return told["dag_runs"] if told["total_entries"] > before else None

    runs = live.until(started, 120, "the deployment starts")
    newest = max(runs, key=lambda one: str(one["run_after"]))["dag_run_id"]
    return live.states(f"/dags/deploy/dagRuns/{newest}".replace("+", "%2B"))


def test_a_task_that_is_run_by_itself_from_a_shell_promotes_nothing(root: Path) -> None:
    world = World(root / "shell")
    world.trojan()
    quiet = LiveAirflow(root / "quiet", {"matrix.py": MATRIX})  # no scheduler, which would run the gate as well
    assert quiet.cli("db", "migrate") == 0
    for door in ("believes_state", "ours"):  # ends with 0 even if the task fails
        quiet.cli("tasks", "test", "matrix", door, "--task-params", json.dumps(world.params))
    assert (world.production / "believes_state").exists() and not world.promoted
