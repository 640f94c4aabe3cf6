"""A worker that is killed leaves nothing in the lanes that others would have to get past."""

from __future__ import annotations

import asyncio

from channels.memory import MemoryRequest
from gateway.usecases import accept
from gateway.usecases.runtime import Runtime
from tests.support.runtime import CALLER, adapter, posted
from workers.main import working


async def test_a_job_is_off_the_list_as_soon_as_it_is_worked_on(rt: Runtime):
    """Arq reads a lane from its head and keeps a dead worker's jobs there for minutes: a hundred would close the lane.

    So a started job leaves the lane at once; should its worker die, leases and the sweeper take care of its rows.
    """
    opened, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: MemoryRequest) -> None:
        opened.set()
        await go_on.wait()

    adapter(rt, "sms").during = slow
    await accept.accept(rt, CALLER, posted())
    assert await rt.doorbell.depth("normal") == 1
    async with working(rt, concurrency=4, sweep_s=60):
        await asyncio.wait_for(opened.wait(), 10)
        assert await rt.doorbell.depth("normal") == 0
        go_on.set()
