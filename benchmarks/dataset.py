"""What a profile and a check of a large table cost, against a scan of it: pyarrow's min and max of each column.

    python benchmarks/dataset.py                   a million rows, a minute
    python benchmarks/dataset.py --rows 100000     fewer

12 columns of numbers, 7 of short texts, and a label of four values that hangs on two of the numbers. Each figure is of a
process of its own, once it has imported what it needs; its memory is the most that the whole process held at once, imports
included.
"""

# ruff: noqa: TID253
from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rows import Row, table

NUMBERS, TEXTS = 12, 7

NOTES = {
    "profile": "the table is held in memory, and its columns are sorted whole",
    "check": "that, and rows compared with each other: up to 20,000 for near copies, 100,000 for label noise",
}


def write(path: Path, rows: int, seed: int) -> None:
    """A table of one kind: two seeds make two batches from one source."""
    import pyarrow as pa
    from pyarrow import parquet

    dice = np.random.default_rng(seed)
    x = dice.standard_normal((rows, NUMBERS))
    x[:, 3] = np.exp(x[:, 3])
    columns: dict[str, Any] = {f"x{number}": x[:, number] for number in range(NUMBERS)}
    towns = pa.array([f"town {number}" for number in range(40)])
    for number in range(TEXTS):
        columns[f"t{number}"] = towns.take(pa.array(dice.integers(0, 5 * (number + 1), rows)))
    columns["label"] = np.where(x[:, 0] > 0, 1, 0) + np.where(x[:, 1] > 0, 2, 0)
    parquet.write_table(pa.table(columns), path, row_group_size=250_000)


def scan(folder: Path) -> None:
    """Read every column, and its least and greatest value: nobody can look at all values for less."""
    from pyarrow import compute, parquet

    with parquet.ParquetFile(folder / "reference.parquet") as file:
        for group in range(file.num_row_groups):
            for column in file.read_row_group(group, use_threads=False).columns:
                compute.min_max(column)


def profile(folder: Path) -> None:
    """Make the profile."""
    from pratique import profiles

    profiles.build(folder / "reference.parquet", label="label").save(folder / "profile.json")


def check(folder: Path) -> None:
    """Check another batch against it, with the proposed suite."""
    from pratique.artifacts import open_artifact
    from pratique.checking import Severity, options_for, run
    from pratique.checks.dataset import dataset

    options = options_for(dataset, {"profile": str(folder / "profile.json")})
    report = run(dataset, open_artifact(folder / "batch.parquet", kind="dataset", into=folder / "copy"), options)
    grave = [one.message for one in report.findings if one.severity > Severity.NOTE]
    if grave or report.measures["evaluated"] < report.measures["expectations"]:
        raise SystemExit(f"the batch is like the reference, and was found to be otherwise: {grave}")


def imports(folder: Path) -> None:
    """What all three import."""
    import great_expectations  # noqa: F401
    import pandas as pd  # noqa: F401
    from pyarrow import compute, parquet  # noqa: F401
    from scipy import stats  # noqa: F401

    import pratique.expectations  # noqa: F401


def _child(function: Callable[[Path], None], folder: Path, answer: Any) -> None:
    if function is not imports:
        imports(folder)
    start = time.process_time()
    function(folder)
    answer.send((time.process_time() - start, most()))


def most() -> float:
    """MiB that this process held at its peak; unlike ru_maxrss not what its parent held before."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def alone(function: Callable[[Path], None], folder: Path) -> tuple[float, float]:
    """Seconds of CPU and MiB at the peak, of a function in a process of its own."""
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_child, args=(function, folder, theirs))
    process.start()
    theirs.close()
    found: tuple[float, float] = mine.recv()
    process.join()
    return found


def measure(rows: int = 1_000_000) -> list[Row]:
    """The better of two runs in seconds, the worse in memory."""
    found = []
    with tempfile.TemporaryDirectory(prefix="pratique-dataset-") as name:
        folder = Path(name)
        for seed, batch in enumerate(("reference", "batch")):
            write(folder / f"{batch}.parquet", rows, seed)
        figures = {one.__name__: [alone(one, folder) for _ in range(2)] for one in (imports, scan, profile, check)}
    seconds = {key: min(one for one, _ in several) for key, several in figures.items()}
    memory = {key: max(one for _, one in several) for key, several in figures.items()}
    size = f"{rows:,} rows, {NUMBERS + TEXTS + 1} columns"
    peer = f"raw scan {seconds['scan']:.3g} s"
    for what, key in ((f"profile of {size}", "profile"), (f"check of {size}", "check")):
        found += [
            Row(
                what=what, figure=seconds[key], unit="s of CPU", peer=peer, ratio=seconds["scan"] / seconds[key],
                goal="at least 0.5", note=NOTES[key],
            ),
            Row(what=f"memory for the {key}", figure=memory[key], unit="MiB", goal="under 500"),
        ]  # fmt: skip
    found.append(Row(what="what both import", figure=seconds["imports"], unit="s of CPU", note=f"{memory['imports']:,.0f} MiB"))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    print(table(measure(parser.parse_args().rows)))
