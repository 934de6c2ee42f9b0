"""What a suite was measured to catch, as the suite's own metadata hold it.

    suite["meta"]["calibration"]        # written by pratique.calibrating, read by the check `dataset`

A calibration holds for one list of expectations, one profile, and batches of one size. Whoever edits the suite has to measure
again: `shortfalls` says so, and says what was asked for and is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pratique import documents
from pratique.errors import Malformed, UsageError

KEY = "calibration"
"""Where a suite's metadata hold it."""


class _Part(BaseModel):
    """Nothing that is not declared, nothing converted in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Alarms(_Part):
    """How often a suite failed."""

    alarms: int = Field(ge=0)
    """Batches that met not every expectation, whatever its severity."""

    trials: int = Field(ge=1)
    """Batches in all."""

    low: float = Field(ge=0, le=1)
    """Lower end of the exact 95 % interval of the rate (Clopper and Pearson, 1934)."""

    high: float = Field(ge=0, le=1)
    """Its upper end."""

    @classmethod
    def count(cls, alarms: int, trials: int) -> Alarms:
        """With its interval."""
        from scipy import stats

        low = float(stats.beta.ppf(0.025, alarms, trials - alarms + 1)) if alarms else 0.0
        high = float(stats.beta.ppf(0.975, alarms + 1, trials - alarms)) if alarms < trials else 1.0
        return cls(alarms=alarms, trials=trials, low=low, high=high)

    @property
    def rate(self) -> float:
        """Alarms per batch."""
        return self.alarms / self.trials


class Power(_Part):
    """What became of batches with one kind of poison."""

    kind: str = Field(min_length=1)
    """Its name in `pratique.calibrating.planting`."""

    share: float = Field(gt=0, le=1)
    """Poisoned rows per row."""

    found: Alarms
    """Batches that failed."""


class Calibration(_Part):
    """What a suite was measured to catch."""

    format: Literal["pratique-calibration-v1"] = "pratique-calibration-v1"
    """Changes when older readers would misread a newer one."""

    profile: str
    """Digest of the profile."""

    expectations: str
    """Digest of the suite's list of expectations."""

    rows: int = Field(ge=1)
    """Rows of each batch."""

    held_back: int = Field(ge=1)
    """Rows that the batches were drawn from, none of them in the reference. Batches overlap: intervals are a little narrow."""

    clean: Alarms
    """Batches with nothing planted."""

    power: list[Power] = Field(max_length=1000)
    """The others."""


def expectations_digest(document: Mapping[str, Any]) -> str:
    """Names a suite's list of expectations; what else the suite says does not matter."""
    return documents.sha256(documents.canonical(document["expectations"]))


def read(document: Mapping[str, Any]) -> Calibration | None:
    """The calibration in a suite's metadata, if there is one.

    Raises:
        Malformed: there is something else.
    """
    meta = document.get("meta")
    if not isinstance(meta, Mapping) or meta.get(KEY) is None:
        return None
    try:
        return Calibration.model_validate(meta[KEY])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Malformed(
            f"the suite's calibration cannot be read: {where}: {first['msg']}",
            hint="pratique suite calibrate makes it again; nobody edits it",
        ) from error


def parse_demand(text: str) -> tuple[str, float]:
    """`kind=share`, as a policy asks for it.

    Raises:
        UsageError: it is spelt otherwise.
    """
    kind, _, number = text.partition("=")
    try:
        share = float(number)
    except ValueError:
        share = -1.0
    if not kind or not 0 < share <= 1:
        raise UsageError(f"{text!r} is no demand for power", hint="write kind=share, for example flipped-labels=0.02")
    return kind, share


def shortfalls(
    document: Mapping[str, Any], *, profile: str, rows: int, demands: Sequence[str], power: float
) -> list[str]:  # fmt: skip
    """Why a suite's silence about a batch says less than a policy asks; nothing if it says enough.

    Args:
        document: the suite.
        profile: digest of the profile that the batch is compared with.
        rows: rows of the batch.
        demands: kinds and shares of poison that the suite must be able to see, each `kind=share`.
        power: how often it must have seen them: the lower end of the interval counts, not the luck of few trials.
    """
    if not demands:
        return []
    known = read(document)
    if known is None:
        return ["the suite holds no calibration"]
    reasons = []
    if known.expectations != expectations_digest(document):
        reasons.append("the suite's expectations changed since they were calibrated")
    if known.profile != profile:
        reasons.append("the suite was calibrated with another profile")
    if rows < known.rows:
        reasons.append(f"the batch has {rows} rows, and batches of {known.rows} were calibrated")
    for kind, share in map(parse_demand, demands):
        tried = [one for one in known.power if one.kind == kind and one.share <= share * (1 + 1e-9)]
        best = max(tried, key=lambda one: one.found.low, default=None)
        if best is None:
            reasons.append(f"{kind} at {share:.3g} was not tried")
        elif best.found.low < power:
            seen = f"{best.found.alarms} of {best.found.trials}"
            reasons.append(f"{kind} at {share:.3g} was seen in {seen} batches, at least {best.found.low:.2f} of all")
    return reasons
