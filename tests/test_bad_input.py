"""Whatever a command is given: a sentence, the documented exit code, one JSON document, and nothing changed on the way."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pratique.testing import folder_of
from tests.conftest import Pratique

GIGABYTE = 1 << 30
DIGEST = "sha256:" + "0" * 64

# --- what can be wrong with a thing -------------------------------------------------------------------------------------


def missing(path: Path) -> None:
    """Nothing at all."""


def empty(path: Path) -> None:
    path.write_bytes(b"")


def empty_folder(path: Path) -> None:
    path.mkdir()


def folder(path: Path) -> None:
    folder_of(path, {"one": b"1"})


def junk(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 9)


def deep(path: Path) -> None:
    path.write_bytes(b"[" * 400 + b"]" * 400)


def gigabyte(path: Path) -> None:
    """Sparse: a gigabyte to read, nothing on the disk."""
    with path.open("wb") as stream:
        stream.write(b'{"version": 1, "x": [')
        stream.truncate(GIGABYTE)


def loop(path: Path) -> None:
    path.symlink_to(path)


def link(path: Path) -> None:
    path.with_name("elsewhere").write_bytes(b"1")
    path.symlink_to(path.with_name("elsewhere"))


def pipe(path: Path) -> None:
    os.mkfifo(path)


def closed(path: Path) -> None:
    path.write_bytes(b"secret")
    path.chmod(0)


def closed_folder(path: Path) -> None:
    folder_of(path, {"one": b"1"})
    path.chmod(0)


def linked_inside(path: Path) -> None:
    folder_of(path, {"one": b"1"})
    (path / "two").symlink_to("/etc/passwd")


def closed_inside(path: Path) -> None:
    folder_of(path, {"one": b"1", "two": b"2"})
    (path / "two").chmod(0)


def escapes_inside(path: Path) -> None:
    folder_of(path, {"one\x1b[2J\n": b"1"})


def bytes_inside(path: Path) -> None:
    path.mkdir()
    Path(os.fsdecode(os.fsencode(path) + b"/\xff\xfe")).write_bytes(b"1")


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_bytes(b"no folder")


def long_name(path: Path) -> Path:
    return path.with_name("n" * 300)


Wrong = Callable[[Path], Path | None]

EVERYWHERE: list[Wrong] = [missing, empty, empty_folder, folder, junk, loop, closed, closed_folder, below_a_file, long_name]
FILES: list[Wrong] = [*EVERYWHERE, deep, gigabyte]
ARTIFACTS: list[Wrong] = [
    missing, empty_folder, loop, link, pipe, closed, closed_folder, below_a_file, long_name, linked_inside, closed_inside,
    escapes_inside, bytes_inside,
]  # fmt: skip

NO_FOLDER: list[Wrong] = [missing, empty_folder, loop, link, pipe, closed, below_a_file, long_name]
NO_BUNDLE: list[Wrong] = [empty, junk, deep]
NOWHERE: list[Wrong] = [missing, loop, below_a_file, long_name]

# --- where each command can be given it ---------------------------------------------------------------------------------

GATE = ["--key", "{key}", "--store", "{store}"]
TO = ["--store", "{store}", "--to", "{to}"]
COMMANDS: dict[str, tuple[list[str], list[Wrong], dict[Wrong, int], int]] = {
    # name: (words, what is wrong with {bad}, exit codes that differ, the exit code otherwise)
    "digest an artifact": (["digest", "{bad}"], ARTIFACTS, {}, 3),
    "sign a folder": (
        ["sign", "{bad}", "--key", "{key}"], [one for one in ARTIFACTS if one is not link], {empty_folder: 2, loop: 2}, 3,
    ),
    "sign with a key": (["sign", "{model}", "--key", "{bad}"], FILES, {}, 2),
    "verify a statement": (["verify", "{bad}", "--trust", "{pub}"], FILES, {empty: 5, junk: 5, deep: 5, folder: 5}, 3),
    "verify a folder": (["verify", "{bad}", "--trust", "{pub}"], [linked_inside, closed_inside, bytes_inside], {}, 3),
    "verify by a key": (["verify", "{model}", "--trust", "{bad}"], FILES, {}, 2),
    "verify what was promoted": (["verify", "{bad}", "--clearance", "--trust", "{pub}"], EVERYWHERE, {}, 3),
    "check an artifact": (["check", "shape", "{bad}", *GATE], ARTIFACTS, {}, 3),
    "check by a key": (["check", "shape", "{model}", "--key", "{bad}", "--store", "{store}"], FILES, {}, 2),
    "gate an artifact": (["gate", "{bad}", "--policy", "{policy}", *GATE], ARTIFACTS, {}, 3),
    "gate under a policy": (["gate", "{model}", "--policy", "{bad}", *GATE], FILES, {}, 2),
    "gate by a key": (["gate", "{model}", "--policy", "{policy}", "--key", "{bad}", "--store", "{store}"], FILES, {}, 2),
    "promote an artifact": (["promote", "{bad}", "--policy", "{policy}", "--key", "{key}", *TO], ARTIFACTS, {}, 3),
    "promote under a policy": (["promote", "{model}", "--policy", "{bad}", "--key", "{key}", *TO], FILES, {}, 2),
    "promote by a key": (["promote", "{model}", "--policy", "{policy}", "--key", "{bad}", *TO], FILES, {}, 2),
    "profile a dataset": (["profile", "{bad}", "-o", "{tmp}/p.json"], [*ARTIFACTS, empty, junk, folder], {}, 3),
    "check a policy": (["policy", "check", "{bad}"], FILES, {}, 2),
    "explain a policy": (["policy", "explain", "{bad}"], FILES, {}, 2),
    "show a key": (["keys", "show", "{bad}"], FILES, {}, 2),
    "verify by a policy's trust": (["verify", "{model}", "--trust-policy", "{bad}"], FILES, {}, 2),
    "verify a detached signature": (
        ["verify", "{model}", "--signature", "{bad}", "--trust", "{pub}"], FILES,
        {**dict.fromkeys([*NO_BUNDLE, gigabyte], 5), **dict.fromkeys(NOWHERE, 2)}, 3,
    ),
    "sign by a certificate": (["sign", "{model}", "--key", "{key}", "--certificate", "{bad}"], FILES, {}, 2),
    "show a trusted root": (["trust", "show", "{bad}"], FILES, {}, 2),
    "unpack a bundle": (["dsse", "{bad}", "--trust", "{pub}", "-o", "{tmp}/p.json"], FILES, dict.fromkeys(NO_BUNDLE, 5), 2),
    "sign a manifest": (["manifest", "sign", "{bad}", "--key", "{key}"], ARTIFACTS, dict.fromkeys(NO_FOLDER, 2), 3),
    "verify a manifest": (["manifest", "verify", "{bad}", "--trust", "{pub}"], ARTIFACTS, {}, 3),
    "prove with a manifest": (["manifest", "prove", "{bad}", "x", "--trust", "{pub}", "-o", "{tmp}/p.json"], ARTIFACTS, {}, 3),
    "audit a manifest": (["manifest", "audit", "{bad}", "--trust", "{pub}"], ARTIFACTS, {}, 3),
    "report on a store": (
        ["report", DIGEST, "--trust", "{pub}", "--store", "{bad}", "-o", "{tmp}/p.json"], EVERYWHERE,
        {missing: 5, empty_folder: 5, folder: 5}, 3,
    ),
}  # fmt: skip


def everything(*roots: Path) -> list[tuple[str, bytes]]:
    """Every file in some folders, with its content."""
    paths = [path for root in roots for path in root.rglob("*") if path.is_file()]
    return sorted((str(path), path.read_bytes()) for path in paths)


@pytest.fixture
def used(pratique: Pratique, setup: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A store and a destination that have seen a model go by."""
    words = ["--policy", setup["policy"], "--key", setup["key"], "--store", setup["store"]]
    assert pratique("gate", setup["model"], *words)[0] == 0
    assert pratique("promote", setup["model"], *words, "--to", setup["to"])[0] == 0
    return {**setup, "tmp": tmp_path}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_bad_thing(pratique: Pratique, used: dict[str, Any], tmp_path: Path, home: Path, mortal: None, name: str) -> None:
    words, wrongs, other, usual = COMMANDS[name]
    kept = (used["store"], used["to"], home / "keys")
    before = everything(*kept)
    for wrong in wrongs:
        (tmp_path / wrong.__name__).mkdir()
        bad = tmp_path / wrong.__name__ / "thing"
        bad = wrong(bad) or bad
        given = [word.format(bad=bad, **used) for word in words]
        expected = other.get(wrong, usual)

        code, out, err = pratique(*given)
        assert (code, out) == (expected, ""), f"{wrong.__name__}: {err}"
        assert err.strip() and "\x1b" not in err

        code, out, err = pratique(*given, "--format", "json")
        told = json.loads(out)
        assert (code, told["exit_code"]) == (expected, code), f"{wrong.__name__}: {err}"
        assert told["error"] in err and told["message"]

        assert everything(*kept) == before, wrong.__name__
        assert not list((home / "snapshots").glob(".incoming-*"))
        assert not (tmp_path / "p.json").exists()
        if os.path.lexists(bad) and not bad.is_symlink():
            bad.chmod(0o700)  # for whoever tidies up


# --- words that are empty, misspelt or twice ----------------------------------------------------------------------------

EMPTY: list[list[str]] = [
    ["digest", ""],
    ["sign", "", "--key", "{key}"],
    ["sign", "{model}", "--key", ""],
    ["verify", "", "--trust", "{pub}"],
    ["verify", "{model}", "--trust", ""],
    ["verify", "{to}", "--clearance", "--trust", "{pub}", "--channel", ""],
    ["check", "", "{model}"],
    ["check", "shape", ""],
    ["gate", "", "--policy", "{policy}", *GATE],
    ["gate", "{model}", "--policy", "", *GATE],
    ["gate", "{model}", "--policy", "{policy}", "--key", "{key}", "--store", " "],
    ["gate", "{model}", "--policy", "{policy}", *GATE, "--run-id", ""],
    ["gate", "{model}", "--policy", "{policy}", *GATE, "--report", ""],
    ["promote", "{model}", "--policy", "{policy}", "--key", "{key}", "--store", "{store}", "--to", ""],
    ["promote", "{model}", "--policy", "{policy}", "--key", "{key}", *TO, "--run-id", ""],
    ["promote", "{model}", "--policy", "{policy}", "--key", "{key}", *TO, "--channel", ""],
    ["profile", "", "-o", "p.json"],
    ["profile", "{model}", "-o", ""],
    ["policy", "check", ""],
    ["policy", "explain", ""],
    ["keys", "new", ""],
    ["keys", "show", ""],
    ["report", "", "--trust", "{pub}", "-o", "p.html"],
    ["trust", "show", ""],
    ["trust", "fetch", "{model}", "--url", ""],
    ["dsse", "", "--trust", "{pub}", "-o", "p.json"],
    ["verify", "{model}", "--trust", "{pub}", "--trust-policy", ""],
    ["sign", "{model}", "--key", "{key}", "--version", ""],
    ["sign", "{model}", "--key", "{key}", "--signature", ""],
    ["gate", "{model}", "--policy", "{policy}", "--identity-token", ""],
    ["manifest", "sign", "", "--key", "{key}"],
    ["manifest", "verify", "", "--trust", "{pub}"],
]


def test_a_variable_that_is_not_set(pratique: Pratique, used: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """`pratique gate "$MODEL" --policy "$POLICY"`: never the current folder, never the baseline policy, never any run."""
    monkeypatch.chdir(used["model"])
    before = everything(used["store"], used["to"], used["model"])
    for words in EMPTY:
        code, _, err = pratique(*(word.format(**used) for word in words))
        assert code == 2 and "is empty" in err, (words, err)
    assert everything(used["store"], used["to"], used["model"]) == before


MISSPELT: dict[str, tuple[list[str], int, str]] = {
    "a command": (["gaet"], 2, "No such command"),
    "a policy command": (["policy", "chek", "{policy}"], 2, "No such command"),
    "an option": (["gate", "{model}", "--polcy", "{policy}"], 2, "--policy"),
    "a kind": (["gate", "{model}", "--kind", "modle"], 2, "modle"),
    "a format": (["digest", "{model}", "--format", "yaml"], 2, "yaml"),
    "a curve": (["keys", "new", "{tmp}/k.key", "--curve", "P-255"], 2, "P-255"),
    "a severity": (["check", "shape", "{model}", "--deny-at", "hihg"], 2, "hihg"),
    "a check": (["check", "shap", "{model}"], 4, "did you mean 'shape'"),
    "a check's option": (["check", "shape", "{model}", "-o", "mots=3"], 2, "did you mean 'most'"),
    "a check's option without a value": (["check", "shape", "{model}", "-o", "most"], 2, "KEY=VALUE"),
    "a check's option twice": (["check", "shape", "{model}", "-o", "most=3", "-o", "most=9"], 2, "twice"),
    "a check's option of another type": (["check", "shape", "{model}", "-o", "most=many"], 2, "option most"),
    "a check's option that is no number": (["check", "shape", "{model}", "-o", "most=NaN"], 2, "option most"),
    "a check's option with a thousand brackets": (["check", "shape", "{model}", "-o", "most=" + "[" * 9999], 2, "option most"),
    "a scenario": (["demo", "--only", "honest"], 2, "no scenario"),
    "a channel": (["verify", "{to}", "--clearance", "--trust", "{pub}", "--channel", "../production"], 2, "channel"),
    "a channel that is another's pointer": (
        ["promote", "{model}", "--policy", "{policy}", *GATE, "--to", "{to}", "--channel", "a.sigstore.json"], 2, "name",
    ),
    "a kind that the policy does not judge": (["gate", "{model}", "--policy", "{policy}", "--kind", "dataset"], 2, "a model"),
    "a scheme": (["digest", "nosuch://model"], 3, "not known"),
    "a store's scheme": (["gate", "{model}", "--policy", "{policy}", "--store", "nosuch://x"], 2, "no driver"),
    "a destination's scheme": (
        ["promote", "{model}", "--policy", "{policy}", *GATE, "--to", "nosuch://x"], 2, "no driver",
    ),
    "nothing at all": (["gate"], 2, "ARTIFACT"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt(pratique: Pratique, used: dict[str, Any], name: str) -> None:
    words, expected, says = MISSPELT[name]
    before = everything(used["store"], used["to"])
    given = [word.format(**used) for word in words]
    code, out, err = pratique(*given)
    assert code == expected and says in err and not out, err
    if name not in ("a scenario", "a format"):  # demo's own option is --json
        code, out, err = pratique(*given, "--format", "json")
        assert (code, json.loads(out)["exit_code"]) == (expected, expected)
    assert everything(used["store"], used["to"]) == before


TYPOS = {
    "subject: model": "subject: modle", "trust:": "turst:", "gate.pub": "gat.pub", "require:": "reqiure:", "shape:": "shap:",
    "measures:": "mesures:", "files:": "flies:", "max: 3": "mx: 3", "version: 1": "version: 2",
}  # fmt: skip


@pytest.mark.parametrize("right", TYPOS)
def test_a_policy_with_a_typo(pratique: Pratique, used: dict[str, Any], right: str) -> None:
    text = used["policy"].read_text()
    number = text[: text.index(right)].count("\n") + 1
    used["policy"].write_text(text.replace(right, TYPOS[right]))
    before = everything(used["store"], used["to"])
    for words in (["policy", "check", "{policy}"], ["gate", "{model}", "--policy", "{policy}", *GATE]):
        code, _, err = pratique(*(word.format(**used) for word in words))
        assert code == 2 and f"policy.yaml:{number}:" in err, err
    assert everything(used["store"], used["to"]) == before


# --- bytes that are cut off or wrong inside -----------------------------------------------------------------------------


def test_a_truncated_safetensors_file(pratique: Pratique, tmp_path: Path) -> None:
    import struct

    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    whole = struct.pack("<Q", len(header)) + header + bytes(16)
    for cut in (0, 1, 7, 8, 9, len(header), len(whole) - 1):
        path = folder_of(tmp_path / f"cut{cut}", {"model.safetensors": whole[:cut], "config.json": b"{}"})
        code, out, err = pratique("gate", path, "--format", "json")
        told = json.loads(out)
        assert (code, told["verdict"]) == (1, "denied") and told["denials"][0]["where"] == "model.safetensors", (cut, err)
    assert pratique("gate", folder_of(tmp_path / "whole", {"model.safetensors": whole, "config.json": b"{}"}))[0] == 0


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\x00", b"a,b\n1\n", b"a,a\n1,2\n", b"PAR1" + bytes(40) + b"PAR1"])
def test_an_unreadable_dataset(pratique: Pratique, tmp_path: Path, data: bytes) -> None:
    good = tmp_path / "good.csv"
    good.write_text("x,label\n" + "".join(f"{n},{n % 2}\n" for n in range(200)))
    assert pratique("profile", good, "-o", tmp_path / "profile.json")[0] == 0
    bad = tmp_path / ("bad.parquet" if data.startswith(b"PAR1") else "bad.csv")
    bad.write_bytes(data)
    words = ["check", "dataset", bad, "--kind", "dataset", "-o", f"profile={tmp_path / 'profile.json'}", "--format", "json"]
    code, out, err = pratique(*words)
    assert (code, json.loads(out)["verdict"]) == (1, "denied"), err
    code, out, err = pratique("profile", bad, "-o", tmp_path / "other.json")
    assert code in (2, 3) and err and not (tmp_path / "other.json").exists()


@pytest.mark.parametrize("wrong", [empty, junk, deep, gigabyte, loop, pipe, folder])
def test_a_corrupt_bundle_in_the_store_proves_nothing(pratique: Pratique, used: dict[str, Any], wrong: Wrong) -> None:
    (bundle,) = used["store"].rglob("evidence/**/*.sigstore.json")
    whole = bundle.read_bytes()
    bundle.unlink()
    wrong(bundle)
    words = ["promote", used["model"], "--policy", used["policy"], "--key", used["key"], "--store", used["store"]]
    before = everything(used["to"])
    code, out, _ = pratique(*words, "--to", used["to"], "--format", "json")
    told = json.loads(out)
    assert (code, told["error"], told["denials"][0]["rule"]) == (1, "Denied", "no-evidence")
    assert everything(used["to"]) == before
    (bundle.with_name(bundle.name + ".bad")).unlink(missing_ok=True)
    bundle.rename(bundle.with_name(bundle.name + ".bad"))
    bundle.write_bytes(whole)
    assert pratique(*words, "--to", used["to"])[0] == 0


# --- a machine that does not play along ---------------------------------------------------------------------------------


def test_a_home_that_cannot_be_written(pratique: Pratique, model: Path, home: Path, mortal: None) -> None:
    home.mkdir(mode=0o500)
    code, _, err = pratique("digest", model)
    assert code == 3 and "PRATIQUE_HOME" in err
    code, _, err = pratique("gate", model)  # the first thing it needs is a key
    assert code == 2 and "cannot write the key" in err
    assert not list(home.iterdir())


def test_a_home_that_is_a_file(pratique: Pratique, model: Path, home: Path) -> None:
    home.write_text("no folder")
    assert pratique("digest", model)[0] == 3
    assert pratique("keys", "show")[0] == 2


def test_a_user_without_a_home(pratique: Pratique, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that runs as any user id, as OpenShift's do."""
    monkeypatch.delenv("PRATIQUE_HOME")
    monkeypatch.setattr(Path, "home", staticmethod(lambda: Path("~nobody-at-all").expanduser()))
    code, _, err = pratique("digest", model)
    assert code == 2 and "PRATIQUE_HOME" in err


def test_a_store_that_cannot_be_written(pratique: Pratique, used: dict[str, Any], tmp_path: Path, mortal: None) -> None:
    other = folder_of(tmp_path / "other", {"weights.bin": b"other"})
    for folder in [used["store"], *(path for path in used["store"].rglob("*") if path.is_dir())]:
        folder.chmod(0o500)
    before = everything(used["store"], used["to"])
    words = ["--policy", used["policy"], "--key", used["key"], "--store", used["store"]]
    code, out, err = pratique("gate", other, *words)
    assert (code, out) == (3, "") and "Permission denied" in err
    assert everything(used["store"], used["to"]) == before


def test_a_store_that_cannot_be_read_is_not_an_empty_one(pratique: Pratique, used: dict[str, Any], mortal: None) -> None:
    (evidence,) = used["store"].glob("evidence/sha256/*")
    evidence.chmod(0)
    words = ["--policy", used["policy"], "--key", used["key"], "--store", used["store"], "--to", used["to"]]
    code, _, err = pratique("promote", used["model"], *words)
    assert code == 3 and "Permission denied" in err
    evidence.chmod(0o700)


def test_a_destination_that_cannot_be_written(pratique: Pratique, used: dict[str, Any], mortal: None) -> None:
    for folder in [used["to"], *(path for path in used["to"].rglob("*") if path.is_dir())]:
        folder.chmod(0o500)
    before = everything(used["to"])
    words = ["--policy", used["policy"], "--key", used["key"], "--store", used["store"], "--to", used["to"]]
    code, out, err = pratique("promote", used["model"], *words)
    assert (code, out) == (3, "") and "Permission denied" in err
    assert everything(used["to"]) == before
    assert pratique("verify", used["to"], "--clearance", "--trust", used["pub"])[0] == 0


def test_a_report_that_cannot_be_written_hides_no_verdict(pratique: Pratique, used: dict[str, Any], tmp_path: Path) -> None:
    words = ["--policy", used["policy"], "--key", used["key"], "--store", used["store"], "--format", "json"]
    code, out, err = pratique("gate", used["model"], *words, "--report", tmp_path)
    assert (code, json.loads(out)["verdict"]) == (3, "admitted") and "cannot write the report" in err
    folder_of(used["model"], {"bad": b""})
    code, out, err = pratique("gate", used["model"], *words, "--report", tmp_path)
    assert (code, json.loads(out)["verdict"]) == (1, "denied")
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("name", ["x.pub", ".", "a/..", "{pub}", "{key}"])
def test_a_key_pair_is_made_whole_or_not_at_all(
    pratique: Pratique, used: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    monkeypatch.chdir(folder)
    before = everything(folder, used["key"].parent)
    assert pratique("keys", "new", name.format(**used))[0] == 2
    assert everything(folder, used["key"].parent) == before


def test_a_public_key_that_is_in_the_way(pratique: Pratique, tmp_path: Path) -> None:
    (tmp_path / "new.pub").write_text("somebody's")
    assert pratique("keys", "new", tmp_path / "new.key")[0] == 2
    assert sorted(path.name for path in tmp_path.glob("new.*")) == ["new.pub"]
