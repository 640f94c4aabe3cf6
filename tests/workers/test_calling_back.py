"""The running workers call clients back by themselves, and finish what they are posting when they stop."""

from __future__ import annotations

import asyncio

from gateway.egress import Courier
from gateway.usecases import accept, callbacks
from gateway.usecases.runtime import Runtime
from tests.support.receivers import receiving
from tests.support.runtime import CALLER, posted
from tests.support.waiting import wait_until
from workers.main import working


async def test_an_errand_ends_with_a_callback(rt: Runtime):
    """From acceptance to the client's endpoint with nobody pushing; the second post is under way when we stop."""
    await rt.courier.close()
    rt.courier = Courier(private=True)
    async with receiving() as receiver:
        await callbacks.register(rt, CALLER, receiver.url, [])
        async with working(rt, concurrency=4, sweep_s=0.05):
            done = await accept.accept(rt, CALLER, posted())
            await wait_until(lambda: receiver.calls, 15)
            assert receiver.events[0]["data"]["notification"] == done.id
            receiver.gate = asyncio.Event()
            asyncio.get_running_loop().call_later(0.3, receiver.gate.set)
            await accept.accept(rt, CALLER, posted())
            await wait_until(lambda: len(receiver.calls) == 2, 15)
        assert [(one["waiting"], one["given_up"]) for one in await callbacks.listing(rt, CALLER)] == [(0, 0)]
    await rt.courier.close()
