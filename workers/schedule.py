"""What runs by the clock: the sweeper every second or so, and forgetting once an hour.

A loop of its own rather than arq's cron: it must run while Redis is away, because then it is what finds the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway import telemetry
from gateway.domain.model import Lane
from gateway.store.engine import StoreAway
from gateway.usecases import deliver, upkeep
from gateway.usecases.runtime import Runtime

log = telemetry.log()
FORGET_S = 3600.0
POLL = 100  # deliveries taken from the tables at once while there is no doorbell


async def every(seconds: float, verb: Callable[[Runtime], Awaitable[object]], rt: Runtime) -> None:
    """Call ``verb`` now and then every ``seconds``, for ever; an absent store is waited for."""
    while True:
        try:
            await verb(rt)
        except StoreAway:
            log.warning("sweep.failed")
        await asyncio.sleep(seconds)


async def poll(rt: Runtime) -> None:
    """Work through the tables while Redis is away, urgent first."""
    if await rt.doorbell.ping():
        return
    for lane in (Lane.URGENT, Lane.NORMAL, Lane.BULK):
        ids = await upkeep.due_now(rt, lane, limit=POLL)
        if ids:
            await deliver.deliver(rt, ids)


def start(rt: Runtime, *, sweep_s: float) -> list[asyncio.Task[None]]:
    """Start the loops; the caller cancels them."""
    return [
        asyncio.create_task(every(sweep_s, upkeep.sweep, rt)),
        asyncio.create_task(every(FORGET_S, upkeep.forget, rt)),
        asyncio.create_task(every(sweep_s, poll, rt)),
    ]
