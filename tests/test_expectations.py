"""Each expectation through Great Expectations alone: honest batches meet it, attacked ones do not, and nothing unseen does."""

# ruff: noqa: TID253
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pratique import profiles

gx = pytest.importorskip("great_expectations")

from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: E402

import pratique.expectations as pe  # noqa: E402

Frame = pd.DataFrame


def table(count: int = 400, seed: int = 0) -> Frame:
    """Two labels around two places in four columns, and a category."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(2, size=count)
    x = rng.normal(size=(count, 4)) + 3 * classes[:, None]
    frame = pd.DataFrame(x, columns=list("wxyz")).assign(town=rng.choice(["Bern", "Lyon"], count))
    return frame.assign(label=np.where(classes, "yes", "no"))


@pytest.fixture(scope="module")
def context() -> Any:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("profile") / "profile.json"
    profiles.build(table()).save(path)
    return str(path)


@pytest.fixture(scope="module")
def validate(context: Any) -> Callable[..., Any]:
    """Ask Great Expectations one expectation about a DataFrame."""
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset("frame")
    batches = asset.add_batch_definition_whole_dataframe("whole")

    def ask(frame: Frame, expectation: Any, **parameters: Any) -> Any:
        return batches.get_batch({"dataframe": frame}).validate(expectation, expectation_parameters=parameters)

    return ask


def raised(result: Any) -> str:
    """The exception that GX reports, if it reports one."""
    info = result.exception_info
    found = [one for one in (info, *info.values()) if isinstance(one, dict) and one.get("raised_exception")]
    return str(found[0]["exception_message"]) if found else ""


def details(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(result.to_json_dict()))["result"]["details"]
    return found


def all_expectations(profile: str) -> list[Any]:
    return [
        pe.ExpectTableSchemaToMatchProfile(profile=profile),
        pe.ExpectTableDriftToBeWithinProfile(profile=profile),
        pe.ExpectColumnPsiToBeLessThan(profile=profile, column="x"),
        pe.ExpectTableLabelPriorsToMatchProfile(profile=profile),
        pe.ExpectLabelsToConformToReference(profile=profile),
        pe.ExpectNoRepeatedValuesWithinLabel(profile=profile),
        pe.ExpectRowsToConformToReferenceDensity(profile=profile),
        pe.ExpectLabelSpectraToMatchReference(profile=profile),
        pe.ExpectEqualRowsToHaveEqualLabels(profile=profile),
        pe.ExpectTableCorrelationsToMatchReference(profile=profile),
        pe.ExpectTableMmdToBeLessThan(profile=profile),
        pe.ExpectTableDomainClassifierAucToBeLessThan(profile=profile),
        pe.ExpectColumnJensenShannonDistanceToBeLessThan(profile=profile, column="x"),
        pe.ExpectColumnCramersVToBeLessThan(profile=profile, column="town"),
        pe.ExpectColumnKolmogorovSmirnovStatisticToBeLessThan(profile=profile, column="x"),
        pe.ExpectColumnWassersteinDistanceToBeLessThan(profile=profile, column="x"),
        pe.ExpectColumnCategoriesToMatchProfile(profile=profile, column="town"),
        pe.ExpectTableRowsToBeDistinct(profile=profile),
        pe.ExpectNearDuplicateClustersToBeSmallerThan(profile=profile),
        pe.ExpectTableValuesToBeWithinRanges(profile=profile, ranges={"x": [-50, 50]}),
    ]


TIMED = {"ExpectTableToBeFresh", "ExpectTableRowsPerWindowToBeBetween"}
"""Need a column of times; see the tests at the end."""

NAMES = [type(one).__name__ for one in all_expectations("")]


def test_none_is_forgotten_here() -> None:
    assert sorted({*NAMES, *TIMED}) == pe.__all__


@pytest.mark.parametrize("name", NAMES)
def test_an_honest_batch_meets_it(validate: Any, profile: str, name: str) -> None:
    asked = all_expectations(profile)[NAMES.index(name)]
    result = validate(table(seed=1), asked)
    assert result.success, result
    json.dumps(result.to_json_dict())


# --- attacks ------------------------------------------------------------------------------------------------------------


def flipped(frame: Frame, share: float) -> Frame:
    rows = np.random.default_rng(5).choice(len(frame), round(share * len(frame)), replace=False)
    labels = frame["label"].to_numpy(copy=True)
    labels[rows] = np.where(labels[rows] == "yes", "no", "yes")
    return frame.assign(label=labels)


def copied(frame: Frame, rows: int, noise: float = 0.0) -> Frame:
    """The first rows become copies of the row after them."""
    changed = frame.copy()
    changed.iloc[:rows] = changed.iloc[[rows] * rows].to_numpy()
    for name in "wxyz":
        changed[name] = changed[name].astype(float)
    changed.loc[changed.index[:rows], list("wxyz")] += noise * np.random.default_rng(6).normal(size=(rows, 4))
    return changed


def test_drift_names_the_columns(validate: Any, profile: str) -> None:
    batch = table(seed=1)
    batch = batch.assign(x=batch["x"] + 1.5, town="Bern")
    result = validate(batch, pe.ExpectTableDriftToBeWithinProfile(profile=profile))
    assert not result.success and sorted(details(result)["drifted"]) == ["town", "x"]
    assert details(result)["psi"]["x"] > 0.1 > details(result)["psi"]["y"]


def test_one_drifted_column_and_one_that_did_not(validate: Any, profile: str) -> None:
    batch = table(seed=1).assign(x=lambda frame: frame["x"] + 1.5)
    assert not validate(batch, pe.ExpectColumnPsiToBeLessThan(profile=profile, column="x")).success
    assert validate(batch, pe.ExpectColumnPsiToBeLessThan(profile=profile, column="y")).success


def test_significance_without_effect_is_no_drift(validate: Any, profile: str) -> None:
    """Twenty thousand rows differ from any four hundred; a difference that small is nothing to stop for."""
    batch = table(20_000, seed=1)
    batch = batch.assign(x=batch["x"] + 0.1)
    result = validate(batch, pe.ExpectColumnPsiToBeLessThan(profile=profile, column="x", alpha=0.5, threshold=0.1))
    assert result.success


def test_effect_without_significance_is_no_drift(validate: Any, profile: str) -> None:
    small = [
        validate(table(20, seed=seed), pe.ExpectColumnPsiToBeLessThan(profile=profile, column="x")) for seed in range(1, 9)
    ]
    assert any(one.result["observed_value"] > 0.1 for one in small) and all(one.success for one in small)


@pytest.mark.parametrize("expectation", [pe.ExpectTableDriftToBeWithinProfile, pe.ExpectTableSchemaToMatchProfile])
@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.drop(columns="x"),
        lambda frame: frame.assign(extra=1),
        lambda frame: frame.assign(x=frame["x"].astype(str) + " m"),
        lambda frame: frame.assign(town=range(len(frame))),
        lambda frame: pd.concat([frame, frame[["x"]]], axis=1),
        lambda frame: frame.assign(x=pd.Timestamp("2024-01-01", tz="Asia/Tokyo")),
    ],
    ids=["missing", "unexpected", "text for numbers", "numbers for text", "twice", "dates for numbers"],
)
def test_other_columns(validate: Any, profile: str, change: Callable[[Frame], Frame], expectation: Any) -> None:
    assert not validate(change(table(seed=1)), expectation(profile=profile)).success


def test_columns_in_another_order_are_the_same_table(validate: Any, profile: str) -> None:
    batch = table(seed=1)[["label", "z", "town", "y", "x", "w"]]
    for asked in all_expectations(profile):
        assert validate(batch, asked).success


def test_labels_that_became_rarer_unknown_or_none(validate: Any, profile: str) -> None:
    asked = pe.ExpectTableLabelPriorsToMatchProfile(profile=profile)
    batch = table(seed=1)
    rarer = pd.concat([batch[batch["label"] == "no"], batch[batch["label"] == "yes"][:60]])
    assert not validate(rarer, asked).success
    one = validate(batch.assign(label=["maybe", *batch["label"][1:]]), asked)
    assert not one.success and details(one)["unknown"] == 1
    none = validate(batch.assign(label=[None, *batch["label"][1:]]), asked)
    assert not none.success and details(none)["nulls"] == 1


def test_flipped_labels_are_named(validate: Any, profile: str) -> None:
    batch = flipped(table(seed=1), 0.05)
    result = validate(batch, pe.ExpectLabelsToConformToReference(profile=profile))
    wrong = set(np.flatnonzero(batch["label"] != table(seed=1)["label"]).tolist())
    assert not result.success and len(set(details(result)["suspects"]) & wrong) >= 9


def marked(frame: Frame, rows: int) -> Frame:
    """Two columns of some rows hold one value, and their label is the attacker's."""
    return frame.assign(
        x=[1.25] * rows + frame["x"].tolist()[rows:],
        y=[2.5] * rows + frame["y"].tolist()[rows:],
        label=["yes"] * rows + frame["label"].tolist()[rows:],
    )


def test_a_trigger_is_named_by_its_columns_label_and_rows(validate: Any, profile: str) -> None:
    asked = pe.ExpectNoRepeatedValuesWithinLabel(profile=profile, alpha=0.001)
    result = validate(marked(table(seed=1), 24), asked)
    found = details(result)
    assert not result.success and found["label"] == "yes" and found["before"] == 0
    assert set(found["columns"]) & {"x", "y"} and set(found["suspects"]) < set(range(24)) and found["suspect_count"] == 24
    assert validate(marked(table(seed=1), 3), asked).success, "three rows prove nothing"


def test_a_trigger_in_a_column_that_was_constant(validate: Any, tmp_path: Path) -> None:
    """Nothing else looks there: a constant has no scale, and few rows are no drift."""
    profiles.build(table().assign(black=0)).save(tmp_path / "p.json")
    asked = pe.ExpectNoRepeatedValuesWithinLabel(profile=str(tmp_path / "p.json"), alpha=0.001)
    batch = marked(table(seed=1), 24).assign(**{name: table(seed=1)[name] for name in "xy"})
    result = validate(batch.assign(black=[255] * 24 + [0] * 376), asked)
    assert not result.success and details(result)["columns"] == ["black"] and details(result)["suspect_count"] == 24
    assert validate(batch.assign(black=0), asked).success


def test_rows_from_elsewhere_are_named(validate: Any, profile: str) -> None:
    batch = table(seed=1)
    batch.loc[:19, "w"] += np.linspace(-9, 9, 20) * 3
    result = validate(batch, pe.ExpectRowsToConformToReferenceDensity(profile=profile, alpha=0.001))
    assert not result.success and len(set(details(result)["suspects"]) - set(range(20))) <= 1


def test_rows_that_share_a_direction_are_named(validate: Any, profile: str) -> None:
    batch = table(seed=1)
    rows = batch.index[batch["label"] == "no"][:30]
    batch.loc[rows, "w"], batch.loc[rows, "z"] = batch.loc[rows, "w"] + 3, batch.loc[rows, "z"] - 3
    result = validate(batch, pe.ExpectLabelSpectraToMatchReference(profile=profile, alpha=0.01))
    found = details(result)
    assert not result.success and found["label"] == "no" and found["ratio"] > 1.5 and set(found["suspects"]) <= set(rows)


@pytest.mark.parametrize("of", ["batch", "reference"])
def test_equal_rows_with_different_labels_are_named(validate: Any, profile: str, of: str) -> None:
    batch, source = table(seed=1), table() if of == "reference" else table(seed=1).iloc[30:]
    batch.iloc[:30] = source.iloc[:30].to_numpy()
    for name in "wxyz":
        batch[name] = batch[name].astype(float)
    honest = validate(batch, pe.ExpectEqualRowsToHaveEqualLabels(profile=profile, alpha=0.001))
    batch.loc[:29, "label"] = ["no" if label == "yes" else "yes" for label in batch["label"][:30]]
    result = validate(batch, pe.ExpectEqualRowsToHaveEqualLabels(profile=profile, alpha=0.001))
    assert honest.success and not result.success and details(result)["suspect_count"] == 30


@pytest.mark.parametrize("name", ["NoRepeatedValuesWithinLabel", "LabelSpectraToMatchReference"])
def test_labels_too_rare_to_compare_are_not_passed_over(validate: Any, profile: str, name: str) -> None:
    batch = table(seed=1).assign(label=lambda frame: ["new"] * 30 + frame["label"].tolist()[30:])
    result = validate(batch, getattr(pe, f"Expect{name}")(profile=profile))
    assert not result.success and "too rare in the profile, unknown" in raised(result)


MOVED = [
    lambda p, alpha: pe.ExpectColumnJensenShannonDistanceToBeLessThan(profile=p, column="x", alpha=alpha),
    lambda p, alpha: pe.ExpectColumnCramersVToBeLessThan(profile=p, column="x", alpha=alpha),
    lambda p, alpha: pe.ExpectColumnKolmogorovSmirnovStatisticToBeLessThan(profile=p, column="x", alpha=alpha),
    lambda p, alpha: pe.ExpectColumnWassersteinDistanceToBeLessThan(profile=p, column="x", alpha=alpha),
]


@pytest.mark.parametrize("number", range(len(MOVED)))
def test_a_column_that_moved_is_far_by_every_measure(validate: Any, profile: str, number: int) -> None:
    batch = table(seed=1)
    result = validate(batch.assign(x=batch["x"] + 1.5), MOVED[number](profile, 0.001))
    assert not result.success and not raised(result) and details(result)["p"] <= 0.001
    few = validate(batch.assign(x=batch["x"] + 1.0).iloc[:20], MOVED[number](profile, 1e-6))
    assert few.success or raised(few), "an effect that twenty rows cannot prove"


def test_new_categories_and_categories_that_are_gone(validate: Any, profile: str) -> None:
    batch, asked = table(seed=1), pe.ExpectColumnCategoriesToMatchProfile(profile=profile, column="town")
    new = validate(batch.assign(town=["Ulm"] * 20 + batch["town"].tolist()[20:]), asked)
    gone = validate(batch.assign(town="Bern"), asked)
    assert not new.success and details(new)["new"] == 20 and details(new)["gone"] == []
    assert not gone.success and details(gone)["gone"] == ["Lyon"]
    assert validate(batch.assign(town=["Ulm"] * 2 + batch["town"].tolist()[2:]), asked).success


def test_columns_that_hang_together_otherwise(validate: Any, profile: str) -> None:
    """Each column for itself is what it was."""
    batch = table(seed=1)
    for label in ("yes", "no"):
        rows = np.flatnonzero(batch["label"] == label)
        order = rows[np.argsort(batch["w"].to_numpy()[rows])]
        batch.loc[order, "z"] = np.sort(batch["z"].to_numpy()[rows])
    found = validate(batch, pe.ExpectTableCorrelationsToMatchReference(profile=profile, alpha=0.001))
    assert not found.success and details(found)["columns"] == ["w", "z"] and details(found)["effect"] > 0.2
    assert validate(batch, pe.ExpectTableDriftToBeWithinProfile(profile=profile)).success


def test_a_classifier_tells_a_moved_table_apart(validate: Any, profile: str) -> None:
    batch, asked = table(seed=1), pe.ExpectTableDomainClassifierAucToBeLessThan(profile=profile, alpha=0.001)
    moved = batch.assign(x=batch["x"] + 0.8, y=batch["y"] - 0.8)
    assert not validate(moved, asked).success
    assert not validate(moved, pe.ExpectTableMmdToBeLessThan(profile=profile, alpha=0.001)).success


def test_repeated_rows_are_named(validate: Any, profile: str) -> None:
    result = validate(copied(table(seed=1), 12), pe.ExpectTableRowsToBeDistinct(profile=profile))
    assert not result.success and details(result)["groups"] == [list(range(10))]
    assert (details(result)["largest"], details(result)["extra"]) == (13, 12)


def test_nearly_repeated_rows_are_named(validate: Any, profile: str) -> None:
    batch = copied(table(seed=1), 5, noise=0.002)
    assert validate(batch, pe.ExpectTableRowsToBeDistinct(profile=profile)).success
    result = validate(batch, pe.ExpectNearDuplicateClustersToBeSmallerThan(profile=profile))
    assert not result.success and details(result)["groups"][0] == [0, 1, 2, 3, 4, 5]


def test_an_id_does_not_make_repeated_rows_distinct(validate: Any, tmp_path: Path) -> None:
    profiles.build(table().assign(id=range(400)), ignore=("id",)).save(tmp_path / "p.json")
    batch = copied(table(seed=1), 12).assign(id=range(400))
    assert not validate(batch, pe.ExpectTableRowsToBeDistinct(profile=str(tmp_path / "p.json"))).success


@pytest.mark.parametrize("bad", [51.0, -51.0, np.inf, -np.inf])
def test_values_out_of_range_are_named(validate: Any, profile: str, bad: float) -> None:
    batch = table(seed=1)
    batch.loc[[7, 9], "x"] = bad
    result = validate(batch, pe.ExpectTableValuesToBeWithinRanges(profile=profile, ranges={"x": [-50, 50], "y": [-50, None]}))
    assert not result.success and details(result)["outside"]["x"]["rows"] == [7, 9]


# --- what must never pass -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "batch",
    [
        lambda: table().iloc[:0],
        lambda: pd.DataFrame(),
        lambda: table().assign(**dict.fromkeys("wxyz"), town=None, label=None),
        lambda: pd.DataFrame({"other": range(100)}),
    ],
    ids=["no rows", "no columns", "nothing but nulls", "another table"],
)
def test_a_batch_with_nothing_to_look_at(validate: Any, profile: str, name: str, batch: Callable[[], Frame]) -> None:
    """Except that a table of nulls has the right columns: nothing is of the wrong kind in it."""
    result = validate(batch(), all_expectations(profile)[NAMES.index(name)])
    assert not result.success or (name == "ExpectTableSchemaToMatchProfile" and batch().size and "label" in batch())


@pytest.mark.parametrize("column", ["x", "town"])
def test_a_column_without_values_is_drift(validate: Any, profile: str, column: str) -> None:
    batch = table(seed=1).assign(**{column: None})
    for asked in (
        pe.ExpectTableDriftToBeWithinProfile(profile=profile, floor=2.0, alpha=1e-9),
        pe.ExpectColumnPsiToBeLessThan(profile=profile, column=column, threshold=2.0, alpha=1e-9),
    ):
        assert not validate(batch, asked).success
    assert not validate(table(seed=1).assign(x=None), all_expectations(profile)[-1]).success


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", [None, b"{}", b"junk"], ids=["missing", "empty", "junk"])
def test_a_profile_that_cannot_be_read(validate: Any, tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "profile.json").write_bytes(content)
    result = validate(table(seed=1), all_expectations(str(tmp_path / "profile.json"))[NAMES.index(name)])
    assert not result.success and "profile" in raised(result)


def test_a_profile_swapped_under_its_digest(validate: Any, tmp_path: Path) -> None:
    profiles.build(table()).save(tmp_path / "p.json")
    pinned = f"{tmp_path}/p.json#{profiles.load(tmp_path / 'p.json').digest}"
    assert validate(table(seed=1), pe.ExpectTableDriftToBeWithinProfile(profile=pinned)).success
    profiles.build(table(seed=3)).save(tmp_path / "p.json")
    result = validate(table(seed=1), pe.ExpectTableDriftToBeWithinProfile(profile=pinned))
    assert not result.success and "not sha256" in raised(result)


HOPELESS = [
    lambda p: pe.ExpectTableDriftToBeWithinProfile(profile=p, alpha=0.0),
    lambda p: pe.ExpectTableDriftToBeWithinProfile(profile=p, alpha=float("nan")),
    lambda p: pe.ExpectTableDriftToBeWithinProfile(profile=p, floor=1e6),
    lambda p: pe.ExpectColumnPsiToBeLessThan(profile=p, column="x", threshold=float("nan")),
    lambda p: pe.ExpectColumnPsiToBeLessThan(profile=p, column="none"),
    lambda p: pe.ExpectTableLabelPriorsToMatchProfile(profile=p, alpha=-1.0),
    lambda p: pe.ExpectLabelsToConformToReference(profile=p, floor=float("inf")),
    lambda p: pe.ExpectLabelsToConformToReference(profile=p, max_unscored=1.0),
    lambda p: pe.ExpectNoRepeatedValuesWithinLabel(profile=p, floor=0.6),
    lambda p: pe.ExpectTableMmdToBeLessThan(profile=p, alpha=1e-7),
    lambda p: pe.ExpectColumnJensenShannonDistanceToBeLessThan(profile=p, column="none"),
    lambda p: pe.ExpectColumnJensenShannonDistanceToBeLessThan(profile=p, column="x", threshold=1.5),
    lambda p: pe.ExpectColumnWassersteinDistanceToBeLessThan(profile=p, column="town"),
    lambda p: pe.ExpectColumnCategoriesToMatchProfile(profile=p, column="x"),
    lambda p: pe.ExpectLabelSpectraToMatchReference(profile=p, alpha=1e-6),
    lambda p: pe.ExpectTableRowsToBeDistinct(profile=p, share=1.0),
    lambda p: pe.ExpectNearDuplicateClustersToBeSmallerThan(profile=p, size=1e9),
    lambda p: pe.ExpectTableValuesToBeWithinRanges(profile=p, ranges={}),
    lambda p: pe.ExpectTableValuesToBeWithinRanges(profile=p, ranges={"x": [None, None]}),
    lambda p: pe.ExpectTableValuesToBeWithinRanges(profile=p, ranges={"x": [2, 1]}),
    lambda p: pe.ExpectTableValuesToBeWithinRanges(profile=p, ranges={"x": [float("nan"), None]}),
    lambda p: pe.ExpectTableValuesToBeWithinRanges(profile=p, ranges={"x": 7}),
    lambda p: pe.ExpectTableValuesToBeWithinRanges(profile=p, ranges={"town": [0, 1]}),
    lambda p: pe.ExpectTableValuesToBeWithinRanges(profile=p, ranges={"none": [0, 1]}),
]


@pytest.mark.parametrize("number", range(len(HOPELESS)))
def test_an_expectation_that_could_not_fail_does_not_pass(validate: Any, profile: str, number: int) -> None:
    result = validate(table(seed=1), HOPELESS[number](profile))
    assert not result.success and raised(result)


def test_labels_that_nothing_is_known_about(validate: Any, profile: str) -> None:
    batch = table(seed=1).assign(label=lambda frame: ["new"] * 30 + frame["label"].tolist()[30:])
    result = validate(batch, pe.ExpectLabelsToConformToReference(profile=profile))
    assert not result.success and "too rare in the profile, unknown" in raised(result)


@pytest.mark.parametrize("expectation", [pe.ExpectLabelsToConformToReference, pe.ExpectTableLabelPriorsToMatchProfile])
def test_a_profile_without_labels(validate: Any, tmp_path: Path, expectation: Any) -> None:
    profiles.build(table().drop(columns="label"), label=None).save(tmp_path / "p.json")
    result = validate(table(seed=1), expectation(profile=str(tmp_path / "p.json")))
    assert not result.success and "no label" in raised(result)


def test_a_profile_of_constants_tells_no_rows_apart(validate: Any, tmp_path: Path) -> None:
    constant = pd.DataFrame({"x": [7] * 60})
    profiles.build(constant, label=None).save(tmp_path / "p.json")
    asked = pe.ExpectNearDuplicateClustersToBeSmallerThan(profile=str(tmp_path / "p.json"))
    assert "tells rows apart" in raised(validate(constant, asked))


def test_other_engines_are_refused_in_words(context: Any, profile: str, tmp_path: Path) -> None:
    """SQL is not read through pandas on the quiet; GX either reports the exception or raises it, and neither is a pass."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/data.db")
    table().to_sql("data", engine, index=False)
    engine.dispose()
    source = context.data_sources.add_sqlite("db", connection_string=f"sqlite:///{tmp_path}/data.db")
    batch = source.add_table_asset("data", table_name="data").add_batch_definition_whole_table("whole").get_batch()
    for asked in all_expectations(profile):
        try:
            result = batch.validate(asked)
        except Exception as error:
            assert "reads pandas batches only" in str(error)
        else:
            assert not result.success and "reads pandas batches only" in raised(result)


# --- inside Great Expectations ------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Any]:
    context = gx.get_context(mode="file", project_root_dir=tmp_path / "project")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def checkpoint(project: Any, profile: str, actions: list[Any]) -> Any:
    """A stored suite of everything, in a stored checkpoint, as GX's users have them."""
    data = project.data_sources.add_pandas("p").add_dataframe_asset("a").add_batch_definition_whole_dataframe("b")
    asked = all_expectations({"$PARAMETER": "profile"})  # type: ignore[arg-type]
    suite = project.suites.add(gx.ExpectationSuite("stored", expectations=asked))
    definition = project.validation_definitions.add(gx.ValidationDefinition(name="v", data=data, suite=suite))
    return project.checkpoints.add(gx.Checkpoint(name="c", validation_definitions=[definition], actions=actions))


def test_a_stored_checkpoint_with_a_suite_parameter_and_data_docs(project: Any, profile: str, tmp_path: Path) -> None:
    asked = checkpoint(project, profile, [gx.checkpoint.UpdateDataDocsAction(name="docs")])
    honest, attacked = (
        asked.run(batch_parameters={"dataframe": frame}, expectation_parameters={"profile": profile})
        for frame in (table(seed=1), flipped(table(seed=1), 0.1))
    )
    assert honest.success and not attacked.success
    pages = [page.read_text() for page in (tmp_path / "project").rglob("*.html") if "validations" in page.parts]
    assert len(pages) == 2
    for page in pages:
        assert "may sit among rows of another label" in page and "0.01" in page and "**{" not in page


RUN = """
import json, sys
import great_expectations as gx, pandas as pd
{imported}
context = gx.get_context(mode="file", project_root_dir=sys.argv[1])
done = context.checkpoints.get("c").run(
    batch_parameters={{"dataframe": pd.read_json(sys.argv[2])}}, expectation_parameters={{"profile": sys.argv[3]}})
results = [result for one in done.run_results.values() for result in one.results]
print(json.dumps([done.success, len(results)]))
"""


@pytest.mark.slow
def test_a_process_that_did_not_import_the_classes_loses_them(project: Any, profile: str, tmp_path: Path) -> None:
    """What Great Expectations does, and why the `dataset` check counts: without the import it calls the attack a success."""
    checkpoint(project, profile, [])
    flipped(table(seed=1), 0.1).to_json(tmp_path / "batch.json")
    told = []
    for imported in ("import pratique.expectations", ""):
        command = [
            sys.executable,
            "-c",
            RUN.format(imported=imported),
            *map(str, (tmp_path / "project", tmp_path / "batch.json")),
        ]
        done = subprocess.run([*command, profile], capture_output=True, text=True, check=True)
        told.append(json.loads(done.stdout.splitlines()[-1]))
    assert told == [[False, len(NAMES)], [True, 0]]


# --- times --------------------------------------------------------------------------------------------------------------


def timed(count: int = 240, start: str = "2026-03-01", **change: Any) -> Frame:
    """One row an hour."""
    return table(count).assign(at=pd.date_range(start, periods=count, freq="h"), **change)


def fresh(profile: str, hours: float = 24, as_of: Any = "2026-03-11T12:00:00Z") -> Any:
    return pe.ExpectTableToBeFresh(profile=profile, column="at", max_age_hours=hours, as_of=as_of)


def windows(profile: str, low: float = 20, high: float = 30, hours: float = 24) -> Any:
    return pe.ExpectTableRowsPerWindowToBeBetween(
        profile=profile, column="at", window_hours=hours, min_value=low, max_value=high
    )  # fmt: skip


def test_a_fresh_table_and_an_old_one_that_comes_again(validate: Any, profile: str) -> None:
    assert validate(timed(), fresh(profile)).success
    old = validate(timed(), fresh(profile, as_of="2026-04-01T00:00:00Z"))
    assert not old.success and not raised(old) and old.result["observed_value"] == pytest.approx(505)
    assert validate(timed(), fresh(profile, as_of={"$PARAMETER": "now"}), now="2026-03-11T12:00:00+00:00").success


@pytest.mark.parametrize(
    "at", [lambda one: one.strftime("%Y-%m-%dT%H:%M:%S+01:00"), lambda one: one.tz_localize("Europe/Paris"), str]
)
def test_times_in_other_spellings_and_zones(validate: Any, profile: str, at: Callable[[Any], Any]) -> None:
    batch = timed()
    assert validate(batch.assign(at=[at(one) for one in batch["at"]]), fresh(profile)).success


def test_rows_from_the_future_and_without_a_time(validate: Any, profile: str) -> None:
    batch = timed()
    batch.loc[3, "at"] = pd.Timestamp("2031-01-01")
    future = validate(batch, fresh(profile))
    assert not future.success and details(future)["rows"] == [3]
    batch.loc[3, "at"] = pd.NaT
    for asked in (fresh(profile), windows(profile)):
        missing = validate(batch, asked)
        assert not missing.success and details(missing)["timeless"] == 1


def test_a_gap_a_flood_and_an_honest_week(validate: Any, profile: str) -> None:
    assert validate(timed(), windows(profile)).success
    gap = validate(timed().drop(index=range(60, 130)), windows(profile))
    assert not gap.success and details(gap)["counts"] == {
        "2026-03-03T00:00:00+00:00": 12, "2026-03-04T00:00:00+00:00": 0, "2026-03-05T00:00:00+00:00": 0,
        "2026-03-06T00:00:00+00:00": 14,
    }  # fmt: skip
    again = validate(pd.concat([timed(), timed()]), windows(profile))
    assert not again.success and details(again)["wrong"] == 10


@pytest.mark.parametrize("at", [7, 7.5, "soon", None, "2026-13-45"])
@pytest.mark.parametrize("ask", [fresh, windows])
def test_what_is_no_time_is_not_guessed(validate: Any, profile: str, at: Any, ask: Callable[[str], Any]) -> None:
    result = validate(timed().drop(columns="at").assign(at=at), ask(profile))
    assert not result.success and raised(result)


@pytest.mark.parametrize("ask", [fresh, windows])
def test_no_rows_and_no_such_column_are_no_pass(validate: Any, profile: str, ask: Callable[[str], Any]) -> None:
    for batch in (timed().iloc[:0], table()):
        result = validate(batch, ask(profile))
        assert not result.success and raised(result)


def test_bounds_that_say_nothing_are_refused(validate: Any, profile: str) -> None:
    hopeless = [windows(profile, low=9, high=8), windows(profile, hours=0), fresh(profile, hours=float("inf"))]
    for asked in (*hopeless, fresh(profile, as_of="soon")):
        result = validate(timed(), asked)
        assert not result.success and raised(result)
