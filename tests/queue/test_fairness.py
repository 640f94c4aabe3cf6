"""Fair queueing: a client with very many messages does not make another's first one wait behind them."""

from __future__ import annotations

from typing import Any

from gateway.queue.jobs import CHUNK, ArqDoorbell, queue_name, unpack
from tests.queue.test_jobs import bell

__all__ = ["bell"]  # the fixture


async def order(bell: ArqDoorbell) -> list[str]:
    """Return the first id of each job in the order in which workers take them."""
    ids = await bell.pool.zrange(queue_name("bulk"), 0, -1)
    raw: list[Any] = [await bell.pool.get(b"arq:job:" + ident) for ident in ids]
    return [unpack(one)["a"][0][0] for one in raw]


async def test_another_client_comes_second(bell: ArqDoorbell):
    """Twenty chunks of one client, then one of another: it is taken among the first, not as the twenty-first."""
    await bell.ring(((f"big-{n}", "bulk") for n in range(20 * CHUNK)), client="big")
    await bell.ring([("small-0", "bulk")], client="small")
    found = await order(bell)
    assert len(found) == 21
    assert found.index("small-0") <= 2
    mine = [one for one in found if one.startswith("big")]
    assert mine == [f"big-{n * CHUNK}" for n in range(20)]


async def test_jobs_of_one_client_keep_their_order(bell: ArqDoorbell):
    """Rung one after another, taken one after another."""
    for n in range(5):
        await bell.ring([(f"one-{n}", "bulk")], client="one")
    assert await order(bell) == [f"one-{n}" for n in range(5)]


async def test_a_later_ring_waits_for_its_time(bell: ArqDoorbell):
    """A delivery without a token is rung for later: it is no job of now, and not counted as one."""
    await bell.ring([("later", "bulk")], client="one", in_s=30.0)
    assert await bell.depth("bulk") == 0
    await bell.ring([("now", "bulk")], client="one")
    assert await bell.depth("bulk") == 1
