"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)  # a Monday morning, no holiday in Hesse


class ManualClock:
    """Wall clock and monotonic clock of a test, moving together."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._monotonic = 1000.0

    def now(self) -> datetime:
        """Return the moment, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds since an arbitrary point."""
        return self._monotonic

    def advance(self, by: timedelta | float) -> datetime:
        """Move both forward (seconds, or a timedelta) and return the new moment."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        if step < timedelta(0):
            raise ValueError("time does not go back")
        self._now += step
        self._monotonic += step.total_seconds()
        return self._now
