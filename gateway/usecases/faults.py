"""Fault points: places where a test lets a process die or wait; in production each is a call that does nothing.

``Faults`` is the one object the verbs call. ``ArmedFaults`` takes its place where the settings say so, which production
refuses at its start. A word is ``exit:3`` (die there the third time, as by kill -9) or ``sleep:0.5`` (wait each time).
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Mapping

POINTS = (
    "after_prepare",  # accept: planned, nothing written
    "before_accept_commit",  # accept: written, not committed
    "after_commit_before_ring",  # accept: committed, nobody told
    "after_claim",  # deliver: claimed, nothing rendered
    "after_render",  # deliver: rendered, not committed to sending
    "after_begin_sending",  # deliver: committed to sending, not called
    "after_call_before_record",  # deliver: the provider has it, we have not noted it
    "before_record_commit",  # record: written, not committed
    "after_record_before_ring",  # record: committed, nobody told of the fall-backs
    "after_receipt_before_ring",  # receipts: committed, nobody told of the fall-backs
    "after_heal_before_ring",  # upkeep: lapsed claims are back in the queue, nobody told
)
_WORD = re.compile(r"exit:(?P<nth>[1-9][0-9]{0,6})|sleep:(?P<seconds>[0-9]{1,3}(\.[0-9]{1,3})?)")


class Faults:
    """No faults: what production has."""

    async def at(self, name: str) -> None:
        """Do nothing."""


class ArmedFaults(Faults):
    """Faults at some of the points; only in the profiles demo and test."""

    def __init__(self, words: Mapping[str, str]) -> None:
        """``words``: by point. Raises ValueError for an unknown point or word."""
        for name, word in words.items():
            check(name, word)
        self._words = dict(words)
        self._passed: dict[str, int] = {}

    async def at(self, name: str) -> None:
        """Die or wait, if this is ordered for this point and this time."""
        word = self._words.get(name)
        if word is None:
            return
        self._passed[name] = self._passed.get(name, 0) + 1
        kind, _, amount = word.partition(":")
        if kind == "sleep":
            await asyncio.sleep(float(amount))
        elif self._passed[name] == int(amount):
            os.kill(os.getpid(), signal.SIGKILL)


def check(name: str, word: str) -> None:
    """Raise ValueError for an unknown point or word."""
    if name not in POINTS:
        raise ValueError(f"no fault point {name}; there are {', '.join(POINTS)}")
    if not _WORD.fullmatch(word):
        raise ValueError(f"{name}: expected exit:3 or sleep:0.5")
