"""Group commit: requests that arrive while one group is being committed form the next one.

No timer: alone a request waits for nobody; under load a group grows with the time that a commit takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Group(Generic[T, R]):
    """Hands everything that is waiting to ``work``, at most ``size`` at a time; one result for each item."""

    def __init__(self, work: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, size: int = 200) -> None:
        """Start with nobody waiting."""
        self._work = work
        self._size = size
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def join(self, item: T) -> R:
        """Return the result for ``item``; raises what ``work`` raised for its whole group."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)  # let every request that is ready now come aboard
            group, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
            try:
                results = await self._work([item for item, _ in group])
            except Exception as exc:  # noqa: BLE001 - whatever it is, it belongs to those who wait
                for _, future in group:
                    if not future.done():
                        future.set_exception(exc)
                continue
            for (_, future), result in zip(group, results, strict=True):
                if not future.done():
                    future.set_result(result)

    async def close(self) -> None:
        """Finish what is waiting."""
        if self._running is not None:
            await self._running
