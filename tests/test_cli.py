"""The command line as a user meets it: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pratique.testing import folder_of


def gate(setup: dict[str, Any], *more: object) -> list[object]:
    return ["gate", setup["model"], "--policy", setup["policy"], "--store", setup["store"], "--key", setup["key"], *more]


def promote(setup: dict[str, Any], *more: object) -> list[object]:
    words = ["promote", setup["model"], "--policy", setup["policy"], "--store", setup["store"], "--key", setup["key"]]
    return [*words, "--to", setup["to"], *more]


def test_the_way_of_a_model_from_the_gate_to_production(pratique: Any, setup: dict[str, Any], tmp_path: Path) -> None:
    code, out, _ = pratique(*gate(setup, "--format", "json", "--report", tmp_path / "r.html"))
    told = json.loads(out)
    assert (code, told["verdict"]) == (0, "admitted")
    assert "<h1>" in (tmp_path / "r.html").read_text()
    code, out, _ = pratique(*promote(setup, "--format", "json"))
    assert (code, json.loads(out)["subject"]) == (0, told["subject"]["digest"])
    code, out, _ = pratique("verify", setup["to"], "--clearance", "--trust", setup["pub"])
    assert code == 0
    assert "1. channel production" in out
    (bundle,) = setup["store"].rglob("evidence/**/*.sigstore.json")
    code, out, _ = pratique("verify", bundle, "--trust", setup["pub"])
    assert code == 0
    assert "4. it says: the check shape" in out


def test_a_denial_is_exit_1_with_reason_and_remedy(pratique: Any, setup: dict[str, Any]) -> None:
    folder_of(setup["model"], {"bad.bin": b""})
    code, out, _ = pratique(*gate(setup))
    assert code == 1
    assert "shape: bad.bin is bad (at bad.bin)" in out
    assert "Remedy: rename it" in out
    code, out, err = pratique(*promote(setup))
    assert (code, out) == (1, "")
    assert "Denied" in err
    assert not setup["to"].exists()


def test_a_check_that_cannot_finish_denies(pratique: Any, setup: dict[str, Any]) -> None:
    folder_of(setup["model"], {"boom": b""})
    code, out, _ = pratique(*gate(setup))
    assert code == 1
    assert "this check has a bug" in out


def test_one_check_on_its_own_needs_no_set_up(pratique: Any, shape: str, model: Path) -> None:
    code, out, _ = pratique("check", "shape", model, "-o", "most=3", "--format", "json")
    assert code == 0
    assert json.loads(out)["evidence"][0]["measures"] == {"files": 2}


WRONG: dict[str, tuple[list[str], int, str]] = {
    "no such artifact": (["digest", "{tmp}/none"], 3, "nothing at"),
    "no such policy": (["gate", "{model}", "--policy", "{tmp}/none.yaml"], 2, "cannot read"),
    "no such check": (["check", "shap", "{model}"], 4, "did you mean 'shape'"),
    "no such option": (["check", "shape", "{model}", "-o", "mots=3"], 2, "did you mean 'most'"),
    "an option without a value": (["check", "shape", "{model}", "-o", "most"], 2, "KEY=VALUE"),
    "no such key": (["sign", "{model}", "--key", "{tmp}/none.key"], 2, "cannot read the key"),
    "no such command": (["gaet"], 2, "No such command"),
    "no such scenario": (["demo", "--only", "nonsense"], 2, "no scenario"),
    "no such trust": (["verify", "{model}", "--trust", "{tmp}/none.pub"], 2, "cannot read the key"),
    "a bundle that is junk": (["verify", "{model}/weights.bin", "--trust", "{pub}"], 5, "not valid JSON"),
    "a statement that is not there": (["verify", "{tmp}/none.sigstore.json", "--trust", "{pub}"], 3, "cannot read"),
    "nothing promoted": (["verify", "{tmp}", "--clearance", "--trust", "{pub}"], 3, "nothing was ever promoted"),
    "a key over a key": (["keys", "new", "{key}"], 2, "never overwritten"),
    "a store without a driver": (
        ["gate", "{model}", "--policy", "{policy}", "--key", "{key}", "--store", "nosuch://x"],
        2,
        "no driver",
    ),
    "a profile of nothing": (["profile", "{tmp}/none.csv", "-o", "{tmp}/p.json"], 3, "nothing at"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_gets_a_clear_error_and_the_documented_code(
    pratique: Any, setup: dict[str, Any], tmp_path: Path, name: str
) -> None:
    words, expected, says = WRONG[name]
    before = sorted(map(str, setup["store"].rglob("*")))
    code, _, err = pratique(*(word.format(tmp=tmp_path, **setup) for word in words))
    assert code == expected, err
    assert says in err
    assert sorted(map(str, setup["store"].rglob("*"))) == before


def test_keys_and_policies_are_named(pratique: Any, setup: dict[str, Any], tmp_path: Path) -> None:
    code, out, _ = pratique("keys", "new", tmp_path / "new.key", "--format", "json")
    made = json.loads(out)
    code, out, _ = pratique("keys", "show", tmp_path / "new.pub", "--format", "json")
    assert (code, json.loads(out)["fingerprint"]) == (0, made["fingerprint"])
    assert pratique("keys", "show")[0] == 0
    code, out, _ = pratique("policy", "check", setup["policy"])
    assert code == 0 and "in order" in out
    code, out, _ = pratique("policy", "explain", setup["policy"])
    assert code == 0 and "files: at most 3" in out


def test_help_lists_every_command_and_every_exit_code(pratique: Any) -> None:
    code, out, _ = pratique("--help")
    assert code == 0
    for word in ("digest", "sign", "verify", "check", "gate", "promote", "profile", "policy", "keys", "demo", "70 a bug"):
        assert word in out


def test_a_bug_is_no_traceback_but_exit_70(pratique: Any, monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    from pratique import artifacts

    monkeypatch.setattr(artifacts, "open_artifact", lambda *a, **k: 1 / 0)
    code, _, err = pratique("digest", model)
    assert code == 70
    assert "bug in pratique" in err


def test_asking_for_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from pratique.cli import cli; CliRunner().invoke(cli, ['--help']);"
        "heavy = {'torch', 'great_expectations', 'pandas', 'numpy', 'sklearn', 'kfp', 'airflow', 'pydantic'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ.copy())


def test_a_dataset_and_its_manifest(pratique: Any, setup: dict[str, Any], tmp_path: Path) -> None:
    data = folder_of(tmp_path / "images", {"train/0.csv": b"0", "train/1.csv": b"1", "labels.csv": b"0,1"})
    key, trust = setup["key"], ("--trust", setup["pub"])
    code, out, _ = pratique(
        "manifest", "sign", data, "--key", key, "--upstream", "lakefs=lakefs://lake/4d5f0c", "--format", "json"
    )
    root = json.loads(out)["root"]
    assert (code, json.loads(out)["files"]) == (0, 3)
    code, out, _ = pratique("manifest", "verify", data, *trust, "--format", "json")
    told = json.loads(out)
    assert (code, told["root"], told["upstream"]) == (0, root, [{"kind": "lakefs", "id": "lakefs://lake/4d5f0c"}])
    assert pratique("manifest", "audit", data, *trust)[0] == 0
    assert pratique("verify", data / "dataset.manifest.sigstore.json", *trust)[0] == 0
    assert pratique("verify", data, *trust)[0] == 0

    assert pratique("manifest", "prove", data, "train/", "labels.csv", *trust, "-o", tmp_path / "proof.json")[0] == 0
    (data / "dataset.manifest.jsonl").rename(tmp_path / "lines")
    code, out, err = pratique("manifest", "verify", data, *trust)
    assert (code, "cannot read" in err) == (3, True)
    proof = ("--proof", tmp_path / "proof.json")
    assert pratique("manifest", "verify", data, "--file", "train/", *proof, *trust)[0] == 0
    assert pratique("manifest", "verify", data, *proof, *trust)[0] == 2

    (tmp_path / "lines").rename(data / "dataset.manifest.jsonl")
    (data / "train" / "1.csv").write_bytes(b"2")
    for words in (("--file", "train/1.csv", *proof), ("--file", "train/"), ()):
        code, _, err = pratique("manifest", "verify", data, *words, *trust)
        assert (code, "train/1.csv is not what was signed" in err) == (5, True)
    assert pratique("manifest", "audit", data, *trust)[0] == 5
    assert pratique("manifest", "verify", data, "--file", "labels.csv", *trust)[0] == 0

    newer = folder_of(tmp_path / "newer", {"labels.csv": b"0,1"})
    before = ("--previous", data / "dataset.manifest.sigstore.json")
    assert pratique("manifest", "sign", newer, "--key", key, *before)[0] == 0
    code, out, _ = pratique("manifest", "verify", newer, *trust, "--format", "json")
    assert json.loads(out)["previous"] == root
    assert pratique("manifest", "sign", newer, "--key", key)[0] == 2
