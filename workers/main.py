"""Run the workers of one process: one arq worker for each lane, beside the sweeper, until asked to stop.

arq's own retries, results and cron are not used; a lost Redis is waited for while the schedule polls the tables.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from arq.worker import Worker, func
from redis.exceptions import RedisError

from gateway import telemetry
from gateway.domain.model import Lane
from gateway.queue.jobs import DELIVER, ArqDoorbell, pack, queue_name, unpack
from gateway.usecases.runtime import Runtime
from workers import schedule, tasks

log = telemetry.log()
JOB_TIMEOUT_S = 120  # a chunk of 100 slow calls; its rows have leases of their own
BUSY_S = 0.02  # between two looks while jobs of the lane are running
IDLE_S = 1.0  # between two looks when nobody rings
FINISH_S = 30.0  # how long the calls in flight may take when we stop
# Chunks at once: an urgent message must not wait behind hundreds of bulk ones at a provider's few connections.
SHARES = {Lane.URGENT: 1, Lane.NORMAL: 4, Lane.BULK: 8}
BACK_OFF_S = (0.5, 1.0, 2.0, 5.0)


async def _off_the_list(ctx: dict[Any, Any]) -> None:
    """Take a job out of its lane as soon as it is worked on.

    arq would leave it there until it ends, or for minutes if its worker is killed. A lane is read from its head, so a
    hundred such jobs would close it for everybody; a dead worker's rows are the leases' and the sweeper's to heal.
    """
    with contextlib.suppress(RedisError, OSError):
        await ctx["redis"].zrem(ctx["queue"], ctx["job_id"])


class LaneWorker(Worker):
    """arq's worker, which waits at the bell instead of polling."""

    def __init__(self, rt: Runtime, lane: Lane, concurrency: int) -> None:
        """Serve one lane of ``rt`` with at most ``concurrency`` chunks at once."""
        assert isinstance(rt.doorbell, ArqDoorbell)  # noqa: S101 - bootstrap builds no other
        super().__init__(
            functions=[func(tasks.deliver, name=DELIVER, keep_result=0, max_tries=1)],
            redis_pool=rt.doorbell.pool,
            queue_name=queue_name(lane),
            ctx={"runtime": rt, "queue": queue_name(lane)},
            on_job_start=_off_the_list,
            max_jobs=concurrency,
            job_timeout=JOB_TIMEOUT_S,
            keep_result=0,
            max_tries=1,
            handle_signals=False,
            health_check_interval=3600,
            job_serializer=pack,
            job_deserializer=unpack,
        )
        self._bell = rt.doorbell
        self._lane = lane

    async def main(self) -> None:
        """Look for jobs whenever somebody rings; look often while jobs run, because more may be waiting behind them."""
        self.ctx["redis"] = self.pool
        while True:
            await self._poll_iteration()
            await self._bell.wait(self._lane, at_most_s=BUSY_S if self.tasks else IDLE_S)


@contextlib.asynccontextmanager
async def working(rt: Runtime, *, concurrency: int, sweep_s: float) -> AsyncIterator[None]:
    """Work while the block runs; on leaving, finish what is in flight and claim nothing new."""
    stop = asyncio.Event()
    lanes = [asyncio.create_task(_lane(rt, lane, max(concurrency // share, 1))) for lane, share in SHARES.items()]
    loops = schedule.start(rt, sweep_s=sweep_s, stop=stop)
    try:
        yield
    finally:
        stop.set()
        for task in lanes:
            task.cancel()
        _, late = await asyncio.wait([*lanes, *loops], timeout=FINISH_S + 5)
        for task in late:
            task.cancel()
        await asyncio.gather(*lanes, *loops, return_exceptions=True)


async def _lane(rt: Runtime, lane: Lane, concurrency: int) -> None:
    """Serve one lane for ever, with a new arq worker after every loss of Redis."""
    tries = 0
    while True:
        worker = LaneWorker(rt, lane, concurrency)
        try:
            await worker.async_run()
        except (RedisError, OSError) as exc:
            log.warning("worker.reconnecting", lane=lane.value, error=type(exc).__name__)
        finally:
            await _finish(worker)
        await asyncio.sleep(BACK_OFF_S[min(tries, len(BACK_OFF_S) - 1)])
        tries += 1


async def _finish(worker: Worker) -> None:
    """Let the jobs in flight end, whatever becomes of them; the lease bounds how long that can matter."""
    running = list(worker.tasks.values())
    if running:
        done, _ = await asyncio.wait(running, timeout=FINISH_S)
        await asyncio.gather(*done, return_exceptions=True)
