"""A table is read in one way, whole, or refused; nothing is repaired or left out in silence."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pratique import tables
from pratique.errors import ArtifactError, ArtifactRefused
from pratique.testing import folder_of

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def parquet_of(table: Any, **more: Any) -> bytes:
    """A Parquet file."""
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, **more)
    return buffer.getvalue()


def read(folder: Path, **files: bytes) -> tables.Table:
    """A folder with these files, where `a_csv` stands for a.csv."""
    return tables.read(folder_of(folder, {name.replace("_", "."): data for name, data in files.items()}))


# --- what is read -------------------------------------------------------------------------------------------------------


def test_rows_are_numbered_across_files_and_named_within_them(tmp_path: Path) -> None:
    table = read(tmp_path, a_csv=b"x,y\n1,p\n2,q\n", b_csv=b"x,y\n", c_parquet=parquet_of(pa.table({"x": [3], "y": ["r"]})))
    assert table.frame["x"].tolist() == [1, 2, 3]
    assert table.files == ("a.csv", "b.csv", "c.parquet")
    assert [table.where(row) for row in range(3)] == ["a.csv row 1", "a.csv row 2", "c.parquet row 1"]


def test_one_file_and_a_folder_of_it_are_the_same_table(tmp_path: Path) -> None:
    alone = folder_of(tmp_path, {"in/a.csv": b"x\n1\n"}) / "in" / "a.csv"
    assert tables.read(alone).frame.equals(tables.read(alone.parent).frame)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xef\xbb\xbfx,y\n1,p\n", [[1, "p"]]),
        (b'x,y\n1,"two\nlines"\n2,"say ""hi"""\n', [[1, "two\nlines"], [2, 'say "hi"']]),
        (b'x,y\n1,5" nail\n2,q\n', [[1, '5" nail'], [2, "q"]]),
        (b'x,y\n1,""\n2,"q"', [[1, ""], [2, "q"]]),
        (b"x,y\r\n1,p\r\n", [[1, "p"]]),
        (b"x,y\n1,p\n\n2,q\n", [[1, "p"], [2, "q"]]),
    ],
    ids=["byte order mark", "a cell of two lines", "an inch mark", "no last newline", "Windows", "an empty line"],
)
def test_honest_csv(tmp_path: Path, data: bytes, expected: list[list[Any]]) -> None:
    assert read(tmp_path, a_csv=data).frame.to_numpy().tolist() == expected


def test_null_infinite_and_not_a_number(tmp_path: Path) -> None:
    column = read(tmp_path, a_csv=b"x,y\n1,a\n,b\nnan,c\ninf,d\n-inf,e\n1e400,f\n").frame["x"]
    assert column.isna().sum() == 2 and (column == float("inf")).sum() == 2 and (column == -float("inf")).sum() == 1


def test_a_column_that_is_empty_in_one_file_has_numbers_in_the_other(tmp_path: Path) -> None:
    table = read(tmp_path, a_csv=b"x,y\n,p\n", b_csv=b"x,y\n2.5,q\n")
    assert str(table.frame["x"].dtype) == "float64" and table.frame["x"].isna().tolist() == [True, False]


def test_whole_and_broken_numbers_in_two_files_are_numbers(tmp_path: Path) -> None:
    assert read(tmp_path, a_csv=b"x\n1\n", b_csv=b"x\n2.5\n").frame["x"].tolist() == [1.0, 2.5]


def test_texts_stored_once_are_read_as_often_as_they_occur(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array(["a", "b", None, "a"]).dictionary_encode()})
    assert read(tmp_path, a_parquet=parquet_of(table)).frame["x"].tolist()[::3] == ["a", "a"]


def test_decimals_are_numbers_and_dates_are_dates(tmp_path: Path) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    table = pa.table(
        {
            "money": [decimal.Decimal("1.50")], "day": [datetime.date(2024, 1, 1)],
            "moment": [datetime.datetime(2024, 1, 1, tzinfo=zone)],
        }
    )  # fmt: skip
    kinds = read(tmp_path, a_parquet=parquet_of(table)).frame.dtypes.astype(str).to_dict()
    assert kinds["money"] == "float64"
    assert kinds["day"].startswith("datetime64") and kinds["moment"].startswith("datetime64")


def test_a_column_hidden_as_the_index_of_pandas_is_seen(tmp_path: Path) -> None:
    """Metadata beside the schema makes pandas take any column for the index; whoever reads with another library has it."""
    table = pa.table({"x": [1, 2], "trigger": [0, 1]})
    columns = [
        {"name": n, "field_name": n, "pandas_type": "int64", "numpy_type": "int64", "metadata": None}
        for n in table.column_names
    ]
    told = {"index_columns": ["trigger"], "column_indexes": [], "columns": columns, "creator": {}, "pandas_version": "2"}
    data = parquet_of(table.replace_schema_metadata({b"pandas": json.dumps(told).encode()}))
    import pandas as pd

    assert list(pd.read_parquet(io.BytesIO(data)).columns) == ["x"]
    assert list(read(tmp_path, a_parquet=data).frame.columns) == ["x", "trigger"]


# --- what is beside it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["README.jsonl", "LICENSE.tar.gz", "notices/NOTICE.pkl", "CHANGELOG.parquet.gz", "part/profile.json", "x/croissant.json"],
)
def test_data_that_calls_itself_documentation_is_unread(tmp_path: Path, name: str) -> None:
    folder_of(tmp_path, {"a.csv": b"x\n1\n", name: b"hidden"})
    assert tables.read(tmp_path).unread == (name,)


@pytest.mark.parametrize(
    "name", ["README", "readme.TXT", "LICENSE", "LICENCE.md", "docs/NOTICE.rst", "croissant.json", "profile.json"]
)
def test_documentation_that_people_have(tmp_path: Path, name: str) -> None:
    folder_of(tmp_path, {"a.csv": b"x\n1\n", name: b"words"})
    assert tables.read(tmp_path).ignored == (name,)


def test_documentation_is_ignored_and_anything_else_is_unread(tmp_path: Path) -> None:
    files = {"a.csv": b"x\n1\n", "README.md": b"", "dataset.sig": b"", "more.jsonl": b"", "sub/old.CSV.gz": b"", "x.pkl": b""}
    table = tables.read(folder_of(tmp_path, files))
    assert sorted(table.ignored) == ["README.md", "dataset.sig"]
    assert sorted(table.unread) == ["more.jsonl", "sub/old.CSV.gz", "x.pkl"]


def test_upper_case_names_hold_rows_too(tmp_path: Path) -> None:
    assert tables.read(folder_of(tmp_path, {"A.CSV": b"x\n1\n"})).files == ("A.CSV",)


# --- what is refused ----------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[str, bytes, str]] = {
    "empty file": ("a.csv", b"", "Empty CSV"),
    "nothing but newlines": ("a.csv", b"\n\n", "cannot read"),
    "a row too short": ("a.csv", b"x,y\n1\n", "Expected 2 columns, got 1"),
    "a row too long": ("a.csv", b"x,y\n1,2,3\n", "Expected 2 columns, got 3"),
    "two columns of one name": ("a.csv", b"x,x\n1,2\n", "two columns named 'x'"),
    "a column without a name": ("a.csv", b",x\n0,2\n", "without a name"),
    "latin-1 in a cell": ("a.csv", "x\né\n".encode("latin-1"), "binary values"),
    "latin-1 in the header": ("a.csv", "é,y\n1,2\n".encode("latin-1"), "utf-8"),
    "utf-16": ("a.csv", "x,y\n1,2\n".encode("utf-16"), "cannot read"),
    "a quote that swallows the last rows": ("a.csv", b'x,y\n1,p\n2,"q\n3,r\n4,s\n', "never closes"),
    "a quote that swallows them behind an inch mark": ("a.csv", b'x,y\n1,5" nail\n2,"q\n3,r\n', "never closes"),
    "a quote that swallows all": ("a.csv", b'"x\n1\n2\n', "never closes"),
    "no parquet at all": ("a.parquet", b"x,y\n1,2\n", "cannot read"),
    "empty parquet": ("a.parquet", b"", "cannot read"),
    "nested values": ("a.parquet", parquet_of(pa.table({"x": [[1, 2]]})), "list"),
    "records": ("a.parquet", parquet_of(pa.table({"x": [{"a": 1}]})), "struct"),
    "bytes": ("a.parquet", parquet_of(pa.table({"x": [b"\x00"]})), "binary"),
    "bytes of one length": ("a.parquet", parquet_of(pa.table({"x": pa.array([b"ab"], pa.binary(2))})), "fixed_size_binary"),
    "two parquet columns of one name": (
        "a.parquet", parquet_of(pa.table([pa.array([1]), pa.array([2])], names=["x", "x"])), "two columns named 'x'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path: Path, name: str) -> None:
    file, data, says = REFUSED[name]
    with pytest.raises(ArtifactRefused, match=says) as told:
        tables.read(folder_of(tmp_path, {file: data}) / file)
    assert not told.value.retryable


@pytest.mark.parametrize("cut", [4, 100, -1, -9])
def test_truncated_parquet(tmp_path: Path, cut: int) -> None:
    data = parquet_of(pa.table({"x": list(range(1000)), "y": ["a"] * 1000}))
    with pytest.raises(ArtifactRefused, match="cannot read"):
        read(tmp_path, a_parquet=data[:cut])


def test_flipped_bits_are_refused_or_read_but_nothing_else(tmp_path: Path) -> None:
    data = parquet_of(pa.table({"x": list(range(50)), "y": ["a", "b"] * 25}))
    for place in range(0, len(data), 7):
        broken = bytearray(data)
        broken[place] ^= 0x55
        try:
            read(tmp_path, a_parquet=bytes(broken))
        except ArtifactRefused:
            continue


def test_half_a_megabyte_that_claims_300_million_rows(tmp_path: Path) -> None:
    data = parquet_of(pa.table({"x": pa.nulls(300_000_000)}), row_group_size=300_000_000)
    assert len(data) < 1_000_000
    with pytest.raises(ArtifactRefused, match="claims 300,000,000 rows"):
        read(tmp_path, a_parquet=data)


def test_a_few_bytes_that_unpack_to_terabytes(tmp_path: Path) -> None:
    """One text of a megabyte, five million times by its number."""
    text = pa.DictionaryArray.from_arrays(pa.array(bytes(5_000_000), pa.int8()), pa.array(["x" * 1_000_000]))
    data = parquet_of(pa.table({"x": text}), store_schema=False)
    assert len(data) < 1_000_000
    with pytest.raises(ArtifactRefused, match="unpacks to 5,000,000,000,000 bytes"):
        read(tmp_path, a_parquet=data)


def test_a_file_of_more_than_a_gigabyte_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x\n")
    os.truncate(tmp_path / "a.csv", tables.MAX_FILE_BYTES + 1)
    with pytest.raises(ArtifactRefused, match="larger than"):
        tables.read(tmp_path)


def test_files_with_other_columns_are_no_one_table(tmp_path: Path) -> None:
    with pytest.raises(ArtifactRefused, match=r"b\.csv has other columns than a\.csv"):
        read(tmp_path, a_csv=b"x,y\n1,2\n", b_csv=b"y,x\n1,2\n")


def test_files_with_other_types_are_no_one_table(tmp_path: Path) -> None:
    with pytest.raises(ArtifactRefused, match="different types"):
        read(tmp_path, a_csv=b"x\n1\n", b_csv=b"x\nA1\n")


def test_a_folder_without_a_table(tmp_path: Path) -> None:
    with pytest.raises(ArtifactRefused, match=r"no \.csv and no \.parquet"):
        read(tmp_path, README_md=b"hello")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="nothing at"):
        tables.read(tmp_path / "none")
