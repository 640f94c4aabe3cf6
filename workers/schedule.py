"""What runs by the clock: the sweeper every second or so, forgetting once an hour, and the purge once a night.

A loop of its own rather than arq's cron: it must run while Redis is away, because then it is what finds the work.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from gateway import telemetry
from gateway.domain.model import Lane
from gateway.usecases import deliver, health, retention, upkeep, windows
from gateway.usecases.posting import Postman
from gateway.usecases.runtime import Runtime

log = telemetry.log()
FORGET_S = 3600.0
NIGHTLY_S = 600.0  # between two looks whether it is time to purge
POLL = 100  # deliveries taken from the tables at once while there is no doorbell


async def every(
    seconds: float, verb: Callable[[Runtime], Awaitable[object]], rt: Runtime, *, stop: asyncio.Event
) -> None:
    """Call ``verb`` now and then every ``seconds`` until ``stop``; what it has begun is finished.

    No failure ends the loop: an absent store is waited for, and one bad row must not keep the others from being found.
    """
    while not stop.is_set():
        try:
            await verb(rt)
        except Exception as exc:  # noqa: BLE001 - see above; the class only, a text may quote
            telemetry.sweeps.labels("failed").inc()
            log.warning("sweep.failed", error=type(exc).__name__)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)


async def poll(rt: Runtime) -> None:
    """Work through the tables while Redis is away, urgent first."""
    if await rt.doorbell.ping():
        return
    for lane in (Lane.URGENT, Lane.NORMAL, Lane.BULK):
        ids = await upkeep.due_now(rt, lane, limit=POLL)
        if ids:
            await deliver.deliver(rt, ids)


def start(rt: Runtime, *, sweep_s: float, stop: asyncio.Event) -> list[asyncio.Task[None]]:
    """Start the loops; they end after ``stop``."""
    return [
        asyncio.create_task(every(sweep_s, upkeep.sweep, rt, stop=stop)),
        asyncio.create_task(every(FORGET_S, upkeep.forget, rt, stop=stop)),
        asyncio.create_task(every(NIGHTLY_S, retention.nightly(stopping=stop.is_set), rt, stop=stop)),
        asyncio.create_task(every(sweep_s, poll, rt, stop=stop)),
        asyncio.create_task(every(sweep_s, health.probe_due, rt, stop=stop)),
        asyncio.create_task(every(FORGET_S, windows.forget, rt, stop=stop)),
        asyncio.create_task(Postman(rt).run(pause_s=sweep_s, stop=stop)),
    ]
