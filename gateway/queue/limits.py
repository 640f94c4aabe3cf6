"""Token buckets that all processes share: in Redis, or in the process when embedded.

A bucket is asked just before the call it guards, never earlier. Buckets fill continuously (GCRA: one stored instant a
bucket); without Redis a process takes its fixed share of the rate from a bucket of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, cast

from arq.connections import ArqRedis
from redis.exceptions import RedisError

from channels.kit.contract import Clock

# KEYS: buckets. ARGV: now, then (seconds a token, burst) for each bucket. All or nothing; returns the wait in seconds.
# Instants are kept to the microsecond: Lua's own tostring has 14 digits, ten of which the seconds since 1970 take.
_TAKE = """
local now = tonumber(ARGV[1])
local wait = 0
local tat = {}
for i, key in ipairs(KEYS) do
  local each = tonumber(ARGV[2 * i])
  local burst = tonumber(ARGV[2 * i + 1])
  local stored = math.max(tonumber(redis.call('GET', key) or now), now)
  tat[i] = stored + each
  wait = math.max(wait, tat[i] - now - each * burst)
end
if wait > 0.000001 then return string.format('%.6f', wait) end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.6f', tat[i]), 'PX', math.ceil((tat[i] - now) * 1000) + 1000)
end
return '0'
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """One bucket: ``per_s`` tokens a second, ``burst`` at once. ``key`` holds ids only, never an address."""

    key: str
    per_s: float
    burst: float


class Buckets(Protocol):
    """Where tokens are taken."""

    async def take(self, rates: list[Rate]) -> float:
        """Take one token from each bucket, or from none; return 0.0 or the seconds to wait."""
        ...


class LocalBuckets:
    """Buckets of this process."""

    def __init__(self, clock: Clock, *, share: float = 1.0) -> None:
        """``share``: the part of every rate that is this process's."""
        self._clock = clock
        self._share = share
        self._stored: dict[str, float] = {}

    async def take(self, rates: list[Rate]) -> float:
        """Take from the process's own memory."""
        now = self._clock.monotonic()
        wanted = {}
        wait = 0.0
        for rate in rates:
            each = 1.0 / (rate.per_s * self._share)
            wanted[rate.key] = max(self._stored.get(rate.key, now), now) + each
            wait = max(wait, wanted[rate.key] - now - each * max(rate.burst * self._share, 1.0))
        if wait > 1e-9:  # noqa: PLR2004 - rounding of binary fractions, not a wait
            return wait
        self._stored.update(wanted)
        if len(self._stored) > 100_000:  # noqa: PLR2004 - full buckets need no memory
            self._stored = {key: at for key, at in self._stored.items() if at > now}
        return 0.0


class SharedBuckets:
    """Buckets in Redis; while Redis is away, the process's fixed share."""

    def __init__(self, pool: ArqRedis, clock: Clock, *, share: float = 0.25) -> None:
        """``share``: what one process may use of every rate while nobody can coordinate."""
        self._script: Any = pool.register_script(_TAKE)
        self._clock = clock
        self._alone = LocalBuckets(clock, share=share)

    async def take(self, rates: list[Rate]) -> float:
        """Take in one round trip."""
        if not rates:
            return 0.0
        now = self._clock.now().timestamp()
        arguments: list[float] = [now]
        for rate in rates:
            arguments += [1.0 / rate.per_s, max(rate.burst, 1.0)]
        try:
            wait = await self._script(keys=[f"botengang:bucket:{rate.key}" for rate in rates], args=arguments)
        except (RedisError, OSError):
            return await self._alone.take(rates)
        return float(cast("bytes", wait))
