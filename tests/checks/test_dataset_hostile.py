"""Tables from people who mean no good, or no harm: each has a named result. None crashes the check, none passes in silence."""

# ruff: noqa: TID253
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pratique import checking, profiles
from pratique.artifacts import open_artifact
from pratique.checking import Report, Setting, Severity
from pratique.errors import Error

pytest.importorskip("great_expectations")

Frame = pd.DataFrame
ROWS = 240


def table(seed: int = 0) -> Frame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=ROWS)
    return Frame({
        "x": x, "count": rng.poisson(4, ROWS), "town": rng.choice(["Bern", "Lyon", "Łódź"], ROWS),
        "sure": rng.choice([True, False], ROWS), "constant": 7.5, "label": np.where(x > 0, "yes", "no"),
    })  # fmt: skip


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("approved") / "profile.json"
    profiles.build(table()).save(path)
    return path


def look(path: Path, profile: Path) -> Report:
    check = checking.load("dataset")
    options = checking.options_for(check, {"profile": str(profile)}, Setting())
    return checking.run(check, open_artifact(path, kind="dataset"), options)


def grave(report: Report) -> set[str]:
    return {finding.rule for finding in report.findings if finding.severity > Severity.NOTE}


def set_(column: str, value: Any, *rows: int) -> Callable[[Frame], Frame]:
    """A column with one value everywhere, or in some rows."""
    return lambda frame: frame.assign(**{
        column: value if not rows else [value if row in rows else old for row, old in enumerate(frame[column])]
    })  # fmt: skip


def exploded(frame: Frame) -> Frame:
    return frame.assign(town=[f"town {row}" for row in range(len(frame))])


def zoned(frame: Frame) -> Frame:
    return frame.assign(x=pd.date_range("2026-01-01", periods=len(frame), freq="h", tz="Europe/Zurich"))


def wide(frame: Frame) -> Frame:
    return pd.concat([frame, Frame(np.zeros((len(frame), 10_000)), columns=[f"w{n}" for n in range(10_000)])], axis=1)


HOSTILE: dict[str, tuple[Callable[[Frame], Frame], str]] = {
    "numbers as text": (lambda frame: frame.assign(x=[f"about {one:.2f}" for one in frame["x"]]), "schema"),
    "text as numbers": (set_("town", 3), "schema"),
    "truth as numbers": (lambda frame: frame.assign(sure=frame["sure"].astype(int)), "schema"),
    "numbers as truth": (lambda frame: frame.assign(count=frame["count"] > 3), "schema"),
    "labels as numbers": (lambda frame: frame.assign(label=(frame["label"] == "yes").astype(int)), "label-shift"),
    "a number in one row is text": (set_("x", "n/a", 5), "schema"),
    "an all-null column": (set_("x", None), "drift"),
    "an all-null category": (set_("town", None), "drift"),
    "an all-null label": (set_("label", None), "label-shift"),
    "nothing but nulls": (lambda frame: frame.assign(**dict.fromkeys(frame.columns, None)), "drift"),
    "a column that became constant": (set_("x", 0.25), "drift"),
    "a constant that became another": (set_("constant", 8.0), "drift"),
    "a tenth of another constant": (set_("constant", 1e9, *range(0, ROWS, 10)), "drift"),
    "infinities": (set_("x", float("inf"), 3), "out-of-range"),
    "negative infinities": (set_("x", float("-inf"), 3), "out-of-range"),
    "a tenth NaN": (set_("x", float("nan"), *range(0, ROWS, 10)), "drift"),
    "the largest number there is": (set_("x", 1.7e308, 3), "out-of-range"),
    "a sentinel": (set_("count", -999, 3), "out-of-range"),
    "a category explosion": (exploded, "drift"),
    "one new category everywhere": (set_("town", "Xyz"), "drift"),
    "categories in another encoding": (
        lambda frame: frame.assign(town=[one.encode().decode("latin-1") for one in frame["town"]]), "drift"
    ),
    "timestamps with zones": (zoned, "schema"),
    "10,000 columns more": (wide, "schema"),
    "one row": (lambda frame: frame.iloc[:1], "row-count"),
    "no row": (lambda frame: frame.iloc[:0], "no-rows"),
    "no column that is known": (lambda frame: frame.rename(columns=str.upper), "schema"),
    "one row a thousand times": (lambda frame: frame.iloc[[0] * 1000], "near-duplicates"),
    "columns in another spelling": (lambda frame: frame.rename(columns={"x": "х"}), "schema"),  # noqa: RUF001  (Cyrillic)
    "a name of a kilobyte": (lambda frame: frame.rename(columns={"x": "x" * 1000}), "schema"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_table_has_a_named_result(approved: Path, tmp_path: Path, name: str, kind: str) -> None:
    spoil, rule = HOSTILE[name]
    frame = spoil(table(1))
    path = tmp_path / f"batch.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    else:
        try:
            frame.to_parquet(path, index=False)
        except (TypeError, ValueError) as error:  # Arrow holds no column of numbers and text
            assert name == "a number in one row is text", error
            pytest.skip("no Parquet file can hold this")
    report = look(path, approved)
    assert rule in grave(report), report.findings
    assert not any("this is a bug" in finding.message for finding in report.findings)


def test_the_honest_twin_passes(approved: Path, tmp_path: Path) -> None:
    """The same columns, constant and all, of another day, in both formats."""
    for kind in ("csv", "parquet"):
        frame, path = table(1), tmp_path / f"batch.{kind}"
        frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path, index=False)
        assert not grave(look(path, approved))


def test_one_odd_value_in_a_constant_column_is_too_little_to_tell(approved: Path, tmp_path: Path) -> None:
    """A limit, as docs/checks/dataset.md says: a constant has no range, and a few rows are no drift. A suite can add one."""
    set_("constant", 1e9, 3)(table(1)).to_csv(tmp_path / "batch.csv", index=False)
    assert not grave(look(tmp_path / "batch.csv", approved))


BYTES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "unreadable"),
    "a newline": (b"\n", "unreadable"),
    "a byte order mark alone": (b"\xef\xbb\xbf", "unreadable"),
    "a header only": (b"x,count,town,sure,constant,label\n", "no-rows"),
    "latin-1 among UTF-8": (
        table(1).to_csv(index=False).encode() + "0.1,4,L\xf3dz,True,7.5,no\n".encode("latin-1"),
        "unreadable",
    ),
    "UTF-16": (table(1).to_csv(index=False).encode("utf-16"), "unreadable"),
    "NUL bytes": (table(1).to_csv(index=False).encode() + b"0.1,\x004,Bern,True,7.5,no\n", "schema"),
    "a row too long": (table(1).to_csv(index=False).encode() + b"0.1,4,Bern,True,7.5,no,no\n", "unreadable"),
    "another separator": (table(1).to_csv(index=False, sep=";").encode(), "schema"),
    "old Mac lines": (table(1).to_csv(index=False, lineterminator="\r").encode()[:-1] + b'\r"', "unreadable"),
}


@pytest.mark.parametrize("name", BYTES)
def test_hostile_bytes_have_a_named_result(approved: Path, tmp_path: Path, name: str) -> None:
    data, rule = BYTES[name]
    (tmp_path / "batch.csv").write_bytes(data)
    report = look(tmp_path / "batch.csv", approved)
    assert rule in grave(report), report.findings


@pytest.mark.parametrize("name", HOSTILE)
def test_as_a_reference_it_is_refused_in_words_or_described(tmp_path: Path, name: str) -> None:
    """Whoever approves such a table hears what is wrong with it, or gets a profile that can be read again."""
    frame = HOSTILE[name][0](table(1))
    frame.to_csv(tmp_path / "reference.csv", index=False)
    try:
        built = profiles.build(tmp_path / "reference.csv", label="label")
    except Error as error:
        assert str(error)
        return
    built.save(tmp_path / "profile.json")
    assert profiles.load(tmp_path / "profile.json") == built
