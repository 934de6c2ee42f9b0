"""Whether a table has the columns of the reference, holding the same kinds of values."""

from __future__ import annotations

from typing import Any, ClassVar

from pratique.errors import CheckError
from pratique.expectations.base import COUNTS, CountsExpectation
from pratique.profiles import Profile


class ExpectTableSchemaToMatchProfile(CountsExpectation):
    """Expect exactly the columns of the profile, in any order: numbers where it has numbers, text where it has text."""

    sentence: ClassVar[str] = "The table must have the columns of the profile, with values of the same kinds."
    success_keys: ClassVar[tuple[str, ...]] = ("profile",)
    args_keys: ClassVar[tuple[str, ...]] = ("profile",)

    def judge(self, profile: Profile, metrics: dict[str, Any], wanted: dict[str, Any]) -> tuple[bool, Any, dict[str, Any]]:
        """Compare names and kinds."""
        counted = metrics[COUNTS]
        if not counted.rows:
            raise CheckError("the batch has no rows, so its columns hold nothing that could be compared")
        details = {"missing": counted.missing, "unexpected": counted.unexpected, "other_kind": counted.unlike}
        problems = len(counted.missing) + len(counted.unexpected) + len(counted.unlike)
        return problems == 0, problems, {name: value for name, value in details.items() if value}
