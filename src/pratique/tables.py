"""Reading one table from CSV and Parquet files, strictly.

What a lenient reader repairs in silence is refused here, with the file and the row: lines that are too short or too long,
a quote that never closes, columns named twice, files of one table with different columns, nested values, bytes that are not
UTF-8. Files that are no table are not skipped in silence either: documentation is listed as ignored, anything else as unread.

Every column of a file is a column of the table: what pandas wrote beside a Parquet schema may hide one as "the index".
"""

from __future__ import annotations

import mmap
import os
import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pratique.errors import ArtifactError, ArtifactRefused

MAX_FILE_BYTES = 1 << 30
"""One CSV file is read in one block, so that a column has one type from its first to its last row."""

MAX_CELLS = 200_000_000
"""A few bytes of Parquet can claim any number of rows."""

MAX_BYTES = 4 << 30
"""Bytes of a Parquet file once unpacked: one long text can stand in any number of rows."""

COMPANIONS = re.compile(
    r"(.*/)?((readme|licen[cs]e|notice|changelog|copying)(\.(md|txt|rst))?|[^/]*\.(md|sig|sigstore\.json|pdf)|\.git(attributes|ignore))"
    r"|(croissant|dataset_infos?|dataset[-_]card|profile|suite)\.json",
    re.IGNORECASE,
)
"""Files beside a table that hold no rows of it. Metadata in JSON counts beside the table only: deeper, it may be data."""

_NULLS = ["", "NA", "NaN", "nan", "null", "NULL"]

_QUOTED = re.compile(rb'(?:\A|[,\r\n])"[^"]*(?:""[^"]*)*("|\Z)')
"""A quoted cell of a CSV file (RFC 4180); its group is empty if the file ends inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table, whichever number of files it came in."""

    frame: Any
    """A pandas DataFrame; rows are numbered from 0 across the files."""

    files: tuple[str, ...]
    """Files that hold rows, in the order of the rows."""

    starts: tuple[int, ...]
    """The first row of each file."""

    ignored: tuple[str, ...]
    """Documentation, signatures and the like."""

    unread: tuple[str, ...]
    """Files that may hold data in a form that is not read."""

    def where(self, row: int) -> str:
        """Names a row to a person: its file, and its number there, from 1 and without the header."""
        place = bisect_right(self.starts, row) - 1
        return f"{self.files[place]} row {row - self.starts[place] + 1}"


def read(path: str | os.PathLike[str]) -> Table:
    """Read a CSV or Parquet file, or all of them in a folder and below.

    Raises:
        ArtifactError: nothing there.
        ArtifactRefused: no table, several tables, or a table that can be read in more than one way.
    """
    root = Path(path)
    if not root.exists():
        raise ArtifactError(f"there is nothing at {root}", hint="pass a CSV or Parquet file, or a folder of them")
    found = {root.name: root} if root.is_file() else _files(root)
    data = [name for name in found if name.lower().endswith((".csv", ".parquet"))]
    ignored = [name for name in found if name not in data and _is_companion(name)]
    unread = [name for name in found if name not in data and name not in ignored]
    if not data:
        raise ArtifactRefused(f"{root.name} holds no .csv and no .parquet file", hint="convert the table to one of them")
    return _join({name: _read(found[name], name) for name in data}, tuple(ignored), tuple(unread))


def _files(root: Path) -> dict[str, Path]:
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path for path in paths}


def _is_companion(name: str) -> bool:
    return COMPANIONS.fullmatch(name) is not None


def _join(parts: dict[str, Any], ignored: tuple[str, ...], unread: tuple[str, ...]) -> Table:
    import pyarrow as pa

    first, *others = parts
    for other in others:
        if parts[other].column_names != parts[first].column_names:
            raise ArtifactRefused(f"{other} has other columns than {first}", hint="one artifact is one table")
    try:
        whole = pa.concat_tables(parts.values(), promote_options="permissive")
    except pa.ArrowException as error:
        raise ArtifactRefused(
            f"the files hold values of different types: {error}", hint="give each column one type, or write one file"
        ) from error
    starts = [0]
    for part in parts.values():
        starts.append(starts[-1] + part.num_rows)
    frame = whole.to_pandas(ignore_metadata=True, date_as_object=False)
    return Table(frame=frame, files=tuple(parts), starts=tuple(starts[:-1]), ignored=ignored, unread=unread)


def _read(path: Path, name: str) -> Any:
    import pyarrow as pa

    if path.stat().st_size > MAX_FILE_BYTES:
        raise ArtifactRefused(f"{name} is larger than {MAX_FILE_BYTES:,} bytes", hint="split it into several files")
    try:
        return _csv(path, name) if name.lower().endswith(".csv") else _parquet(path, name)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ArtifactRefused(
            f"cannot read {name}: {error}", hint="write the file again, as UTF-8; every row needs every column"
        ) from error


def _csv(path: Path, name: str) -> Any:
    from pyarrow import csv

    _refuse_open_quote(path, name)
    table = csv.read_csv(
        path,
        read_options=csv.ReadOptions(block_size=max(path.stat().st_size, 1) + 1, use_threads=False),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(null_values=_NULLS, strings_can_be_null=True, quoted_strings_can_be_null=False),
    )
    _refuse_columns(table.schema, name)
    return table


def _refuse_open_quote(path: Path, name: str) -> None:
    """One reader takes all that follows a quote that never closes for one cell; another reads rows."""
    if not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if any(not cell[1] for cell in _QUOTED.finditer(data)):
            raise ArtifactRefused(f"a quote in {name} never closes", hint="double quotes inside cells, or write Parquet")


def _parquet(path: Path, name: str) -> Any:
    import pyarrow as pa
    from pyarrow import compute, parquet

    with parquet.ParquetFile(path) as file:
        meta, schema = file.metadata, file.schema_arrow
        _refuse_columns(schema, name)
        if meta.num_rows * meta.num_columns > MAX_CELLS:
            raise ArtifactRefused(f"{name} claims {meta.num_rows:,} rows; at most {MAX_CELLS:,} cells are read")
        _refuse_bytes(sum(meta.row_group(group).total_byte_size for group in range(meta.num_row_groups)), name)
    texts = [field.name for field in schema if _is_text(field.type)]
    with parquet.ParquetFile(path, read_dictionary=texts) as file:  # each different text once, however often it occurs
        table = file.read()
    for index, field in enumerate(schema):
        column = table.column(index)
        if _is_text(field.type):
            lengths = (compute.binary_length(part.dictionary).take(part.indices) for part in column.chunks)
            _refuse_bytes(sum(compute.sum(one).as_py() or 0 for one in lengths), name)
            table = table.set_column(index, field.name, column.cast(pa.large_string()))
        elif pa.types.is_decimal(field.type):
            table = table.set_column(index, field.name, column.cast(pa.float64()))
    return table


def _refuse_bytes(count: int, name: str) -> None:
    if count > MAX_BYTES:
        raise ArtifactRefused(f"{name} unpacks to {count:,} bytes; at most {MAX_BYTES:,} are read", hint="split it")


def _refuse_columns(schema: Any, name: str) -> None:
    names = schema.names
    twin = next((column for column, count in Counter(names).items() if count > 1), None)
    if twin is not None:
        raise ArtifactRefused(f"{name} has two columns named {twin!r}", hint="rename one of them")
    if "" in names:
        raise ArtifactRefused(f"{name} has a column without a name", hint="write the table without its index")
    for field in schema:
        if not (_is_text(field.type) or _is_plain(field.type)):
            raise ArtifactRefused(
                f"column {field.name!r} of {name} holds {field.type} values",
                hint="one number or text per cell; what a CSV file holds as binary is not UTF-8",
            )


def _is_text(kind: Any) -> bool:
    import pyarrow.types as kinds

    inner = kind.value_type if kinds.is_dictionary(kind) else kind
    return bool(kinds.is_string(inner) or kinds.is_large_string(inner) or kinds.is_string_view(inner))


def _is_plain(kind: Any) -> bool:
    import pyarrow.types as kinds

    known = (kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_decimal, kinds.is_temporal, kinds.is_null)
    return any(is_one(kind) for is_one in known)
