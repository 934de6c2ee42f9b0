"""Reading one table from CSV and Parquet files, strictly.

What a lenient reader repairs in silence is refused here, with the file and the row: lines that are too short or too long,
columns named twice, files of one table with different columns, nested values, bytes that are not UTF-8. Files that are no
table are not skipped in silence either: documentation is listed as ignored, anything else as unread.
"""

from __future__ import annotations

import fnmatch
import os
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pratique.errors import ArtifactError, ArtifactRefused

MAX_FILE_BYTES = 1 << 30
"""One CSV file is read in one block, so that a column has one type from its first to its last row."""

COMPANIONS = (
    "README*", "LICENSE*", "NOTICE*", "CHANGELOG*", "*.md", "*.sig", "*.sigstore.json", "*.pdf", ".gitattributes", ".gitignore",
    "croissant.json", "dataset_info.json", "dataset_infos.json", "dataset-card.json", "dataset_card.json", "profile.json",
    "suite.json",
)  # fmt: skip
"""Files beside a table that hold no rows of it."""

MAX_CELLS = 200_000_000
"""A few bytes of Parquet can claim any number of rows."""

_NULLS = ["", "NA", "NaN", "nan", "null", "NULL"]


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
    base = name.rsplit("/", 1)[-1]
    return any(fnmatch.fnmatchcase(base.lower(), pattern.lower()) for pattern in COMPANIONS)


def _join(parts: dict[str, Any], ignored: tuple[str, ...], unread: tuple[str, ...]) -> Table:
    import pandas as pd

    first, *others = parts
    for other in others:
        if list(parts[other].columns) != list(parts[first].columns):
            raise ArtifactRefused(f"{other} has other columns than {first}", hint="one artifact is one table")
    starts = [0]
    for frame in parts.values():
        starts.append(starts[-1] + len(frame))
    filled = [frame for frame in parts.values() if len(frame)] or [parts[first]]
    frame = pd.concat(filled, ignore_index=True) if len(filled) > 1 else filled[0]
    return Table(frame=frame, files=tuple(parts), starts=tuple(starts[:-1]), ignored=ignored, unread=unread)


def _read(path: Path, name: str) -> Any:
    import pyarrow as pa

    if path.stat().st_size > MAX_FILE_BYTES:
        raise ArtifactRefused(f"{name} is larger than {MAX_FILE_BYTES:,} bytes", hint="split it into several files")
    try:
        table = _csv(path) if name.lower().endswith(".csv") else _parquet(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ArtifactRefused(
            f"cannot read {name}: {error}", hint="write the file again; every row needs every column"
        ) from error
    _refuse_columns(table, name)
    return table.to_pandas()


def _csv(path: Path) -> Any:
    from pyarrow import csv

    return csv.read_csv(
        path,
        read_options=csv.ReadOptions(block_size=max(path.stat().st_size, 1) + 1, use_threads=False),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(null_values=_NULLS, strings_can_be_null=True, quoted_strings_can_be_null=False),
    )


def _parquet(path: Path) -> Any:
    from pyarrow import parquet

    file = parquet.ParquetFile(path)
    if file.metadata.num_rows * file.metadata.num_columns > MAX_CELLS:
        raise ArtifactRefused(f"{path.name} claims {file.metadata.num_rows:,} rows; at most {MAX_CELLS:,} cells are read")
    return file.read()


def _refuse_columns(table: Any, name: str) -> None:
    import pyarrow.types as kinds

    names = table.column_names
    twin = next((column for column in names if names.count(column) > 1), None)
    if twin is not None:
        raise ArtifactRefused(f"{name} has two columns named {twin!r}", hint="rename one of them")
    if "" in names:
        raise ArtifactRefused(f"{name} has a column without a name", hint="write the table without its index")
    for field in table.schema:
        if kinds.is_nested(field.type) or kinds.is_binary(field.type) or kinds.is_large_binary(field.type):
            raise ArtifactRefused(
                f"column {field.name!r} of {name} holds {field.type} values",
                hint="one number or text per cell; binary may be bad UTF-8",
            )
