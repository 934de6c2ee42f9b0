"""Recording a training run. Every refusal has its honest twin in `test_an_honest_run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pratique import settings, signing, training
from pratique.artifacts import Limits, open_artifact
from pratique.errors import ArtifactChanged, ArtifactError, ArtifactRefused, Error, StoreConflict, StoreError, UsageError
from pratique.signing import KeySigner
from pratique.statements import TrainingRecord
from pratique.store import Store
from pratique.testing import MemorySigner, folder_of
from pratique.vouching import collect

TRAINER = KeySigner.generate()


@pytest.fixture
def asked(tmp_path: Path, model: Path, store: Store) -> dict[str, Any]:
    """The arguments of an honest run."""
    data = folder_of(tmp_path / "data", {"rows.csv": b"a,b\n1,2\n"})
    return {"base": model, "datasets": [data], "output": tmp_path / "out" / "tuned", "signer": TRAINER, "store": store}


def train(asked: dict[str, Any], content: bytes = b"tuned") -> training.Run:
    with training.record(**asked) as run:
        (run.output / "weights.bin").write_bytes(content)
    return run


def records(store: Store, run: training.Run, signer: KeySigner = TRAINER) -> list[TrainingRecord]:
    assert run.subject is not None
    seen = collect(store, "records", run.subject, [signer.trusted()], TrainingRecord.parse)
    assert not seen.refused
    return [one.statement for one in seen.vouched]


def nothing_is_left(asked: dict[str, Any]) -> bool:
    folder: Path = asked["output"].parent
    shelf = Path(asked["store"].uri) / "records"
    return (not folder.exists() or not list(folder.iterdir())) and not list(shelf.rglob("*.json"))


def test_an_honest_run(asked: dict[str, Any], store: Store) -> None:
    run = train({**asked, "run_id": "dag/7", "parameters": {"epochs": 3, "layers": (1, 2)}})
    out = open_artifact(asked["output"])
    assert (
        run.subject == out.subject and run.output == asked["output"] and (run.output / "weights.bin").read_bytes() == b"tuned"
    )
    (record,) = records(store, run)
    assert [one.role for one in record.materials] == ["base", "dataset"]
    assert [one.subject for one in record.materials] == [
        open_artifact(asked["base"]).subject, open_artifact(asked["datasets"][0]).subject,
    ]  # fmt: skip
    assert [one.uri for one in record.materials] == [str(asked["base"]), str(asked["datasets"][0])]
    assert record.builder == f"urn:pratique:trainer:{TRAINER.trusted().fingerprint}"
    assert (record.run_id, record.parameters) == ("dag/7", {"epochs": 3, "layers": [1, 2]})
    assert record.started_at <= record.finished_at
    ((path, _),) = store.read("records", out.subject)
    assert run.record_digest.removeprefix("sha256:") in path
    assert list(asked["output"].parent.iterdir()) == [asked["output"]]


def test_the_training_reads_private_copies(asked: dict[str, Any]) -> None:
    with training.record(**asked) as run:
        (asked["base"] / "weights.bin").write_bytes(b"swapped while training")
        assert (run.base.root / "weights.bin").read_bytes() == b"\x00\x01"
        assert run.datasets[0].root != asked["datasets"][0]
        (run.output / "weights.bin").write_bytes(b"x")


def test_an_admitted_snapshot_is_an_input_like_any_other(asked: dict[str, Any], store: Store) -> None:
    snapshot = open_artifact(asked["base"])
    run = train({**asked, "base": str(snapshot.root)})
    assert records(store, run)[0].materials[0].subject == snapshot.subject


def test_an_input_that_is_one_file(asked: dict[str, Any], store: Store) -> None:
    file = asked["datasets"][0] / "rows.csv"
    run = train({**asked, "datasets": file})
    assert records(store, run)[0].materials[1].subject == open_artifact(file).subject


def test_from_scratch_and_without_data(asked: dict[str, Any], store: Store) -> None:
    scratch = train({**asked, "base": None})
    assert [one.role for one in records(store, scratch)[0].materials] == ["dataset"]
    merged = train({**asked, "datasets": [], "output": asked["output"].parent / "merged"}, b"merged")
    assert [one.role for one in records(store, merged)[0].materials] == ["base"]
    with training.record(**{**asked, "base": None, "output": asked["output"].parent / "third"}) as run:
        with pytest.raises(UsageError, match="no base model"):
            _ = run.base
        (run.output / "w").write_bytes(b"3")


@pytest.mark.parametrize("inputs", [{"base": None, "datasets": []}, {"base": ""}, {"datasets": [""]}])
def test_nothing_goes_in(asked: dict[str, Any], inputs: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="nothing goes into"), training.record(**{**asked, **inputs}):
        pytest.fail("the training started")


def test_an_input_that_is_not_there(asked: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="nothing at"), training.record(**{**asked, "base": tmp_path / "nowhere"}):
        pytest.fail("the training started")
    assert nothing_is_left(asked)


def test_an_input_over_the_limit(asked: dict[str, Any]) -> None:
    with pytest.raises(ArtifactRefused, match="more than"), training.record(**asked, limits=Limits(bytes=3)):
        pytest.fail("the training started")


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt(), SystemExit(0)])
def test_an_exception_in_the_training_leaves_nothing(asked: dict[str, Any], error: BaseException) -> None:
    with pytest.raises(type(error)), training.record(**asked) as run:
        (run.output / "half.bin").write_bytes(b"half")
        raise error
    assert run.subject is None and run.record_digest == ""
    assert nothing_is_left(asked)


def test_a_training_that_saves_nothing(asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="saved nothing"), training.record(**asked) as run:
        (run.output / "empty").mkdir()
    assert nothing_is_left(asked)


def test_a_training_that_changes_its_inputs(asked: dict[str, Any]) -> None:
    with pytest.raises(ArtifactChanged), training.record(**asked) as run:
        (run.output / "weights.bin").write_bytes(b"tuned")
        (run.base.root / "weights.bin").chmod(0o600)
        (run.base.root / "weights.bin").write_bytes(b"other")
    assert nothing_is_left(asked)


def test_a_dataset_that_grows_while_it_is_read(asked: dict[str, Any]) -> None:
    with pytest.raises(ArtifactChanged), training.record(**asked) as run:
        (run.output / "weights.bin").write_bytes(b"tuned")
        run.datasets[0].root.chmod(0o700)
        (run.datasets[0].root / "cache.bin").write_bytes(b"left by a loader")
    assert nothing_is_left(asked)


def test_an_output_that_is_taken(asked: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for output in (asked["base"], tmp_path / "file", tmp_path / "link", "/", "s3://bucket/tuned"):
        with pytest.raises(UsageError), training.record(**{**asked, "output": output}):
            pytest.fail("the training started")
    assert (asked["base"] / "weights.bin").read_bytes() == b"\x00\x01"


def test_an_output_that_is_there_but_empty(asked: dict[str, Any]) -> None:
    asked["output"].mkdir(parents=True)
    assert train(asked).subject == open_artifact(asked["output"]).subject


def test_a_relative_output(asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with training.record(**{**asked, "output": "tuned/"}) as run:
        monkeypatch.chdir(tmp_path.parent)  # a training may go where it likes
        (run.output / "w").write_bytes(b"x")
    assert (tmp_path / "tuned" / "w").exists()


def test_the_place_is_taken_while_training(asked: dict[str, Any]) -> None:
    with pytest.raises(StoreConflict) as caught, training.record(**asked) as run:
        (run.output / "weights.bin").write_bytes(b"tuned")
        folder_of(asked["output"], {"weights.bin": b"somebody else's"})
    assert (asked["output"] / "weights.bin").read_bytes() == b"somebody else's"
    assert (kept(caught.value) / "weights.bin").read_bytes() == b"tuned"
    assert run.subject is None


def kept(error: Error) -> Path:
    assert "is kept, unrecorded, in" in error.hint
    return Path(error.hint.rsplit(" ", 1)[-1])


def test_a_store_that_cannot_be_written_costs_no_training(asked: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "full").write_bytes(b"a file where a folder belongs")
    with pytest.raises(StoreError) as caught:
        train({**asked, "store": Store(str(tmp_path / "full"))})
    assert not asked["output"].exists()
    assert (kept(caught.value) / "weights.bin").read_bytes() == b"tuned"


def test_a_key_service_that_fails_costs_no_training(asked: dict[str, Any]) -> None:
    class Broken(MemorySigner):
        def sign(self, message: bytes) -> bytes:
            raise ConnectionError("the key service is down")

    with pytest.raises(StoreError, match="key service is down") as caught:
        train({**asked, "signer": Broken()})
    assert not asked["output"].exists() and (kept(caught.value) / "weights.bin").exists()


def test_an_output_with_a_link_in_it_is_not_recorded(asked: dict[str, Any]) -> None:
    with pytest.raises(ArtifactRefused, match="symbolic link") as caught, training.record(**asked) as run:
        (run.output / "weights.bin").write_bytes(b"tuned")
        (run.output / "latest").symlink_to("weights.bin")
    assert not asked["output"].exists() and (kept(caught.value) / "weights.bin").exists()


def test_a_copy_of_a_sealed_snapshot_can_be_saved(asked: dict[str, Any]) -> None:
    import shutil

    with training.record(**asked) as run:
        shutil.copytree(run.base.root, run.output, dirs_exist_ok=True)
    assert run.subject == open_artifact(asked["base"]).subject


@pytest.mark.parametrize(
    "parameters",
    [
        {"a": object()}, {"a": float("nan")}, {"a": b"x"}, {1: "x", "1": "y"}, {"a": {1}}, {"a": "\ud800"}, 3, {1: 1, "b": 2},
    ],
)  # fmt: skip
def test_parameters_that_are_not_json(asked: dict[str, Any], parameters: Any) -> None:
    with pytest.raises(UsageError, match="could not be written"), training.record(**asked, parameters=parameters):
        pytest.fail("the training started")
    assert nothing_is_left(asked)


def test_parameters_that_are_too_deep(asked: dict[str, Any]) -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    deep: Any = 1
    for _ in range(sys.getrecursionlimit() * 2):
        deep = [deep]
    for parameters in (circle, {"a": deep}, {"a": _nested(40)}):
        with pytest.raises(UsageError), training.record(**asked, parameters=parameters):
            pytest.fail("the training started")


def _nested(levels: int) -> Any:
    return [_nested(levels - 1)] if levels else 1


def test_parameters_are_those_of_the_start(asked: dict[str, Any], store: Store) -> None:
    parameters = {"schedule": [1, 2]}
    with training.record(**asked, parameters=parameters) as run:
        parameters["schedule"].append(3)
        (run.output / "w").write_bytes(b"x")
    assert records(store, run)[0].parameters == {"schedule": [1, 2]}


def test_the_same_output_twice_is_recorded_twice(asked: dict[str, Any], store: Store) -> None:
    train(asked)
    run = train({**asked, "output": asked["output"].parent / "again"})
    assert len(records(store, run)) == 2


def test_the_trainer_has_a_key_of_its_own(asked: dict[str, Any], store: Store, home: Path) -> None:
    signing.own_signer(settings.gate_key())
    del asked["signer"]
    run = train(asked)
    trainer = KeySigner.load(home / "keys" / "trainer.key")
    assert records(store, run, trainer)
    assert trainer.trusted().fingerprint != KeySigner.load(settings.gate_key()).trusted().fingerprint


def test_the_gates_key_signs_no_training(asked: dict[str, Any]) -> None:
    gate = signing.own_signer(settings.gate_key())
    with pytest.raises(UsageError, match="gate's own key"), training.record(**{**asked, "signer": gate}):
        pytest.fail("the training started")


def test_a_copy_of_the_gates_key_signs_no_training_either(asked: dict[str, Any]) -> None:
    gate = signing.own_signer(settings.gate_key())
    settings.gate_key().unlink()  # elsewhere, as it should be; its public half is known here
    with pytest.raises(UsageError, match="gate's own key"), training.record(**{**asked, "signer": gate}):
        pytest.fail("the training started")


def test_the_gates_key_under_the_trainers_name(asked: dict[str, Any], home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRATIQUE_KEY", str(home / "keys" / "trainer.key"))
    del asked["signer"]
    with pytest.raises(UsageError, match="gate's own key"), training.record(**asked):
        pytest.fail("the training started")


def test_any_signer_will_do(asked: dict[str, Any], store: Store) -> None:
    signer = MemorySigner(ec.generate_private_key(ec.SECP256R1()))
    run = train({**asked, "signer": signer})
    assert run.subject is not None
    key = signing.TrustedKey(name="token", public=signer.public)
    assert len(collect(store, "records", run.subject, [key], TrainingRecord.parse).vouched) == 1
