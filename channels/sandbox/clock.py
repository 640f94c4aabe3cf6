"""The sandbox's one clock: the machine's time, or a demo's fixed start that runs on from there.

Certificates are the exception: they are checked against the machine's time and so are made with it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Time in UTC. ``starts_at``: the instant at which this clock begins to run, or None for the machine's time."""

    def __init__(self, starts_at: datetime | None = None) -> None:
        self._offset = starts_at - self.machine_now() if starts_at else timedelta()

    @staticmethod
    def machine_now() -> datetime:
        """Return the machine's time, whatever start was asked for."""
        return datetime.now(UTC)  # noqa: TID251 -- a program of its own: this is where its time comes from

    def now(self) -> datetime:
        """Return the current instant, timezone-aware."""
        return self.machine_now() + self._offset
