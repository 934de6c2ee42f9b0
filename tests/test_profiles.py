"""A profile says what approved data looks like; what strangers write in one is refused."""

# ruff: noqa: TID253
from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pratique import documents, profiles
from pratique.errors import ArtifactRefused, Malformed, UsageError
from pratique.profiles import counting
from pratique.testing import folder_of


def approved(count: int = 200, seed: int = 0) -> pd.DataFrame:
    """A small table: numbers, a category, an id, a label."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=count)
    return pd.DataFrame(
        {
            "x": x.round(3), "y": rng.exponential(size=count).round(3), "town": rng.choice(["Bern", "Lyon"], count),
            "id": range(count), "label": np.where(x + rng.normal(scale=0.3, size=count) > 0, "yes", "no"),
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def profile() -> profiles.Profile:
    return profiles.build(approved(), ignore=("id",))


# --- building -----------------------------------------------------------------------------------------------------------


def test_what_a_profile_says(profile: profiles.Profile) -> None:
    assert profile.rows == 200
    assert [(column.name, column.kind, column.role) for column in profile.columns] == [
        ("x", "numeric", "feature"), ("y", "numeric", "feature"), ("town", "categorical", "feature"),
        ("id", "other", "ignored"), ("label", "categorical", "label"),
    ]  # fmt: skip
    assert profile.label and profile.label.values == ["no", "yes"]
    assert profile.columns[2].values == ["Bern", "Lyon"]
    assert profile.sample and profile.sample.rows == 200 and profile.sample.width == 4


def test_the_same_data_makes_the_same_bytes(tmp_path: Path, profile: profiles.Profile) -> None:
    approved().to_csv(tmp_path / "a.csv", index=False)
    again = profiles.build(tmp_path / "a.csv", ignore=("id",))
    assert again.content == profile.content
    again.save(tmp_path / "profile.json")
    assert profiles.load(tmp_path / "profile.json") == profile
    assert profile.digest == documents.sha256((tmp_path / "profile.json").read_bytes())


def test_another_seed_chooses_other_rows_but_counts_the_same(profile: profiles.Profile) -> None:
    other = profiles.build(approved(), ignore=("id",), seed=1)
    assert other.digest != profile.digest and other.columns == profile.columns


def test_a_batch_is_counted_in_the_same_cells(profile: profiles.Profile) -> None:
    counted = counting.count(approved(), profile)
    assert counted.counts == {column.name: column.counts for column in profile.columns if column.role != "ignored"}
    assert not (counted.missing or counted.unexpected or counted.unlike)


def test_what_a_batch_lacks_and_what_it_has_too_much(profile: profiles.Profile) -> None:
    batch = approved().drop(columns=["y"]).assign(town=1.5, z=0)
    counted = counting.count(pd.concat([batch, batch[["x"]]], axis=1), profile)
    assert (counted.missing, counted.unexpected, counted.unlike) == (("y",), ("x", "z"), {"town": "numeric"})
    assert set(counted.counts) == {"label"}


def test_a_column_without_values_is_counted_as_nulls(profile: profiles.Profile) -> None:
    counted = counting.count(approved().assign(x=None, town=None), profile)
    assert counted.counts["x"][-3] == counted.counts["town"][-1] == 200 and not counted.unlike


def test_without_a_label_or_a_sample_no_row_is_kept(tmp_path: Path) -> None:
    """Whoever may not see the data may see such a profile."""
    for more in ({"label": None}, {"sample": 0}):
        assert profiles.build(approved(), **more).sample is None  # type: ignore[arg-type]
    secret = approved().assign(town=[f"somebody at number {i}" for i in range(200)])
    assert b"somebody" not in profiles.build(secret, sample=0).content


def test_at_most_as_many_rows_are_kept_as_asked_for() -> None:
    built = profiles.build(approved(300), sample=120)
    assert built.rows == 300 and built.sample and built.sample.rows == 120


def test_extreme_numbers() -> None:
    """The largest numbers there are, infinities, nulls and a constant, in one table that can be written and read."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=100), "tail": rng.standard_cauchy(100) ** 9, "one": 7.0})
    table.loc[:2, "x"] = [np.inf, -np.inf, np.nan]
    table.loc[0, "tail"] = 1.7e308
    built = profiles.build(table, label=None)
    assert built.columns[0].counts[-3:] == [1, 1, 1] and built.columns[2].scale == 0
    assert profiles.Profile.model_validate(json.loads(built.content)) == built


def table_of(**more: Any) -> pd.DataFrame:
    return approved(60).assign(**more)


USELESS: dict[str, tuple[Callable[[], pd.DataFrame], dict[str, Any], str]] = {
    "too few rows": (lambda: approved(49), {}, "49 rows are too few"),
    "one row": (lambda: approved(1), {}, "1 rows are too few"),
    "only a header": (lambda: approved(0), {}, "0 rows are too few"),
    "no such label": (approved, {"label": "class"}, "no column 'class'"),
    "no such column to ignore": (approved, {"ignore": ("uid",)}, "no column 'uid'"),
    "the label ignored": (approved, {"ignore": ("label",)}, "be the label and be ignored"),
    "a label with nulls": (lambda: table_of(label=[None, "a", "b"] * 20), {}, "has nulls"),
    "a label for every row": (lambda: approved(300), {"label": "id"}, "300 distinct values"),
    "one label": (lambda: table_of(label="a"), {}, "has 1 distinct values"),
    "rare labels": (lambda: table_of(label=["a"] * 55 + ["b"] * 5), {}, "fewer than 10 reference rows"),
    "a column of nulls": (lambda: table_of(x=None), {}, "only nulls"),
    "a column of infinities": (lambda: table_of(x=np.inf), {}, "no finite number"),
    "a column of dates": (lambda: table_of(x=pd.Timestamp("2024-01-01", tz="Europe/Zurich")), {}, "which are not compared"),
    "numbers too large to tell apart": (
        lambda: table_of(x=[1.7e308, -1.7e308] * 30), {}, "too large to compare",
    ),
    "columns twice": (lambda: pd.concat([approved(60)] * 2, axis=1), {}, "is there twice"),
    "a column without a name": (lambda: approved(60).rename(columns={"x": ""}), {}, "has no name"),
    "everything ignored": (lambda: approved(60)[["x"]], {"label": None, "ignore": ("x",)}, "every column is ignored"),
    "too many columns": (
        lambda: pd.DataFrame(np.zeros((50, 10_001))), {"label": None}, "10,001 columns",
    ),
    "no bins": (approved, {"bins": 1}, "bins must be"),
    "too many bins": (approved, {"bins": 257}, "bins must be"),
    "a negative sample": (approved, {"sample": -1}, "sample must be"),
}  # fmt: skip


@pytest.mark.parametrize("name", USELESS)
def test_data_that_cannot_serve_as_a_reference(name: str) -> None:
    make, more, says = USELESS[name]
    with pytest.raises(UsageError, match=says):
        profiles.build(make(), **more)


def test_files_beside_the_reference_that_nobody_would_read(tmp_path: Path) -> None:
    approved().to_csv(tmp_path / "a.csv", index=False)
    folder_of(tmp_path, {"more.jsonl": b"{}"})
    with pytest.raises(UsageError, match=r"more\.jsonl is neither"):
        profiles.build(tmp_path)
    (tmp_path / "more.jsonl").unlink()
    folder_of(tmp_path, {"README.md": b""})
    assert profiles.build(tmp_path).rows == 200


def test_an_unreadable_reference(tmp_path: Path) -> None:
    with pytest.raises(ArtifactRefused):
        profiles.build(folder_of(tmp_path, {"a.csv": b"x,y\n1\n"}))


def test_a_profile_that_nobody_could_load_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: Any) -> None:
    monkeypatch.setattr(documents, "MAX_BYTES", 1000)
    with pytest.raises(UsageError, match="at most 1,000 are read"):
        profile.save(tmp_path / "profile.json")
    assert not (tmp_path / "profile.json").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path, profile: profiles.Profile) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        profile.save(tmp_path)


# --- what strangers write -----------------------------------------------------------------------------------------------


def edited(profile: profiles.Profile, edit: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(profile.content)
    edit(document)
    return documents.canonical(document)


def column(number: int, **more: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["columns"][number].update(more)


def sample(**more: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["sample"].update(more)


def twisted(profile: profiles.Profile, number: int, key: str, edit: Callable[[list[Any]], object]) -> bytes:
    """Edits a list of a column."""
    document = json.loads(profile.content)
    edit(document["columns"][number][key])
    return documents.canonical(document)


WRONG: dict[str, Callable[[profiles.Profile], bytes]] = {
    "empty": lambda _: b"",
    "truncated": lambda p: p.content[: len(p.content) // 2],
    "another document": lambda _: b"[]",
    "a number": lambda _: b"1",
    "not utf-8": lambda p: p.content.replace(b"Bern", b"B\xffrn"),
    "a key twice": lambda p: p.content[:-1] + b',"rows":200}',
    "NaN": lambda p: re.sub(rb'"scale":[^,}]+', b'"scale":NaN', p.content, count=1),
    "infinity spelt as a number": lambda p: re.sub(rb'"low":[^,}]+', b'"low":-1e999', p.content, count=1),
    "an edge at infinity": lambda p: re.sub(rb'"edges":\[([^]]+),[^]]+\]', rb'"edges":[\1,1e999]', p.content, count=1),
    "nested too deeply": lambda p: b'{"columns":' + b"[" * 100 + b"]" * 100 + b"}",
    "spaces": lambda p: json.dumps(json.loads(p.content), indent=1).encode(),
    "a newline at the end": lambda p: p.content + b"\n",
    "keys in another order": lambda p: json.dumps({"rows": 200, **json.loads(p.content)}, separators=(",", ":")).encode(),
    "an unknown key": lambda p: edited(p, lambda d: d.update(trust="me")),
    "another format": lambda p: edited(p, lambda d: d.update(format="pratique-profile-v2")),
    "rows as text": lambda p: edited(p, lambda d: d.update(rows="200")),
    "no rows": lambda p: edited(p, lambda d: d.update(rows=0)),
    "more rows than counts": lambda p: edited(p, lambda d: d.update(rows=201)),
    "rows beyond every table": lambda p: edited(p, lambda d: d.update(rows=10**30)),
    "no columns": lambda p: edited(p, lambda d: d.update(columns=[])),
    "a column twice": lambda p: edited(p, column(1, name="x")),
    "a column without a name": lambda p: edited(p, column(1, name="")),
    "everything ignored": lambda p: edited(p, lambda d: d.update(columns=[d["columns"][3]], sample=None)),
    "two labels": lambda p: edited(p, column(2, role="label")),
    "a numeric label": lambda p: edited(p, column(0, role="label")),
    "an ignored column with counts": lambda p: edited(p, column(0, role="ignored", kind="other")),
    "another kind": lambda p: edited(p, column(0, kind="picture")),
    "negative counts": lambda p: twisted(p, 0, "counts", lambda c: (c.__setitem__(0, -1), c.__setitem__(1, c[1] + 1))),
    "a count too few": lambda p: twisted(p, 0, "counts", lambda c: c.pop()),
    "edges that descend": lambda p: twisted(p, 0, "edges", lambda edges: edges.reverse()),
    "an edge twice": lambda p: twisted(p, 0, "edges", lambda edges: edges.__setitem__(1, edges[0])),
    "values in disorder": lambda p: twisted(p, 2, "values", lambda values: values.reverse()),
    "a value twice": lambda p: twisted(p, 2, "values", lambda values: values.__setitem__(1, values[0])),
    "a median beyond the extremes": lambda p: edited(p, column(0, middle=[0.0, 1e9, 2e9])),
    "no median": lambda p: edited(p, column(0, middle=[])),
    "a negative scale": lambda p: edited(p, column(0, scale=-1.0)),
    "a share above one": lambda p: edited(p, lambda d: d["duplicates"].update(share=1.5)),
    "a dimension of a thousand": lambda p: edited(p, lambda d: d["neighbours"].update(dimension=1000.0)),
    "a sample without a label": lambda p: edited(p, lambda d: d["columns"].pop()),
    "a sample of other columns": lambda p: edited(p, lambda d: d["columns"].pop(0)),
    "a sample with more rows than it holds": lambda p: edited(p, sample(rows=201)),
    "a sample that claims a billion rows": lambda p: edited(p, sample(rows=10**9)),
    "a sample that is not base64": lambda p: edited(p, sample(codes="!")),
    "base64 with letters of another alphabet": lambda p: edited(p, sample(codes="ä")),
    "labels that the column has not": lambda p: edited(p, sample(labels=base64.b64encode(bytes([7] * 200)).decode())),
    "two hundred folds": lambda p: edited(p, sample(folds=base64.b64encode(bytes([199] * 200)).decode())),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_profile_from_strangers(tmp_path: Path, profile: profiles.Profile, name: str) -> None:
    data = WRONG[name](profile)
    assert data != profile.content
    (tmp_path / "profile.json").write_bytes(data)
    with pytest.raises(Malformed) as told:
        profiles.load(tmp_path / "profile.json")
    assert told.value.hint and str(tmp_path) in str(told.value) and len(str(told.value)) < 1000


def test_a_gigabyte_of_json_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "profile.json").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(Malformed, match="larger than"):
        profiles.load(tmp_path / "profile.json")


@pytest.mark.parametrize("name", ["none.json", "."])
def test_no_such_profile(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot read the profile"):
        profiles.load(tmp_path / name)


def test_a_profile_is_found_by_its_digest_or_not_at_all(tmp_path: Path, profile: profiles.Profile) -> None:
    profile.save(tmp_path / "profile.json")
    assert profiles.find(f"{tmp_path}/profile.json#{profile.digest}") == profiles.find(f"{tmp_path}/profile.json") == profile
    profiles.build(approved(seed=1), ignore=("id",)).save(tmp_path / "profile.json")
    with pytest.raises(Malformed, match="not sha256"):
        profiles.find(f"{tmp_path}/profile.json#{profile.digest}")
