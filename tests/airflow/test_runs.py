"""A gate and a promotion in a real Airflow, and everything that somebody with buttons, or with a shell, does between them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from pratique import signing
from pratique.artifacts import open_artifact
from pratique.checking import Report
from pratique.demonstration.airflow import Airflow, Run
from pratique.policies import Policy
from pratique.signing import INTOTO, KeySigner
from pratique.statements import Evidence
from pratique.store import Store

from .conftest import World

GUARDED = """
from datetime import timedelta

from airflow.sdk import dag, task

from pratique.operators import GateOperator, PromoteModelOperator

NAMES = ("artifact", "policy", "store", "destination", "gate_key", "promoter_key")


@dag(schedule=None, params=dict.fromkeys(NAMES, ""))
def guarded():
    common = {name: "{{ params.%s }}" % name for name in ("artifact", "policy", "store")}
    gate = GateOperator(task_id="gate", key="{{ params.gate_key }}", retries=2, retry_delay=timedelta(0), **common)
    door = {**common, "destination": "{{ params.destination }}", "key": "{{ params.promoter_key }}"}
    promote = PromoteModelOperator(task_id="promote", **door)
    named = PromoteModelOperator(task_id="promote_named", expect=gate.output["subject"], **{**door, "channel": "named"})
    whatever = PromoteModelOperator(task_id="promote_whatever", trigger_rule="all_done", **{**door, "channel": "whatever"})
    copy = PromoteModelOperator(task_id="promote_copy", **{**door, "artifact": gate.output["path"], "channel": "copy"})

    gate >> promote >> named >> copy
    gate >> whatever


guarded()
"""
GATELESS = """
from airflow.sdk import dag

from pratique.operators import PromoteModelOperator


@dag(schedule=None, params=dict.fromkeys(("artifact", "policy", "store", "destination", "promoter_key"), ""))
def gateless():
    given = {name: "{{ params.%s }}" % name for name in ("artifact", "policy", "store", "destination")}
    PromoteModelOperator(task_id="promote", key="{{ params.promoter_key }}", **given)


gateless()
"""
MAPPED = """
from airflow.sdk import dag

from pratique.operators import GateOperator


@dag(schedule=None, params={"models": []})
def mapped():
    GateOperator.partial(task_id="gate").expand(artifact=MODELS)


mapped()
"""
DOORS = ("promote", "promote_named", "promote_whatever", "promote_copy")

Play = Callable[..., Run]


@pytest.fixture
def play(airflow: Airflow, world: World, tmp_path: Path) -> Play:
    """Run a DAG in the world, with deeds after its tasks."""

    def run(between: dict[str, Callable[[], object]] | None = None, source: str = GUARDED, **params: str) -> Run:
        file = tmp_path / "dags" / "pipeline.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(source)
        return airflow.run({**world.params, **params}, between, dag=airflow.load(file))

    return run


def lie(world: World, airflow: Airflow, who: str) -> None:
    """Evidence that all is well with the model that stands there, in the gate's own words, signed by somebody."""
    policy, artifact = Policy.load(world.params["policy"]), open_artifact(str(world.model))
    evidence = Evidence(
        check="artifact", check_version="1", subject=artifact.subject, kind="model", report=Report(),
        options_digest=policy.require["artifact"].options_digest, policy_digest=policy.digest, run_id=airflow.run_id,
        made_at=datetime.now(timezone.utc),
    )  # fmt: skip
    bundle = signing.sign(evidence.statement(), INTOTO, KeySigner.load(world.key(who)))
    Store(world.params["store"]).add("evidence", artifact.subject, bundle, check="artifact")


def refused(run: Run, world: World, why: str) -> bool:
    """Every door that was tried said no, for that reason, and nothing stands in production."""
    tried = [door for door in DOORS if run.states[door] == "failed"]
    told = [reason for door in tried for reason in run.reasons[door]]
    assert tried and all(run.states[door] != "success" for door in DOORS), run.states
    assert any(why in reason for reason in told), told
    return not world.promoted


# --- honest -------------------------------------------------------------------------------------------------------------


def test_an_honest_model_goes_through_every_door(play: Play, world: World) -> None:
    run = play()
    assert run.states == dict.fromkeys(("gate", *DOORS), "success")
    assert len(world.promoted) == 1 + 4, "one model, and four channels that point to it"
    assert not run.reasons


def test_in_the_worlds_shortest_guarded_dag_too(airflow: Airflow, world: World) -> None:
    from importlib.resources import files

    dag = airflow.load(Path(str(files("pratique.example_dags") / "add_a_gate.py")))
    run = airflow.run({"base_model": str(world.model)}, dag=dag)
    assert run.states == {"admit_base": "success", "train": "success"}
    assert airflow.xcom("train") == ["model.safetensors"]
    world.trojan()
    assert airflow.run({"base_model": str(world.model)}, dag=dag).states == {"admit_base": "failed", "train": "upstream_failed"}


# --- a model that is refused --------------------------------------------------------------------------------------------


def test_a_failed_gate_stops_what_waits_for_it_and_the_rest_is_refused(play: Play, world: World) -> None:
    world.trojan()
    run = play()
    assert run.states["gate"] == "failed" and "os.system" in run.reasons["gate"][0] and run.remedies["gate"]
    assert [run.states[door] for door in ("promote", "promote_named", "promote_copy")] == ["upstream_failed"] * 3
    assert refused(run, world, "os.system"), "a trigger rule that runs it anyway promotes nothing"


def test_a_gate_that_was_marked_as_success_promotes_nothing(play: Play, world: World, airflow: Airflow) -> None:
    world.trojan()
    run = play({"gate": lambda: airflow.mark_success("gate")})
    assert (run.states["gate"], run.states["promote"]) == ("success", "failed")
    assert refused(run, world, "os.system")


def test_each_door_by_itself_refuses_after_a_mark_as_success(play: Play, world: World, airflow: Airflow) -> None:
    world.trojan()
    marked = {task: (lambda task=task: airflow.mark_success(task)) for task in ("gate", "promote", "promote_named")}
    run = play(marked)
    assert "os.system" in run.reasons["promote_named"][0], "the XCom names the bad model, and the evidence speaks against it"
    assert "XComNotFound" in run.reasons["promote_copy"][0], "a denied model has no path"
    assert not world.promoted


def test_an_edited_xcom_promotes_nothing(play: Play, world: World, airflow: Airflow) -> None:
    world.trojan()

    def deed() -> None:
        told = airflow.xcom("gate")
        airflow.edit_xcom("gate", {**told, "verdict": "admitted", "path": str(world.model), "reasons": []})
        airflow.mark_success("gate")

    run = play({"gate": deed, **{task: (lambda t=task: airflow.mark_success(t)) for task in ("promote", "promote_named")}})
    assert airflow.xcom("gate", "path") == str(world.model)
    assert run.states["promote_copy"] == "failed" and refused_everywhere(run, world)


def refused_everywhere(run: Run, world: World) -> bool:
    assert all("os.system" in " ".join(run.reasons[door]) for door in DOORS), run.reasons
    return not world.promoted


def test_forged_evidence_promotes_nothing(play: Play, world: World, airflow: Airflow) -> None:
    world.trojan()

    def deed() -> None:
        lie(world, airflow, "mallory")
        airflow.mark_success("gate")

    assert refused(play({"gate": deed}), world, "os.system")


def test_forged_evidence_alone_is_nobodys_word(play: Play, world: World, airflow: Airflow) -> None:
    world.trojan()

    def deed() -> None:
        shutil.rmtree(world.params["store"])
        lie(world, airflow, "mallory")
        airflow.mark_success("gate")

    assert refused(play({"gate": deed}), world, "signed by nobody who is trusted here")


def test_only_the_gates_key_makes_evidence(play: Play, world: World, airflow: Airflow) -> None:
    """The honest twin of the forgeries: the same words in the same place, by the key that the policy trusts.

    This is also what remains: whoever holds the gate's key can say anything.
    """
    world.trojan()

    def deed() -> None:
        lie(world, airflow, "gate")
        airflow.mark_success("gate")

    assert play({"gate": deed}).states["promote"] == "success"


def test_evidence_replayed_from_another_model_promotes_nothing(play: Play, world: World, airflow: Airflow) -> None:
    play()
    honest = open_artifact(str(world.model)).subject
    shutil.rmtree(world.production)
    world.trojan()

    def deed() -> None:
        store, bad = Store(world.params["store"]), open_artifact(str(world.model)).subject
        shutil.rmtree(Path(store.uri) / "evidence" / "sha256" / bad.hex)
        for _, bundle in store.read("evidence", honest):
            store.add("evidence", bad, bundle, check="artifact")
        airflow.mark_success("gate")

    assert refused(play({"gate": deed}), world, "replayed for another artifact")


# --- a model that was admitted ------------------------------------------------------------------------------------------


def test_a_model_swapped_after_the_gate_is_not_promoted(play: Play, world: World) -> None:
    run = play({"gate": lambda: world.deliver(666.0)})
    assert run.states["gate"] == "success" and refused(run, world, "there is no evidence for this artifact")


def test_a_swap_for_another_admitted_model_is_seen_by_its_digest(play: Play, world: World, airflow: Airflow) -> None:
    store = Path(world.params["store"])

    def swap() -> None:
        world.deliver(1.0)
        lie(world, airflow, "gate")  # as if the gate had admitted this one in the same run, too

    run = play({"gate": swap})
    assert store.exists() and run.states["promote"] == "success"
    assert run.states["promote_named"] == "failed" and "as expected" in run.reasons["promote_named"][0]


def test_a_swap_does_not_touch_the_copy_that_was_judged(play: Play, world: World, airflow: Airflow) -> None:
    honest = open_artifact(str(world.model)).subject
    marked = {task: (lambda task=task: airflow.mark_success(task)) for task in ("promote", "promote_named")}
    run = play({"gate": world.trojan, **marked})
    assert run.states["promote_copy"] == "success"
    assert world.promoted == [honest.hex, "copy.sigstore.json"]


def test_without_its_store_nothing_is_promoted(play: Play, world: World) -> None:
    run = play({"gate": lambda: shutil.rmtree(world.params["store"])})
    assert run.states["gate"] == "success" and refused(run, world, "there is no evidence")


def test_a_promotion_without_any_gate_is_refused_also_with_good_evidence_of_yesterday(
    play: Play, world: World, airflow: Airflow
) -> None:
    play()
    before = airflow.run_id
    shutil.rmtree(world.production)
    run = play(source=GATELESS)
    assert run.states == {"promote": "failed"} and f"the evidence is from run {before}" in run.reasons["promote"][0]
    assert not world.promoted


# --- states and tries ---------------------------------------------------------------------------------------------------


def tries(airflow: Airflow, task: str) -> int:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    dag_id, run_id = airflow.run_id.split("/", 1)
    with create_session() as session:
        found = session.query(TaskInstance).filter_by(dag_id=dag_id, run_id=run_id, task_id=task).one()
        return int(found.try_number)


def test_a_denial_is_not_tried_again(play: Play, world: World, airflow: Airflow) -> None:
    world.trojan()
    assert play().states["gate"] == "failed" and tries(airflow, "gate") == 1


def test_an_unreachable_store_is_tried_again_and_then_fails(play: Play, world: World, airflow: Airflow) -> None:
    (world.root / "file").write_bytes(b"")
    run = play(store=str(world.root / "file"))
    assert run.states["gate"] == "failed" and tries(airflow, "gate") == 3
    assert airflow.xcom("gate")["verdict"] == "undecided" and not world.promoted


def test_a_store_that_comes_back_is_used(play: Play, world: World, airflow: Airflow) -> None:
    store = world.root / "file"
    store.write_bytes(b"")

    def mend() -> None:
        store.unlink(missing_ok=True) if store.is_file() else None

    run = play({"gate": mend}, store=str(store))
    assert run.states["gate"] == "success" and tries(airflow, "gate") == 2 and not run.reasons


def test_a_gate_can_be_mapped_over_many_models(play: Play, world: World, airflow: Airflow, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(world.model, bad)
    (bad / "model.pkl").write_bytes(b"cos\nsystem\n(S'echo gotcha'\ntR.")
    run = play(source=MAPPED.replace("MODELS", repr([str(world.model), str(bad)])))
    assert run.states == {"gate[0]": "success", "gate[1]": "failed"}


def test_what_a_task_prints_stays_out_of_our_output(play: Play, capfd: pytest.CaptureFixture[str]) -> None:
    play()
    told = capfd.readouterr()
    assert not told.out and not told.err


def test_a_dag_file_that_cannot_be_imported_is_named(airflow: Airflow, tmp_path: Path) -> None:
    from pratique.errors import UsageError

    file = tmp_path / "broken.py"
    file.write_text("from airflow.sdk import dag\nfrom pratique.operators import NoSuchOperator\n")
    with pytest.raises(UsageError, match="NoSuchOperator"):
        airflow.load(file)
    file.write_text("from airflow.sdk import dag\n")
    with pytest.raises(UsageError, match="0 DAGs"):
        airflow.load(file)


def test_an_airflow_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = """if True:
        import sys
        from pathlib import Path
        import airflow
        from pratique.demonstration.airflow import Airflow
        Airflow(Path(sys.argv[1]))
    """
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "home")], capture_output=True, text=True)
    assert done.returncode and "Airflow is already imported" in done.stderr and not (tmp_path / "home").exists()
