"""Each step as a function: what it leaves behind, and every way in which it can be stopped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pratique import signing, steps
from pratique.artifacts import Subject, open_artifact
from pratique.gate import pass_gate
from pratique.policies import Policy
from pratique.signing import INTOTO, KeySigner
from pratique.statements import Clearance, Evidence, TrainingRecord
from pratique.store import Store
from pratique.testing import StepMetrics, folder_of
from tests.components.conftest import RELEASE, RUN, TROJAN, World, handle
from tests.conftest import install

Stopped = Callable[..., str]


def evidence_in(world: World, subject: Subject | None = None) -> list[Evidence]:
    """What the store holds about the model, verified with the gate's key."""
    about = subject or open_artifact(world.model).subject
    trusted = [world.signer("gate").trusted()]
    bundles = [bundle for _, bundle in Store(str(world.store)).read("evidence", about)]
    return [Evidence.parse(signing.verify(one, trusted).payload) for one in bundles]


def clearance_of(world: World, path: str, who: str = "gate") -> Clearance:
    return Clearance.parse(signing.verify(Path(path).read_bytes(), [world.signer(who).trusted()]).payload)


def signed(world: World, clearance: Clearance, who: str = "gate") -> Any:
    """A clearance in somebody's name, where a step would find it."""
    signer = world.signer(who)
    named = replace(clearance, verifier=f"urn:pratique:gate:{signing.fingerprint(signer.public)}")
    path = world.root / f"clearance-by-{who}"
    path.write_bytes(signing.sign(named.statement(), INTOTO, signer))
    return handle(path)


# --- a check ------------------------------------------------------------------------------------------------------------


def test_a_check_keeps_signed_evidence_bound_to_the_run(world: World) -> None:
    out = world.check()
    (evidence,) = evidence_in(world)
    assert (evidence.check, evidence.run_id, evidence.subject) == ("artifact", RUN, open_artifact(world.model).subject)
    copy = Path(out["evidence"].path).read_bytes()
    signing.verify(copy, [world.signer("gate").trusted()])
    assert out["evidence"].metadata["digest"] == out["digest"] and out["digest"].removeprefix("sha256:") in " ".join(
        path.name for path in world.store.rglob("*.json")
    )
    assert out["metrics"].numbers["files"] == 1 and out["metrics"].numbers["findings_high"] == 0
    assert "one check saw" in Path(out["report"].path).read_text()


def test_a_check_clears_nothing(world: World) -> None:
    world.check()
    assert not list(world.store.glob("clearances/**/*.json"))


def test_a_grave_finding_fails_the_check_after_the_evidence_was_kept(world: World, stopped: Stopped) -> None:
    world.trojan()
    line = stopped(world.check)
    assert line.startswith("DENIED model: artifact: ") and "os.system" in line
    assert [one.report.worst.name for one in evidence_in(world)] == ["CRITICAL"]
    assert (world.last / "report").exists() and (world.last / "evidence").exists()


def test_a_check_can_leave_the_decision_to_a_gate_which_then_denies(world: World, stopped: Stopped) -> None:
    world.trojan()
    out = world.check(deny_at="never")
    assert out["metrics"].numbers["findings_critical"] > 0
    assert "os.system" in stopped(world.gate)
    assert len(evidence_in(world)) == 1, "the gate leaned on what the check had seen"


def test_the_mildest_finding_that_fails_can_be_chosen(world: World, stopped: Stopped) -> None:
    (world.model / "empty.txt").write_bytes(b"")
    world.check()
    world.check(deny_at="medium")
    assert "empty" in stopped(world.check, deny_at="low")
    assert "deny_at" in stopped(world.check, deny_at="hihg")


def test_the_options_of_a_component_reach_the_check(world: World, stopped: Stopped) -> None:
    assert "safetensors" in stopped(world.check, formats=["csv"])
    assert "max_json_bytes" in stopped(world.check, max_json_bytes=0)


def test_a_default_asks_what_leaving_it_out_asks(world: World) -> None:
    world.check()
    world.check(max_json_bytes=64 << 20, formats=None)
    assert len({one.options_digest for one in evidence_in(world)}) == 1


def test_integers_survive_kubeflows_lists() -> None:
    assert steps._whole({"a": [3.0, 2.5], "b": {"c": 1.0}, "d": "x", "e": True}) == {
        "a": [3, 2.5], "b": {"c": 1}, "d": "x", "e": True,
    }  # fmt: skip


def test_a_policy_asks_its_own_question(world: World) -> None:
    world.check(policy=world.policy)
    (evidence,) = evidence_in(world)
    assert evidence.options_digest == Policy.load(world.policy).require["artifact"].options_digest


@pytest.mark.parametrize(
    ("more", "why"),
    {
        "options": ({"formats": ["csv"]}, "both a policy and formats"),
        "a kind": ({"kind": "model"}, "both a policy and kind"),
        "a severity": ({"deny_at": "low"}, "both a policy and deny_at"),
    }.values(),
    ids=["options", "a kind", "a severity"],
)
def test_two_questions_at_once_are_refused(world: World, stopped: Stopped, more: dict[str, Any], why: str) -> None:
    assert why in stopped(world.check, policy=world.policy, **more)
    assert not world.store.exists()


def test_a_policy_that_does_not_ask_this_check_is_refused(world: World, stopped: Stopped) -> None:
    assert "does not require 'lineage'" in stopped(world.check, component="verify_lineage", policy=world.policy)


def test_a_policy_that_came_out_empty_is_not_the_checks_own_question(world: World, stopped: Stopped) -> None:
    assert "policy is empty" in stopped(world.check, policy="")


def test_a_check_signed_by_a_key_that_counts_for_nothing_is_refused(world: World, stopped: Stopped) -> None:
    line = stopped(world.check, policy=world.policy, key=str(world.key("mallory")))
    assert "counts for nothing" in line and "gate" in line and not world.store.exists()


def test_a_second_signer_who_is_still_to_come_hides_no_finding(world: World, stopped: Stopped) -> None:
    policy = world.write_policy(
        "two",
        RELEASE.replace(
            "require:", "  second: {key: ../keys/trainer.pub}\nevidence: {signers: [gate, second]}\nrequire:"
        ).replace("medium", "medium, threshold: 2"),
    )
    world.check(policy=policy)
    world.trojan()
    assert "os.system" in stopped(world.check, policy=policy)


def test_what_a_check_needs_and_was_not_given_is_named(world: World, stopped: Stopped) -> None:
    assert "option signers: Field required" in stopped(world.check, component="verify_provenance")
    assert "there is no file" in stopped(world.check, component="validate_dataset", profile="nowhere.json")


def test_an_unsigned_model_fails_its_provenance(world: World, stopped: Stopped) -> None:
    from pratique import oms

    signers = [str(world.key("trainer").with_suffix(".pub"))]
    assert "DENIED" in stopped(world.check, component="verify_provenance", signers=signers)
    oms.write_signature(world.model, world.signer("trainer"))
    world.check(component="verify_provenance", signers=signers)


def test_a_check_that_cannot_look_at_such_a_thing_says_so(world: World, stopped: Stopped) -> None:
    assert "kind is one of: model, dataset" in stopped(world.check, kind="sculpture")


def test_a_check_that_breaks_leaves_no_evidence(world: World, stopped: Stopped, shape: str) -> None:
    folder_of(world.model, {"boom": b""})
    out = world._outputs("evidence", "report")
    asked = {"run_id": RUN, "asked": {"most": 3.0}, "store": str(world.store), "key": str(world.key("gate"))}
    assert "this check has a bug" in stopped(steps.check, shape, handle(world.model), **out, **asked)
    assert not evidence_in(world) and not (world.last / "evidence").exists()


# --- the gate -----------------------------------------------------------------------------------------------------------


def test_the_gate_hands_over_the_copy_that_was_judged(world: World) -> None:
    (world.model / "empty").mkdir()
    out = world.gate()
    subject = open_artifact(world.model).subject
    assert open_artifact(out["admitted"].path).subject == subject
    assert clearance_of(world, out["clearance"].path).subject == subject
    assert out["admitted"].metadata["subject"] == out["clearance"].metadata["subject"] == subject.digest
    assert "admitted" in Path(out["report"].path).read_text()
    assert out["metrics"].numbers["artifact.files"] == 1
    assert os.access(Path(out["admitted"].path) / "model.safetensors", os.W_OK), "Kubeflow has to clean up"
    shutil.rmtree(out["admitted"].path)


def test_a_single_file_is_handed_over_as_a_file(world: World) -> None:
    file = world.model / "model.safetensors"
    out = world.gate(file)
    assert Path(out["admitted"].path).read_bytes() == file.read_bytes()
    world.promote(out["admitted"], out["clearance"])


def test_a_denied_model_is_not_handed_over(world: World, stopped: Stopped) -> None:
    world.trojan()
    line = stopped(world.gate)
    assert line.startswith("DENIED model: artifact: ") and "more, see above" in line
    assert sorted(path.name for path in world.last.iterdir()) == ["report"]
    assert "denied" in (world.last / "report").read_text()
    assert not list(world.store.glob("clearances/**/*.json"))


def test_the_gate_leans_on_what_a_check_of_this_run_has_seen(world: World) -> None:
    world.check()
    world.gate()
    assert len(evidence_in(world)) == 1


def test_the_gate_looks_again_in_another_run(world: World) -> None:
    world.check(run_id="run-0")
    world.gate()
    assert sorted(one.run_id for one in evidence_in(world)) == ["run-0", RUN]


def test_the_gate_does_not_lean_on_a_stranger(world: World, stopped: Stopped) -> None:
    """Somebody who can write to the store says, before the gate looks, that all is well with a trojan."""
    world.trojan()
    policy, artifact = Policy.load(world.policy), open_artifact(world.model)
    good = evidence_about(world, policy)
    for who in ("mallory", "trainer", "promoter"):
        bundle = signing.sign(replace(good, subject=artifact.subject).statement(), INTOTO, world.signer(who))
        Store(str(world.store)).add("evidence", artifact.subject, bundle, check="artifact")
    assert "os.system" in stopped(world.gate)


def evidence_about(world: World, policy: Policy) -> Evidence:
    """What the gate would say about an honest model."""
    from pratique.gate import observe

    return observe("artifact", open_artifact(world.deliver(name="honest")), policy, run_id=RUN)


def test_a_gate_whose_key_the_policy_does_not_trust_decides_nothing(world: World, stopped: Stopped) -> None:
    assert "PolicyError" in stopped(world.gate, key=str(world.key("mallory"))) and not world.store.exists()


def test_the_baseline_needs_no_other_set_up(world: World, stopped: Stopped) -> None:
    world.gate(policy="baseline", key="", store="")
    world.trojan()
    assert "os.system" in stopped(world.gate, policy="baseline", key="", store="")


@pytest.mark.parametrize("policy", ["", " ", "nowhere.yaml"])
def test_a_policy_that_is_not_there_is_not_the_baseline(world: World, stopped: Stopped, policy: str) -> None:
    assert "policy" in stopped(world.gate, policy=policy) or "nowhere.yaml" in stopped(world.gate, policy=policy)


@pytest.mark.parametrize("run_id", ["", " ", "{{$.pipeline_job_uuid}}"])
def test_evidence_that_belongs_to_no_run_is_not_made(world: World, stopped: Stopped, run_id: str) -> None:
    for step in (world.check, world.gate):
        assert "pass run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER" in stopped(step, run_id=run_id)
    assert not world.store.exists()


def test_a_mistyped_key_does_not_become_a_new_one(world: World, stopped: Stopped) -> None:
    for step in (world.check, world.gate):
        assert "cannot read the key" in stopped(step, key=str(world.root / "gaet.key"))
    assert not (world.root / "gaet.key").exists()


def test_something_that_is_not_there_is_not_admitted(world: World, stopped: Stopped) -> None:
    assert "ArtifactError" in stopped(world.gate, world.root / "nowhere")
    assert "ArtifactError" in stopped(world.gate, Path("minio://bucket/never/mounted"))
    empty = handle("")
    with pytest.raises(SystemExit, match="no URI"):
        steps.gate(empty, **world._outputs("admitted", "clearance", "report"), policy="baseline", store="", key="", run_id=RUN)


def test_links_out_of_an_artifact_are_refused(world: World, stopped: Stopped) -> None:
    (world.model / "passwords").symlink_to("/etc/passwd")
    assert "ArtifactRefused" in stopped(world.gate)


def test_a_store_that_cannot_be_written_to_stops_the_step(world: World, stopped: Stopped) -> None:
    world.store.write_bytes(b"")
    for step in (world.check, world.gate):
        assert "StoreError" in stopped(step)
    assert not list(world.root.glob("out-*/*"))


def test_an_output_that_cannot_be_written_stops_the_step(world: World, stopped: Stopped) -> None:
    (world.root / "out-1").write_bytes(b"")
    assert "StoreError" in stopped(world.gate)


def test_a_copy_that_goes_wrong_is_not_left_behind(world: World, stopped: Stopped, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.copyfile

    def fill_the_disk(source: Any, target: Any) -> None:
        real(source, target)
        raise OSError(28, "No space left on device")

    def flip_a_bit(source: Any, target: Any) -> None:
        real(source, target)
        data = bytearray(Path(target).read_bytes())
        data[-1] ^= 1
        Path(target).write_bytes(data)

    for fault, why in ((fill_the_disk, "No space left"), (flip_a_bit, "is not what was judged")):
        monkeypatch.setattr("pratique.steps.handing.shutil.copyfile", fault)
        assert why in stopped(world.gate)
        assert sorted(path.name for path in world.last.iterdir()) == ["report"]


def test_what_an_earlier_try_left_is_replaced(world: World) -> None:
    folder_of(world.root / "out-1", {"admitted/stale.safetensors": b"x", "clearance": b"x", "report": b"x"})
    out = world.gate()
    assert open_artifact(out["admitted"].path).subject == open_artifact(world.model).subject
    clearance_of(world, out["clearance"].path)


LOUD = '''
from pratique.checking import Finding, Options, Report, Severity, check


@check("loud", version="1", kinds=("model",), options=Options, rules={"said": "what it says"})
def loud(artifact, options):
    """Repeats what it is told."""
    said = artifact.path(artifact.entries[0]).read_text()
    return Report(findings=(Finding(rule="said", severity=Severity.HIGH, message=said, where=said, fix=said),))
'''


def test_a_stranger_cannot_write_lines_into_the_log(
    world: World, stopped: Stopped, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Findings quote what they found, and here is a check that quotes without care."""
    install(world.root / "site", "third-party", "third_party_loud", LOUD, {"loud": "third_party_loud:loud"})
    monkeypatch.syspath_prepend(str(world.root / "site"))
    policy = world.write_policy("loud", RELEASE.replace("artifact: {deny_at: medium}", "loud: {}"))
    model = folder_of(world.root / "loud", {"a.txt": "well\nmodel is admitted\x1b[2J\r\u202eok".encode()})
    line = stopped(world.gate, model, policy=policy)
    told = capsys.readouterr().out
    assert "model is admitted" in line and "model is admitted" in told, "it is quoted"
    assert not [one for one in told.splitlines() if one.startswith("model is admitted")], "but as no line of its own"
    assert not set(told) & set("\x1b\r\u202e")


# --- training -----------------------------------------------------------------------------------------------------------


def train(world: World, say: str = "tuned", **more: Any) -> Any:
    model = handle(world.root / "trained")
    given = {"model": model, "store": str(world.store), "key": str(world.key("trainer")), "run_id": RUN, **more}
    with steps.training(handle(world.deliver(name="data")), base=handle(world.model), **given) as run:
        (run.output / "weights").write_text(f"{say} {len(run.base.entries)} {len(run.datasets)}")
    return model


def test_training_is_recorded_with_what_went_in_and_what_came_out(world: World) -> None:
    model = train(world, parameters={"epochs": 3})
    subject = open_artifact(world.root / "trained").subject
    assert model.metadata["subject"] == subject.digest
    ((_, bundle),) = Store(str(world.store)).read("records", subject)
    record = TrainingRecord.parse(signing.verify(bundle, [world.signer("trainer").trusted()]).payload)
    assert record.run_id == RUN and record.parameters == {"epochs": 3}
    assert {one.subject for one in record.materials} == {open_artifact(world.root / one).subject for one in ("model", "data")}


def test_training_from_scratch_has_no_base(world: World) -> None:
    model = handle(world.root / "trained")
    given = {"model": model, "store": str(world.store), "key": str(world.key("trainer")), "run_id": RUN}
    with steps.training(handle(world.model), **given) as run:
        (run.output / "weights").write_text("x")
    assert model.metadata["record"].startswith("sha256:")


def test_the_users_own_error_is_theirs_to_see(world: World) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        steps.training(base=handle(world.model), model=handle(world.root / "t"), key=str(world.key("trainer")), run_id=RUN),
    ):
        raise ZeroDivisionError
    assert not (world.root / "t").exists()


def test_a_training_that_would_sign_as_the_gate_is_refused(world: World, stopped: Stopped, monkeypatch: Any) -> None:
    monkeypatch.setenv("PRATIQUE_KEY", str(world.key("gate")))
    assert "gate's own key" in stopped(train, world, key=str(world.key("gate")))
    assert not (world.root / "trained").exists() and not world.store.exists()


def test_a_training_without_a_key_of_its_own_is_refused(world: World, stopped: Stopped) -> None:
    assert "key is empty" in stopped(train, world, key="")
    assert "cannot read the key" in stopped(train, world, key="nowhere.key")
    assert "run_id is empty" in stopped(train, world, run_id="")


def test_a_training_that_saves_nothing_leaves_nothing(world: World, stopped: Stopped) -> None:
    def nothing() -> None:
        with steps.training(
            base=handle(world.model), model=handle(world.root / "t"), key=str(world.key("trainer")), run_id=RUN
        ):
            pass

    assert "saved nothing" in stopped(nothing) and not (world.root / "t").exists()


# --- promotion ----------------------------------------------------------------------------------------------------------


def test_an_admitted_model_is_promoted(world: World) -> None:
    out = world.gate()
    where = world.promote(out["admitted"], out["clearance"])
    subject = open_artifact(world.model).subject
    assert where == f"{world.production}/sha256/{subject.hex}" and open_artifact(where).subject == subject
    from pratique.promotion import read_channel

    vouched = read_channel(str(world.production), "production", [world.signer("promoter").trusted()])
    assert vouched.statement.subject == subject and vouched.statement.run_id == RUN


def test_a_forged_clearance_promotes_nothing(world: World, stopped: Stopped) -> None:
    """The gate's very words, about these very bytes and this very run, with all evidence in place; only signed by another."""
    out = world.gate()
    honest = clearance_of(world, out["clearance"].path)
    for who in ("mallory", "trainer", "promoter"):
        assert "WrongSigner" in stopped(world.promote, out["admitted"], signed(world, honest, who))
    assert not world.promoted
    world.promote(out["admitted"], signed(world, honest))  # the honest twin: the same words by the gate itself


def test_a_clearance_in_the_gates_name_by_another_hand_promotes_nothing(world: World, stopped: Stopped) -> None:
    out = world.gate()
    bundle = Path(out["clearance"].path).read_bytes().replace(b'"sig":"M', b'"sig":"N')
    forged = world.root / "forged"
    forged.write_bytes(bundle)
    assert "SignatureInvalid" in stopped(world.promote, out["admitted"], handle(forged)) and not world.promoted


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"PASSED", b"\xff" * 9, b"[" * 99_999], ids=["empty", "{}", "word", "bytes", "deep"]
)
def test_rubbish_instead_of_a_clearance_promotes_nothing(world: World, stopped: Stopped, data: bytes) -> None:
    out = world.gate()
    (world.root / "rubbish").write_bytes(data)
    assert "Malformed" in stopped(world.promote, out["admitted"], handle(world.root / "rubbish")) and not world.promoted


def test_a_clearance_without_end_is_not_read_to_its_end(world: World, stopped: Stopped) -> None:
    out = world.gate()
    with open(world.root / "huge", "wb") as stream:
        stream.truncate(1 << 40)  # sparse
    assert "at most" in stopped(world.promote, out["admitted"], handle(world.root / "huge")) and not world.promoted


def test_no_clearance_promotes_nothing(world: World, stopped: Stopped) -> None:
    out = world.gate()
    assert "cannot read the clearance" in stopped(world.promote, out["admitted"], handle(world.root / "nowhere"))
    assert "cannot read the clearance" in stopped(world.promote, out["admitted"], handle(world.root)) and not world.promoted


def test_evidence_instead_of_a_clearance_promotes_nothing(world: World, stopped: Stopped) -> None:
    """Signed by the gate, about this model, in this run; but it says only what one check saw."""
    out = world.check()
    assert "Malformed" in stopped(world.promote, handle(world.model), out["evidence"]) and not world.promoted


def test_the_clearance_of_another_model_promotes_nothing(world: World, stopped: Stopped) -> None:
    one, other = world.gate(), world.gate(world.deliver(1.0, name="other"))
    assert "WrongSubject" in stopped(world.promote, one["admitted"], other["clearance"])
    assert "WrongSubject" in stopped(world.promote, handle(world.trojan("bad")), one["clearance"])
    assert not world.promoted
    world.promote(one["admitted"], one["clearance"])


def test_evidence_replayed_for_another_model_promotes_nothing(world: World, stopped: Stopped) -> None:
    out, store = world.gate(), Store(str(world.store))
    bad = open_artifact(world.trojan("bad")).subject
    for _, bundle in store.read("evidence", open_artifact(world.model).subject):
        store.add("evidence", bad, bundle, check="artifact")
    forged = signed(world, replace(clearance_of(world, out["clearance"].path), subject=bad), "gate")  # even with this
    line = stopped(world.promote, handle(world.root / "bad"), forged)
    assert line.startswith("DENIED") and "replayed for another artifact" in line and not world.promoted


def test_a_clearance_without_its_evidence_promotes_nothing(world: World, stopped: Stopped) -> None:
    out = world.gate()
    shutil.rmtree(world.store / "evidence")
    assert "there is no evidence" in stopped(world.promote, out["admitted"], out["clearance"]) and not world.promoted


def test_the_clearance_of_another_run_promotes_nothing(world: World, stopped: Stopped) -> None:
    out = world.gate(run_id="run-0")
    line = stopped(world.promote, out["admitted"], out["clearance"])
    assert "the clearance is from run run-0, not from run-1" in line and not world.promoted
    relabelled = signed(world, replace(clearance_of(world, out["clearance"].path), run_id=RUN))  # by the gate's own key
    assert "from run run-0" in stopped(world.promote, out["admitted"], relabelled), "the evidence says it, too"


def test_a_clearance_that_has_lapsed_promotes_nothing(world: World, stopped: Stopped) -> None:
    out = world.gate()
    honest, week = clearance_of(world, out["clearance"].path), timedelta(days=7)
    old = replace(honest, made_at=honest.made_at - week, expires=datetime.now(timezone.utc) - timedelta(seconds=1))
    assert "Stale" in stopped(world.promote, out["admitted"], signed(world, old))
    future = replace(honest, made_at=honest.made_at + week, expires=honest.expires + week)
    assert "Stale" in stopped(world.promote, out["admitted"], signed(world, future)) and not world.promoted


def test_the_clearance_of_another_policy_promotes_nothing(world: World, stopped: Stopped) -> None:
    lax = world.write_policy("lax", RELEASE.replace("medium", "critical"))
    out = world.gate(policy=lax)
    assert "under another policy" in stopped(world.promote, out["admitted"], out["clearance"]) and not world.promoted


def test_a_copy_that_was_tampered_with_after_the_gate_promotes_nothing(world: World, stopped: Stopped) -> None:
    out = world.gate()
    (Path(out["admitted"].path) / "model.pkl").write_bytes(TROJAN)
    assert "WrongSubject" in stopped(world.promote, out["admitted"], out["clearance"]) and not world.promoted


def test_a_promoter_without_a_key_promotes_nothing(world: World, stopped: Stopped, home: Path) -> None:
    """A key that is made for one step would sign a pointer that nobody can ever move again."""
    out = world.gate()
    assert "cannot read the key" in stopped(world.promote, out["admitted"], out["clearance"], key="")
    assert not world.promoted and not (home / "keys").exists()


@pytest.mark.parametrize("more", [{"destination": ""}, {"channel": ""}, {"channel": "../up"}, {"run_id": ""}, {"policy": ""}])
def test_a_blank_where_something_is_needed_promotes_nothing(world: World, stopped: Stopped, more: dict[str, str]) -> None:
    out = world.gate()
    assert "UsageError" in stopped(world.promote, out["admitted"], out["clearance"], **more) and not world.promoted


def test_a_refused_promotion_leaves_the_old_state(world: World, stopped: Stopped) -> None:
    out = world.gate()
    world.promote(out["admitted"], out["clearance"])
    before = {path: path.read_bytes() for path in world.production.rglob("*") if path.is_file()}
    stopped(world.promote, handle(world.trojan("bad")), out["clearance"])
    assert {path: path.read_bytes() for path in world.production.rglob("*") if path.is_file()} == before


# --- the key is this machine's own only while a step runs ---------------------------------------------------------------


@pytest.mark.parametrize("before", [None, "elsewhere.key"])
def test_the_environment_is_as_it_was(world: World, stopped: Stopped, monkeypatch: Any, before: str | None) -> None:
    if before:
        monkeypatch.setenv("PRATIQUE_KEY", before)
    out = world.gate()
    world.promote(out["admitted"], out["clearance"])
    stopped(world.gate, world.trojan("bad"))
    stopped(world.gate, key="nowhere.key")
    stopped(world.promote, handle(world.root / "bad"), out["clearance"])
    assert os.environ.get("PRATIQUE_KEY") == before


def test_the_machines_own_key_is_used_if_none_is_given(world: World, monkeypatch: Any) -> None:
    monkeypatch.setenv("PRATIQUE_KEY", str(world.key("gate")))
    monkeypatch.setenv("PRATIQUE_STORE", str(world.store))
    world.gate(key="", store="")
    assert len(evidence_in(world)) == 1


def test_steps_and_command_line_tell_the_same(world: World) -> None:
    """A step is no second gate: it says what `pass_gate` says."""
    out = world.gate()
    direct = pass_gate(
        str(world.model), policy=Policy.load(world.policy), store=Store(str(world.root / "other")), signer=world.signer("gate")
    )
    assert clearance_of(world, out["clearance"].path).levels == direct.verdict.levels


def test_a_bug_is_not_dressed_up(world: World, monkeypatch: Any) -> None:
    """What is not an error of ours passes as it is; the step fails all the same."""
    monkeypatch.setattr(StepMetrics, "log_metric", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        world.gate()
    assert not (world.last / "admitted").exists()


def test_a_fresh_key_is_made_for_the_gate_alone(world: World, home: Path) -> None:
    world.gate(policy="baseline", key="")
    assert KeySigner.load(home / "keys" / "gate.key")


# --- an audit -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def live(world: World) -> World:
    """A world with a model in production."""
    out = world.gate()
    world.promote(out["admitted"], out["clearance"])
    return world


def test_an_audit_of_production_as_it_was_promoted(live: World) -> None:
    out = live.audit(key=str(live.key("gate")))
    assert out["metrics"].numbers == {"holds": 1.0}
    assert "1 of 1 as they should be" in Path(out["report"].path).read_text()


def test_an_audit_of_bytes_that_were_swapped(live: World, stopped: Stopped) -> None:
    (weights,) = live.production.glob("sha256/*/model.safetensors")
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert "channel production is changed" in stopped(live.audit, key=str(live.key("gate")))
    assert "0 of 1" in (live.last / "report").read_text()


def test_an_audit_by_nobody_who_knows_the_promoter(live: World, stopped: Stopped) -> None:
    assert "is void" in stopped(live.audit, policy=live.policy)


def test_an_audit_that_renews(live: World) -> None:
    out = live.audit(key=str(live.key("gate")), renew=str(live.key("promoter")))
    assert out["metrics"].numbers == {"renewed": 1.0}


@pytest.mark.parametrize(
    "wrong",
    [{"destination": ""}, {"destination": "nowhere"}, {"run_id": ""}, {"policy": ""}, {"key": "absent"}, {"renew": " "}],
)
def test_an_audit_of_nothing(live: World, stopped: Stopped, wrong: dict[str, str]) -> None:
    assert stopped(live.audit, **wrong)
