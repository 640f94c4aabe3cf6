"""What clients are told and how long we try: the types of events, and when a post that failed is due again.

Pure words and arithmetic: it reads no clock and throws no dice. That somebody has read a message is no event (A-23).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from gateway.domain.retrying import Backoff
from gateway.domain.states import Outcome

ANSWER_RECEIVED: Final = "answer.received"  # a person pressed a button of a message
CONTACT_STOPPED: Final = "contact.stopped"  # a person opted out of a channel
CONTACT_UNREACHABLE: Final = "contact.unreachable"  # an address was suppressed: nobody can be reached there
PING: Final = "ping"  # only for trying an endpoint out; never in the feed
TOLD: Final = tuple(one for one in Outcome if one is not Outcome.PENDING)
TYPES: Final = (*(f"notification.{one.value}" for one in TOLD), ANSWER_RECEIVED, CONTACT_STOPPED, CONTACT_UNREACHABLE)
KEPT: Final = timedelta(days=30)  # in the feed, and for replays
TRY_FOR: Final = timedelta(days=3)
OLD_SECRET: Final = timedelta(hours=24)  # how long both secrets sign after a rotation

_POST = Backoff(5.0, 10.0, 21_600.0)
_REST = Backoff(1.0, 1.0, 300.0)


def type_of(outcome: Outcome) -> str | None:
    """Return the event that a notification's new outcome is, None for ``pending``: that it goes on is no news."""
    return f"notification.{outcome.value}" if outcome in TOLD else None


def next_post(
    tried: int, *, now: datetime, queued_at: datetime, wish_s: float | None, jitter: float
) -> datetime | None:
    """Return when to post again, before three days after ``queued_at`` have passed, or None to give up.

    tried: posts made, this one included.  wish_s: the receiver's own Retry-After, never undercut.  jitter: a draw from
    [0, 1); the caller owns the dice.
    """
    left_s = (queued_at + TRY_FOR - now).total_seconds()
    floor_s = max(_POST.floor_s, wish_s or 0.0)
    if floor_s >= left_s:
        return None
    return now + timedelta(seconds=floor_s + jitter * min(_POST.ceiling_s(tried), left_s - floor_s))


def rest_s(failures: int, *, wish_s: float | None, jitter: float) -> float:
    """Return how many seconds an endpoint is left alone after so many failures in a row."""
    return max(wish_s or 0.0, _REST.floor_s + jitter * _REST.ceiling_s(failures))
