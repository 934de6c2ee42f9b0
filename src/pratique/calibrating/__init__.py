"""What a suite really does: its alarm rate on clean rows that it has never seen, and what poison it finds.

    measured = calibrating.calibrate("suite.json", "profile.json", "held-back.csv")
    measured.clean.rate, [(one.kind, one.share, one.found.rate) for one in measured.power]
    calibrating.write("suite.json", measured)           # into the suite's metadata

The held-back rows are approved rows that the profile was not made of. A false-alarm rate that holds by theory may not hold for
data that has families, sessions or days in it: rows of one family are in the reference or in the batch, and nothing is
exchangeable. Here is where that shows. What a suite was not seen to find, it must not be trusted to find: a policy can ask for
power (`must_detect` of the check `dataset`), and without it the check's silence is reported as inconclusive.

No figure holds for a reference that is poisoned itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from pratique.calibrations import Calibration

__all__ = ["Calibration", "calibrate", "write"]

SHARES = (0.005, 0.01, 0.02, 0.05)
"""Poisoned rows per row that are tried."""


def calibrate(
    suite: str | os.PathLike[str],
    profile: str | os.PathLike[str],
    held_back: str | os.PathLike[str],
    *,
    rows: int | None = None,
    clean: int = 300,
    planted: int = 20,
    kinds: Sequence[str] | None = None,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, steps: None,
) -> Calibration:
    """Run a suite on random batches of held-back rows, clean and poisoned. About half a second a batch.

    Args:
        suite: a suite file.
        profile: the profile that batches will be compared with.
        held_back: a table of approved rows that are not in the reference.
        rows: of each batch; half of the held-back rows if not given.
        clean: batches with nothing planted.
        planted: batches of each kind and share.
        kinds: of poison, by name (`pratique.calibrating.planting`); all of them if not given.
        shares: poisoned rows per row, each above 0 and at most 1/2.
        seed: of what is drawn and planted.
        progress: told how many batches are done, and of how many.

    Raises:
        UsageError: the files or numbers cannot serve; the message says which and why.
        CheckError: Great Expectations gave up on the suite.
    """
    from pratique.calibrating.measuring import measure

    return measure(
        suite, profile, held_back, rows=rows, clean=clean, planted=planted, kinds=kinds, shares=shares, seed=seed,
        progress=progress,
    )  # fmt: skip


def write(suite: str | os.PathLike[str], measured: Calibration) -> None:
    """Put a calibration into the metadata of the suite file that it was made of.

    Raises:
        UsageError: the suite is another one by now, or cannot be written.
    """
    import json
    from pathlib import Path

    from pratique import calibrations, suites
    from pratique.errors import UsageError

    document = suites.read(suite)
    if calibrations.expectations_digest(document) != measured.expectations:
        raise UsageError(f"{suite} has other expectations than those that were calibrated", hint="calibrate it again")
    document["meta"] = {**(document.get("meta") or {}), calibrations.KEY: measured.model_dump(mode="json")}
    try:
        Path(suite).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write the suite {suite}: {error.strerror}") from error
