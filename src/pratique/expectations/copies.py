"""Copies of rows: exact, and nearly exact."""

from __future__ import annotations

from typing import Any, ClassVar

from pratique.comparing import copies
from pratique.errors import CheckError
from pratique.expectations.base import ROWS, Number, RowsExpectation
from pratique.expectations.labels import encode
from pratique.profiles import Duplicates, Neighbours, Profile


class ExpectTableRowsToBeDistinct(RowsExpectation):
    """Expect few rows that repeat another row exactly.

    Args:
        profile: path of a profile, or a suite parameter.
        share: of repeated rows that is always allowed. Twice the share of the reference is allowed too, and in a batch larger
            than the reference as many times that.
    """

    share: Number = 0.01

    success_keys: ClassVar[tuple[str, ...]] = ("profile", "share")
    args_keys: ClassVar[tuple[str, ...]] = ("profile", "share")

    def judge(self, profile: Profile, metrics: dict[str, Any], wanted: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        """Count exact repeats."""
        frame = metrics[ROWS]
        if frame.empty:
            raise CheckError("the batch has no rows")
        found = copies.exact(frame)
        allowed = _allowed_share(wanted["share"], profile.duplicates, profile.rows, len(frame))
        return found.share <= allowed, found.share, {"allowed": allowed, **_described(found)}


class ExpectNearDuplicateClustersToBeSmallerThan(RowsExpectation):
    """Expect no group of `size` or more rows that are nearly equal, and few such rows in all.

    Injected near copies are how a few rows get the weight of many. How near is too near comes from the reference's own
    neighbour distances (`pratique.comparing.copies`); the label takes no part. Twice what the reference itself has is allowed.

    Args:
        profile: path of a profile, or a suite parameter.
        size: rows of the smallest group that fails.
        share: of rows beyond the first of their group that is always allowed.
    """

    size: Number = 3
    share: Number = 0.01

    success_keys: ClassVar[tuple[str, ...]] = ("profile", "size", "share")
    args_keys: ClassVar[tuple[str, ...]] = ("profile", "size", "share")

    def judge(self, profile: Profile, metrics: dict[str, Any], wanted: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        """Link rows that are nearer than chance explains."""
        frame, known = metrics[ROWS], profile.neighbours
        if frame.empty:
            raise CheckError("the batch has no rows")
        if known is None:
            raise CheckError("no column of the profile tells rows apart")
        compared = min(len(frame), copies.MOST_ROWS)
        radius = copies.radius(known.nearness, known.rows, compared)
        found = copies.near(encode(frame, profile), radius)
        size = max(wanted["size"], _explained_size(known, radius, compared))
        share = _allowed_share(wanted["share"], known.copies, known.rows, compared)
        details = {"share": found.share, "allowed_share": share, "allowed_below": size, "compared": compared}
        return found.largest < size and found.share <= share, found.largest, {**details, **_described(found)}


def _explained_size(known: Neighbours, radius: float, batch: int) -> float:
    """The smallest group that the reference does not explain."""
    size = 1 + 2 * known.copies.largest * max(1.0, batch / known.rows) if known.copies.largest > 1 else 0.0
    if radius < 1:  # nothing but equal codes: few distinct values, or few columns
        return max(size, copies.chance_size(known.copies.pairs, known.rows, batch))
    return size


def _allowed_share(share: float, reference: Duplicates, rows: int, batch: int) -> float:
    return max(share, 2 * reference.share * max(1.0, batch / rows))  # the share of repeats grows with the number of rows


def _described(found: copies.Copies) -> dict[str, Any]:
    return {"largest": found.largest, "extra": found.extra, "groups": [list(group) for group in found.groups]}
