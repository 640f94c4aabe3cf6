"""Killed workers and failing chunks: what they leave behind in the queue must hold up nobody else's messages."""

from __future__ import annotations

import structlog

from gateway.usecases import accept, upkeep
from gateway.usecases.runtime import Runtime
from tests.support.clock import ManualClock
from tests.support.runtime import CALLER, drain, first, posted, put, states
from workers import tasks


async def test_the_job_of_a_killed_worker_does_not_silence_its_lane(lite: Runtime, clock: ManualClock):
    """Arq keeps a killed worker's job for minutes; rows that have no job (retries) are rung for all the same."""
    await put(lite)
    await accept.accept(lite, CALLER, posted())
    await lite.doorbell.pool.flushall()  # type: ignore[attr-defined]  # the embedded one
    await lite.doorbell.ring([("of-a-killed-worker", "normal")])
    clock.advance(3)
    for _ in range(2):
        await upkeep.sweep(lite)
        assert await lite.doorbell.depth("normal") == 2  # once, and not again while its own job may wait


async def test_a_chunk_that_fails_says_its_class_only_and_is_found_again(lite: Runtime):
    """Arq would log the traceback of a failed job, and values can stand in one; the rows are left for the sweeper."""
    await put(lite)
    done = await accept.accept(lite, CALLER, posted())
    with structlog.testing.capture_logs() as seen:
        async with lite.db.write():  # so that working on the chunk fails: this task has a transaction open already
            await tasks.deliver({"runtime": lite}, [first(done)])
    assert [(one["event"], one["error"]) for one in seen] == [("chunk.failed", "RuntimeError")]
    assert await drain(lite) == 1
    assert (await states(lite, done))[0] == ("sms", "submitted", None)
