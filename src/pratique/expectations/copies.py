"""Copies of rows: exact, and nearly exact."""

from __future__ import annotations

from typing import Any, ClassVar

from pratique.comparing import copies
from pratique.errors import CheckError
from pratique.expectations.base import ALPHA, ROWS, Limits, Number, RowsExpectation
from pratique.expectations.labels import encode, single
from pratique.profiles import Duplicates, Neighbours, Profile

_SHARE = (0.0, 0.5)


class ExpectTableRowsToBeDistinct(RowsExpectation):
    """Expect few rows that repeat another row exactly, in the columns that the profile compares: an id, ignored there, would
    make every row distinct.

    Allowed is twice the share of the reference (in a batch larger than the reference as many times that), and what its few
    rows cannot rule out (`pratique.comparing.copies.explained`).

    Args:
        profile: path of a profile, or a suite parameter.
        share: of repeated rows that is always allowed.
        alpha: probability of failing on an unchanged table.
    """

    share: Number = 0.01
    alpha: Number = 0.001

    sentence: ClassVar[str] = "Rows must not repeat other rows, except a share of $share or what the profile explains."
    limits: ClassVar[Limits] = {"share": _SHARE, "alpha": ALPHA}
    success_keys: ClassVar[tuple[str, ...]] = ("profile", "share", "alpha")
    args_keys: ClassVar[tuple[str, ...]] = ("profile", "share", "alpha")

    def judge(self, profile: Profile, metrics: dict[str, Any], wanted: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        """Count exact repeats."""
        frame = metrics[ROWS]
        if frame.empty:
            raise CheckError("the batch has no rows")
        columns = [column for column in profile.columns if column.role != "ignored"]
        single(frame, columns)
        found = copies.exact(frame.loc[:, [column.name for column in columns]])
        allowed = _allowed(profile.duplicates, profile.rows, len(frame), wanted["share"], wanted["alpha"])
        return found.extra <= allowed, found.share, {"allowed": allowed, **_described(found)}


class ExpectNearDuplicateClustersToBeSmallerThan(RowsExpectation):
    """Expect no group of `size` or more rows that are nearly equal, and few such rows in all.

    Injected near copies are how a few rows get the weight of many. How near is too near comes from the reference's own
    neighbour distances (`pratique.comparing.copies`); the label takes no part. Groups and shares that the reference has, or
    has too few rows to rule out, are allowed: with some hundred rows, groups of three.

    Args:
        profile: path of a profile, or a suite parameter.
        size: rows of the smallest group that fails.
        share: of rows beyond the first of their group that is always allowed.
        alpha: probability of failing on an unchanged table, a third each for the distance, the size and the share.
    """

    size: Number = 3
    share: Number = 0.01
    alpha: Number = 0.003

    sentence: ClassVar[str] = (
        "No $size rows may be nearly equal, and no more rows than a share of $share may nearly repeat others, except what the "
        "profile explains."
    )
    limits: ClassVar[Limits] = {"size": (2, 1000), "share": _SHARE, "alpha": ALPHA}
    success_keys: ClassVar[tuple[str, ...]] = ("profile", "size", "share", "alpha")
    args_keys: ClassVar[tuple[str, ...]] = ("profile", "size", "share", "alpha")

    def judge(self, profile: Profile, metrics: dict[str, Any], wanted: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        """Link rows that are nearer than chance explains."""
        frame, known = metrics[ROWS], profile.neighbours
        if frame.empty:
            raise CheckError("the batch has no rows")
        if known is None:
            raise CheckError("no column of the profile tells rows apart")
        compared, chance = min(len(frame), copies.MOST_ROWS), wanted["alpha"] / 3
        found = copies.near(encode(frame, profile), copies.radius(known.nearness, known.rows, compared, chance))
        size = max(wanted["size"], _explained_size(known, compared, chance))
        allowed = _allowed(known.copies, known.rows, compared, wanted["share"], chance)
        details = {"share": found.share, "allowed": allowed, "allowed_below": size, "compared": compared}
        return found.largest < size and found.extra <= allowed, found.largest, {**details, **_described(found)}


def _explained_size(known: Neighbours, batch: int, chance: float) -> int:
    """The smallest group that the reference does not explain."""
    copied = known.copies
    accident = copies.chance_size(copied.pairs, known.rows, batch, chance)
    return max(accident, copies.usual_size(copied.largest, known.rows, batch, chance))


def _allowed(reference: Duplicates, rows: int, batch: int, share: float, chance: float) -> int:
    """Rows beyond the first of their groups."""
    twice = 2 * reference.share * max(1.0, batch / rows)  # the share of accidents grows with the number of rows
    extra = round(reference.share * rows)
    return max(int(batch * max(share, twice)), copies.explained(extra, reference.pairs, rows, batch, chance))


def _described(found: copies.Copies) -> dict[str, Any]:
    return {"largest": found.largest, "extra": found.extra, "groups": [list(group) for group in found.groups]}
