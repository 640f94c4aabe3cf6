"""The doorbell: jobs with ids and nothing else, rung anew each time, and silence where Redis is away."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from redis.exceptions import RedisError

from gateway.domain.model import Lane
from gateway.queue.jobs import CHUNK, DELIVER, ArqDoorbell, embedded_pool, queue_name, server_pool, unpack

NOWHERE = "redis://127.0.0.1:1/0"  # nothing listens there


@pytest_asyncio.fixture(params=["embedded", "server"])
async def bell(request: pytest.FixtureRequest) -> AsyncIterator[ArqDoorbell]:
    """Lend an empty doorbell, inside the process and on a Redis."""
    local = request.param == "embedded"
    pool = embedded_pool() if local else server_pool(request.getfixturevalue("redis_url"))
    numbers = itertools.count(1)
    doorbell = ArqDoorbell(pool, new_id=lambda: f"job-{next(numbers)}", local=local)
    yield doorbell
    await doorbell.close()


async def jobs(bell: ArqDoorbell, lane: str = "normal") -> list[bytes]:
    """Return the waiting jobs of a lane as they lie in Redis."""
    ids = await bell.pool.zrange(queue_name(lane), 0, -1)
    found: list[Any] = [await bell.pool.get(b"arq:job:" + ident) for ident in ids]
    return found


async def test_a_job_holds_ids_and_no_pickle(bell: ArqDoorbell):
    """What lies in Redis is msgpack with the task's name and ids: nothing to execute, nothing about anybody."""
    await bell.ring([("delivery-1", "normal"), ("delivery-2", "normal")])
    (raw,) = await jobs(bell)
    assert not raw.startswith(b"\x80\x04")
    told = unpack(raw)
    assert (told["f"], told["a"], told["k"]) == (DELIVER, [["delivery-1", "delivery-2"]], {})
    assert set(told) == {"t", "f", "a", "k", "et"}


async def test_a_hundred_ids_a_job(bell: ArqDoorbell):
    """Many ids become few jobs, in order, none left out."""
    ids = [f"delivery-{number}" for number in range(2 * CHUNK + 50)]
    await bell.ring((one, "bulk") for one in ids)
    chunks = [unpack(raw)["a"][0] for raw in await jobs(bell, "bulk")]
    assert sorted(len(one) for one in chunks) == [50, CHUNK, CHUNK]
    assert sorted(one for chunk in chunks for one in chunk) == sorted(ids)


async def test_every_ring_is_a_new_job(bell: ArqDoorbell):
    """A job whose id is known to arq would be dropped: ringing again for the same delivery must not be silent."""
    for _ in range(3):
        await bell.ring([("delivery-1", "normal")])
    assert await bell.depth("normal") == 3


async def test_each_lane_has_its_own_queue(bell: ArqDoorbell):
    """Urgent ones do not wait behind bulk ones."""
    await bell.ring([("a", "urgent"), ("b", Lane.BULK), ("c", "urgent")])
    assert [await bell.depth(lane) for lane in Lane] == [1, 0, 1]


async def test_whoever_waits_is_woken(bell: ArqDoorbell):
    """A worker at the bell of a lane comes back at once when somebody rings, and only for its lane."""
    waiting = asyncio.create_task(bell.wait("normal", at_most_s=5))
    other = asyncio.create_task(bell.wait("bulk", at_most_s=0.3))
    began = time.monotonic()
    await bell.ring([("a", "normal")])
    await waiting
    assert time.monotonic() - began < 3
    await other
    assert time.monotonic() - began >= 0.25


async def test_a_ring_before_the_waiting_is_not_lost(bell: ArqDoorbell):
    """Who comes to the bell after it was rung does not wait."""
    await bell.ring([("a", "normal")])
    began = time.monotonic()
    await bell.wait("normal", at_most_s=5)
    assert time.monotonic() - began < 3


async def test_without_redis_ringing_is_silent_and_waiting_tells():
    """Accepting never fails because of Redis; a worker is told, so that it reconnects."""
    bell = ArqDoorbell(server_pool(NOWHERE), new_id=lambda: "job", local=False)
    await bell.ring([("a", "normal")])
    assert await bell.depth("normal") is None
    assert await bell.ping() is False
    with pytest.raises((RedisError, OSError)):
        await bell.wait("normal", at_most_s=0.1)
    await bell.close()
