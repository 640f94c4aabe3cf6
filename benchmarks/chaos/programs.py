"""Start the gateway's own processes, tell when they have ended, and stop exactly those.

Two ways to start: cold (a new interpreter, as an operator's supervisor does) and warm (forked, see ``nursery``).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parents[2]
START_S = 90.0
STOP_S = 20.0


class ChaosFailed(Exception):
    """The run itself could not be carried out; the text says why."""


@dataclass(slots=True, eq=False)
class Program:
    """One running process. ``ended`` holds its exit status, below 0 the signal that killed it."""

    pid: int
    argv: tuple[str, ...]
    log: Path
    ended: asyncio.Future[int] = field(repr=False)

    def kill(self) -> None:
        """Kill it, as by kill -9."""
        self._signal(signal.SIGKILL)

    async def stop(self) -> None:
        """Ask it to end, and kill it if it does not."""
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(asyncio.shield(self.ended), STOP_S)
        except TimeoutError:
            self.kill()
            await self.ended

    def _signal(self, number: signal.Signals) -> None:
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def resident_bytes(self) -> int:
        """Return its resident memory, 0 where the system does not tell."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


class Starter(Protocol):
    """Starts programs."""

    async def start(self, *argv: str, env: Mapping[str, str], folder: Path, log: Path) -> Program:
        """Start ``botengang <argv>`` in ``folder``."""
        ...


def surroundings(**more: str) -> dict[str, str]:
    """Return the environment for a program of ours: nobody else's gateway settings, and the checkout's modules."""
    own = {name: value for name, value in os.environ.items() if not name.upper().startswith("GATEWAY_")}
    return own | {"PYTHONPATH": str(ROOT)} | more


class Cold:
    """Starts a new interpreter for each program."""

    def __init__(self) -> None:
        self._started: list[Program] = []

    async def start(self, *argv: str, env: Mapping[str, str], folder: Path, log: Path) -> Program:
        """Start ``botengang <argv>`` in ``folder``."""
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", *argv, cwd=folder, env=dict(env), stdin=asyncio.subprocess.DEVNULL,
                stdout=file, stderr=file,
            )  # fmt: skip
        program = Program(process.pid, argv, log, asyncio.ensure_future(process.wait()))
        self._started.append(program)
        return program

    async def close(self) -> None:
        """Kill what still runs."""
        for program in self._started:
            program.kill()
        await asyncio.gather(*(program.ended for program in self._started))


class Warm:
    """Forks programs from one that has imported everything."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._births: dict[int, asyncio.Future[int]] = {}
        self._ends: dict[int, asyncio.Future[int]] = {}

    async def start(self, *argv: str, env: Mapping[str, str], folder: Path, log: Path) -> Program:
        """Start ``botengang <argv>`` in ``folder``."""
        number = next(self._numbers)
        born: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._births[number] = born
        order = {"order": number, "argv": argv, "env": dict(env), "cwd": str(folder), "log": str(log)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()
        pid = await asyncio.wait_for(born, START_S)
        return Program(pid, argv, log, self._end_of(pid))

    def _end_of(self, pid: int) -> asyncio.Future[int]:
        return self._ends.setdefault(pid, asyncio.get_running_loop().create_future())

    async def listen(self) -> None:
        """Take the nursery's reports until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told: dict[str, Any] = json.loads(line)
            if "ready" in told:
                continue
            if "born" in told:
                self._births.pop(told["order"]).set_result(told["born"])
            elif "died" in told and not (end := self._end_of(told["died"])).done():
                end.set_result(told["status"])
        for waiting in (*self._births.values(), *self._ends.values()):
            if not waiting.done():
                waiting.set_exception(ChaosFailed("the nursery ended"))
                waiting.exception()


@contextlib.asynccontextmanager
async def starter(*, warm: bool) -> AsyncIterator[Starter]:
    """Lend a way to start programs."""
    if not warm:
        cold = Cold()
        try:
            yield cold
        finally:
            await cold.close()
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.chaos.nursery", cwd=ROOT, env=surroundings(),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    nursery = Warm(process)
    listening = asyncio.create_task(nursery.listen())
    try:
        yield nursery
    finally:
        process.stdin.close()
        await process.wait()
        await listening
