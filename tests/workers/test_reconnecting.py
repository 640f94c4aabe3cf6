"""PostgreSQL or Redis goes away under a running gateway and comes back: nothing ends, nothing is lost, all is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import structlog

from gateway.queue.jobs import ArqDoorbell, server_pool
from gateway.store.engine import Database, StoreAway
from gateway.store.migrate import migrate
from gateway.store.vault import Vault
from gateway.usecases import accept, seeing
from gateway.usecases.runtime import Ids, Runtime
from gateway.usecases.shapes import Accepted
from tests.support.clock import ManualClock
from tests.support.runtime import CALLER, adapter, first, open_runtime, posted, publish, put, row, taken
from tests.support.servers import PostgresServer, RedisServer, postgres_server
from tests.support.waiting import wait_until
from workers.main import working


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    """Run a PostgreSQL of this test's own: the shared one is not ours to stop."""
    del tmp_path
    with postgres_server() as server:
        yield server


@pytest_asyncio.fixture
async def scaled(postgres: PostgresServer, redis_url: str, vault: Vault, clock: ManualClock) -> AsyncIterator[Runtime]:
    """Lend a Runtime on both servers; ``P-1`` takes SMS, else e-mail."""
    db = await Database.open(postgres.url)
    await migrate(db)
    bell = ArqDoorbell(server_pool(redis_url), new_id=Ids(clock).new, local=False)
    async with open_runtime(db, vault, clock, doorbell=bell) as rt:
        await publish(rt)
        await put(rt)
        yield rt
    await bell.close()
    await db.close()


async def sent(rt: Runtime, done: Accepted) -> None:
    """Wait until the first delivery is with its provider, through whatever the store answers meanwhile."""

    async def is_submitted() -> bool:
        try:
            return bool((await row(rt, first(done)))["state"] == "submitted")
        except StoreAway:
            return False

    await wait_until(is_submitted, 30)


async def checks(rt: Runtime) -> dict[str, Any]:
    """Return what readiness says of each server."""
    return dict((await seeing.readiness(rt))["checks"])


async def test_a_crashed_database_is_waited_for(scaled: Runtime, postgres: PostgresServer):
    """Requests are refused meanwhile, readiness tells, and afterwards the same worker goes on."""
    with structlog.testing.capture_logs() as lines:
        async with working(scaled, concurrency=4, sweep_s=0.1):
            await sent(scaled, await accept.accept(scaled, CALLER, posted()))
            await asyncio.to_thread(postgres.stop)
            with pytest.raises(StoreAway):
                await accept.accept(scaled, CALLER, posted())
            told = await seeing.readiness(scaled)
            assert (told["ok"], told["checks"]["queue"]) == (False, "ok")
            assert told["checks"]["database"].startswith("away")
            await wait_until(lambda: any(one["event"] == "sweep.failed" for one in lines), 30)
            assert seeing.alive(scaled)
            await asyncio.to_thread(postgres.start)
            await wait_until(lambda: _is_ready(scaled), 30)
            await sent(scaled, await accept.accept(scaled, CALLER, posted()))
    assert len(taken(scaled)) == 2


async def _is_ready(rt: Runtime) -> bool:
    return bool((await seeing.readiness(rt))["ok"])


async def test_a_database_that_goes_during_a_call_costs_no_second_one(scaled: Runtime, postgres: PostgresServer):
    """The provider took it and the record could not be written: uncertain at the lease's end, never sent again."""
    clock = scaled.clock
    assert isinstance(clock, ManualClock)

    async def crash(_: object) -> None:
        await asyncio.to_thread(postgres.stop)

    adapter(scaled, "sms").during = crash
    async with working(scaled, concurrency=4, sweep_s=0.1):
        done = await accept.accept(scaled, CALLER, posted())
        await wait_until(lambda: len(taken(scaled)) == 1, 30)
        adapter(scaled, "sms").during = None
        await asyncio.to_thread(postgres.start)
        await wait_until(lambda: _is_ready(scaled), 30)
        clock.advance(scaled.policy.lease.total_seconds() + 1)

        async def is_known() -> bool:
            return (await row(scaled, first(done)))["state"] in {"uncertain", "submitted"}

        await wait_until(is_known, 30)
    assert len(taken(scaled)) == 1


async def test_a_lost_redis_is_told_and_polled_around(scaled: Runtime, redis_server: RedisServer):
    """Ready all the time, slower meanwhile; readiness says which of the two servers is away."""
    async with working(scaled, concurrency=4, sweep_s=0.1):
        await sent(scaled, await accept.accept(scaled, CALLER, posted()))
        redis_server.stop()
        assert (await checks(scaled))["queue"].startswith("away")
        assert await _is_ready(scaled)
        await sent(scaled, await accept.accept(scaled, CALLER, posted()))
        redis_server.start()
        await wait_until(scaled.doorbell.ping)
        assert (await checks(scaled))["queue"] == "ok"
        await sent(scaled, await accept.accept(scaled, CALLER, posted()))
    assert len(taken(scaled)) == 3
