"""What a provider's answer means for a delivery: which step comes next, and when to try again.

Pure policy: it reads no clock and throws no dice, and it moves nothing; the verbs do. Retries last until the message
expires, not for a number of tries. Sources: house.md, "Errors say what to do next"; RFC 9110 (Retry-After); full
jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"); platforms.md B-E6 (greylisting).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from channels.kit.errors import (
    AddressRefused,
    ChannelError,
    ContentRefused,
    Misconfigured,
    OptedOut,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
    Unsupported,
    WindowClosed,
)


class Step(StrEnum):
    """What comes next for a delivery."""

    RETRY = "retry"  # same channel, a new attempt at next_try
    WAIT = "wait"  # same channel at next_try; this one was not an attempt
    NEXT_CHANNEL = "next_channel"  # this delivery failed, its first fall-back takes over
    STOP = "stop"  # this delivery failed, and no fall-back may say the same
    ASK = "ask"  # nobody knows whether it went out: wait for a receipt, then at_deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A step and its side effects, so that no caller asks for the class of an error."""

    step: Step
    counts_as_attempt: bool = True
    suppress: bool = False  # the address must not be used again
    withdraw: bool = False  # a withdrawal goes into the ledger
    pause_account: bool = False  # nothing leaves over this account until somebody has looked; alert
    tell_author: bool = False  # the author of the text has to act


VERDICTS: Mapping[type[ChannelError], Verdict] = MappingProxyType(
    {
        Throttled: Verdict(step=Step.WAIT, counts_as_attempt=False),
        Misconfigured: Verdict(step=Step.WAIT, counts_as_attempt=False, pause_account=True),
        Unavailable: Verdict(step=Step.RETRY),
        Uncertain: Verdict(step=Step.ASK),
        Refused: Verdict(step=Step.NEXT_CHANNEL),
        AddressRefused: Verdict(step=Step.NEXT_CHANNEL, suppress=True),
        OptedOut: Verdict(step=Step.NEXT_CHANNEL, suppress=True, withdraw=True),
        WindowClosed: Verdict(step=Step.NEXT_CHANNEL),
        ContentRefused: Verdict(step=Step.STOP, tell_author=True),
        # Found before any call, and about this channel's limits only: another channel may well carry the text.
        Unsupported: Verdict(step=Step.NEXT_CHANNEL, counts_as_attempt=False, tell_author=True),
        # A third party's error of no known class: as we cannot tell whether it went out, never retry blindly.
        ChannelError: Verdict(step=Step.ASK),
    }
)


def verdict(error: ChannelError) -> Verdict:
    """Return the verdict on ``error``: that of its own class, else of its nearest base class."""
    return next(VERDICTS[kind] for kind in type(error).__mro__ if kind in VERDICTS)


AT_MOST_ONCE = "at_most_once"
AT_LEAST_ONCE = "at_least_once"
POLICIES = (AT_MOST_ONCE, AT_LEAST_ONCE)


def at_deadline(policy: str, *, fallback: bool) -> Step:
    """Return the step after an uncertain delivery that no receipt has cleared up by its deadline.

    policy: the template's.  fallback: another planned channel is left.  ``at_least_once`` sends again under the same
    key; everything else never repeats itself on a channel, and moves on or gives up.
    """
    if policy == AT_LEAST_ONCE:
        return Step.RETRY
    return Step.NEXT_CHANNEL if fallback else Step.STOP


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds: never less than ``floor_s``; on top a draw below ``base_s``, which may double up to ``cap_s``."""

    floor_s: float
    base_s: float
    cap_s: float

    def ceiling_s(self, tried: int) -> float:
        """Return the end of the range to draw from after ``tried`` attempts; it grows with them up to the cap."""
        return min(self.cap_s, self.base_s * 2.0 ** min(max(tried - 1, 0), 40))


_UNAVAILABLE = Backoff(1.0, 2.0, 900.0)
_BY_CODE: Mapping[str, Backoff] = MappingProxyType(
    {
        "greylisted": Backoff(60.0, 60.0, 3600.0),  # a sender that comes back within a minute starts again (B-E6)
        "mailbox_full": Backoff(3600.0, 3600.0, 14_400.0),  # somebody has to tidy up first
    }
)
# Waiting is not an attempt, so these do not grow; the draw only keeps a whole queue from returning at one instant.
_BY_CLASS: Mapping[type[ChannelError], Backoff] = MappingProxyType(
    {Throttled: Backoff(2.0, 5.0, 5.0), Misconfigured: Backoff(60.0, 15.0, 15.0)}
)
_AFTER_WISH_S = 1.0  # spread after a provider's own Retry-After


def next_try(error: ChannelError, tried: int, *, now: datetime, expires_at: datetime, jitter: float) -> datetime | None:
    """Return when to try again after ``error``, strictly before ``expires_at``, or None to give up.

    tried: attempts made, this one included where it counts.  jitter: a draw from [0, 1); the caller owns the dice.
    The provider's own Retry-After wins over our backoff, and is never undercut. None too where the verdict is neither
    RETRY nor WAIT: a refusal is final, and an uncertain answer is at_deadline's.
    """
    if verdict(error).step not in {Step.RETRY, Step.WAIT}:
        return None
    left_s = (expires_at - now).total_seconds()
    floor_s, draw_s = _range(error, tried)
    if floor_s >= left_s or (earliest := now + timedelta(seconds=floor_s)) >= expires_at:
        return None
    # What is left may be shorter than the range: a last try in time is worth more than the full range.
    due = earliest + timedelta(seconds=jitter * min(draw_s, left_s - floor_s))
    return min(due, expires_at - timedelta.resolution)


def _range(error: ChannelError, tried: int) -> tuple[float, float]:
    """Return (least seconds to wait, seconds to draw from on top)."""
    wish_s = error.retry_after_s
    if wish_s is not None and not math.isnan(wish_s):
        return max(wish_s, 0.0), _AFTER_WISH_S
    kind = next((one for one in type(error).__mro__ if one in _BY_CLASS), None)
    backoff = _BY_CLASS[kind] if kind is not None else _BY_CODE.get(error.code, _UNAVAILABLE)
    return backoff.floor_s, backoff.ceiling_s(tried)
