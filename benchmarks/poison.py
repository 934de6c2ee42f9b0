"""False alarms and power of the `dataset` check's proposed suite, through the check itself.

    python benchmarks/poison.py                             a few minutes: digits 5-9, 40 clean and 10 attacked splits a case
    python benchmarks/poison.py --data wine --clean 300     any of digits5, digits, breast_cancer, wine

Every trial is a fresh random half as the reference and the other half as the batch. An alarm is any finding above a note.
Figures in docs/checks/dataset.md come from this script; it needs scikit-learn, which brings the data.
"""

# ruff: noqa: TID253
from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Callable
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


def clean(batch: Batch, rng: np.random.Generator) -> Batch:
    """Nothing done."""
    return batch


def flips(rate: float) -> Attack:
    """A share of the labels replaced by another label."""

    def attack(batch: Batch, rng: np.random.Generator) -> Batch:
        labels, known = batch["label"].to_numpy().copy(), np.unique(batch["label"])
        rows = rng.choice(len(batch), round(rate * len(batch)), replace=False)
        old = np.searchsorted(known, labels[rows])
        labels[rows] = known[(old + rng.integers(1, len(known), len(rows))) % len(known)]
        return batch.assign(label=labels)

    return attack


def copies(rate: float, noise: float = 0.05) -> Attack:
    """A share of the rows replaced by copies of few others (four each), with noise in units of each column's deviation."""

    def attack(batch: Batch, rng: np.random.Generator) -> Batch:
        count = max(2, round(rate * len(batch)))
        order = rng.permutation(len(batch))
        targets, sources = order[:count], order[count : count + max(1, count // 4)]
        changed, x = batch.copy(), batch.drop(columns="label").to_numpy(dtype=float, copy=True)
        origin = sources[np.arange(count) % len(sources)]
        x[targets] = x[origin] + noise * x.std(0) * rng.standard_normal((count, x.shape[1]))
        changed[changed.columns.drop("label")] = x
        labels = batch["label"].to_numpy().copy()
        labels[targets] = labels[origin]
        return changed.assign(label=labels)

    return attack


def scaled(batch: Batch, rng: np.random.Generator) -> Batch:
    """Every value at 70 % (a darker camera, another unit)."""
    return batch.assign(**{name: 0.7 * batch[name] for name in batch.columns if name != "label"})


def mirrored(batch: Batch, rng: np.random.Generator) -> Batch:
    """Every value mirrored within its column's range (inverted images)."""
    return batch.assign(**{n: batch[n].max() + batch[n].min() - batch[n] for n in batch.columns if n != "label"})


def fewer(batch: Batch, rng: np.random.Generator) -> Batch:
    """Half of one label's rows missing."""
    rows = np.flatnonzero(batch["label"] == batch["label"].iloc[0])
    return batch.drop(index=batch.index[rows[: len(rows) // 2]])


CASES: dict[str, Attack] = {
    "clean": clean,
    "flips 2 %": flips(0.02), "flips 5 %": flips(0.05), "flips 10 %": flips(0.10),
    "copies 1 %": copies(0.01), "copies 3 %": copies(0.03), "copies 5 %": copies(0.05), "copies 5 %, coarse": copies(0.05, 0.3),
    "scaled by .7": scaled, "mirrored": mirrored, "half of a label missing": fewer,
}  # fmt: skip


def trial(table: Batch, attack: Attack, seed: int, folder: Path, rate: float) -> list[str]:
    """The rules that the check names for one random split."""
    from pratique import profiles
    from pratique.artifacts import open_artifact
    from pratique.checking import Severity, options_for, run
    from pratique.checks.dataset import dataset

    rng = np.random.default_rng(seed)
    order, half = rng.permutation(len(table)), len(table) // 2
    reference, batch = (table.iloc[part].reset_index(drop=True) for part in (order[:half], order[half:]))
    profiles.build(reference, label="label").save(folder / "profile.json")
    attack(batch, rng).to_csv(folder / "batch.csv", index=False)
    options = options_for(dataset, {"profile": str(folder / "profile.json"), "false_alarm_rate": rate})
    report = run(dataset, open_artifact(folder / "batch.csv", kind="dataset", into=folder), options)
    return sorted({finding.rule for finding in report.findings if finding.severity > Severity.NOTE})


def interval(hits: int, trials: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval of a proportion."""
    from scipy import stats

    low = float(stats.beta.ppf(0.025, hits, trials - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(0.975, hits + 1, trials - hits)) if hits < trials else 1.0
    return low, high


def main() -> None:
    """Print a line per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits5", choices=["digits5", "digits", "breast_cancer", "wine"])
    parser.add_argument("--clean", type=int, default=40, help="clean splits")
    parser.add_argument("--attacked", type=int, default=10, help="attacked splits per case")
    parser.add_argument("--rate", type=float, default=0.01, help="false alarm rate that the suite is given")
    parser.add_argument("--seed", type=int, default=0, help="of the first split; the others follow")
    chosen = parser.parse_args()
    table = load(chosen.data)
    half = len(table) - len(table) // 2
    print(f"{chosen.data}: reference and batch {half} rows, {table.shape[1] - 1} columns, false_alarm_rate {chosen.rate}")
    for name, attack in CASES.items():
        trials = chosen.clean if name == "clean" else chosen.attacked
        rules: Counter[str] = Counter()
        hits = 0
        for seed in range(chosen.seed, chosen.seed + trials):
            with tempfile.TemporaryDirectory() as folder:
                found = trial(table, attack, seed, Path(folder), chosen.rate)
            hits += bool(found)
            rules.update(found)
        if trials:
            low, high = interval(hits, trials)
            print(
                f"{name:24s} alarms {hits:3d} of {trials:3d} = {hits / trials:.3f} [{low:.3f}, {high:.3f}]  {dict(rules)}",
                flush=True,
            )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
