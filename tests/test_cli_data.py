"""`pratique profile` and `pratique suite init`: from approved data to a suite that lets the honest batch in and no other.

The suite is run twice: by the check `dataset`, and by Great Expectations alone, which knows nothing of Pratique but the import.
"""

# ruff: noqa: TID253
from __future__ import annotations

import io
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pratique import profiles, proposals, suites, watching
from pratique.demonstration import digits

gx = pytest.importorskip("great_expectations")
pytest.importorskip("sklearn")

Frame = pd.DataFrame


def table(count: int = 300, seed: int = 0) -> Frame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=count)
    return Frame({
        "id": range(seed * count, (seed + 1) * count), "x": x, "town": rng.choice(["Bern", "Lyon"], count),
        "label": np.where(x > 0, "yes", "no"),
    })  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    table().to_csv(tmp_path / "approved.csv", index=False)
    return tmp_path / "approved.csv"


@pytest.fixture
def profile(data: Path, tmp_path: Path) -> Path:
    profiles.build(data, ignore=("id",)).save(tmp_path / "profile.json")
    return tmp_path / "profile.json"


# --- profile ------------------------------------------------------------------------------------------------------------


def test_a_profile_is_made_as_it_was_asked_for(pratique: Any, data: Path, tmp_path: Path) -> None:
    words = ["--ignore", "id", "--ignore", "town", "--bins", "4", "--sample", "60", "--format", "json"]
    code, out, err = pratique("profile", data, "-o", tmp_path / "p.json", *words)
    assert code == 0, err
    made, told = profiles.load(tmp_path / "p.json"), json.loads(out)
    assert [column.name for column in made.columns if column.role == "ignored"] == told["ignored"] == ["id", "town"]
    assert [len(column.counts) for column in made.features] == [4 + 1 + 4], "four bins, one edge more, and the outer cells"
    assert made.sample and made.sample.rows == told["sample"] == 60
    assert (told["digest"], told["rows"], told["columns"], told["label"]) == (made.digest, 300, 4, "label")
    assert made == profiles.build(data, ignore=("id", "town"), bins=4, sample=60), "the options are those of the library"


def test_people_are_told_what_is_in_it_and_what_comes_next(pratique: Any, data: Path, tmp_path: Path) -> None:
    code, out, _ = pratique("profile", data, "-o", tmp_path / "p.json")
    assert code == 0 and "300 rows" in out and "labels in 'label'" in out and "300 coarsely rounded reference rows" in out
    assert f"pratique suite init {tmp_path / 'p.json'}" in out
    code, out, _ = pratique("profile", data, "-o", tmp_path / "p.json", "--sample", "0")
    assert code == 0 and "reference rows" not in out, "no row is kept, and none is said to be"


def test_a_column_of_ids_that_is_not_ignored_would_be_drift(pratique: Any, data: Path, profile: Path, tmp_path: Path) -> None:
    """Why there is --ignore: ids go on from batch to batch."""
    table(seed=1).to_csv(tmp_path / "next.csv", index=False)
    pratique("profile", data, "-o", tmp_path / "naive.json")
    words = ["check", "dataset", tmp_path / "next.csv", "--kind", "dataset", "--deny-at", "medium", "-o"]
    assert pratique(*words, f"profile={profile}")[0] == 0
    code, out, _ = pratique(*words, f"profile={tmp_path / 'naive.json'}")
    assert code == 1 and "'id'" in out


WRONG_PROFILES: dict[str, tuple[list[str], int, str]] = {
    "an unknown column": (["--ignore", "twon"], 2, "there is no column 'twon'; did you mean 'town'?"),
    "nothing like any column": (["--ignore", "qqqq"], 2, "the columns are 'id', 'x', 'town', 'label'"),
    "an unknown label": (["--label", "labels"], 2, "did you mean 'label'?"),
    "a label in other letters": (["--label", "LABEL"], 2, "did you mean 'label'?"),
    "the label ignored": (["--ignore", "label"], 2, "cannot be the label and be ignored"),
    "everything ignored": (["--label", "", "--ignore=id", "--ignore=x", "--ignore=town", "--ignore=label"], 2, "is ignored"),
    "an empty name": (["--ignore", ""], 2, "is a variable not set?"),
    "one bin": (["--bins", "1"], 2, "1 is not in the range"),
    "too many bins": (["--bins", "257"], 2, "257 is not in the range"),
    "bins that are no number": (["--bins", "ten"], 2, "'ten' is not a valid integer"),
    "a negative sample": (["--sample", "-1"], 2, "-1 is not in the range"),
    "a sample of everything": (["--sample", "100001"], 2, "100001 is not in the range"),
    "too few rows of a label": (["--sample", "5"], 2, "sample=0"),
    "a label that is a number": (["--label", "x"], 2, "2 to 200 are classes"),
    "no such folder": (["-o", "{tmp}/none/p.json"], 2, "there is no folder"),
    "a folder for a file": (["-o", "{tmp}"], 2, "it is a folder"),
}


@pytest.mark.parametrize("name", WRONG_PROFILES)
def test_a_profile_that_cannot_be_made(pratique: Any, data: Path, tmp_path: Path, name: str) -> None:
    more, expected, says = WRONG_PROFILES[name]
    words = [word.format(tmp=tmp_path) for word in more]
    code, _, err = pratique("profile", data, *([] if "-o" in words else ["-o", tmp_path / "p.json"]), *words)
    assert (code, says in err) == (expected, True), err
    assert not list(tmp_path.rglob("p.json")), "nothing half-made is left"


@pytest.mark.parametrize("wrong", [{"bins": 1}, {"bins": 257}, {"sample": -1}, {"sample": 100_001}])
def test_the_library_has_the_same_bounds(wrong: dict[str, int]) -> None:
    with pytest.raises(profiles.building.UsageError, match="must be between"):
        profiles.build(table(), **wrong)  # type: ignore[arg-type]


def test_progress_goes_from_nothing_to_the_end() -> None:
    seen: list[tuple[int, int]] = []
    profiles.build(table(), progress=lambda done, steps: seen.append((done, steps)))
    assert seen == [(done, 5) for done in range(5)]


def test_a_bar_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", "xterm")
        with watching.steps("describing columns") as tell:
            tell(3, 7)
        with watching.volume("reading") as more:
            more(1 << 20)
        assert ("3/7" in stream.getvalue() and "reading" in stream.getvalue()) is shown
        assert shown or not stream.getvalue()


# --- suite init ---------------------------------------------------------------------------------------------------------


def test_people_see_what_was_proposed_why_and_what_comes_next(pratique: Any, profile: Path, tmp_path: Path) -> None:
    code, out, err = pratique("suite", "init", profile, "-o", tmp_path / "suite.json")
    assert code == 0, err
    for one in suites.read(tmp_path / "suite.json")["expectations"]:
        assert f" {one['type']} " in out
    assert "the reference has 4 columns" in out and "not asked: values of column 'id'" in out
    assert "next: pratique check dataset" in out


def test_machines_are_told_the_same(pratique: Any, profile: Path, tmp_path: Path) -> None:
    words = ["--false-alarm-rate", "0.02", "--min-rows", "80", "--name", "towns", "--format", "json"]
    code, out, _ = pratique("suite", "init", profile, "-o", tmp_path / "suite.json", *words)
    told, written = json.loads(out), suites.read(tmp_path / "suite.json")
    assert code == 0 and told["profile"] == written["meta"]["profile"] == profiles.load(profile).digest
    assert written["name"] == told["name"] == "towns"
    assert [one["type"] for one in told["expectations"]] == [one["type"] for one in written["expectations"]]
    assert sum(one["alpha"] or 0 for one in told["expectations"]) == pytest.approx(0.02)
    assert all(one["why"] and one["severity"] in ("critical", "warning") for one in told["expectations"])
    assert {"min_value": 80} in [one["kwargs"] for one in written["expectations"]]


def test_the_next_command_that_it_names_works(pratique: Any, profile: Path, tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    table(seed=1).to_csv(tmp_path / "next.csv", index=False)
    _, out, _ = pratique("suite", "init", profile, "-o", folder / "suite.json", "--format", "json")
    words = [str(tmp_path / "next.csv") if word == "DATA" else word for word in shlex.split(json.loads(out)["next"])]
    assert pratique(*words[1:])[0] == 0


@pytest.mark.parametrize("name", ["no label", "no sample", "constant", "everything"])
def test_what_is_not_asked_is_said(name: str) -> None:
    build, says = {
        "no label": (lambda: profiles.build(table().drop(columns="label"), label=None), "no label column"),
        "no sample": (lambda: profiles.build(table(), sample=0), "no reference rows"),
        "constant": (lambda: profiles.build(Frame({"x": [1] * 60}), label=None), "no column tells rows apart"),
        "everything": (lambda: profiles.build(table(), ignore=("id",)), "values of column 'id'"),
    }[name]
    built = build()
    assert any(says in sentence for sentence in proposals.left_out(built))
    suite = suites.default(built)
    assert len(proposals.reasons(built, suite)) == len(suite.expectations)


WRONG_SUITES: dict[str, tuple[list[str], int, str]] = {
    "no such profile": (["{tmp}/none.json"], 2, "pratique profile makes one"),
    "not JSON": (["{tmp}/junk.json"], 5, "not valid JSON"),
    "JSON, but no profile": (["{tmp}/other.json"], 5, "not a profile"),
    "a profile that was edited": (["{tmp}/edited.json"], 5, "canonical"),
    "data": (["{tmp}/approved.csv"], 2, "is data, not a profile of it"),
    "a folder of data": (["{tmp}"], 2, "pratique profile "),
    "an empty file": (["{tmp}/empty.json"], 5, "not valid JSON"),
    "no name of a profile": ([""], 2, "is a variable not set?"),
    "no such folder": (["{profile}", "-o", "{tmp}/none/s.json"], 2, "there is no folder"),
    "a folder for a file": (["{profile}", "-o", "{tmp}"], 2, "it is a folder"),
    "a rate of nothing": (["{profile}", "--false-alarm-rate", "0"], 2, "is not in the range"),
    "a rate of everything": (["{profile}", "--false-alarm-rate", "1"], 2, "is not in the range"),
    "a rate that is no number": (["{profile}", "--false-alarm-rate", "nan"], 2, "false_alarm_rate"),
    "too few rows": (["{profile}", "--min-rows", "19"], 2, "19 is not in the range"),
    "no name": (["{profile}", "--name", ""], 2, "is a variable not set?"),
    "no output": (["{profile}", "-o", ""], 2, "is a variable not set?"),
}


@pytest.mark.parametrize("name", WRONG_SUITES)
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_suite_that_cannot_be_proposed(pratique: Any, profile: Path, tmp_path: Path, name: str, form: str) -> None:
    (tmp_path / "junk.json").write_text("{profile")
    (tmp_path / "empty.json").write_bytes(b"")
    (tmp_path / "other.json").write_text('{"rows":300}')
    (tmp_path / "edited.json").write_text(json.dumps(json.loads(profile.read_bytes()), indent=1))
    more, expected, says = WRONG_SUITES[name]
    words = [word.format(tmp=tmp_path, profile=profile) for word in more]
    before = sorted(tmp_path.rglob("*"))
    output = [] if "-o" in words else ["-o", tmp_path / "s.json"]
    code, out, err = pratique("suite", "init", *words, *output, "--format", form)
    assert (code, says in err) == (expected, True), err
    assert form == "text" or json.loads(out)["exit_code"] == expected
    assert sorted(tmp_path.rglob("*")) == before


def test_a_suite_that_somebody_edited_is_not_overwritten_unless_told_so(pratique: Any, profile: Path, tmp_path: Path) -> None:
    output = tmp_path / "suite.json"
    output.write_text("mine")
    code, _, err = pratique("suite", "init", profile, "-o", output)
    assert (code, output.read_text()) == (2, "mine") and "--force" in err
    assert pratique("suite", "init", profile, "-o", output, "--force")[0] == 0
    assert suites.read(output)["name"] == "pratique"


def test_two_who_write_one_suite_at_once_do_not_overwrite_each_other(profile: Path, tmp_path: Path) -> None:
    proposed = suites.default(profiles.load(profile))
    (tmp_path / "suite.json").write_text("theirs")  # after this command had looked whether it is there
    with pytest.raises(profiles.building.UsageError, match="exists"):
        suites.save(proposed, tmp_path / "suite.json", overwrite=False)
    assert (tmp_path / "suite.json").read_text() == "theirs"
    assert not list(tmp_path.glob(".*.part"))


def test_a_column_with_an_evil_name_does_not_reach_the_terminal(pratique: Any, tmp_path: Path) -> None:
    evil = "\x1b[2J[bold red]x[/]\nnext: rm -rf /"
    frame = table().rename(columns={"x": evil, "label": "[/]\x1b]0;pwned\x07"})
    built = profiles.build(frame, label="[/]\x1b]0;pwned\x07", ignore=(evil,))
    built.save(tmp_path / "p.json")
    code, out, _ = pratique("suite", "init", tmp_path / "p.json", "-o", tmp_path / "s.json")
    assert code == 0 and "\x1b" not in out and "\x07" not in out
    assert sum(line.startswith("next: ") for line in out.splitlines()) == 1


# --- the same suite, run by the check and by Great Expectations alone ---------------------------------------------------


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile of scanned digits."""
    folder = tmp_path_factory.mktemp("approved")
    digits.write_dataset(folder, "reference")
    profiles.build(folder, label="label").save(folder / "profile.json")
    return folder / "profile.json"


def honest(folder: Path) -> None:
    pass


def poisoned(folder: Path) -> None:
    digits.flip_labels(folder, 0.1, seed=3)


def copied(folder: Path) -> None:
    digits.inject_near_duplicates(folder, 0.08, seed=3)


def drifted(folder: Path) -> None:
    digits.drift(folder)


def headless(folder: Path) -> None:
    frame = pd.read_csv(folder / "digits.csv")
    frame.drop(columns="p34").to_csv(folder / "digits.csv", index=False)


BATCHES = [(honest, ""), (poisoned, "label-noise"), (copied, "near-duplicates"), (drifted, "drift"), (headless, "schema")]

TYPES = {
    "label-noise": "expect_labels_to_conform_to_reference", "drift": "expect_table_drift_to_be_within_profile",
    "near-duplicates": "expect_near_duplicate_clusters_to_be_smaller_than", "schema": "expect_table_schema_to_match_profile",
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "rule"), BATCHES, ids=[spoil.__name__ for spoil, _ in BATCHES])
def test_the_honest_batch_is_admitted_and_no_other(
    pratique: Any, approved: Path, tmp_path: Path, spoil: Callable[[Path], None], rule: str
) -> None:
    (tmp_path / "batch").mkdir()
    digits.write_dataset(tmp_path / "batch", "incoming")
    spoil(tmp_path / "batch")
    assert pratique("suite", "init", approved, "-o", tmp_path / "suite.json")[0] == 0

    options = ["-o", f"profile={approved}", "-o", f"suite={tmp_path / 'suite.json'}", "--format", "json"]
    code, out, _ = pratique("check", "dataset", tmp_path / "batch", "--kind", "dataset", "--deny-at", "medium", *options)
    told = json.loads(out)
    assert (code, told["verdict"]) == ((1, "denied") if rule else (0, "admitted"))
    assert rule in {one["rule"] for one in told.get("denials", [])} or not rule

    import pratique.expectations

    context = gx.get_context(mode="file", project_root_dir=tmp_path / "project")
    document = json.loads((tmp_path / "suite.json").read_text())
    suite = context.suites.add(gx.ExpectationSuite(**{key: document[key] for key in ("name", "expectations", "meta")}))
    asset = context.data_sources.add_pandas("p").add_dataframe_asset("t").add_batch_definition_whole_dataframe("all")
    definition = gx.ValidationDefinition(name="v", data=asset, suite=suite)
    context.validation_definitions.add(definition)
    checkpoint = context.checkpoints.add(gx.Checkpoint(name="c", validation_definitions=[definition]))
    frame = pd.read_csv(tmp_path / "batch" / "digits.csv")
    result = checkpoint.run({"dataframe": frame}, expectation_parameters={"profile": str(approved)})
    (validated,) = result.run_results.values()
    assert len(validated.results) == len(document["expectations"])
    assert result.success is (not rule)
    failed = {one.expectation_config.type for one in validated.results if not one.success}
    assert TYPES.get(rule) in failed or not failed


def test_an_edited_suite_is_what_is_asked(pratique: Any, approved: Path, tmp_path: Path) -> None:
    """It is for people to edit: what they take out is not asked, what they add is."""
    (tmp_path / "batch").mkdir()
    digits.write_dataset(tmp_path / "batch", "incoming")
    pratique("suite", "init", approved, "-o", tmp_path / "suite.json")
    document = json.loads((tmp_path / "suite.json").read_text())
    added = {"type": "expect_column_max_to_be_between", "kwargs": {"column": "p34", "max_value": 3}}
    document["expectations"] = [*document["expectations"][:2], added]
    (tmp_path / "suite.json").write_text(json.dumps(document))
    options = ["-o", f"profile={approved}", "-o", f"suite={tmp_path / 'suite.json'}", "--format", "json"]
    code, out, _ = pratique("check", "dataset", tmp_path / "batch", "--kind", "dataset", *options)
    assert code == 1 and [one["rule"] for one in json.loads(out)["denials"]] == ["out-of-range"]
    assert json.loads(out)["evidence"][0]["measures"]["expectations"] == 3


# --- suite calibrate ----------------------------------------------------------------------------------------------------


@pytest.fixture
def held_back(tmp_path: Path) -> Path:
    table(seed=1).to_csv(tmp_path / "held-back.csv", index=False)
    return tmp_path / "held-back.csv"


SMALL = ["--clean", "2", "--planted", "1", "--kind", "exact-copies", "--rows", "200"]


def test_what_a_suite_catches_is_measured_and_kept_with_it(
    pratique: Any, profile: Path, held_back: Path, tmp_path: Path
) -> None:
    assert pratique("suite", "init", profile, "-o", tmp_path / "suite.json")[0] == 0
    before = (tmp_path / "suite.json").read_bytes()
    words = [tmp_path / "suite.json", held_back, "--profile", profile, *SMALL]
    code, out, err = pratique("suite", "calibrate", *words, "--dry-run")
    assert code == 0 and "of 2 (" in out and "exact-copies" in out and "1 of 1 at 5.0%" in out, (out, err)
    assert (tmp_path / "suite.json").read_bytes() == before
    code, out, err = pratique("suite", "calibrate", *words, "--format", "json")
    assert code == 0, err
    told = json.loads(out)
    document = suites.read(tmp_path / "suite.json")
    assert told["written"] and document["meta"]["calibration"] == told["calibration"]
    assert [one["share"] for one in told["calibration"]["power"]] == [0.005, 0.01, 0.02, 0.05]
    asked = ["-o", f"profile={profile}", "-o", f"suite={tmp_path / 'suite.json'}"]
    check = ["check", "dataset", held_back, "--kind", "dataset", "--deny-at", "medium", *asked]
    code, out, _ = pratique(*check, "-o", 'must_detect=["exact-copies=0.05"]')
    assert code == 1 and "inconclusive" in out and "1 of 1 batches, at least 0.03 of all" in out, out


def test_what_cannot_be_measured_is_said(pratique: Any, profile: Path, data: Path, held_back: Path, tmp_path: Path) -> None:
    assert pratique("suite", "init", profile, "-o", tmp_path / "suite.json")[0] == 0
    suite = tmp_path / "suite.json"
    for words, said in (
        ([suite, data, "--profile", profile, *SMALL], "rows of the reference"),
        ([suite, held_back, "--profile", profile, *SMALL, "--kind", "magic"], "no poison is called 'magic'"),
        ([suite, held_back, "--profile", profile, "--rows", "999"], "cannot be drawn"),
        ([tmp_path / "none.json", held_back, "--profile", profile], "cannot read the suite"),
    ):
        code, _, err = pratique("suite", "calibrate", *words)
        assert code == 2 and said in err, err
