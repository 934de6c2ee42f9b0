"""Running a suite on batches that are known to be clean, and on batches that are known not to be."""

# ruff: noqa: TID253
from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pratique import calibrations, profiles, suites, tables
from pratique.calibrating.planting import KINDS, Plant
from pratique.calibrations import Alarms, Calibration, Power
from pratique.checks.dataset import running
from pratique.comparing import encoding
from pratique.errors import UsageError

_MOST_SEEN = 0.2
"""Share of held-back rows that may equal reference rows, beyond what the reference repeats of itself."""


def measure(
    suite: str | os.PathLike[str],
    profile: str | os.PathLike[str],
    held_back: str | os.PathLike[str],
    *,
    rows: int | None,
    clean: int,
    planted: int,
    kinds: Sequence[str] | None,
    shares: Sequence[float],
    seed: int,
    progress: Callable[[int, int], None],
) -> Calibration:
    """See `pratique.calibrating.calibrate`."""
    document, reference = suites.read(suite), profiles.load(profile)
    table = tables.read(Path(held_back))
    frame = _labelled(table.frame, reference)
    rows = len(frame) // 2 if rows is None else rows
    plants = _plants(reference, kinds)
    _refuse(rows, frame, clean, planted, shares)
    _refuse_reference(frame, reference)
    running.refuse_other_profiles(document)
    question = running.Question(
        profile=reference, profile_path=Path(profile), suite=document, false_alarm_rate=0.01, min_rows=20, materials=()
    )  # fmt: skip

    names = [column.name for column in reference.columns if column.role != "ignored" and column.name in frame.columns]
    steps, done = clean + planted * len(plants) * len(shares), 0

    def alarms(trials: int, stream: int, plant: Plant | None = None, count: int = 0) -> Alarms:
        nonlocal done
        found = 0
        for number in range(trials):
            progress(done, steps)
            done += 1
            rng = np.random.default_rng([seed, stream, number])
            batch = frame.iloc[rng.choice(len(frame), rows, replace=False)].reset_index(drop=True)
            if plant is not None and reference.label is not None:
                changed = plant(batch[names], reference.label.name, count, rng)  # what is ignored shows nothing
                batch = batch.assign(**{name: changed[name] for name in names})
            found += _is_alarm(running.run(question, batch))
        return Alarms.count(found, trials)

    power = [
        Power(
            kind=kind, share=share, found=alarms(planted, 1 + place * len(shares) + index, plant, max(1, round(share * rows)))
        )
        for place, (kind, plant) in enumerate(plants.items())
        for index, share in enumerate(shares)
    ]
    return Calibration(
        profile=reference.digest, expectations=calibrations.expectations_digest(document), rows=rows, held_back=len(frame),
        clean=alarms(clean, 0), power=power,
    )  # fmt: skip


def _is_alarm(outcome: running.Outcome) -> bool:
    """Whatever would not let a batch pass: failed, not evaluated, or lost."""
    return bool(outcome.lost) or any(not one.success or one.vacuous for one in outcome.results)


def _labelled(frame: Any, reference: profiles.Profile) -> Any:
    label = reference.label
    if label is None or label.name not in frame.columns:
        return frame
    return frame.dropna(subset=[label.name]).reset_index(drop=True)


def _plants(reference: profiles.Profile, kinds: Sequence[str] | None) -> Mapping[str, Plant]:
    if reference.label is None:
        raise UsageError("the profile has no label, and poison is planted by label", hint="make a profile with one")
    unknown = [kind for kind in kinds or () if kind not in KINDS]
    if unknown:
        raise UsageError(f"no poison is called {unknown[0]!r}", hint=f"there are {', '.join(KINDS)}")
    return {kind: KINDS[kind] for kind in (KINDS if kinds is None else kinds)}


def _refuse(rows: int, frame: Any, clean: int, planted: int, shares: Sequence[float]) -> None:
    if not 20 <= rows <= len(frame):
        raise UsageError(f"batches of {rows} rows cannot be drawn from {len(frame)}", hint="at least 20, better some hundred")
    if min(clean, planted) < 1:
        raise UsageError("every rate needs at least one trial")
    wrong = [share for share in shares if not 0 < share <= 0.5]
    if wrong or not shares:
        raise UsageError(f"shares of poison are above 0 and at most 0.5, not {list(shares)}")


def _refuse_reference(frame: Any, reference: profiles.Profile) -> None:
    """Rows of the reference itself would make every suite look too good: no alarm, and nothing near."""
    if reference.sample is None or any(column.name not in frame.columns for column in reference.columns):
        return
    codes = encoding.encode(frame, reference.columns)
    known = {row.tobytes() for row in np.ascontiguousarray(reference.sample.arrays()[0])}
    seen = sum(row.tobytes() in known for row in np.ascontiguousarray(codes)) / len(codes)
    if seen > _MOST_SEEN + reference.duplicates.share:
        raise UsageError(
            f"{seen:.0%} of the held-back rows are rows of the reference", hint="hold rows back before the profile is made"
        )  # fmt: skip
