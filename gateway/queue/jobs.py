"""Ring the workers: after a commit, one job carries up to a hundred delivery ids, never content.

Redis is a doorbell only. A lost ring delays a delivery until the sweeper finds its row; it never loses one. arq is in
maintenance, so nothing outside this room and ``workers`` knows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec
from arq.connections import ArqRedis
from fakeredis import FakeAsyncRedis, FakeServer
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from gateway import telemetry
from gateway.domain.model import Lane

CHUNK = 100  # ids a job
_CLIENTS = 1000  # places remembered before the past ones are forgotten
_HEAD_START = timedelta(hours=1)
_STRIKES = 1000  # kept while nobody listens
DELIVER = "deliver"  # name of the task in workers.tasks
log = telemetry.log()


def queue_name(lane: Lane | str) -> str:
    """Return the arq queue of a lane."""
    return f"botengang:{lane}"


def pack(job: dict[str, Any]) -> bytes:
    """Serialise a job without pickle."""
    return msgspec.msgpack.encode(job)


def unpack(raw: bytes) -> dict[str, Any]:
    """Read a job back."""
    job: dict[str, Any] = msgspec.msgpack.decode(raw)
    return job


class Doorbell(Protocol):
    """Rings; never raises because of an absent Redis."""

    async def ring(self, rung: Iterable[tuple[str, str]], *, client: str = "", in_s: float = 0.0) -> None:
        """Ring for (delivery id, lane) pairs of one client, now or ``in_s`` seconds from now."""
        ...

    async def wait(self, lane: Lane | str, *, at_most_s: float) -> None:
        """Return when somebody has rung for a lane, or after ``at_most_s``. Raises RedisError while Redis is away."""
        ...

    async def depth(self, lane: Lane | str) -> int | None:
        """Return the number of waiting jobs of a lane, None if nobody can tell."""
        ...

    async def ping(self) -> bool:
        """Tell whether Redis answers."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


class ArqDoorbell:
    """The doorbell on arq: a server, or fakeredis inside the process.

    Beside each job it rings a bell that workers wait at, so that they need not poll: a list in Redis (BLPOP), an event
    inside the process.
    """

    def __init__(self, pool: ArqRedis, *, new_id: Callable[[], str], local: bool) -> None:
        """Keep the pool. ``new_id``: a fresh job id for every ring, because arq drops a repeated one silently."""
        self.pool = pool
        self._new_id = new_id
        self._places: dict[tuple[str, str], float] = {}
        self._events = {str(lane): asyncio.Event() for lane in Lane} if local else {}

    async def ring(self, rung: Iterable[tuple[str, str]], *, client: str = "", in_s: float = 0.0) -> None:
        """Ring once for every hundred ids of a lane."""
        lanes: dict[str, list[str]] = {}
        for delivery, lane in rung:
            lanes.setdefault(str(lane), []).append(delivery)
        try:
            for lane, ids in lanes.items():
                for chunk in _chunks(ids):
                    await self.pool.enqueue_job(
                        DELIVER,
                        chunk,
                        _job_id=self._new_id(),
                        _queue_name=queue_name(lane),
                        _defer_until=self._place(lane, client) if in_s <= 0 else _in(in_s),
                    )
                if in_s <= 0:
                    await self._strike(lane)
        except (RedisError, OSError) as exc:
            telemetry.doorbell_failures.inc()
            log.warning("doorbell.failed", error=type(exc).__name__)

    def _place(self, lane: str, client: str) -> datetime:
        """Return the place of a client's next job in the lane: fair queueing by start times.

        arq takes the jobs of a lane in order of their time. Each job of a client lies a second behind its last one, all
        in the past, so that a client with ten thousand messages does not make another's first one wait behind them.
        """
        now = time.time()  # noqa: TID251 - arq's own clock, compared with arq's own
        place = max(now, self._places.get((lane, client), 0.0) + 1.0)
        if len(self._places) > _CLIENTS:
            self._places = {key: at for key, at in self._places.items() if at > now}
        self._places[lane, client] = place
        return datetime.fromtimestamp(place, UTC) - _HEAD_START

    async def _strike(self, lane: str) -> None:
        if lane in self._events:
            self._events[lane].set()
            return
        async with self.pool.pipeline(transaction=False) as pipe:
            pipe.lpush(_bell(lane), b"1")
            pipe.ltrim(_bell(lane), 0, _STRIKES)
            await pipe.execute()

    async def wait(self, lane: Lane | str, *, at_most_s: float) -> None:
        """Wait at the bell of a lane."""
        event = self._events.get(str(lane))
        if event is None:
            popped: Any = self.pool.blpop([_bell(lane)], timeout=at_most_s)  # type: ignore[arg-type] # Redis takes fractions
            await popped
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), at_most_s)
        event.clear()

    async def depth(self, lane: Lane | str) -> int | None:
        """Count the jobs of a lane that wait or run."""
        try:
            return int(await self.pool.zcount(queue_name(lane), "-inf", time.time() * 1000))  # noqa: TID251 - as above
        except (RedisError, OSError):
            return None

    async def ping(self) -> bool:
        """Ask Redis for a sign of life."""
        try:
            return bool(await self.pool.ping())
        except (RedisError, OSError):
            return False

    async def close(self) -> None:
        """Close the pool."""
        await self.pool.aclose(close_connection_pool=True)


def _in(seconds: float) -> datetime:
    return datetime.fromtimestamp(time.time() + seconds, UTC)  # noqa: TID251 - arq's own clock


def _bell(lane: Lane | str) -> str:
    return f"botengang:bell:{lane}"


def _chunks(ids: Sequence[str]) -> Iterable[list[str]]:
    return (list(ids[start : start + CHUNK]) for start in range(0, len(ids), CHUNK))


def embedded_pool() -> ArqRedis:
    """Return an arq pool on a Redis that lives in this process."""
    fake = FakeAsyncRedis(server=FakeServer())
    return ArqRedis(fake.connection_pool, job_serializer=pack, job_deserializer=unpack)


def server_pool(url: str) -> ArqRedis:
    """Return an arq pool on a Redis server; connects at first use, so that we start while Redis is away."""
    connections = ConnectionPool.from_url(url, socket_connect_timeout=2, socket_timeout=10)
    return ArqRedis(connections, job_serializer=pack, job_deserializer=unpack)
