"""False alarms and power of the proposed suite, by kind and share of planted poison, each trial on a fresh random split.

    python benchmarks/power.py --data digits5 --clean 100 --planted 0 --seed 1000 >> digits5.jsonl     # some minutes each
    python benchmarks/power.py --data digits5 --clean 0 --planted 5 --seed 1000 >> digits5.jsonl
    python benchmarks/power.py --table digits5.jsonl                                                   # adds them up

Reference and batch are random halves of a table that ships with scikit-learn; what is planted is what `pratique.calibrating`
plants. An alarm is anything that would not let the batch pass. `benchmarks/poison.py` measures the same suite by other attacks,
through files and the whole check.
"""

# ruff: noqa: TID253
from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

SHARES = (0.005, 0.01, 0.02, 0.05)


def load(name: str) -> Any:
    """A table that ships with scikit-learn, in random order by its rows' own numbers."""
    import pandas as pd
    from sklearn import datasets

    source = datasets.load_digits if name.startswith("digits") else getattr(datasets, f"load_{name}")
    x, y = source(return_X_y=True)
    keep = y >= 5 if name == "digits5" else y >= 0
    return pd.DataFrame(x[keep], columns=[f"x{i}" for i in range(x.shape[1])]).assign(label=y[keep])


def trial(table: Any, seed: int, cases: list[tuple[str, float]], rate: float) -> list[list[str]]:
    """For one split, the types of expectations that failed in each case."""
    from pratique import profiles
    from pratique.calibrating.planting import KINDS
    from pratique.checks.dataset.running import Question, run

    order, half = np.random.default_rng(seed).permutation(len(table)), len(table) // 2
    reference, batch = (table.iloc[part].reset_index(drop=True) for part in (order[:half], order[half:]))
    profile = profiles.build(reference)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profile.json"
        profile.save(path)
        asked = Question(profile=profile, profile_path=path, suite=None, false_alarm_rate=rate, min_rows=50, materials=())
        for kind, share in cases:
            rng = np.random.default_rng([seed, 1])
            count = max(1, round(share * len(batch)))
            outcome = run(asked, batch if kind == "clean" else KINDS[kind](batch, "label", count, rng))
            found.append([one.type for one in outcome.results if not one.success or one.vacuous] + list(outcome.lost))
    return found


def added_up(path: Path) -> None:
    """The lines of one table as markdown."""
    from pratique.calibrations import Alarms

    alarms: Counter[tuple[str, float]] = Counter()
    trials: Counter[tuple[str, float]] = Counter()
    why: dict[tuple[str, float], Counter[str]] = {}
    for line in path.read_text().splitlines():
        one = json.loads(line)
        case = one["kind"], one["share"]
        trials[case] += 1
        alarms[case] += bool(one["failed"])
        why.setdefault(case, Counter()).update(one["failed"])
    for case in sorted(trials):
        found = Alarms.count(alarms[case], trials[case])
        most = ", ".join(f"{name.removeprefix('expect_')} {count}" for name, count in why[case].most_common(3))
        print(
            f"| {case[0]} | {case[1]:.1%} | {found.alarms} of {found.trials} | {found.low:.3f} to {found.high:.3f} | {most} |"
        )


def main() -> None:
    """A JSON line per trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits5", choices=["digits5", "digits", "breast_cancer", "wine"])
    parser.add_argument("--clean", type=int, default=100, help="splits with nothing planted")
    parser.add_argument("--planted", type=int, default=5, help="splits with each kind and share")
    parser.add_argument("--rate", type=float, default=0.01, help="false alarm rate that the suite is given")
    parser.add_argument("--seed", type=int, default=0, help="of the first split; the others follow")
    parser.add_argument("--table", type=Path, help="add up the lines of a file instead")
    chosen = parser.parse_args()
    if chosen.table:
        added_up(chosen.table)
        return
    from pratique.calibrating.planting import KINDS

    table = load(chosen.data)
    poison = [(kind, share) for kind in KINDS for share in SHARES]
    for number in range(max(chosen.clean, chosen.planted)):
        cases = [("clean", 0.0)] * (number < chosen.clean) + poison * (number < chosen.planted)
        for (kind, share), failed in zip(cases, trial(table, chosen.seed + number, cases, chosen.rate), strict=True):
            print(json.dumps({"kind": kind, "share": share, "failed": failed}), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
