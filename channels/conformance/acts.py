"""What a provider can do to a call, and the class that it must become.

The acts are played by a stand-in: a real local server that misbehaves on the wire, never a mock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol

from channels.kit.errors import ChannelError, Misconfigured, Refused, Throttled, Unavailable, Uncertain


class Act(StrEnum):
    """One behaviour of the provider, for as long as the stand-in runs."""

    ACCEPT = "accepts"
    REFUSE = "no server listens"
    UNTRUSTED = "certificate of a stranger"
    RESET = "resets after it has read the call"
    EMPTY = "closes without an answer"
    HANG = "never answers"
    DRIBBLE = "answers one byte at a time, without end"
    HALF = "breaks off inside the answer"
    GARBAGE = "answers nonsense"
    BROKEN = "accepts with an answer that cannot be read"
    THROTTLE_SECONDS = "too fast, seconds stated"
    THROTTLE_DATE = "too fast, date stated"
    THROTTLE_BARE = "too fast, nothing stated"
    CREDENTIALS = "does not know us"
    FAULT = "is broken"
    DOWN = "is down"
    GATEWAY = "a gateway in between gives up"
    REDIRECT = "sends us elsewhere"
    UNKNOWN = "refuses for a reason nobody knows"


STATED_S = 7.0  # what a stand-in states where the act says that it states something

EXPECTED: Mapping[Act, tuple[type[ChannelError], ...]] = {
    Act.REFUSE: (Unavailable,),
    Act.UNTRUSTED: (Misconfigured,),
    Act.RESET: (Uncertain,),
    Act.EMPTY: (Uncertain,),
    Act.HANG: (Uncertain,),
    Act.DRIBBLE: (Uncertain,),
    Act.HALF: (Uncertain,),
    Act.GARBAGE: (Uncertain,),
    Act.BROKEN: (Uncertain,),
    Act.THROTTLE_SECONDS: (Throttled,),
    Act.THROTTLE_DATE: (Throttled,),
    Act.THROTTLE_BARE: (Throttled,),
    Act.CREDENTIALS: (Misconfigured,),
    Act.FAULT: (Unavailable,),
    Act.DOWN: (Unavailable,),
    Act.GATEWAY: (Uncertain, Unavailable),  # it may have handed the call on; who is sure that it has not may say so
    Act.REDIRECT: (Misconfigured,),
    Act.UNKNOWN: (Refused,),
}


class Standin(Protocol):
    """A local server that plays the provider. One act, set before ``start``; counts what reached it."""

    acts: frozenset[Act]  # what this wire can do
    sends: int  # calls to send, taken or refused
    reached: asyncio.Event  # set by the first of them
    texts: list[str]  # what it was asked to say to people

    def play(self, act: Act) -> None:
        """Behave like this from now on."""
        ...

    async def start(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        ...

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        ...

    def options(self) -> dict[str, Any]:
        """Return the adapter's options that point here."""
        ...
