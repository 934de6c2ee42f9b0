"""Where a finding lies: which file of an artifact, and where in it.

    within("sub/x.pkl, byte 28", ["sub/x.pkl"])       # Place(file="sub/x.pkl", detail="byte 28", offset=28)
    within("m.pt, member m/data.pkl, byte 14", ...)   # Place(file="m.pt", detail="member m/data.pkl, byte 14", offset=None)
    within("a.zip/sub/x.pkl, byte 28", ["a.zip"])     # Place(file="a.zip", detail="member sub/x.pkl, byte 28", offset=None)

The `where` of a finding is text for people. Only what begins with the path of a file that is there is taken for a place in it.
A file called `a, byte 5` beside one called `a` makes a place that could be either; it goes to the longer name, and no verdict
hangs on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_ENDS = re.compile(r", |/")
"""What can stand behind the path of a file: a place in it, or the path of a member of an archive."""

_OFFSET = re.compile(r"byte (\d{1,3}(?:,\d{3})*)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A file, and a place in it."""

    file: str
    """Path inside the artifact."""

    detail: str = ""
    """The rest, for people: `byte 28`, `member data.pkl, byte 14`; '' for the file as a whole."""

    offset: int | None = None
    """Bytes from the beginning of the file, if that is all that the rest says; within members of archives there is no such."""


def within(where: str, files: Iterable[str]) -> Place | None:
    """The place that a finding names; None if it names none of these files."""
    known = files if isinstance(files, set | frozenset) else frozenset(files)
    if where in known:
        return Place(file=where)
    for end in reversed(list(_ENDS.finditer(where))):
        file, rest = where[: end.start()], where[end.end() :]
        if file not in known:
            continue
        if end[0] == "/":
            return Place(file=file, detail=f"member {rest}")
        found = _OFFSET.match(rest)
        return Place(file=file, detail=rest, offset=int(found[1].replace(",", "")) if found else None)
    return None
