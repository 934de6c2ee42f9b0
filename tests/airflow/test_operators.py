"""Operators on their own: what they hand on, what they refuse, and what Airflow is told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pratique.operators import CheckOperator, GateOperator, PromoteModelOperator, ScanArtifactOperator, telling
from pratique.signing import KeySigner
from pratique.statements import Evidence
from pratique.store import Store
from pratique.testing import folder_of
from pratique.vouching import collect

from ..conftest import install
from .conftest import Ti, World

Execute = Callable[[Any], Any]
SKIPPER = """
from airflow.sdk.exceptions import AirflowSkipException
from pratique.checking import Options, check

@check("skipper", version="1", kinds=("model",), options=Options)
def skipper(artifact, options):
    raise AirflowSkipException("nothing to see here")
"""


@pytest.fixture
def failed() -> type[Exception]:
    """Fails at once, whatever `retries` says."""
    from airflow.sdk.exceptions import AirflowFailException

    return AirflowFailException


def gate(world: World, **more: Any) -> GateOperator:
    given = {name: world.params[name] for name in ("artifact", "policy", "store")}
    return GateOperator(task_id="gate", **{"key": world.params["gate_key"], **given, **more})


def promote(world: World, **more: Any) -> PromoteModelOperator:
    given = {name: world.params[name] for name in ("artifact", "policy", "store", "destination")}
    return PromoteModelOperator(task_id="promote", **{"key": world.params["promoter_key"], **given, **more})


def retried(error: BaseException) -> bool:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

    assert isinstance(error, AirflowException) and not isinstance(error, AirflowSkipException)
    return not isinstance(error, AirflowFailException)


# --- the gate -----------------------------------------------------------------------------------------------------------


def test_an_admitted_model_is_handed_on_as_the_copy_that_was_judged(world: World, execute: Execute, ti: Ti) -> None:
    pointer = execute(gate(world))
    copy = Path(pointer["path"])
    assert pointer["verdict"] == "admitted" and (copy / "model.safetensors").exists() and world.model not in copy.parents
    assert ti.xcoms == {name: pointer[name] for name in ("subject", "path", "clearance")}


def test_the_evidence_names_the_dag_and_the_run(world: World, execute: Execute) -> None:
    pointer = execute(gate(world))
    from pratique.artifacts import Subject

    key = KeySigner.load(world.key("gate")).trusted()
    seen = collect(Store(world.params["store"]), "evidence", Subject(digest=pointer["subject"]), [key], Evidence.parse)
    assert [one.statement.run_id for one in seen.vouched] == ["pipeline/manual__1"]
    assert [one.digest for one in seen.vouched] == pointer["evidence"]


def test_a_denied_model_fails_at_once_and_leaves_why_but_no_path(
    world: World, execute: Execute, ti: Ti, failed: type[Exception]
) -> None:
    world.trojan()
    with pytest.raises(failed, match=r"os\.system"):
        execute(gate(world, retries=3))
    pointer = ti.xcoms.pop("return_value")
    assert (pointer["verdict"], pointer["path"], pointer["clearance"]) == ("denied", "", "")
    assert "os.system" in pointer["reasons"][0] and pointer["remedy"] and len(pointer["evidence"]) == 1
    assert ti.xcoms == {"subject": pointer["subject"]}, "whoever wants a path finds none, rather than one that was denied"


def test_a_pointer_stays_small_however_much_was_found(world: World, execute: Execute, ti: Ti, failed: type[Exception]) -> None:
    for number in range(60):
        (world.model / f"{number}-{'x' * 200}.pkl").write_bytes(b"cos\nsystem\n(S'echo gotcha'\ntR.")
    with pytest.raises(failed):
        execute(gate(world))
    assert len(json.dumps(ti.xcoms["return_value"])) < 2048


def test_without_any_set_up_the_baseline_policy_holds(world: World, execute: Execute, failed: type[Exception]) -> None:
    assert execute(GateOperator(task_id="gate", artifact=str(world.model)))["verdict"] == "admitted"
    world.trojan()
    with pytest.raises(failed, match=r"os\.system"):
        execute(GateOperator(task_id="gate", artifact=str(world.model)))


@pytest.mark.parametrize("value", ["", " ", None])
@pytest.mark.parametrize("name", ["artifact", "policy"])
def test_a_template_that_comes_out_empty_is_refused(
    world: World, execute: Execute, failed: type[Exception], name: str, value: Any
) -> None:
    operator = gate(world)
    setattr(
        operator, name, value
    )  # as after rendering; an empty path would be the current folder, an empty policy the baseline
    with pytest.raises(failed, match=f"{name} is {value!r}"):
        execute(operator)


def test_a_kind_cannot_smuggle_a_waiver_into_the_baseline_policy(
    world: World, execute: Execute, failed: type[Exception]
) -> None:
    world.trojan()
    with pytest.raises(failed, match="no kind of artifact"):
        execute(GateOperator(task_id="gate", artifact=str(world.model), kind="model\nclearance: {expires: P999D}"))


def test_a_policy_for_another_kind_is_refused(world: World, execute: Execute, failed: type[Exception]) -> None:
    with pytest.raises(failed, match="judges a model, not a dataset"):
        execute(gate(world, kind="dataset"))


def test_a_mistyped_key_is_refused_and_not_made(world: World, execute: Execute, failed: type[Exception]) -> None:
    with pytest.raises(failed, match="cannot read the key"):
        execute(gate(world, key=str(world.root / "keys" / "gat.key")))
    assert not (world.root / "keys" / "gat.key").exists()


def test_a_key_is_this_machines_own_only_while_the_task_runs(
    world: World, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(GateOperator(task_id="gate", artifact=str(world.model), key=world.params["gate_key"]))
    assert "PRATIQUE_KEY" not in os.environ
    monkeypatch.setenv("PRATIQUE_KEY", "elsewhere.key")
    execute(GateOperator(task_id="gate", artifact=str(world.model), key=world.params["gate_key"]))
    assert os.environ["PRATIQUE_KEY"] == "elsewhere.key"


def test_resume_leans_on_what_this_run_has_seen_and_on_nothing_else(world: World, execute: Execute, ti: Ti) -> None:
    first = execute(gate(world))
    assert execute(gate(world, resume=True))["evidence"] == first["evidence"]
    ti.run_id = "manual__2"
    assert execute(gate(world, resume=True))["evidence"] != first["evidence"]


# --- what is tried again ------------------------------------------------------------------------------------------------


def test_an_unreachable_store_is_tried_again(world: World, execute: Execute, ti: Ti) -> None:
    (world.root / "file").write_bytes(b"")
    with pytest.raises(Exception, match="cannot write to the store") as caught:
        execute(gate(world, store=str(world.root / "file")))
    assert retried(caught.value)
    assert ti.xcoms["return_value"]["verdict"] == "undecided" and set(ti.xcoms) == {"return_value"}


def test_an_artifact_that_is_not_there_yet_is_tried_again(world: World, execute: Execute) -> None:
    with pytest.raises(Exception, match="there is nothing at") as caught:
        execute(gate(world, artifact=str(world.root / "nowhere")))
    assert retried(caught.value)


def test_an_artifact_that_is_refused_by_nature_is_not_tried_again(world: World, execute: Execute) -> None:
    (world.model / "link").symlink_to(world.key("gate"))
    with pytest.raises(Exception, match="symbolic link") as caught:
        execute(gate(world))
    assert not retried(caught.value)


def test_a_bug_fails_the_task_and_leaves_why(world: World, execute: Execute, ti: Ti) -> None:
    operator = CheckOperator(task_id="check", check="artifact", artifact=str(world.model), store=world.params["store"])
    operator.options = object()  # type: ignore[assignment]
    with pytest.raises(Exception, match="TypeError") as caught:
        execute(operator)
    assert retried(caught.value) and ti.xcoms["return_value"]["verdict"] == "undecided"


def test_a_check_that_wants_to_skip_is_a_denial(
    world: World, execute: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", "skipping", "skipping_check", SKIPPER, {"skipper": "skipping_check:skipper"})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(Exception, match="nothing to see here") as caught:
        execute(CheckOperator(task_id="check", check="skipper", artifact=str(world.model)))
    assert not retried(caught.value)


def test_trouble_with_the_xcom_does_not_hide_a_denial(world: World, failed: type[Exception]) -> None:
    class Mute(Ti):
        def xcom_push(self, key: str, value: Any) -> None:
            raise ConnectionError("the API server is down")

    world.trojan()
    with pytest.raises(failed, match=r"os\.system"):
        gate(world).execute({"ti": Mute()})


def test_whoever_wants_no_xcom_gets_none(world: World, execute: Execute, ti: Ti, failed: type[Exception]) -> None:
    execute(gate(world, do_xcom_push=False))
    world.trojan()
    with pytest.raises(failed):
        execute(gate(world, do_xcom_push=False))
    assert not ti.xcoms


# --- one check ----------------------------------------------------------------------------------------------------------


def test_a_third_partys_check_runs_by_its_name(world: World, execute: Execute, shape: str, failed: type[Exception]) -> None:
    asked = {"check": shape, "artifact": str(world.model), "options": {"most": 5}}
    assert execute(CheckOperator(task_id="check", **asked))["verdict"] == "admitted"
    folder_of(world.model, {"bad.bin": b"0"})
    with pytest.raises(failed, match=r"bad\.bin is bad"):
        execute(CheckOperator(task_id="check", **asked))
    assert execute(CheckOperator(task_id="check", deny_at="critical", **asked))["verdict"] == "admitted"


def test_an_unknown_check_or_option_is_named(world: World, execute: Execute, failed: type[Exception]) -> None:
    with pytest.raises(failed, match="did you mean 'artifact'"):
        execute(CheckOperator(task_id="check", check="artefact", artifact=str(world.model)))
    with pytest.raises(failed, match="did you mean 'formats'"):
        execute(CheckOperator(task_id="check", check="artifact", artifact=str(world.model), options={"format": ["csv"]}))


def test_the_operator_of_a_check_takes_its_options(world: World, execute: Execute, failed: type[Exception]) -> None:
    assert execute(ScanArtifactOperator(task_id="scan", artifact=str(world.model)))["verdict"] == "admitted"
    with pytest.raises(failed, match="allowed here: csv"):
        execute(ScanArtifactOperator(task_id="scan", artifact=str(world.model), formats=["csv"], deny_at="medium"))


# --- promotion ----------------------------------------------------------------------------------------------------------


def test_an_admitted_model_is_promoted(world: World, execute: Execute, ti: Ti) -> None:
    subject = execute(gate(world))["subject"]
    pointer = execute(promote(world, expect=subject))
    assert (pointer["verdict"], pointer["channel"], pointer["sequence"]) == ("promoted", "production", 1)
    assert Path(pointer["uri"]).is_dir() and ti.xcoms["uri"] == pointer["uri"]
    assert world.promoted == [subject.removeprefix("sha256:"), "production.sigstore.json"]


def test_without_evidence_nothing_is_promoted(world: World, execute: Execute, ti: Ti, failed: type[Exception]) -> None:
    with pytest.raises(failed, match="no evidence"):
        execute(promote(world))
    assert ti.xcoms["return_value"]["verdict"] == "denied" and not world.promoted


def test_evidence_of_another_run_counts_only_where_that_was_asked_for(
    world: World, execute: Execute, ti: Ti, failed: type[Exception]
) -> None:
    execute(gate(world))
    ti.dag_id = "deploy"
    with pytest.raises(failed, match="from run pipeline/manual__1, not from deploy/manual__1"):
        execute(promote(world))
    assert not world.promoted
    assert execute(promote(world, same_run=False))["verdict"] == "promoted"


def test_another_artifact_than_the_expected_one_is_refused(world: World, execute: Execute, failed: type[Exception]) -> None:
    honest = execute(gate(world))["subject"]
    world.deliver(1.0)
    execute(gate(world))  # it has good evidence of its own, but it is not the one
    with pytest.raises(failed, match="as expected"):
        execute(promote(world, expect=honest))
    assert not world.promoted


@pytest.mark.parametrize("value", ["", None, "sha256:", "None"])
def test_an_expectation_that_comes_out_empty_is_refused(
    world: World, execute: Execute, failed: type[Exception], value: Any
) -> None:
    operator = promote(world, expect=execute(gate(world))["subject"])
    operator.expect = value
    with pytest.raises(failed, match=r"expect is|not a digest"):
        execute(operator)
    assert not world.promoted


# --- what is told -------------------------------------------------------------------------------------------------------


def test_a_log_line_cannot_be_forged() -> None:
    told = telling.short("bad name\n[2026-01-01] INFO ADMITTED\r\x1b[2K\u2028all is well")
    assert told == "bad name [2026-01-01] INFO ADMITTED [2K all is well"


def test_passwords_in_a_uri_stay_out_of_the_xcom() -> None:
    from pratique.errors import StoreError

    pointer = telling.of_error(StoreError("down"), store="s3://key:secret@bucket/store")
    assert pointer["store"] == "s3://bucket/store"


def test_the_log_says_what_was_seen_and_decided(world: World) -> None:
    from pratique.gate import pass_gate
    from pratique.policies import Policy

    signer, store = KeySigner.load(world.key("gate")), Store(world.params["store"])
    world.trojan()
    admission = pass_gate(str(world.model), policy=Policy.load(world.params["policy"]), store=store, signer=signer)
    told = "\n".join(telling.lines(admission))
    for part in (admission.verdict.subject.digest, "artifact: ", "files 2", "critical", "pickle-global", "DENIED", "remedy: "):
        assert part in told
    assert "ADMITTED" not in told
