"""Ring the workers: after a commit, one job carries up to a hundred delivery ids, never content.

Redis is a doorbell only. A lost ring delays a delivery until the sweeper finds its row; it never loses one. arq is in
maintenance, so nothing outside this room and ``workers`` knows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec
from arq.connections import ArqRedis
from fakeredis import FakeAsyncRedis, FakeServer
from redis.exceptions import RedisError

from gateway import telemetry
from gateway.domain.model import Lane

CHUNK = 100  # ids a job
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

    async def ring(self, rung: Iterable[tuple[str, str]]) -> None:
        """Ring for (delivery id, lane) pairs."""
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
    """The doorbell on arq: a server, or fakeredis inside the process."""

    def __init__(self, pool: ArqRedis, *, new_id: Any) -> None:
        """Keep the pool. ``new_id``: makes a fresh job id for every ring (arq drops a repeated one silently)."""
        self.pool = pool
        self._new_id = new_id

    async def ring(self, rung: Iterable[tuple[str, str]]) -> None:
        """Ring once for every hundred ids of a lane."""
        lanes: dict[str, list[str]] = {}
        for delivery, lane in rung:
            lanes.setdefault(lane, []).append(delivery)
        try:
            for lane, ids in lanes.items():
                for chunk in _chunks(ids):
                    await self.pool.enqueue_job(DELIVER, chunk, _job_id=self._new_id(), _queue_name=queue_name(lane))
        except (RedisError, OSError) as exc:
            log.warning("doorbell.failed", error=type(exc).__name__)

    async def depth(self, lane: Lane | str) -> int | None:
        """Count the jobs that wait in a lane."""
        try:
            return int(await self.pool.zcard(queue_name(lane)))
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


def _chunks(ids: Sequence[str]) -> Iterable[list[str]]:
    return (list(ids[start : start + CHUNK]) for start in range(0, len(ids), CHUNK))


def embedded_pool() -> ArqRedis:
    """Return an arq pool on a Redis that lives in this process."""
    fake = FakeAsyncRedis(server=FakeServer())
    return ArqRedis(fake.connection_pool, job_serializer=pack, job_deserializer=unpack)


def server_pool(url: str) -> ArqRedis:
    """Return an arq pool on a Redis server; connects at first use, so that we start while Redis is away."""
    pool: ArqRedis = ArqRedis.from_url(
        url, job_serializer=pack, job_deserializer=unpack, socket_connect_timeout=2, socket_timeout=10
    )
    return pool
