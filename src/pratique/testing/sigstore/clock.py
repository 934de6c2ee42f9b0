"""A clock that a test sets."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone


class Clock:
    """What the services' clock shows; calling it reads it. It stands still once it has been set."""

    def __init__(self) -> None:
        self._set: datetime | None = None

    def __call__(self) -> datetime:
        """The time."""
        return self._set or datetime.now(timezone.utc)

    def set(self, at: datetime) -> None:
        """Show this time from now on."""
        self._set = at

    def advance(self, by: timedelta) -> None:
        """Show a later time, or with a negative span an earlier one."""
        self._set = self() + by

    def reset(self) -> None:
        """Show the true time again."""
        self._set = None
