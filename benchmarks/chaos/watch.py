"""Watch a run from outside: how long rows of the dead stay nobody's, and how much memory the living take."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime

from benchmarks.chaos import tables
from benchmarks.chaos.programs import Program
from benchmarks.chaos.stage import now
from gateway.store.engine import Database, StoreAway

LOOK_S = 0.2
MEMORY_S = 1.0
MIB = 1024 * 1024
WORKING = ("up", "work")  # the programs that can heal


@dataclass(slots=True)
class Kill:
    """One kill -9. ``left``: what was in somebody's hands then; ``healed_s``: when the last of it was not any more.

    Seconds count from the kill, or from what came on top of it and left nobody who could heal: the last worker's
    death (``alone``), an outage of the store.
    """

    at: datetime  # the machine's time
    who: str
    how: str  # "signal", or the fault point
    began: float
    left: set[tables.Claim] = field(default_factory=set, repr=False)
    backlog: int = 0
    alone: bool = False  # nobody was left working
    healed_s: float = 0.0
    last: str = ""  # the state that was left last


class Watch:
    """``kills`` in order of time; ``memory``: samples in MiB of every process, by pid."""

    def __init__(self, db: Database) -> None:
        self.kills: list[Kill] = []
        self.memory: dict[int, list[float]] = {}
        self.story: list[str] = []  # what happened when, for whoever has to find out why
        self._began = time.monotonic()
        self._db = db
        self._living: set[Program] = set()

    def born(self, program: Program) -> None:
        """Take a process into view."""
        self._living.add(program)
        self.note(f"{program.argv[0]} {program.pid} works")

    async def died(self, program: Program, *, who: str, how: str) -> None:
        """Note a kill and what it left behind."""
        self._living.discard(program)
        alone = not any(one.argv[0] in WORKING for one in self._living) and program.argv[0] in WORKING
        if alone:
            self.anew()
        kill = Kill(now(), who, how, time.monotonic(), alone=alone)
        self.kills.append(kill)
        with contextlib.suppress(StoreAway):
            kill.left = await tables.claims(self._db)
            kill.backlog = await tables.waiting(self._db)
        self.note(
            f"{who} {program.pid} killed at {how}; in its hands or others': {len(kill.left)}, due: {kill.backlog}"
        )

    def note(self, what: str) -> None:
        """Write into the story."""
        self.story.append(f"{time.monotonic() - self._began:6.1f} s {what}")

    def anew(self) -> None:
        """Begin to count anew where something is nobody's: until now there was nobody, or no store, to heal it."""
        for kill in self.healing:
            kill.at, kill.began = now(), time.monotonic()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch while the block runs."""
        tasks = [asyncio.create_task(self._heal()), asyncio.create_task(self._weigh())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _heal(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if not self.healing:
                continue
            with contextlib.suppress(StoreAway):
                held = await tables.claims(self._db)
                for kill in self.healing:
                    kill.last = next(iter(kill.left))[1]
                    kill.left &= held
                    if not kill.left:
                        kill.healed_s = time.monotonic() - kill.began
                        self.note(f"healed after {kill.healed_s:.1f} s what {kill.who} left at {kill.how}")

    @property
    def healing(self) -> list[Kill]:
        """Return the kills whose rows are not all taken care of."""
        return [one for one in self.kills if one.left]

    async def _weigh(self) -> None:
        while True:
            await asyncio.sleep(MEMORY_S)
            for program in self._living:
                size = program.resident_bytes()
                if size and not program.ended.done():
                    self.memory.setdefault(program.pid, []).append(size / MIB)

    def worst_s(self) -> float:
        """Return the longest time in which something was nobody's; what still is counts until now."""
        return max(
            (one.healed_s or (time.monotonic() - one.began if one.left else 0.0) for one in self.kills), default=0
        )

    def peak_mib(self) -> float:
        """Return the most memory that one process took."""
        return max((max(one) for one in self.memory.values()), default=0.0)

    def growth_mib(self) -> float:
        """Return by how much the process that lived longest grew in the second half of its life."""
        longest = max(self.memory.values(), key=len, default=[])
        return longest[-1] - longest[len(longest) // 2] if longest else 0.0
