"""The tests' own floor holds: the servers are real and durable, waiting ends, the clock stands still."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest
import redis.asyncio

from tests.support import databases
from tests.support.clock import START, ManualClock
from tests.support.servers import RedisServer
from tests.support.waiting import tasks_left, wait_until


@pytest.mark.parametrize("round_", [1, 2])
async def test_redis_is_real_and_empty(redis_url: str, round_: int):
    """Each test finds a Redis that answers and holds nothing of the test before."""
    client = redis.asyncio.Redis.from_url(redis_url)
    assert await client.dbsize() == 0
    await client.set("left", str(round_))
    assert (await client.info("server"))["redis_mode"] == "standalone"
    await client.aclose()


def test_redis_can_be_stopped_and_started(redis_server: RedisServer):
    """A test that takes Redis away gets it back at the same address, empty."""
    before = redis_server.url
    redis_server.stop()
    with pytest.raises(OSError, match="refused"):
        redis_server.flush_running()
    redis_server.start()
    redis_server.flush_running()
    assert redis_server.url == before


async def test_postgresql_is_real_and_durable(postgres_url: str):
    """The server behind the store tests writes with fsync: their durability claims mean something."""
    databases.check_durable(postgres_url)
    connection = await asyncpg.connect(postgres_url)
    assert await connection.fetchval("SHOW fsync") == "on"
    assert connection.get_server_version().major >= 16
    await connection.close()


async def test_waiting_ends():
    """A condition that never comes fails the test after its time; one that comes is returned."""
    with pytest.raises(AssertionError, match="still not true"):
        await wait_until(lambda: None, timeout_s=0.05)
    answers = iter([0, 0, 7])
    assert await wait_until(lambda: next(answers)) == 7


def test_the_clock_moves_only_when_told():
    """Wall clock and monotonic clock stand still, move together, and never back."""
    clock = ManualClock()
    assert clock.now() == clock.now() == START
    began = clock.monotonic()
    assert clock.advance(90) == START + timedelta(seconds=90)
    assert clock.monotonic() - began == 90
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


async def test_a_task_left_running_is_noticed():
    """The guard that every async test stands under names a task that is still there."""
    before = asyncio.all_tasks()
    task = asyncio.create_task(asyncio.Event().wait())
    assert await tasks_left(before, rounds=3) == {task}
    task.cancel()
    assert await tasks_left(before) == set()
