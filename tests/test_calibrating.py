"""What a suite would have caught is measured, kept with the suite, and asked for by policies."""

# ruff: noqa: TID253
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique import calibrating, calibrations, profiles, suites
from pratique.calibrating.planting import KINDS
from pratique.calibrations import Alarms, Calibration, Power
from pratique.errors import Malformed, UsageError

pytest.importorskip("great_expectations")

Frame = pd.DataFrame


def table(count: int = 300, seed: int = 0) -> Frame:
    """Two labels around two places in four columns, one of whole numbers, and a category."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(2, size=count)
    x = rng.normal(size=(count, 4)) + 4 * classes[:, None]
    frame = pd.DataFrame(x, columns=list("wxyz")).assign(town=rng.choice(["Bern", "Lyon", "Ulm"], count, p=[0.5, 0.4, 0.1]))
    return frame.assign(w=frame["w"].round(), label=np.where(classes, "yes", "no"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite with its profile, and rows held back."""
    folder = tmp_path_factory.mktemp("suite")
    profile = profiles.build(table(400))
    profile.save(folder / "profile.json")
    suites.save(suites.default(profile), folder / "suite.json")
    table(400, seed=1).to_csv(folder / "held-back.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def measured(files: Path) -> Calibration:
    kinds = ["flipped-labels", "exact-copies"]
    return calibrate(files, kinds=kinds, clean=8, planted=4, shares=[0.005, 0.1])


def calibrate(files: Path, held_back: str = "held-back.csv", **more: Any) -> Calibration:
    return calibrating.calibrate(files / "suite.json", files / "profile.json", files / held_back, **more)


# --- measuring ----------------------------------------------------------------------------------------------------------


def test_alarms_are_few_on_clean_rows_and_certain_on_gross_poison(measured: Calibration) -> None:
    assert measured.clean.trials == 8 and measured.clean.alarms <= 1 and measured.rows == 200 and measured.held_back == 400
    found = {(one.kind, one.share): one.found.alarms for one in measured.power}
    assert found["flipped-labels", 0.1] == 4 and found["exact-copies", 0.1] == 4
    assert found["flipped-labels", 0.005] <= 1, "one wrong label among 200 cannot be told"


def test_the_same_seed_measures_the_same(files: Path) -> None:
    one, other = (calibrate(files, kinds=["trigger"], clean=2, planted=2, shares=[0.1]) for _ in range(2))
    assert one == other


def test_it_lands_in_the_metadata_and_changes_no_expectation(files: Path, measured: Calibration, tmp_path: Path) -> None:
    (tmp_path / "suite.json").write_bytes((files / "suite.json").read_bytes())
    before = suites.read(tmp_path / "suite.json")
    calibrating.write(tmp_path / "suite.json", measured)
    after = suites.read(tmp_path / "suite.json")
    assert after["expectations"] == before["expectations"] and calibrations.read(after) == measured
    assert after["meta"]["profile"] == before["meta"]["profile"]
    assert len(suites.load(tmp_path / "suite.json").expectations) == len(before["expectations"])


def test_a_suite_that_was_edited_meanwhile_gets_no_figures_of_another(
    files: Path, measured: Calibration, tmp_path: Path
) -> None:
    document = suites.read(files / "suite.json")
    document["expectations"].pop()
    (tmp_path / "suite.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match="other expectations"):
        calibrating.write(tmp_path / "suite.json", measured)


def test_rows_of_the_reference_are_not_held_back(files: Path) -> None:
    table(400).to_csv(files / "reference.csv", index=False)
    with pytest.raises(UsageError, match="rows of the reference"):
        calibrate(files, "reference.csv", clean=1, planted=1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kinds": ["magic"]}, "no poison is called 'magic'"), ({"clean": 0}, "at least one trial"),
        ({"rows": 19}, "cannot be drawn"), ({"rows": 401}, "cannot be drawn"),
        ({"shares": []}, "shares"), ({"shares": [0.0]}, "shares"), ({"shares": [0.6]}, "shares"),
    ],
)  # fmt: skip
def test_numbers_that_make_no_sense_are_refused(files: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        calibrate(files, **wrong)


# --- planting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_what_is_planted_is_as_much_as_it_says_and_gives_itself_away_nowhere(kind: str, seed: int, count: int) -> None:
    clean = table(120, seed)
    kept = clean.copy()
    found = KINDS[kind](clean, "label", count, np.random.default_rng(seed))
    pd.testing.assert_frame_equal(clean, kept)
    assert list(found.columns) == list(clean.columns) and len(found) == 120
    assert (found.dtypes == clean.dtypes).all()
    changed = int(((found != clean) & ~(found.isna() & clean.isna())).any(axis=1).sum())
    assert changed <= count
    for name in "wxyz":
        assert clean[name].min() <= found[name].min() and found[name].max() <= clean[name].max()
    assert (
        (found["w"] % 1 == 0).all() and set(found["town"]) <= set(clean["town"]) and set(found["label"]) <= set(clean["label"])
    )
    if kind in ("flipped-labels", "targeted-flips"):
        assert changed == min(count, changed) > 0 and found.drop(columns="label").equals(clean.drop(columns="label"))
    if kind == "clean-label-trigger":
        assert found["label"].equals(clean["label"])


# --- asking for power ---------------------------------------------------------------------------------------------------


def document(**more: Any) -> dict[str, Any]:
    plain = {"name": "s", "expectations": [{"type": "a", "kwargs": {}}]}
    known = Calibration(
        profile="sha256:p", expectations=calibrations.expectations_digest(plain), rows=100, held_back=300,
        clean=Alarms.count(0, 300), power=[Power(kind="trigger", share=0.02, found=Alarms.count(40, 40))],
    )  # fmt: skip
    return {**plain, "meta": {calibrations.KEY: {**known.model_dump(mode="json"), **more}}}


def shortfalls(
    suite: dict[str, Any], *demands: str, rows: int = 100, profile: str = "sha256:p", power: float = 0.9
) -> list[str]:
    return calibrations.shortfalls(suite, profile=profile, rows=rows, demands=demands, power=power)


def test_power_that_was_measured_is_enough() -> None:
    assert shortfalls(document(), "trigger=0.02") == []
    assert shortfalls(document(), "trigger=0.05") == [], "what finds less finds more"
    assert shortfalls({}) == [], "nobody asked"


@pytest.mark.parametrize(
    ("change", "demand", "said"),
    [
        (lambda one: one.pop("meta"), "trigger=0.02", "no calibration"),
        (lambda one: one["expectations"].append({"type": "b"}), "trigger=0.02", "changed since"),
        (lambda one: one["expectations"][0].update(kwargs={"alpha": 1e-9}), "trigger=0.02", "changed since"),
        (lambda one: None, "trigger=0.01", "was not tried"),
        (lambda one: None, "flipped-labels=0.02", "was not tried"),
    ],
)
def test_power_that_was_not_measured_is_not_there(change: Callable[[Any], Any], demand: str, said: str) -> None:
    suite = document()
    change(suite)
    assert any(said in reason for reason in shortfalls(suite, demand))


def test_another_profile_and_a_smaller_batch_were_not_measured() -> None:
    assert "another profile" in shortfalls(document(), "trigger=0.02", profile="sha256:other")[0]
    assert "99 rows" in shortfalls(document(), "trigger=0.02", rows=99)[0]


def test_luck_in_few_trials_is_no_power() -> None:
    """Five of five may be a power of one half."""
    few = document(power=[Power(kind="trigger", share=0.02, found=Alarms.count(5, 5)).model_dump()])
    assert "5 of 5" in shortfalls(few, "trigger=0.02")[0]


@pytest.mark.parametrize("wrong", ["x", {"rows": "100"}, {"power": [{"kind": ""}]}])
def test_a_calibration_that_cannot_be_read_is_no_calibration(wrong: Any) -> None:
    suite = document()
    suite["meta"][calibrations.KEY] = {**suite["meta"][calibrations.KEY], **wrong} if isinstance(wrong, dict) else wrong
    with pytest.raises(Malformed, match="calibration"):
        shortfalls(suite, "trigger=0.02")


@pytest.mark.parametrize("wrong", ["trigger", "trigger=", "=0.1", "trigger=0", "trigger=2", "trigger=nan", "trigger=much"])
def test_a_demand_that_says_nothing_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError, match="no demand"):
        calibrations.parse_demand(wrong)


@given(alarms=st.integers(0, 50), more=st.integers(0, 50))
@settings(max_examples=50, deadline=None)
def test_the_interval_holds_the_rate(alarms: int, more: int) -> None:
    if alarms + more:
        found = Alarms.count(alarms, alarms + more)
        assert 0 <= found.low <= found.rate <= found.high <= 1
