"""Look at the Redis (or Valkey) server itself: version, clock, and what it does when its memory is full.

It rings nothing and reads no key. https://redis.io/docs/latest/commands/info/
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from arq.connections import ArqRedis
from redis.exceptions import RedisError

from gateway.queue.jobs import ArqDoorbell

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DoorbellAway(Exception):
    """Redis does not answer; the text is the class of what went wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisFacts:
    """``policy``: what it evicts when full; anything but ``noeviction`` may evict the doorbell's jobs."""

    version: str
    policy: str
    used_bytes: int
    max_bytes: int  # 0: no limit
    now: datetime


async def inspect(doorbell: ArqDoorbell) -> RedisFacts:
    """Return what there is to know of a doorbell on a server. Raises DoorbellAway."""
    pool: ArqRedis = doorbell.pool
    try:
        server: dict[str, Any] = await pool.info("server")
        memory: dict[str, Any] = await pool.info("memory")
        seconds, micros = await pool.time()
    except (RedisError, OSError) as exc:
        raise DoorbellAway(type(exc).__name__) from None
    product = "Valkey" if "valkey_version" in server else "Redis"
    return RedisFacts(
        version=f"{product} {server.get('valkey_version') or server.get('redis_version', '?')}",
        policy=str(memory.get("maxmemory_policy", "?")),
        used_bytes=int(memory.get("used_memory", 0)),
        max_bytes=int(memory.get("maxmemory", 0)),
        now=_EPOCH + timedelta(seconds=int(seconds), microseconds=int(micros)),
    )
