"""A proposed suite shares one error rate, has ranges that clean data keeps, and survives its file.

Suites of strangers are read strictly.
"""

# ruff: noqa: TID253
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pratique import profiles, suites
from pratique.errors import Malformed, UsageError

gx = pytest.importorskip("great_expectations")


def table(count: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=count)
    return pd.DataFrame({"x": x, "town": rng.choice(["Bern", "Lyon"], count), "label": np.where(x > 0, "yes", "no")})


@pytest.fixture(scope="module")
def profile() -> profiles.Profile:
    return profiles.build(table())


def alphas(suite: Any) -> dict[str, float]:
    return {one.expectation_type: one.alpha for one in suite.expectations if hasattr(one, "alpha")}


# --- the proposal -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.5])
def test_one_error_rate_is_shared(profile: profiles.Profile, rate: float) -> None:
    shares = alphas(suites.default(profile, false_alarm_rate=rate))
    assert len(shares) == 10 and sum(shares.values()) == pytest.approx(rate)
    assert shares["expect_labels_to_conform_to_reference"] == pytest.approx(rate * 8 / 21)
    assert shares["expect_no_repeated_values_within_label"] == pytest.approx(rate * 4 / 21)


def test_no_test_by_exchanges_where_too_many_would_be_needed(profile: profiles.Profile) -> None:
    shares = alphas(suites.default(profile, false_alarm_rate=0.0001))
    assert "expect_label_spectra_to_match_reference" not in shares and sum(shares.values()) == pytest.approx(0.0001)


def test_what_a_profile_cannot_answer_is_not_asked(profile: profiles.Profile) -> None:
    everything = {one.expectation_type for one in suites.default(profile).expectations}
    unlabelled = suites.default(profiles.build(table().drop(columns="label"), label=None))
    unsampled = suites.default(profiles.build(table(), sample=0))
    constant = suites.default(profiles.build(pd.DataFrame({"x": [1] * 60}), label=None))
    of_sample = {
        "expect_labels_to_conform_to_reference", "expect_no_repeated_values_within_label",
        "expect_rows_to_conform_to_reference_density", "expect_equal_rows_to_have_equal_labels",
        "expect_label_spectra_to_match_reference", "expect_table_correlations_to_match_reference",
    }  # fmt: skip
    assert everything - {one.expectation_type for one in unlabelled.expectations} == {
        *of_sample, "expect_table_label_priors_to_match_profile",
    }  # fmt: skip
    assert everything - {one.expectation_type for one in unsampled.expectations} == of_sample
    assert "expect_near_duplicate_clusters_to_be_smaller_than" not in {one.expectation_type for one in constant.expectations}
    for suite in (unlabelled, unsampled, constant):
        assert sum(alphas(suite).values()) == pytest.approx(0.01)


@pytest.mark.parametrize("wrong", [{"false_alarm_rate": 0.0}, {"false_alarm_rate": 0.6}, {"min_rows": 19}])
def test_a_rate_or_a_size_that_makes_no_sense(profile: profiles.Profile, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        suites.default(profile, **wrong)


# --- ranges -------------------------------------------------------------------------------------------------------------


def ranges_of(frame: pd.DataFrame) -> dict[str, tuple[float | None, float | None]]:
    built = profiles.build(frame, label=None, sample=0)
    return {name: (low, high) for name, low, high in suites.ranges(built.features)}


def of(values: Any, columns: int = 1) -> pd.DataFrame:
    return pd.DataFrame({f"c{number}": values for number in range(columns)})


def test_a_sentinel_is_far_outside() -> None:
    low, high = ranges_of(of(np.random.default_rng(0).normal(20, 5, 500)))["c0"]
    assert low is not None and high is not None and -999 < low < 0 and 40 < high < 999


def test_pixels_have_the_range_of_pixels() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"p{i}": rng.choice([0, 128, 255], 300) for i in range(12)}).assign(corner=[0] * 299 + [7])
    assert ranges_of(frame) == dict.fromkeys(frame.columns, (0.0, 255.0))


def test_a_zero_that_many_rows_have_is_physical() -> None:
    amount = np.where(np.random.default_rng(0).random(400) < 0.3, 0.0, np.random.default_rng(1).normal(10, 1, 400))
    assert ranges_of(of(amount))["c0"][0] == 0.0


def test_a_zero_that_is_merely_the_smallest_is_not() -> None:
    """Degrees in a mild winter: the next one may have frost."""
    low, _ = ranges_of(of([0, *np.random.default_rng(0).integers(1, 20, 400)]))["c0"]
    assert low is not None and low < -20


def test_heavy_tails_have_no_bound() -> None:
    assert ranges_of(of(np.exp(3 * np.random.default_rng(0).normal(size=500)))).get("c0", (None, None))[1] is None


def test_a_constant_has_no_range() -> None:
    assert ranges_of(of([5.0] * 60)) == {}


@pytest.mark.parametrize("name", ["counts", "normal", "exponential", "t", "uniform", "dice"])
@pytest.mark.parametrize(("n", "m"), [(100, 2000), (1000, 1000)])
def test_clean_values_are_in_range(name: str, n: int, m: int) -> None:
    """No probability is promised for ranges, so none of these may fail: 20 columns each."""
    rng = np.random.default_rng([n, len(name)])
    make = {
        "counts": lambda k: rng.poisson(4, (k, 20)), "normal": lambda k: rng.normal(size=(k, 20)),
        "exponential": lambda k: rng.exponential(size=(k, 20)), "t": lambda k: rng.standard_t(3, (k, 20)),
        "uniform": lambda k: rng.random((k, 20)), "dice": lambda k: rng.integers(1, 7, (k, 20)),
    }[name]  # fmt: skip
    bounds = ranges_of(pd.DataFrame(make(n)).rename(columns=str))
    batch = pd.DataFrame(make(m)).rename(columns=str)
    for column, (low, high) in bounds.items():
        assert (low is None or batch[column].min() >= low) and (high is None or batch[column].max() <= high), column


# --- files --------------------------------------------------------------------------------------------------------------


def test_a_suite_survives_its_file(tmp_path: Path, profile: profiles.Profile) -> None:
    made = suites.default(profile)
    suites.save(made, tmp_path / "suite.json")
    again = suites.load(tmp_path / "suite.json")
    assert [one.configuration.to_json_dict() for one in again.expectations] == [
        one.configuration.to_json_dict() for one in made.expectations
    ]
    assert again.meta["profile"] == profile.digest and again.meta["false_alarm_rate"] == 0.01


def test_the_file_holds_no_path_and_no_data(tmp_path: Path, profile: profiles.Profile) -> None:
    suites.save(suites.default(profile), tmp_path / "suite.json")
    text = (tmp_path / "suite.json").read_text()
    assert '"$PARAMETER": "profile"' in text and "Bern" not in text and str(tmp_path) not in text


def test_a_place_that_cannot_be_written(tmp_path: Path, profile: profiles.Profile) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        suites.save(suites.default(profile), tmp_path)


ONE = {"type": "expect_column_to_exist", "kwargs": {"column": "x"}}

WRONG: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not valid JSON"),
    "truncated": (b'{"name": "s", "expectations": [', "not valid JSON"),
    "a list": (b"[]", "not a Great Expectations"),
    "a key twice": (b'{"name": "s", "name": "t", "expectations": []}', "twice"),
    "NaN": (b'{"name": "s", "expectations": [], "meta": NaN}', "NaN"),
    "nested too deeply": (b"[" * 100 + b"]" * 100, "nested"),
    "no expectations": (json.dumps({"name": "s"}).encode(), "list of expectations"),
    "nothing expected": (json.dumps({"name": "s", "expectations": []}).encode(), "lists 0"),
    "an expectation of text": (json.dumps({"name": "s", "expectations": ["all well"]}).encode(), "list of expectations"),
    "an expectation without a type": (json.dumps({"name": "s", "expectations": [{"kwargs": {}}]}).encode(), "type"),
    "arguments in a list": (json.dumps({"name": "s", "expectations": [{**ONE, "kwargs": ["x"]}]}).encode(), "kwargs"),
    "no name": (json.dumps({"expectations": [ONE]}).encode(), "no name"),
    "a number for a name": (json.dumps({"name": 7, "expectations": [ONE]}).encode(), "no name"),
    "too many": (json.dumps({"name": "s", "expectations": [ONE] * 50_001}).encode(), "50001 expectations"),
    "arguments that do not exist": (
        json.dumps({"name": "s", "expectations": [{**ONE, "kwargs": {"colum": "x"}}]}).encode(), "refuses the suite",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_suite_from_strangers(tmp_path: Path, name: str) -> None:
    data, says = WRONG[name]
    (tmp_path / "suite.json").write_bytes(data)
    with pytest.raises(Malformed, match=says):
        suites.load(tmp_path / "suite.json")


def test_a_gigabyte_of_json_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "suite.json").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(Malformed, match="larger than"):
        suites.load(tmp_path / "suite.json")


@pytest.mark.parametrize("name", ["none.json", "."])
def test_no_such_suite(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot read the suite"):
        suites.load(tmp_path / name)


def test_an_expectation_that_nobody_defines_is_named_not_dropped(tmp_path: Path) -> None:
    document = {"name": "s", "expectations": [ONE, {"type": "expect_no_backdoor", "kwargs": {}}, ONE]}
    (tmp_path / "suite.json").write_text(json.dumps(document))
    assert suites.make(document)[1] == ["expect_no_backdoor"]
    with pytest.raises(UsageError, match="does not know expect_no_backdoor"):
        suites.load(tmp_path / "suite.json")


# --- suites that people have as functions -------------------------------------------------------------------------------


def test_a_function_that_configures_expectations_becomes_a_suite_file(tmp_path: Path) -> None:
    import great_expectations.expectations as gxe

    def several(context: Any) -> Any:
        suite = context.suites.add(gx.ExpectationSuite(name="mine"))
        suite.add_expectation(gxe.ExpectColumnValuesToNotBeNull(column="x"))
        return suite

    for configure in (several, lambda context: gxe.ExpectColumnValuesToNotBeNull(column="x")):
        suites.save(suites.configured(configure), tmp_path / "suite.json")
        (one,) = suites.load(tmp_path / "suite.json").expectations
        assert (one.expectation_type, one.column) == ("expect_column_values_to_not_be_null", "x")


@pytest.mark.parametrize("made", [None, "suite", gx.ExpectationSuite(name="empty")])
def test_a_function_that_expects_nothing_is_no_suite(made: Any) -> None:
    with pytest.raises(UsageError, match="not an expectation or a suite"):
        suites.configured(lambda context: made)
