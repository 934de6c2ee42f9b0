"""Whole pipelines, each task a process of its own, on Kubeflow's local runner; and what others do to them.

No annotations are postponed here: kfp reads those of components and pipelines.
"""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl, local
from kfp.dsl import Artifact, Input, Model, Output

from pratique import promotion
from pratique.artifacts import open_artifact
from pratique.components import gate, promote_model, scan_artifact, transfer_learning, uncached
from pratique.demonstration import digits
from pratique.demonstration import world as digits_world
from tests.components.conftest import RELEASE, World

RUN_ID = dsl.PIPELINE_JOB_ID_PLACEHOLDER


@dsl.component(base_image="python:3", install_kfp_package=False)
def meddle(admitted: Input[Artifact], deed: str, place: str):
    """Somebody's code between the gate and the door, with the rights that every step has: to the bucket and to the store."""
    import shutil
    import time
    from pathlib import Path

    if deed == "tamper":
        (Path(admitted.path) / "model.pkl").write_bytes(b"cos\nsystem\n(S'echo gotcha'\ntR.")
    if deed == "drop evidence":
        shutil.rmtree(Path(place) / "evidence")
    if deed == "wait":
        time.sleep(1.5)


@dsl.component(base_image="python:3", install_kfp_package=False)
def forge(honest: Input[Artifact], key: str, forged: Output[Artifact]):
    """The gate's own words, signed with another key, and with its name on it."""
    from dataclasses import replace
    from pathlib import Path

    from pratique import signing
    from pratique.signing import INTOTO, KeySigner
    from pratique.statements import Clearance

    signer = KeySigner.load(Path(key))
    one = Clearance.parse(signing.parse_bundle(Path(honest.path).read_bytes())[0].payload)
    named = replace(one, verifier=f"urn:pratique:gate:{signing.fingerprint(signer.public)}")
    Path(forged.path).write_bytes(signing.sign(named.statement(), INTOTO, signer))
    forged.metadata.update(verdict="admitted", media_type=signing.BUNDLE)


def opened(uri: str) -> Any:
    return uncached(dsl.importer(artifact_uri=uri, artifact_class=Model, reimport=True)).output


@dsl.pipeline(name="admit-and-promote")
def admit_and_promote(model: str, policy: str, store: str, gate_key: str, promoter_key: str, destination: str) -> str:
    """The shortest guarded way."""
    asked = {"policy": policy, "store": store, "key": gate_key, "run_id": RUN_ID}
    scan = uncached(scan_artifact(artifact=opened(model), deny_at="never", **asked))
    admission = uncached(gate(artifact=opened(model), **asked).after(scan))
    promoted = promote_model(
        model=admission.outputs["admitted"], clearance=admission.outputs["clearance"], policy=policy, store=store,
        key=promoter_key, destination=destination, channel="production", run_id=RUN_ID,
    )  # fmt: skip
    return uncached(promoted).output


@dsl.pipeline(name="meddled-with")
def meddled_with(
    model: str, policy: str, store: str, gate_key: str, promoter_key: str, destination: str, deed: str, other_key: str
):
    """The same with somebody in between."""
    admission = uncached(gate(artifact=opened(model), policy=policy, store=store, key=gate_key, run_id=RUN_ID))
    between = uncached(meddle(admitted=admission.outputs["admitted"], deed=deed, place=store))
    promoted = promote_model(
        model=admission.outputs["admitted"], clearance=admission.outputs["clearance"], policy=policy, store=store,
        key=promoter_key, destination=destination, channel="production", run_id=RUN_ID,
    )  # fmt: skip
    uncached(promoted.after(between))


@dsl.pipeline(name="forged")
def with_a_forged_clearance(
    model: str, policy: str, store: str, gate_key: str, promoter_key: str, destination: str, deed: str, other_key: str
):
    """The same with a clearance that somebody else signed."""
    admission = uncached(gate(artifact=opened(model), policy=policy, store=store, key=gate_key, run_id=RUN_ID))
    forgery = uncached(forge(honest=admission.outputs["clearance"], key=other_key))
    promoted = promote_model(
        model=admission.outputs["admitted"], clearance=forgery.outputs["forged"], policy=policy, store=store,
        key=promoter_key, destination=destination, channel="production", run_id=RUN_ID,
    )  # fmt: skip
    uncached(promoted)


@dsl.pipeline(name="no-gate")
def without_a_gate(model: str, clearance: str, policy: str, store: str, promoter_key: str, destination: str):
    """Promotion alone; what it needs comes from an importer, which makes an artifact of anything."""
    promoted = promote_model(
        model=opened(model), clearance=opened(clearance), policy=policy, store=store, key=promoter_key,
        destination=destination, channel="production", run_id=RUN_ID,
    )  # fmt: skip
    uncached(promoted)


@pytest.fixture
def arguments(world: World) -> dict[str, str]:
    return {
        "model": str(world.model), "policy": world.policy, "store": str(world.store), "gate_key": str(world.key("gate")),
        "promoter_key": str(world.key("promoter")), "destination": str(world.production),
    }  # fmt: skip


Play = Callable[..., Any]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Run a pipeline, without containers and without environments of their own."""

    def run(pipeline: Any, **arguments: Any) -> Any:
        workspace = tmp_path / "workspace"
        workspace.mkdir(exist_ok=True)  # kfp.local deletes it after every run
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "runs"), workspace_root=str(workspace))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # that the image is not looked at
            return pipeline(**arguments)

    return run


@pytest.fixture
def fails(play: Play, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a pipeline that must fail; returns the last line of the task that failed."""

    def run(pipeline: Any, task: str, **arguments: Any) -> str:
        capfd.readouterr()
        with pytest.raises(RuntimeError) as caught:
            play(pipeline, **arguments)
        assert f"Inner task failed: '{task}'" in re.sub(r"\x1b\[\d*m", "", str(caught.value))
        told = capfd.readouterr()
        assert "Traceback" not in told.out + told.err
        theirs = re.compile(r"\d\d:\d\d:\d\d\.\d+ - |-*$")  # what the runner itself tells of the task
        return [line.strip() for line in told.out.splitlines() if not theirs.match(line.strip())][-1]

    return run


def ran(tmp_path: Path) -> set[str]:
    """The tasks of the last run that were started."""
    last = max((tmp_path / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    return {re.sub(r"-\d+$", "", path.name) for path in last.iterdir()}


# --- honest, and denied -------------------------------------------------------------------------------------------------


def test_an_honest_model_is_promoted_and_every_run_needs_evidence_of_its_own(
    play: Play, world: World, arguments: dict[str, str]
) -> None:
    subject, trusted = open_artifact(world.model).subject, [world.signer("promoter").trusted()]
    for number in (1, 2):
        done = play(admit_and_promote, **arguments)
        assert done.output == f"{world.production}/sha256/{subject.hex}"
        assert len(list(world.store.glob("evidence/*/*/*/*.json"))) == number, "the gate leaned on the scan of the same run"
        assert promotion.read_channel(str(world.production), "production", trusted).statement.sequence == number


def test_a_denied_model_stops_the_pipeline_in_one_line(
    fails: Callable[..., str], world: World, arguments: dict[str, str], tmp_path: Path
) -> None:
    world.trojan()
    line = fails(admit_and_promote, "gate", **arguments)
    assert line.startswith("DENIED model: artifact: ") and "os.system" in line
    assert ran(tmp_path) == {"scan-artifact", "gate"}, "nothing after the gate was started"
    assert not world.production.exists()


# --- meddled with -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deed", "why"),
    [("tamper", "WrongSubject"), ("drop evidence", "there is no evidence for this artifact")],
    ids=["the admitted copy is tampered with", "the evidence is deleted"],
)
def test_whatever_somebody_does_after_the_gate(
    fails: Callable[..., str], world: World, arguments: dict[str, str], deed: str, why: str
) -> None:
    line = fails(meddled_with, "promote-model", **arguments, deed=deed, other_key="")
    assert why in line and not world.promoted


def test_a_clearance_that_lapsed_while_the_pipeline_waited(
    fails: Callable[..., str], world: World, arguments: dict[str, str]
) -> None:
    brief = world.write_policy("brief", RELEASE + "clearance: {expires: PT1S}\n")
    line = fails(meddled_with, "promote-model", **{**arguments, "policy": brief}, deed="wait", other_key="")
    assert "Stale: the clearance held from" in line and not world.promoted


def test_a_forged_clearance(fails: Callable[..., str], world: World, arguments: dict[str, str]) -> None:
    mallory = str(world.key("mallory"))
    line = fails(with_a_forged_clearance, "promote-model", **arguments, deed="", other_key=mallory)
    assert "WrongSigner: the clearance is signed by nobody who is trusted here" in line and not world.promoted


def test_the_same_words_by_the_gate_itself(play: Play, world: World, arguments: dict[str, str]) -> None:
    """The honest twin of the forgery. It is also what remains: whoever holds the gate's key can say anything."""
    play(with_a_forged_clearance, **arguments, deed="", other_key=str(world.key("gate")))
    assert world.promoted


def test_promotion_without_a_gate_after_an_honest_run(
    fails: Callable[..., str], world: World, arguments: dict[str, str]
) -> None:
    """An importer makes an artifact of an old clearance, and of another model; neither gets through."""
    out = world.gate(run_id="an-honest-run")
    del arguments["gate_key"]
    line = fails(without_a_gate, "promote-model", **arguments, clearance=out["clearance"].path)
    assert "the clearance is from run an-honest-run, not from" in line and not world.promoted
    arguments["model"] = str(world.trojan("bad"))
    fails(without_a_gate, "promote-model", **arguments, clearance=out["clearance"].path)
    assert not world.promoted


# --- the demo's pipeline, on scanned digits -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def supplied(tmp_path_factory: pytest.TempPathFactory) -> digits_world.World:
    """Keys, policies, a supplier's signed model, a publisher's signed dataset; ten seconds, once."""
    return digits_world.build(tmp_path_factory.mktemp("digits") / "world", lambda _: None)


def places(world: digits_world.World) -> dict[str, str]:
    return {
        "base_model": str(world.base), "dataset": str(world.dataset), "policies": str(world.policies),
        "store": str(world.store), "destination": str(world.production), "channel": "production",
        **{f"{who}_key": str(world.key(who)) for who in ("gate", "trainer", "promoter")},
    }  # fmt: skip


def test_an_honest_supplier_gets_to_production(play: Play, supplied: digits_world.World, tmp_path: Path) -> None:
    world = supplied.copy(tmp_path / "stage")
    done = play(transfer_learning, **places(world))
    vouched = promotion.read_channel(str(world.production), "production", [world.signer("promoter").trusted()])
    promoted = promotion.verify_promoted(vouched.statement, str(world.production))
    assert done.output.endswith(promoted.subject.hex)
    assert {"PRATIQUE_LINEAGE", "PRATIQUE_ARTIFACT"} == set(vouched.statement.levels)
    assert len(list(world.store.glob("evidence/*/*/dataset/*.json"))) == 1, "the gate leaned on the validation"


@pytest.mark.slow
def test_a_base_model_that_was_changed_after_signing_is_never_trained_on(
    fails: Callable[..., str], supplied: digits_world.World, tmp_path: Path
) -> None:
    world = supplied.copy(tmp_path / "stage")
    digits.change_weights(world.base)
    line = fails(transfer_learning, "gate", **places(world))
    assert line.startswith("DENIED base-model: provenance: ")
    assert "fine-tune-digits" not in ran(tmp_path) and not world.production.exists()


@pytest.mark.slow
def test_a_poisoned_dataset_is_never_trained_on(
    fails: Callable[..., str], supplied: digits_world.World, tmp_path: Path
) -> None:
    world = supplied.copy(tmp_path / "stage")
    digits.flip_labels(world.dataset, 0.3, seed=1)
    world.sign(world.dataset, "publisher")
    line = fails(transfer_learning, "validate-dataset", **places(world))
    assert line.startswith("DENIED digits: dataset: ")
    assert "fine-tune-digits" not in ran(tmp_path) and not world.production.exists()
