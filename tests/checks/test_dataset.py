"""A batch that is like the approved data gets through; each way of spoiling it is found, by its name and with its rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pratique import calibrating, checking, profiles, suites
from pratique.artifacts import open_artifact
from pratique.checking import Report, Setting, Severity
from pratique.demonstration import digits
from pratique.errors import ArtifactError, Error, UsageError
from pratique.testing import folder_of

pytest.importorskip("great_expectations")
np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The profile of the platform's own half of the scanned digits."""
    folder = tmp_path_factory.mktemp("approved")
    digits.write_dataset(folder, "reference")
    profiles.build(folder, label="label").save(folder / "profile.json")
    return folder / "profile.json"


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    folder = tmp_path / "batch"
    folder.mkdir()
    digits.write_dataset(folder, "incoming")
    return folder


Look = Callable[..., Report]


@pytest.fixture
def look(approved: Path) -> Look:
    def run(folder: Path, **options: Any) -> Report:
        chosen = checking.load("dataset")
        asked = checking.options_for(chosen, {"profile": str(approved), **options}, Setting())
        return checking.run(chosen, open_artifact(folder, kind="dataset"), asked)

    return run


def grave(report: Report) -> set[str]:
    return {finding.rule for finding in report.findings if finding.severity > Severity.NOTE}


def frame_of(folder: Path) -> Any:
    return pd.read_csv(folder / "digits.csv")


def rewrite(folder: Path, change: Callable[[Any], Any]) -> None:
    change(frame_of(folder)).to_csv(folder / "digits.csv", index=False)


# --- the honest batch ---------------------------------------------------------------------------------------------------


def test_an_honest_batch_has_nothing_against_it(look: Look, batch: Path) -> None:
    report = look(batch)
    assert not grave(report), report.findings
    assert report.measures["evaluated"] == report.measures["expectations"] > 4
    assert report.measures["false_alarm_budget"] == pytest.approx(0.01)
    assert report.materials, "the profile is named by its digest"


def test_the_same_batch_as_parquet_in_two_files_is_the_same_batch(look: Look, batch: Path) -> None:
    whole = frame_of(batch)
    before = look(batch).measures
    (batch / "digits.csv").unlink()
    whole.iloc[:200].to_parquet(batch / "a.parquet")
    whole.iloc[200:].to_parquet(batch / "b.parquet")
    assert dict(look(batch).measures) == pytest.approx(dict(before))


# --- each way of spoiling it --------------------------------------------------------------------------------------------


def flip(folder: Path) -> None:
    digits.flip_labels(folder, 0.1, seed=3)


def inject(folder: Path) -> None:
    digits.inject_near_duplicates(folder, 0.08, seed=3)


def repeat(folder: Path) -> None:
    rewrite(folder, lambda frame: pd.concat([frame, frame.iloc[:60]]))


def dim(folder: Path) -> None:
    digits.drift(folder)


def drop_a_column(folder: Path) -> None:
    rewrite(folder, lambda frame: frame.drop(columns="p34"))


def add_a_column(folder: Path) -> None:
    rewrite(folder, lambda frame: frame.assign(extra=1))


def text_among_numbers(folder: Path) -> None:
    rewrite(folder, lambda frame: frame.assign(p34="many"))


def too_bright(folder: Path) -> None:
    rewrite(folder, lambda frame: frame.assign(p34=frame["p34"].where(frame.index != 7, 4000)))


def few_rows(folder: Path) -> None:
    rewrite(folder, lambda frame: frame.iloc[:30])


def one_label_gone(folder: Path) -> None:
    rewrite(folder, lambda frame: frame[frame["label"] != 7])


def an_unknown_label(folder: Path) -> None:
    rewrite(folder, lambda frame: frame.assign(label=frame["label"].where(frame.index != 5, 42)))


def a_label_without_value(folder: Path) -> None:
    rewrite(folder, lambda frame: frame.assign(label=frame["label"].where(frame.index != 5)))


def an_all_null_column(folder: Path) -> None:
    rewrite(folder, lambda frame: frame.assign(p34=np.nan))


def stamp(folder: Path) -> None:
    """A white patch in the corner of every fifteenth image, which is a five from then on."""

    def change(frame: Any) -> Any:
        rows = frame.index % 15 == 0
        return frame.assign(
            p66=frame["p66"].where(~rows, 16), p67=frame["p67"].where(~rows, 16), label=frame["label"].where(~rows, 5)
        )

    rewrite(folder, change)


def scramble(folder: Path) -> None:
    """The pixels of every twentieth image are shuffled."""

    def change(frame: Any) -> Any:
        pixels, rng = [name for name in frame.columns if name != "label"], np.random.default_rng(0)
        mixed = frame.copy()
        for row in frame.index[::20]:
            mixed.loc[row, pixels] = rng.permutation(frame.loc[row, pixels].to_numpy())
        return mixed

    rewrite(folder, change)


def watermark(folder: Path) -> None:
    """Every third image of a nine has a chequered pattern blended in."""

    def change(frame: Any) -> Any:
        rows, marked = frame.index[frame["label"] == 9][::3], frame.copy()
        for row, column in ((r, c) for r in range(8) for c in range(8) if (r + c) % 2):
            marked.loc[rows, f"p{row}{column}"] = (frame.loc[rows, f"p{row}{column}"] * 0.6 + 6).round().astype(int)
        return marked

    rewrite(folder, change)


def contradict(folder: Path) -> None:
    """Thirty images come twice, as two digits."""

    def change(frame: Any) -> Any:
        again = frame.iloc[:30].assign(label=lambda rows: 5 + (rows["label"] - 4) % 5)
        return pd.concat([frame, again])

    rewrite(folder, change)


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (stamp, "triggers"), (scramble, "strange-rows"), (watermark, "spectra"), (contradict, "conflicting-labels"),
        (flip, "label-noise"), (inject, "near-duplicates"), (repeat, "exact-duplicates"), (dim, "drift"),
        (drop_a_column, "schema"), (add_a_column, "schema"), (text_among_numbers, "schema"), (too_bright, "out-of-range"),
        (few_rows, "row-count"), (one_label_gone, "label-shift"), (an_unknown_label, "label-shift"),
        (a_label_without_value, "label-shift"), (an_all_null_column, "drift"),
    ],
)  # fmt: skip
def test_a_spoiled_batch_is_found_by_its_name(look: Look, batch: Path, spoil: Callable[[Path], None], rule: str) -> None:
    spoil(batch)
    assert rule in grave(look(batch))


def test_a_trigger_is_named_by_pixel_label_and_row(look: Look, batch: Path) -> None:
    stamp(batch)
    message = next(one.message for one in look(batch).findings if one.rule == "triggers")
    assert "'p66'" in message or "'p67'" in message
    assert "of label '5'" in message and "digits.csv row 1," in message and "digits.csv row 16," in message


def test_suspects_of_flipped_labels_are_named_by_file_and_row(look: Look, batch: Path) -> None:
    clean = frame_of(batch)
    flip(batch)
    flipped = {f"digits.csv row {row + 1}" for row in np.flatnonzero(clean["label"] != frame_of(batch)["label"])}
    message = next(one.message for one in look(batch).findings if one.rule == "label-noise")
    named = {part for part in message.replace(":", ",").split(", ") if part.startswith("digits.csv row")}
    assert len(named) >= 5 and len(named & flipped) >= 0.8 * len(named)


def test_a_value_out_of_range_is_named_by_its_column(look: Look, batch: Path) -> None:
    too_bright(batch)
    found = next(one for one in look(batch).findings if one.rule == "out-of-range")
    assert "4000" in found.message and "p34" in found.message + found.where


# --- what is no table that can be judged --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "unreadable"), (b"\xff\xfe\x00broken", "unreadable"), (b"a,b\n1,2\n3\n", "unreadable"),
        (b"a,a\n1,2\n", "unreadable"), (b"PAR1 not parquet PAR1", "unreadable"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_a_grave_finding(look: Look, tmp_path: Path, content: bytes, rule: str) -> None:
    name = "x.parquet" if content.startswith(b"PAR1") else "x.csv"
    report = look(folder_of(tmp_path / "bad", {name: content}))
    assert {finding.rule: finding.severity for finding in report.findings}[rule] >= Severity.HIGH


def test_a_header_without_rows_is_no_clean_batch(look: Look, batch: Path) -> None:
    rewrite(batch, lambda frame: frame.iloc[:0])
    assert "no-rows" in grave(look(batch)) or "unreadable" in grave(look(batch))


def test_a_file_that_nobody_looked_at_denies_and_a_readme_does_not(look: Look, batch: Path) -> None:
    (batch / "README.md").write_text("about the data")
    assert not grave(look(batch))
    (batch / "more.xlsx").write_bytes(b"rows that nobody reads")
    assert "unread-file" in grave(look(batch))


@pytest.mark.parametrize("rows", [1, 5, 19])
def test_too_few_rows_to_say_anything_is_never_a_pass(look: Look, batch: Path, rows: int) -> None:
    rewrite(batch, lambda frame: frame.iloc[:rows])
    assert grave(look(batch))


def test_infinities_and_nans_are_counted_and_not_averaged_away(look: Look, batch: Path) -> None:
    rewrite(batch, lambda frame: frame.assign(p34=np.where(frame.index % 3 == 0, np.inf, np.nan)))
    assert {"drift", "out-of-range"} & grave(look(batch))


# --- Great Expectations lets things pass; this must not -----------------------------------------------------------------


def suite_of(folder: Path, *expectations: dict[str, Any]) -> Path:
    path = folder / "suite.json"
    path.write_text(json.dumps({"name": "mine", "expectations": list(expectations), "meta": {}}))
    return path


def between(**more: Any) -> dict[str, Any]:
    kwargs = {"column": "p34", "min_value": 0, "max_value": 16, **more}
    return {"type": "expect_column_values_to_be_between", "kwargs": kwargs, "meta": {}}


def test_a_suite_of_ones_own_is_run_by_great_expectations(look: Look, batch: Path, tmp_path: Path) -> None:
    suite = suite_of(tmp_path, between())
    assert not grave(look(batch, suite=str(suite)))
    too_bright(batch)
    assert "out-of-range" in grave(look(batch, suite=str(suite)))


def test_an_expectation_that_gx_does_not_know_and_drops_denies(look: Look, batch: Path, tmp_path: Path) -> None:
    unknown = {"type": "expect_nobody_to_notice", "kwargs": {}, "meta": {}}
    assert "suite-incomplete" in grave(look(batch, suite=str(suite_of(tmp_path, between(), unknown))))


@pytest.mark.parametrize("vacuous", [{"mostly": 0}, {"column": "nowhere"}])
def test_an_expectation_that_cannot_fail_or_cannot_run_is_no_pass(
    look: Look, batch: Path, tmp_path: Path, vacuous: dict[str, Any]
) -> None:
    assert "could-not-evaluate" in grave(look(batch, suite=str(suite_of(tmp_path, between(**vacuous)))))


def test_values_expected_of_a_column_without_values_is_no_pass(look: Look, batch: Path, tmp_path: Path) -> None:
    an_all_null_column(batch)
    assert "could-not-evaluate" in grave(look(batch, suite=str(suite_of(tmp_path, between()))))


def test_an_empty_suite_is_refused(look: Look, batch: Path, tmp_path: Path) -> None:
    with pytest.raises(Error):
        look(batch, suite=str(suite_of(tmp_path)))


def test_the_users_great_expectations_is_left_as_it_was(look: Look, batch: Path) -> None:
    import logging
    import os
    import warnings

    level, show = logging.getLogger("great_expectations").level, warnings.showwarning
    environment = os.environ.get("GX_ANALYTICS_ENABLED")
    look(batch)
    assert logging.getLogger("great_expectations").level == level and warnings.showwarning is show
    assert os.environ.get("GX_ANALYTICS_ENABLED") == environment


# --- the question -------------------------------------------------------------------------------------------------------


def test_a_swapped_profile_asks_another_question(approved: Path, tmp_path: Path) -> None:
    chosen, other = checking.load("dataset"), tmp_path / "profile.json"
    folder = tmp_path / "other"
    folder.mkdir()
    digits.write_dataset(folder, "incoming")
    profiles.build(folder, label="label").save(other)
    first = checking.options_for(chosen, {"profile": str(approved)}, Setting())
    second = checking.options_for(chosen, {"profile": str(other)}, Setting())
    assert first.digest != second.digest


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[1]", b'{"format": "pratique-profile-v1", "rows": NaN}'])
def test_a_profile_from_a_stranger_is_refused(look: Look, batch: Path, tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "profile.json"
    bad.write_bytes(content)
    with pytest.raises(Error):
        look(batch, profile=str(bad))


def test_a_profile_that_is_not_there_is_named(look: Look, batch: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.json"):
        look(batch, profile=str(tmp_path / "nowhere.json"))


def test_a_dataset_that_is_not_there_is_an_error(look: Look, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError):
        look(tmp_path / "nowhere")


def test_the_proposed_suite_survives_being_saved_and_read(approved: Path, batch: Path, look: Look, tmp_path: Path) -> None:
    from pratique.checks.dataset.containing import contained

    with contained():
        suites.save(suites.default(profiles.load(approved)), tmp_path / "suite.json")
    assert not grave(look(batch, suite=str(tmp_path / "suite.json")))


# --- power that a policy asks for ---------------------------------------------------------------------------------------


def calibrated(approved: Path, folder: Path, found: int) -> Path:
    """The proposed suite, with the figures of a calibration."""
    from pratique import calibrations
    from pratique.checks.dataset.containing import contained

    path, profile = folder / "suite.json", profiles.load(approved)
    with contained():
        suites.save(suites.default(profile), path)
    measured = calibrations.Calibration(
        profile=profile.digest, expectations=calibrations.expectations_digest(suites.read(path)), rows=100, held_back=400,
        clean=calibrations.Alarms.count(1, 300),
        power=[calibrations.Power(kind="trigger", share=0.05, found=calibrations.Alarms.count(found, 40))],
    )  # fmt: skip
    calibrating.write(path, measured)
    return path


def test_a_suite_that_was_measured_to_find_it_passes(look: Look, approved: Path, batch: Path, tmp_path: Path) -> None:
    suite = calibrated(approved, tmp_path, found=40)
    assert not grave(look(batch, suite=str(suite), must_detect=["trigger=0.05"]))


@pytest.mark.parametrize("found", [0, 20, 34])
def test_a_suite_that_would_have_missed_it_is_inconclusive(
    look: Look, approved: Path, batch: Path, tmp_path: Path, found: int
) -> None:
    suite = calibrated(approved, tmp_path, found=found)
    report = look(batch, suite=str(suite), must_detect=["trigger=0.05"])
    assert grave(report) == {"underpowered"} and report.findings[0].message.startswith("inconclusive: trigger")
    assert not grave(look(batch, suite=str(suite))), "nobody asked"


def test_a_suite_that_nobody_measured_is_inconclusive(look: Look, batch: Path) -> None:
    assert grave(look(batch, must_detect=["trigger=0.05"])) == {"underpowered"}


def test_a_demand_that_cannot_be_read_is_an_error_and_no_pass(look: Look, batch: Path) -> None:
    with pytest.raises(UsageError, match="no demand for power"):
        look(batch, must_detect=["trigger"])
