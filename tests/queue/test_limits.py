"""Token buckets: never more than the rate allows, never longer to wait than told, one bucket for all processes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from arq.connections import ArqRedis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.queue.jobs import server_pool
from gateway.queue.limits import Buckets, LocalBuckets, Rate, SharedBuckets
from tests.support.clock import ManualClock

NOWHERE = "redis://127.0.0.1:1/0"  # nothing listens there
RATES = st.tuples(st.floats(0.05, 500.0), st.floats(0.5, 50.0))
STEPS = st.lists(st.floats(0.0, 3.0), min_size=1, max_size=40)
_fresh = itertools.count(1)
_local = settings(max_examples=60, deadline=None)
_shared = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def bucket(per_s: float, burst: float) -> Rate:
    """Return a bucket that no other test uses."""
    return Rate(f"test:{next(_fresh)}", per_s, burst)


@pytest_asyncio.fixture
async def pool(redis_url: str) -> AsyncIterator[ArqRedis]:
    """Lend a pool on a real Redis."""
    opened = server_pool(redis_url)
    yield opened
    await opened.aclose(close_connection_pool=True)


async def never_too_many(buckets: Buckets, clock: ManualClock, rate: Rate, steps: list[float]) -> None:
    """Take as fast as possible at the given moments; in every window at most rate * time + burst went through."""
    began: list[float] = []
    for step in steps:
        clock.advance(step)
        for _ in range(8):
            if await buckets.take([rate]) > 0:
                break
            began.append(clock.monotonic())
    for first, last in itertools.combinations(range(len(began)), 2):
        allowed = rate.per_s * (began[last] - began[first]) + max(rate.burst, 1.0)
        assert last - first + 1 <= allowed + 1e-3 * rate.per_s + 1e-6, (rate, first, last)


async def as_told(buckets: Buckets, clock: ManualClock, rate: Rate, count: int) -> None:
    """After the wait that was told there is a token, and shortly before there was none."""
    for _ in range(count):
        wait = await buckets.take([rate])
        if wait > 0:
            if wait > 1e-3:
                clock.advance(wait - 5e-4)
                assert await buckets.take([rate]) > 0
                wait = 5e-4
            clock.advance(wait + 2e-6)
            assert await buckets.take([rate]) == 0


@_local
@given(RATES, STEPS)
async def test_a_local_bucket_never_gives_too_many(shape: tuple[float, float], steps: list[float]):
    """For any rate, burst and sequence of moments (property)."""
    clock = ManualClock()
    await never_too_many(LocalBuckets(clock), clock, bucket(*shape), steps)


@_shared
@given(RATES, STEPS)
async def test_a_shared_bucket_never_gives_too_many(pool: ArqRedis, shape: tuple[float, float], steps: list[float]):
    """The same property on a real Redis, with the seconds since 1970 that production has."""
    clock = ManualClock()
    await never_too_many(SharedBuckets(pool, clock), clock, bucket(*shape), steps)


@_local
@given(RATES, st.integers(1, 30))
async def test_a_local_bucket_keeps_its_word(shape: tuple[float, float], count: int):
    """The wait is exact: not a token before, one after (property)."""
    clock = ManualClock()
    await as_told(LocalBuckets(clock), clock, bucket(*shape), count)


@_shared
@given(RATES, st.integers(1, 15))
async def test_a_shared_bucket_keeps_its_word(pool: ArqRedis, shape: tuple[float, float], count: int):
    """The same on a real Redis (property)."""
    clock = ManualClock()
    await as_told(SharedBuckets(pool, clock), clock, bucket(*shape), count)


@pytest.mark.parametrize("microseconds", [0, 100_001, 333_333, 700_007, 999_999])
async def test_a_full_bucket_gives_at_once_at_every_instant(pool: ArqRedis, microseconds: int):
    """Rounding of large instants must not make the first token wait: it would cost a sweep."""
    clock = ManualClock(datetime(2027, 3, 8, 9, 0, 0, microseconds, tzinfo=UTC))
    for per_s in (0.3, 2.5, 5.0, 24.0, 80.0, 1000.0):  # among them some whose seconds a token are rounded up
        rate = bucket(per_s, 1.0)
        assert await SharedBuckets(pool, clock).take([rate]) == 0.0
        assert await SharedBuckets(pool, clock).take([rate]) > 0  # and that token is gone


async def test_all_or_nothing(pool: ArqRedis):
    """Where one bucket is empty, no token is taken from the others, on both kinds."""
    clock = ManualClock()
    for buckets in (LocalBuckets(clock), SharedBuckets(pool, clock)):
        wide, narrow = bucket(1.0, 2.0), bucket(1.0, 1.0)
        assert await buckets.take([wide, narrow]) == 0
        assert await buckets.take([wide, narrow]) > 0
        assert await buckets.take([wide]) == 0
        assert await buckets.take([wide]) > 0
        assert await buckets.take([]) == 0


async def test_two_processes_share_one_bucket(pool: ArqRedis, redis_url: str):
    """Twenty at once from two connections: exactly the burst goes through."""
    clock = ManualClock()
    second = server_pool(redis_url)
    one, other = SharedBuckets(pool, clock), SharedBuckets(second, clock)
    rate = bucket(1.0, 5.0)
    waits = await asyncio.gather(*(buckets.take([rate]) for _ in range(10) for buckets in (one, other)))
    await second.aclose(close_connection_pool=True)
    assert waits.count(0.0) == 5


async def test_without_redis_a_process_takes_its_share():
    """A quarter of the rate and of the burst, so that four processes together stay within both."""
    clock = ManualClock()
    away = server_pool(NOWHERE)
    buckets = SharedBuckets(away, clock)
    rate = bucket(8.0, 8.0)
    taken: list[Any] = [await buckets.take([rate]) for _ in range(4)]
    assert taken[:2] == [0.0, 0.0]
    assert taken[2] == pytest.approx(0.5)
    clock.advance(0.5)
    assert await buckets.take([rate]) == 0.0
    await away.aclose(close_connection_pool=True)


async def test_a_bucket_in_redis_forgets_itself(pool: ArqRedis):
    """Buckets of persons must not pile up: each key runs out when its bucket is full again."""
    rate = bucket(10.0, 1.0)
    await SharedBuckets(pool, ManualClock()).take([rate])
    left_ms = await pool.pttl(f"botengang:bucket:{rate.key}")
    assert 0 < left_ms <= 1200
