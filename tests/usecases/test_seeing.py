"""What a running process counts, and what readiness and liveness make of the store, the queue and the backlog."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from channels.kit.errors import Refused
from channels.memory import MemoryRequest
from gateway import telemetry
from gateway.queue.jobs import ArqDoorbell, server_pool
from gateway.store.migrate import head
from gateway.usecases import accept, deliver, seeing, upkeep
from gateway.usecases.runtime import Ids, Runtime
from tests.support.clock import ManualClock
from tests.support.runtime import CALLER, adapter, first, posted, rewrite

NOWHERE = "redis://127.0.0.1:1/0"  # nothing listens there


def counted(name: str, **labels: str) -> float:
    """Return the present value of a counter of this process."""
    return telemetry.registry.get_sample_value(name, labels) or 0.0


async def test_a_delivery_is_counted_by_state_account_and_class(rt: Runtime):
    """A refusal and the submission of its fall-back: one each, under the account they went over."""

    async def refuse(_: MemoryRequest) -> None:
        raise Refused("4711", code="a_word_of_a_third_party")

    failed = {"state": "failed", "account": "sms", "class": "other"}
    taken = {"state": "submitted", "account": "mail", "class": ""}
    before = counted("botengang_deliveries_total", **failed), counted("botengang_deliveries_total", **taken)
    adapter(rt, "sms").during = refuse
    done = await accept.accept(rt, CALLER, posted())
    await deliver.deliver(rt, [first(done)])
    await deliver.deliver(rt, [first(done, 1)])
    after = counted("botengang_deliveries_total", **failed), counted("botengang_deliveries_total", **taken)
    assert after == (before[0] + 1, before[1] + 1)


async def test_the_wait_from_due_to_call_is_measured(rt: Runtime, clock: ManualClock):
    """Three seconds from being due to the provider call land in the lane's histogram."""
    name, lane = "botengang_ring_to_send_seconds", {"lane": "normal"}
    before = counted(f"{name}_sum", **lane), counted(f"{name}_count", **lane)
    done = await accept.accept(rt, CALLER, posted())
    clock.advance(3)
    await deliver.deliver(rt, [first(done)])
    assert counted(f"{name}_sum", **lane) - before[0] == 3
    assert counted(f"{name}_count", **lane) - before[1] == 1


async def test_lapsed_leases_are_counted_once(rt: Runtime, clock: ManualClock):
    """Two sweeps over one lapsed claim count one; each round is counted as done."""
    name, rounds = "botengang_leases_lapsed_total", "botengang_sweeps_total"
    done = await accept.accept(rt, CALLER, posted())
    await rewrite(rt, first(done), state="claimed", lease_until=clock.now() - timedelta(seconds=1))
    before = counted(name, state="claimed"), counted(rounds, result="done")
    await upkeep.sweep(rt)
    await upkeep.sweep(rt)
    assert counted(name, state="claimed") == before[0] + 1
    assert counted(rounds, result="done") == before[1] + 2


async def test_a_ring_that_redis_did_not_take_is_counted(clock: ManualClock):
    """The failure does not reach the caller, but the page."""
    before = counted("botengang_doorbell_failures_total")
    bell = ArqDoorbell(server_pool(NOWHERE), new_id=Ids(clock).new, local=False)
    await bell.ring([("d-1", "normal")])
    await bell.close()
    assert counted("botengang_doorbell_failures_total") == before + 1


async def test_group_commits_are_measured(rt: Runtime):
    """Three notifications in one transaction are one group of three."""
    name, group = "botengang_group_size", {"group": "accept"}
    before = counted(f"{name}_sum", **group), counted(f"{name}_count", **group)
    await accept.accept_batch(rt, CALLER, [posted() for _ in range(3)])
    assert (counted(f"{name}_sum", **group), counted(f"{name}_count", **group)) == (before[0] + 3, before[1] + 1)


async def test_a_backlog_is_told_and_does_not_take_the_process_out(rt: Runtime, clock: ManualClock):
    """Trap 17: the age of the oldest due delivery is in readiness, with a question, but the process stays ready."""
    await accept.accept(rt, CALLER, posted())
    clock.advance(601)
    told = await seeing.readiness(rt)
    assert told["ok"] is True
    assert told["oldest_due_s"] == {"urgent": 0.0, "normal": 601.0, "bulk": 0.0}
    assert "workers" in told["checks"]["backlog"]


async def _revision(rt: Runtime, to: str) -> None:
    async with rt.db.write() as conn:
        await conn.execute(sa.text("UPDATE alembic_version SET version_num = :to"), {"to": to})


async def test_a_schema_that_is_behind_makes_a_process_unready(rt: Runtime):
    """A program that needs a newer schema takes no requests; one that is older than the schema goes on."""
    try:
        for revision, ok in (("0001", False), ("9999", True)):
            await _revision(rt, revision)
            told = await seeing.readiness(rt)
            assert told["ok"] is ok
            assert ("botengang migrate" in told["checks"]["schema"]) is not ok
    finally:
        await _revision(rt, head())  # the database is shared


async def test_only_a_process_that_sweeps_can_hang(rt: Runtime, clock: ManualClock):
    """``serve`` has no sweeper and is alive as long as it answers."""
    clock.advance(10_000)
    assert seeing.alive(rt)
    rt.swept_at = clock.monotonic()
    clock.advance(seeing.WEDGED_S)
    assert not seeing.alive(rt)
