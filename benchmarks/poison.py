"""False alarms and power of the `dataset` check's proposed suite, through the check itself.

    python benchmarks/poison.py                                  digits 5-9: some minutes
    python benchmarks/poison.py --data wine digits --clean 300   any of digits5, digits, breast_cancer, wine
    python benchmarks/poison.py --markdown                       the tables of docs/checks/dataset.md

Every trial is a fresh random half as the reference and the other half as the batch. An alarm is any finding above a note;
"as named" counts only trials in which the rule that fits the attack was among them. Attacked values stay in their column's
range, and whole numbers stay whole: what a range or a type would give away is no test of statistics. Figures in
docs/checks/dataset.md come from this script; it needs scikit-learn, which brings the data.
"""

# ruff: noqa: TID253
from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Batch = Any
"""A pandas DataFrame with a column `label`."""

Attack = Callable[[Batch, np.random.Generator], Batch]


def load(name: str) -> Batch:
    """A table that ships with scikit-learn."""
    import pandas as pd
    from sklearn import datasets

    source = {"digits5": datasets.load_digits, "digits": datasets.load_digits}.get(name) or getattr(datasets, f"load_{name}")
    x, y = source(return_X_y=True)
    keep = y >= 5 if name == "digits5" else y >= 0
    columns = [f"p{i // 8}{i % 8}" if x.shape[1] == 64 else f"x{i}" for i in range(x.shape[1])]
    return pd.DataFrame(x[keep], columns=columns).assign(label=y[keep])


def features(batch: Batch) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The values without the label."""
    return batch.drop(columns="label").to_numpy(dtype=float, copy=True)


def with_features(batch: Batch, x: Any) -> Batch:
    """The batch with other values, which stay in the columns' ranges and whole where all were whole."""
    old = features(batch)
    whole = (old == np.round(old)).all(axis=0)
    x = np.clip(np.where(whole, np.round(x), x), old.min(axis=0), old.max(axis=0))
    return batch.assign(**dict(zip(batch.columns.drop("label"), x.T, strict=True)))


def clean(batch: Batch, rng: np.random.Generator) -> Batch:
    """Nothing done."""
    return batch


def flips(rate: float, *, one_way: bool = False) -> Attack:
    """A share of the labels replaced by another label; or rows of the first label by the second."""

    def attack(batch: Batch, rng: np.random.Generator) -> Batch:
        labels, known = batch["label"].to_numpy().copy(), np.unique(batch["label"])
        rows = rng.choice(len(batch), round(rate * len(batch)), replace=False)
        if one_way:
            rows = rng.permutation(np.flatnonzero(labels == known[0]))[: len(rows)]
        old = np.searchsorted(known, labels[rows])
        step = 1 if one_way else rng.integers(1, len(known), len(rows))
        labels[rows] = known[(old + step) % len(known)]
        return batch.assign(label=labels)

    return attack


def copies(rate: float, *, each: int = 4, noise: float = 0.0) -> Attack:
    """A share of the rows replaced by copies of others, so many of each.

    With noise, in deviations of each column; where values are whole, two of them change by one instead.
    """

    def attack(batch: Batch, rng: np.random.Generator) -> Batch:
        count = max(2, round(rate * len(batch)))
        order = rng.permutation(len(batch))
        targets, sources = order[:count], order[count : count + max(1, count // each)]
        origin = sources[np.arange(count) % len(sources)]
        x = features(batch)
        x[targets] = x[origin]
        if noise and (x == np.round(x)).all():
            for row in targets:
                x[row, rng.choice(np.flatnonzero(x.std(0)), 2, replace=False)] += rng.choice([-1, 1], 2)
        elif noise:
            x[targets] += noise * x.std(0) * rng.standard_normal((count, x.shape[1]))
        labels = batch["label"].to_numpy().copy()
        labels[targets] = labels[origin]
        return with_features(batch, x).assign(label=labels)

    return attack


def shifted(deviations: float) -> Attack:
    """The column that varies most (by its quartiles) moved by so many standard deviations."""

    def attack(batch: Batch, rng: np.random.Generator) -> Batch:
        x = features(batch)
        spread = np.subtract(*np.quantile(x, (0.75, 0.25), axis=0)) / np.maximum(x.std(0), 1e-12)
        column = int(np.argmax(spread))
        x[:, column] += deviations * x[:, column].std()
        return with_features(batch, x)

    return attack


def scaled(factor: float) -> Attack:
    """Every value times a factor (a darker camera, another unit)."""
    return lambda batch, rng: with_features(batch, factor * features(batch))


def emptied(rate: float) -> Attack:
    """A share of one column's values missing."""

    def attack(batch: Batch, rng: np.random.Generator) -> Batch:
        column = batch.columns[len(batch.columns) // 2]
        values = batch[column].astype(float).to_numpy(copy=True)
        values[rng.choice(len(values), round(rate * len(values)), replace=False)] = np.nan
        return batch.assign(**{column: values})

    return attack


def fewer(share: float) -> Attack:
    """A share of one label's rows missing."""

    def attack(batch: Batch, rng: np.random.Generator) -> Batch:
        rows = np.flatnonzero(batch["label"] == batch["label"].iloc[0])
        return batch.drop(index=batch.index[rng.permutation(rows)[: round(share * len(rows))]])

    return attack


CASES: dict[str, tuple[Attack, str]] = {
    "clean": (clean, ""),
    **{f"labels flipped, {rate} %": (flips(rate / 100), "label-noise") for rate in (1, 2, 5, 10)},
    "labels flipped one way, 5 %": (flips(0.05, one_way=True), "label-noise"),
    **{f"near copies, {rate} %": (copies(rate / 100, noise=0.05), "near-duplicates") for rate in (1, 2, 5, 8)},
    **{f"near copies, one of each, {rate} %": (copies(rate / 100, each=1, noise=0.05), "near-duplicates") for rate in (2, 5)},
    "near copies, coarse, 5 %": (copies(0.05, noise=0.3), "near-duplicates"),
    **{f"exact copies, {rate} %": (copies(rate / 100), "near-duplicates") for rate in (1, 2, 5)},
    **{f"exact copies, one of each, {rate} %": (copies(rate / 100, each=1), "exact-duplicates") for rate in (2, 5)},
    **{f"one column moved, {size} deviations": (shifted(size), "drift") for size in (0.25, 0.5, 1.0)},
    **{f"all columns times {factor}": (scaled(factor), "drift") for factor in (0.9, 0.8, 0.7)},
    **{f"a column empties, {rate} %": (emptied(rate / 100), "drift") for rate in (5, 10)},
    **{f"a label loses {share} % of its rows": (fewer(share / 100), "label-shift") for share in (25, 50, 75)},
}


def trials(table: Batch, seeds: Iterator[int], cases: dict[str, int], rate: float) -> Iterator[tuple[str, set[str]]]:
    """For random splits, cases with the rules that the check names; each case on as many splits as it says."""
    from pratique import profiles
    from pratique.artifacts import open_artifact
    from pratique.checking import Severity, options_for, run
    from pratique.checks.dataset import dataset

    for number, seed in enumerate(seeds):
        order, half = np.random.default_rng(seed).permutation(len(table)), len(table) // 2
        reference, batch = (table.iloc[part].reset_index(drop=True) for part in (order[:half], order[half:]))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            profiles.build(reference, label="label").save(folder / "profile.json")
            options = options_for(dataset, {"profile": str(folder / "profile.json"), "false_alarm_rate": rate})
            for case, count in cases.items():
                if number < count:
                    CASES[case][0](batch, np.random.default_rng([seed, 1])).to_csv(folder / "batch.csv", index=False)
                    report = run(dataset, open_artifact(folder / "batch.csv", kind="dataset", into=folder / case), options)
                    yield case, {finding.rule for finding in report.findings if finding.severity > Severity.NOTE}


def interval(hits: int, trials: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval of a proportion."""
    from scipy import stats

    low = float(stats.beta.ppf(0.025, hits, trials - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(0.975, hits + 1, trials - hits)) if hits < trials else 1.0
    return low, high


def main() -> None:
    """Print a line per case, for each table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["digits5"], choices=["digits5", "digits", "breast_cancer", "wine"])
    parser.add_argument("--clean", type=int, default=40, help="clean splits")
    parser.add_argument("--attacked", type=int, default=10, help="attacked splits per case")
    parser.add_argument("--rate", type=float, default=0.01, help="false alarm rate that the suite is given")
    parser.add_argument("--seed", type=int, default=0, help="of the first split; the others follow")
    parser.add_argument("--markdown", action="store_true", help="a table")
    chosen = parser.parse_args()
    for name in chosen.data:
        report(name, chosen)


def report(name: str, chosen: argparse.Namespace) -> None:
    """Measure on one table."""
    table = load(name)
    half = len(table) - len(table) // 2
    print(f"\n{name}: reference and batch {half} rows, {table.shape[1] - 1} columns, false_alarm_rate {chosen.rate}\n")
    counts = {case: chosen.clean if case == "clean" else chosen.attacked for case in CASES}
    alarms: Counter[str] = Counter()
    named: Counter[str] = Counter()
    rules: dict[str, Counter[str]] = {case: Counter() for case in CASES}
    seeds = iter(range(chosen.seed, chosen.seed + max(counts.values())))
    for case, found in trials(table, seeds, counts, chosen.rate):
        alarms[case] += bool(found)
        named[case] += CASES[case][1] in found
        rules[case].update(found)
    if chosen.markdown:
        print("| | alarms | as named | 95 % interval |\n|---|---|---|---|")
    for case, count in counts.items():
        if not count:
            continue
        low, high = interval(alarms[case], count)
        right = f"{named[case]} of {count}" if CASES[case][1] else ""
        if chosen.markdown:
            print(f"| {case} | {alarms[case]} of {count} | {right} | {low:.3f} to {high:.3f} |")
        else:
            seen = f"{alarms[case]:3d} of {count:3d} = {alarms[case] / count:.3f} [{low:.3f}, {high:.3f}]"
            print(f"{case:36s} {seen} as named: {right:9s} {dict(rules[case])}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
