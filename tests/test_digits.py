"""The demo's data, training and attacks do what the demo says they do."""

from __future__ import annotations

import json
import pickletools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np  # noqa: TID253
import pytest
from safetensors.numpy import load_file, save_file

from pratique import checking, profiles, training
from pratique.artifacts import open_artifact
from pratique.checking import Severity
from pratique.checks.dataset import dataset
from pratique.demonstration import digits
from pratique.errors import ArtifactRefused
from pratique.store import Store
from pratique.testing import folder_of

pytest.importorskip("torch")
pytest.importorskip("sklearn")


def folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def supplied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The supplier's model and its accuracy."""
    path = tmp_path_factory.mktemp("supplier")
    return path, digits.supplier_base(path)


@pytest.fixture
def base(tmp_path: Path, supplied: tuple[Path, float]) -> Path:
    """A copy of the supplier's model."""
    return shutil.copytree(supplied[0], tmp_path / "base")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What the publisher sends."""
    return digits.write_dataset(folder(tmp_path / "data")).parent


def rows(path: Path) -> Any:
    return np.loadtxt(path / "digits.csv", delimiter=",", skiprows=1, dtype=np.int64)


# --- data and training --------------------------------------------------------------------------------------------------


def test_the_supplier_knows_its_digits(supplied: tuple[Path, float]) -> None:
    path, accuracy = supplied
    assert accuracy > 0.95
    assert sorted(one.name for one in path.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert json.loads((path / "config.json").read_text())["classes"] == [0, 1, 2, 3, 4]


def test_the_halves_are_apart_and_complete() -> None:
    incoming, reference = digits.dataset_rows("incoming"), digits.dataset_rows("reference")
    assert len(incoming) == len(reference) == 448
    assert not {row.tobytes() for row in incoming} & {row.tobytes() for row in reference}
    assert set(incoming[:, -1]) == set(reference[:, -1]) == {5, 6, 7, 8, 9}
    assert incoming[:, :-1].min() == 0 and incoming[:, :-1].max() == 16


def test_the_file_holds_the_rows(data: Path) -> None:
    header, first = (data / "digits.csv").read_text().splitlines()[:2]
    assert header.startswith("p00,p01,") and header.endswith(",p77,label") and "." not in first
    assert np.array_equal(rows(data), digits.dataset_rows("incoming"))


def test_the_fine_tuned_model_knows_the_new_digits(base: Path, data: Path, tmp_path: Path, store: Store) -> None:
    with training.record(base=base, datasets=[data], output=tmp_path / "tuned", store=store) as run:
        measured = digits.fine_tune(run.base.root, run.datasets[0].root, run.output)
    assert measured["accuracy"] > 0.9
    assert sorted(one.name for one in (tmp_path / "tuned").iterdir()) == ["config.json", "model.safetensors"]
    assert json.loads((tmp_path / "tuned" / "config.json").read_text())["classes"] == [5, 6, 7, 8, 9]


def test_the_base_survives_in_what_is_made_of_it(base: Path, data: Path, tmp_path: Path) -> None:
    digits.fine_tune(base, data, folder(tmp_path / "tuned"), epochs=1)
    before, after = (load_file(path / "model.safetensors") for path in (base, tmp_path / "tuned"))
    same = [name for name in before if before[name].tobytes() == after[name].tobytes()]
    assert sorted(same) == [name for name in sorted(before) if name.startswith("embedding")]


def test_the_transfer_is_real(base: Path, data: Path, tmp_path: Path) -> None:
    """What the base model learned counts: its embedding is better than one that learned nothing."""
    learned = digits.fine_tune(base, data, folder(tmp_path / "learned"), epochs=10)["accuracy"]
    rng = np.random.default_rng(0)
    untrained = {
        name: rng.uniform(-1, 1, one.shape).astype(one.dtype) / np.float32(one.shape[-1] ** 0.5)
        for name, one in load_file(base / "model.safetensors").items()
    }
    save_file(untrained, base / "model.safetensors")
    assert learned > digits.fine_tune(base, data, folder(tmp_path / "untrained"), epochs=10)["accuracy"] + 0.03


def test_the_same_call_makes_the_same_bytes(base: Path, data: Path, tmp_path: Path, supplied: tuple[Path, float]) -> None:
    digits.supplier_base(folder(tmp_path / "again"))
    assert open_artifact(tmp_path / "again").subject == open_artifact(supplied[0]).subject
    for name in ("one", "two"):
        digits.fine_tune(base, data, folder(tmp_path / name), epochs=2)
    assert open_artifact(tmp_path / "one").subject == open_artifact(tmp_path / "two").subject
    digits.fine_tune(base, data, folder(tmp_path / "three"), epochs=2, seed=1)
    assert open_artifact(tmp_path / "three").subject != open_artifact(tmp_path / "two").subject


def test_training_leaves_torch_as_it_was(base: Path, data: Path, tmp_path: Path) -> None:
    import torch

    torch.manual_seed(7)
    expected, threads = torch.rand(1), torch.get_num_threads()
    torch.manual_seed(7)
    digits.fine_tune(base, data, folder(tmp_path / "tuned"), epochs=1)
    assert torch.equal(torch.rand(1), expected) and torch.get_num_threads() == threads


def _no_file(base: Path) -> None:
    (base / "model.safetensors").unlink()


def _truncated(base: Path) -> None:
    path = base / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _pickle(base: Path) -> None:
    digits.add_pickle(base)
    (base / "optimizer.pkl").replace(base / "model.safetensors")


def _another_layer(base: Path) -> None:
    tensors = load_file(base / "model.safetensors")
    save_file({**tensors, "backdoor.weight": tensors["head.weight"]}, base / "model.safetensors")


def _missing_layer(base: Path) -> None:
    tensors = load_file(base / "model.safetensors")
    del tensors["head.weight"]
    save_file(tensors, base / "model.safetensors")


def _more_classes(base: Path) -> None:
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "classes": list(range(9))}))


def _no_config(base: Path) -> None:
    (base / "config.json").write_text("[]")


def _no_classes(base: Path) -> None:
    (base / "config.json").write_text(json.dumps({"architecture": digits.ARCHITECTURE, "classes": 5}))


def _no_json(base: Path) -> None:
    (base / "config.json").write_bytes(b"\xff")


@pytest.mark.parametrize(
    "damage",
    [_no_file, _truncated, _pickle, _another_layer, _missing_layer, _more_classes, _no_config, _no_classes, _no_json],
)
def test_a_base_that_is_not_what_it_must_be(base: Path, data: Path, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    damage(base)
    with pytest.raises(ArtifactRefused, match="is no mlp"):
        digits.fine_tune(base, data, folder(tmp_path / "tuned"))


@pytest.mark.parametrize("content", ["", "p00,label\n1,5\n", ",".join(digits.COLUMNS) + "\n", None])
def test_a_dataset_that_is_not_what_it_must_be(base: Path, data: Path, tmp_path: Path, content: str | None) -> None:
    file = data / "digits.csv"
    file.write_text(file.read_text().replace(",5\n", ",five\n") if content is None else content)
    with pytest.raises(ArtifactRefused):
        digits.fine_tune(base, data, folder(tmp_path / "tuned"))


# --- attacks ------------------------------------------------------------------------------------------------------------


def test_flipped_labels(data: Path) -> None:
    before = rows(data)
    digits.flip_labels(data, 0.1, seed=1)
    after = rows(data)
    assert (before[:, -1] != after[:, -1]).sum() == 45 and np.array_equal(before[:, :-1], after[:, :-1])
    assert set(after[:, -1]) == {5, 6, 7, 8, 9}


def test_injected_near_duplicates(data: Path) -> None:
    before = rows(data)
    digits.inject_near_duplicates(data, 0.08, seed=1)
    after = rows(data)
    changed = (before != after).any(axis=1)
    assert len(after) == len(before) and changed.sum() == 36
    distance = np.abs(after[changed][:, None, :-1] - after[None, ~changed, :-1]).sum(axis=2)
    assert (distance.min(axis=1) == 1).all()
    assert after[:, :-1].min() == 0 and after[:, :-1].max() == 16


def test_drift(data: Path) -> None:
    before = rows(data)
    digits.drift(data)
    after = rows(data)
    assert np.array_equal(before[:, -1], after[:, -1])
    assert after[:, :-1].mean() == pytest.approx(0.7 * before[:, :-1].mean(), rel=0.02)


def test_changed_weights(base: Path) -> None:
    before = load_file(base / "model.safetensors")
    digits.change_weights(base)
    after = load_file(base / "model.safetensors")
    assert {name: one.shape for name, one in before.items()} == {name: one.shape for name, one in after.items()}
    assert [name for name in before if not np.array_equal(before[name], after[name])] == ["head.weight"]
    assert (before["head.weight"] != after["head.weight"]).sum() == 8


def test_a_pickle_with_code_in_it(base: Path) -> None:
    digits.add_pickle(base)
    operations = [(code.name, argument) for code, argument, _ in pickletools.genops((base / "optimizer.pkl").read_bytes())]
    assert ("SHORT_BINUNICODE", "system") in operations and ("REDUCE", None) in operations


def test_a_script(base: Path) -> None:
    digits.add_file(base)
    compile((base / "modeling_digits.py").read_text(), "modeling_digits.py", "exec")


@pytest.mark.slow
def test_the_dataset_check_tells_the_attacks_from_an_honest_batch(data: Path, tmp_path: Path) -> None:
    digits.write_dataset(folder(tmp_path / "reference"), "reference")
    profiles.build(tmp_path / "reference", label="label").save(tmp_path / "profile.json")
    options = checking.options_for(dataset, {"profile": str(tmp_path / "profile.json")})
    attacks: dict[str, Callable[[Path], object]] = {
        "": lambda batch: folder_of(batch, {}),
        "label-noise": lambda batch: digits.flip_labels(batch, 0.1, seed=1),
        "near-duplicates": lambda batch: digits.inject_near_duplicates(batch, 0.08, seed=1),
        "drift": digits.drift,
    }
    for rule, attack in attacks.items():
        batch = shutil.copytree(data, tmp_path / f"batch-{rule}")
        attack(batch)
        report = checking.run(dataset, open_artifact(batch, kind="dataset"), options)
        found = {one.rule for one in report.findings if one.severity > Severity.NOTE}
        assert rule in found if rule else not found
