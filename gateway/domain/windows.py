"""Count what an account may do in a day: limits over windows longer than a minute, in buckets of an hour.

Pure arithmetic on counts; short rates are gateway.queue.limits', and whom an account has written to is in the tables.
A bucket counts until all of it lies outside the window, so that the provider's own moving window is never overdrawn.
Source: platforms.md B-W8 (different people in 24 hours, alarm at 80 %, what is urgent goes before what is not).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.domain.model import Lane

PEOPLE, CALLS = "people", "account"  # kinds: different people, and calls
HOUR = timedelta(hours=1)
SHORT_S = 60.0  # rates up to here are token buckets
NEAR = 0.8  # used part of a window that is told, and where the last fifth is kept for what is not bulk


@dataclass(frozen=True, slots=True)
class Window:
    """At most ``count`` of ``kind`` in ``length``: PEOPLE (different ones) or CALLS."""

    kind: str
    count: int
    length: timedelta = timedelta(days=1)


def hour_of(moment: datetime) -> datetime:
    """Return the start of the bucket that ``moment`` belongs to."""
    return moment.replace(minute=0, second=0, microsecond=0)


def oldest(window: Window, now: datetime) -> datetime:
    """Return the start of the oldest bucket that still counts: 25 of them make a moving day."""
    return hour_of(now - window.length)


def used(window: Window, counts: Mapping[datetime, int], now: datetime) -> int:
    """Return how much of the window is used. counts: by start of the bucket; those outside do not matter."""
    first = oldest(window, now)
    return sum(count for hour, count in counts.items() if hour >= first)


def room(window: Window, taken: int, lane: str) -> int:
    """Return how many more may go in this lane when ``taken`` are used; never below 0."""
    ceiling = int(window.count * NEAR) if lane == Lane.BULK.value else window.count
    return max(ceiling - taken, 0)


def frees_at(window: Window, counts: Mapping[datetime, int], now: datetime) -> datetime:
    """Return when there will be room again: when the oldest bucket with anything in it leaves the window."""
    first = oldest(window, now)
    hours = [hour for hour, count in counts.items() if hour >= first and count > 0]
    return min(hours, default=hour_of(now)) + HOUR + window.length


def crossed(window: Window, before: int, after: int) -> bool:
    """Tell whether this use has brought the window to where somebody should know."""
    return before < NEAR * window.count <= after
