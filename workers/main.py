"""Run the workers of one process: one arq worker for each lane, beside the sweeper, until asked to stop.

arq's own retries, results and cron are not used; a lost Redis is waited for while the schedule polls the tables.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import arq.worker
from arq.worker import Worker, func
from redis.exceptions import RedisError

from gateway import telemetry
from gateway.domain.model import Lane
from gateway.queue.jobs import DELIVER, ArqDoorbell, pack, queue_name, unpack
from gateway.usecases.runtime import Runtime
from workers import schedule, tasks

log = telemetry.log()
JOB_TIMEOUT_S = 120  # a chunk of 100 slow calls; its rows have leases of their own
POLL_S = 0.01
BACK_OFF_S = (0.5, 1.0, 2.0, 5.0)


async def _no_banner(*_: object) -> None:
    """Stand in for arq's INFO line at start, a command that the embedded Redis does not know."""


@contextlib.asynccontextmanager
async def working(rt: Runtime, *, concurrency: int, sweep_s: float) -> AsyncIterator[None]:
    """Work while the block runs; on leaving, finish what is in flight and claim nothing new."""
    setattr(arq.worker, "log_redis_info", _no_banner)  # noqa: B010 - arq does not export it
    lanes = [asyncio.create_task(_lane(rt, lane, concurrency)) for lane in Lane]
    loops = schedule.start(rt, sweep_s=sweep_s)
    try:
        yield
    finally:
        for task in loops:
            task.cancel()
        for task in lanes:
            task.cancel()
        await asyncio.gather(*loops, *lanes, return_exceptions=True)


async def _lane(rt: Runtime, lane: Lane, concurrency: int) -> None:
    """Serve one lane for ever, with a new arq worker after every loss of Redis."""
    tries = 0
    while True:
        worker = _worker(rt, lane, concurrency)
        try:
            await worker.async_run()
        except (RedisError, OSError) as exc:
            log.warning("worker.reconnecting", lane=lane.value, error=type(exc).__name__)
            await asyncio.sleep(BACK_OFF_S[min(tries, len(BACK_OFF_S) - 1)])
            tries += 1
        except asyncio.CancelledError:
            await _finish(worker)
            raise


async def _finish(worker: Worker) -> None:
    """Let the jobs in flight end; the lease bounds how long that can matter."""
    running = [task for task in worker.tasks.values() if not task.done()]
    if running:
        await asyncio.wait(running, timeout=30)


def _worker(rt: Runtime, lane: Lane, concurrency: int) -> Worker:
    doorbell = rt.doorbell
    assert isinstance(doorbell, ArqDoorbell)  # noqa: S101 - bootstrap builds no other
    return Worker(
        functions=[func(tasks.deliver, name=DELIVER, keep_result=0, max_tries=1)],
        redis_pool=doorbell.pool,
        queue_name=queue_name(lane),
        ctx={"runtime": rt},
        max_jobs=concurrency,
        poll_delay=POLL_S,
        job_timeout=JOB_TIMEOUT_S,
        keep_result=0,
        max_tries=1,
        handle_signals=False,
        health_check_interval=3600,
        job_serializer=pack,
        job_deserializer=unpack,
    )
