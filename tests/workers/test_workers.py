"""The working side: a ring is answered, a lost Redis is survived, and stopping finishes what is in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from channels.memory import MemoryRequest
from gateway.domain.model import Lane
from gateway.queue.jobs import ArqDoorbell, server_pool
from gateway.store.engine import Database
from gateway.store.vault import Vault
from gateway.usecases import accept
from gateway.usecases.runtime import Ids, Runtime
from gateway.usecases.shapes import Accepted
from tests.support.clock import ManualClock
from tests.support.runtime import CALLER, adapter, first, open_runtime, person, posted, publish, put, row, taken
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until
from workers import schedule
from workers.main import working

NOWHERE = "redis://127.0.0.1:1/0"  # nothing listens there


async def sent(rt: Runtime, done: Accepted) -> None:
    """Wait until the first delivery is with its provider."""

    async def is_submitted() -> bool:
        return bool((await row(rt, first(done)))["state"] == "submitted")

    await wait_until(is_submitted, 15)


async def test_a_ring_is_answered(rt: Runtime):
    """Accepted, rung, claimed, sent, recorded; the job is gone afterwards, and every lane is served."""
    async with working(rt, concurrency=4, sweep_s=60):
        for lane in Lane:
            await sent(rt, await accept.accept(rt, CALLER, posted(priority=lane)))
        await sent(rt, await accept.accept(rt, CALLER, posted()))

        async def is_empty() -> bool:
            return await rt.doorbell.depth("normal") == 0

        await wait_until(is_empty)


async def test_many_are_sent_once_each(rt: Runtime):
    """A batch of 250 in three jobs, eight at once: each phone rings once."""
    await put(rt, *(person(f"W-{number}", ("telegram",)) for number in range(250)))
    items = [posted(f"W-{number}") for number in range(250)]
    async with working(rt, concurrency=8, sweep_s=60):
        done = [one for one in await accept.accept_batch(rt, CALLER, items) if isinstance(one, Accepted)]
        await wait_until(lambda: len(adapter(rt, "telegram").taken) >= 250, 30)
        for one in (done[0], done[-1]):
            await sent(rt, one)
    assert sorted(key for _, key in taken(rt)) == sorted(first(one) for one in done)


async def test_stopping_finishes_what_is_in_flight_and_starts_nothing(rt: Runtime):
    """The call that is open ends and is recorded; what was posted after the stop waits for the next worker."""
    opened, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: MemoryRequest) -> None:
        opened.set()
        await go_on.wait()

    adapter(rt, "sms").during = slow
    one = await accept.accept(rt, CALLER, posted())
    stop = asyncio.Event()

    async def run() -> None:
        async with working(rt, concurrency=4, sweep_s=60):
            await stop.wait()

    running = asyncio.create_task(run())
    await asyncio.wait_for(opened.wait(), 10)
    stop.set()
    await _turns(20)
    two = await accept.accept(rt, CALLER, posted())
    await _turns(20)
    assert not running.done()
    go_on.set()
    await asyncio.wait_for(running, 10)
    assert (await row(rt, first(one)))["state"] == "submitted"
    assert (await row(rt, first(two)))["state"] == "queued"


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_stopping_while_polling_finishes_the_call_too(rt: Runtime, vault: Vault, clock: ManualClock):
    """Without Redis the polling loop makes the calls: it is not cut off in the middle of one."""
    away = ArqDoorbell(server_pool(NOWHERE), new_id=Ids(clock).new, local=False)
    stop = asyncio.Event()
    seen: list[str] = []
    async with open_runtime(rt.db, vault, clock, accounts=rt.accounts, doorbell=away) as alone:

        async def slow(request: MemoryRequest) -> None:
            stop.set()
            await _turns(200)
            seen.append(request.key)

        adapter(rt, "sms").during = slow
        done = await accept.accept(alone, CALLER, posted())
        async with working(alone, concurrency=4, sweep_s=0.05):
            await asyncio.wait_for(stop.wait(), 10)
        assert seen == [first(done)]
        assert (await row(rt, first(done)))["state"] == "submitted"
    await away.close()


async def test_no_failure_ends_the_sweeper(rt: Runtime):
    """One bad row or an absent store must not end the loop that finds everything: it tells the class and goes on."""
    stop, calls = asyncio.Event(), 0

    async def fails(_: Runtime) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            stop.set()
        raise LookupError("zaunkoenig@example.org")

    with structlog.testing.capture_logs() as lines:
        await asyncio.wait_for(schedule.every(0.01, fails, rt, stop=stop), 5)
    assert calls == 3
    assert [(one["event"], one["error"]) for one in lines] == [("sweep.failed", "LookupError")] * 3
    assert "zaunkoenig" not in repr(lines)


async def test_a_killed_redis_is_survived(
    db: Database, vault: Vault, clock: ManualClock, redis_url: str, redis_server: RedisServer
):
    """Redis goes away and comes back empty: accepted all the time, found by polling meanwhile, then rung for again."""
    bell = ArqDoorbell(server_pool(redis_url), new_id=Ids(clock).new, local=False)
    async with open_runtime(db, vault, clock, doorbell=bell) as rt:
        await publish(rt)
        await put(rt)
        with structlog.testing.capture_logs() as lines:
            async with working(rt, concurrency=4, sweep_s=0.1):
                await sent(rt, await accept.accept(rt, CALLER, posted()))
                redis_server.stop()
                await sent(rt, await accept.accept(rt, CALLER, posted()))
                await wait_until(_seen(lines, "worker.reconnecting"))
                redis_server.start()
                await wait_until(rt.doorbell.ping)
                await sent(rt, await accept.accept(rt, CALLER, posted()))
    await bell.close()
    assert len(taken(rt)) == 3
    assert "sweep.failed" not in {one["event"] for one in lines}


def _seen(lines: list[structlog.typing.EventDict], event: str) -> Callable[[], bool]:
    return lambda: any(one["event"] == event for one in lines)
