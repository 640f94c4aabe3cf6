"""Carry the script out: let processes live and die, flush and stop Redis, crash PostgreSQL, fill SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chaos import scale as scripts
from benchmarks.chaos import tables
from benchmarks.chaos.client import Told
from benchmarks.chaos.programs import START_S, ChaosFailed, Program, Starter
from benchmarks.chaos.scale import EMBEDDED, Life, Scale
from benchmarks.chaos.stage import Stage
from benchmarks.chaos.watch import Watch
from gateway.store.engine import Database, StoreAway

WORKERS = 2
SPARE_PAGES = 6  # that the embedded database may still grow by while it is full
TAIL = 1500
AGAIN_S = 0.3
MISUSED = 2  # the exit status of a process that could not start
STARTED = "gateway.started"  # what a process logs when it works


@dataclass(slots=True)
class Breaking:
    """One run's destruction. ``done`` counts what was done, for the report."""

    stage: Stage
    scale: Scale
    starter: Starter
    watch: Watch
    db: Database
    draw: random.Random
    told: Told = field(default_factory=Told)  # the client's book, kept while it posts
    done: dict[str, int] = field(default_factory=dict)
    running: list[Program] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)

    def count(self, what: str) -> None:
        """Note that something was done."""
        self.done[what] = self.done.get(what, 0) + 1

    def mean_start_ms(self) -> int:
        """Return how long a process took to start, from the order to its own word that it works."""
        return round(1000 * sum(self.starts_s) / max(len(self.starts_s), 1))

    async def run(self) -> None:
        """Break things until the script is over; everything lives again afterwards, without faults."""
        if self.stage.mode == EMBEDDED:
            lives = scripts.embedded_lives(self.scale, draw=self.draw)
            half = len(lives) // 2
            await self._live("up", lives[:half])
            await self._fill()
            await self._live("up", lives[half:])
            await self._settled("up")
            return
        counts = scripts.shares(self.scale.kills, WORKERS)
        plans = [scripts.worker_lives(self.scale, count=count, draw=self.draw) for count in counts]
        servers = scripts.server_lives(self.scale, draw=self.draw)
        async with asyncio.TaskGroup() as group:
            for number, lives in enumerate(plans, 1):
                group.create_task(self._whole("work", lives, f"work-{number}"))
            group.create_task(self._whole("serve", servers, "serve"))
            group.create_task(self._servers())

    async def _whole(self, verb: str, lives: Sequence[Life], name: str) -> None:
        await self._live(verb, lives, name)
        await self._settled(verb, name)

    async def _live(self, verb: str, lives: Sequence[Life], name: str = "") -> None:
        """Let one process live and die as the script says."""
        for life in lives:
            program = await self._lasting(verb, name or verb, faults=life.faults)
            # on a slow machine a life is longer too, so that there is one to speak of
            await self._end(program, max(life.seconds, self.starts_s[-1]), name or verb, how=life.end)
            await asyncio.sleep(life.pause_s)

    async def _lasting(self, verb: str, name: str, *, faults: Mapping[str, str] | None = None, **more: str) -> Program:
        """Start a process, again and again as a supervisor does while it finds no database at its start."""
        while True:
            program = await self._start(verb, name, faults=faults, **more)
            if not program.ended.done() or program.ended.result() != MISUSED or "StoreAway" not in _tail(program):
                return program
            self.count("start repeated, no database yet")
            await asyncio.sleep(AGAIN_S)

    async def _start(self, verb: str, name: str, *, faults: Mapping[str, str] | None = None, **more: str) -> Program:
        env = self.stage.env | {f"GATEWAY_{key.upper()}": value for key, value in more.items()}
        env["GATEWAY_FAULT_POINTS"] = json.dumps(dict(faults or {}))
        log = self.stage.folder / f"{name}.log"
        before = log.stat().st_size if log.exists() else 0
        program = await self.starter.start(verb, env=env, folder=self.stage.folder, log=log)
        began = time.monotonic()
        ends_at = began + START_S
        while STARTED not in _read(log, before) and not program.ended.done() and time.monotonic() < ends_at:  # noqa: ASYNC110 - another process's log
            await asyncio.sleep(0.02)
        self.starts_s.append(time.monotonic() - began)
        self.watch.born(program)
        return program

    async def _end(self, program: Program, seconds: float, who: str, *, how: str) -> None:
        """Wait until it dies by itself, and kill it when it has not. Raises ChaosFailed if it ended otherwise."""
        try:
            status = await asyncio.wait_for(asyncio.shield(program.ended), seconds)
        except TimeoutError:
            program.kill()
            status, how = await program.ended, "signal"
        if status != -signal.SIGKILL:
            raise ChaosFailed(f"{who} ended by itself with {status}:\n{_tail(program)}")
        await self.watch.died(program, who=who, how=how)
        self.count(f"{who} killed at {how}" if how != "signal" else f"{who} killed by signal")

    async def _settled(self, verb: str, name: str = "") -> None:
        """Start a process that stays."""
        self.running.append(await self._lasting(verb, name or verb))

    async def _fill(self) -> None:
        """Let the embedded database be full for a while: it is started with almost no room, and killed full."""
        room = str(await tables.pages(self.db) + SPARE_PAGES)
        before = self.told.waits_told
        program = await self._start("up", "up", sqlite_max_pages=room)
        ends_at = time.monotonic() + START_S
        while self.told.waits_told == before and not program.ended.done() and time.monotonic() < ends_at:  # noqa: ASYNC110 - the client's count
            await asyncio.sleep(0.05)
        await self._end(program, self.scale.full_s, "up", how="full")
        self.watch.note("the store is back")
        self.watch.anew()
        self.count("SQLite full")

    async def _servers(self) -> None:
        """Break the servers at their times."""
        redis, postgres, seconds = self.stage.redis, self.stage.postgres, self.scale.post_s
        assert redis is not None
        assert postgres is not None
        await asyncio.sleep(seconds * 0.2)
        await asyncio.to_thread(redis.flush_running)
        self.count("Redis flushed")
        await asyncio.sleep(seconds * 0.1)
        await asyncio.to_thread(redis.stop)
        await asyncio.sleep(self.scale.redis_down_s)
        await asyncio.to_thread(redis.start)
        self.count(f"Redis stopped for {self.scale.redis_down_s:g} s")
        await asyncio.sleep(max(seconds * 0.3 - self.scale.redis_down_s, 0.5))
        await asyncio.to_thread(postgres.stop, "immediate")
        await asyncio.to_thread(postgres.start)
        self.watch.note("the store is back")
        self.watch.anew()
        self.count("PostgreSQL restarted (immediate shutdown)")
        await asyncio.sleep(seconds * 0.15)
        await asyncio.to_thread(redis.flush_running)
        self.count("Redis flushed")

    async def stop(self) -> None:
        """Ask everything that still runs to end."""
        await asyncio.gather(*(program.stop() for program in self.running))

    def check(self) -> None:
        """Raise ChaosFailed if a process that should live has ended."""
        for program in self.running:
            if program.ended.done():
                raise ChaosFailed(f"{program.argv[0]} ended by itself with {program.ended.result()}:\n{_tail(program)}")


async def settled(breaking: Breaking, *, seconds: float, finished: Callable[[], Awaitable[bool]]) -> None:
    """Wait until every row has ended, at most so long."""
    ends_at = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < ends_at:
        breaking.check()
        with contextlib.suppress(StoreAway):
            if await finished():
                return
        await asyncio.sleep(0.25)


def _read(log: Path, start: int = 0) -> str:
    """Return what was written to a log from a position on."""
    try:
        with log.open("rb") as file:
            file.seek(start)
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _tail(program: Program) -> str:
    return _read(program.log)[-TAIL:]
