"""Wait for something to become true, with an end: tests poll, they never sleep for luck."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def wait_until(predicate: Callable[[], Awaitable[Any] | Any], timeout_s: float = 5.0) -> Any:
    """Call ``predicate`` (plain or async) until it returns something true, and return that.

    Raises AssertionError after ``timeout_s`` seconds with the last answer's type, never its content.
    """
    ends_at = time.monotonic() + timeout_s
    while True:
        answer = predicate()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() >= ends_at:
            raise AssertionError(f"still not true after {timeout_s} s (last answer: {type(answer).__name__})")
        await asyncio.sleep(0.01)


async def tasks_left(before: set[asyncio.Task[Any]], *, rounds: int = 100) -> set[asyncio.Task[Any]]:
    """Return the tasks of this loop that were not there ``before`` and do not end within ``rounds`` short waits."""
    left: set[asyncio.Task[Any]] = set()
    for _ in range(rounds):
        left = asyncio.all_tasks() - before - {asyncio.current_task()}  # type: ignore[arg-type]  # there is one
        if not left:
            break
        await asyncio.sleep(0.005)
    return left
