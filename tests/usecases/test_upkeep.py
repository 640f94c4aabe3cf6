"""The sweeper: whatever a process leaves behind, another finds and finishes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from channels.kit.errors import Uncertain
from gateway.queue.jobs import ArqDoorbell, server_pool
from gateway.store.tables import idempotency_keys
from gateway.store.vault import Vault
from gateway.usecases import accept, deliver, seeing, upkeep
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import Accepted
from tests.support.clock import START, ManualClock
from tests.support.runtime import (
    CALLER,
    adapter,
    catalogue,
    drain,
    first,
    open_runtime,
    person,
    posted,
    publish,
    put,
    report,
    rewrite,
    row,
    states,
    taken,
)

NOWHERE = "redis://127.0.0.1:1/0"  # nothing listens there


async def left(rt: Runtime, state: str, **given: Any) -> Accepted:
    """Leave a delivery in a state, as a killed worker would."""
    done = await accept.accept(rt, CALLER, posted(**given))
    lease = rt.clock.now() + timedelta(seconds=30)
    await rewrite(rt, first(done), state=state, lease_until=lease, token=1)
    return done


async def test_a_lapsed_claim_goes_back_to_the_queue(rt: Runtime, clock: ManualClock):
    """Nothing had left the house: it is worked on again, once the lease has run out and not before."""
    done = await left(rt, "claimed")
    await upkeep.sweep(rt)
    assert (await row(rt, first(done)))["state"] == "claimed"
    clock.advance(30)
    await upkeep.sweep(rt)
    assert (await row(rt, first(done)))["state"] == "queued"
    assert (await report(rt, done))["timeline"][-1]["event"] == "requeued"
    assert await drain(rt) == 1


async def test_a_lapsed_sending_is_uncertain_and_never_sent_again_blindly(rt: Runtime, clock: ManualClock):
    """Nobody knows whether the call was made: it waits for a receipt until its deadline."""
    done = await left(rt, "sending")
    clock.advance(30)
    await upkeep.sweep(rt)
    facts = await row(rt, first(done))
    assert (facts["state"], facts["code"]) == ("uncertain", "lease_lapsed")
    assert facts["lease_until"] == START + timedelta(seconds=30, hours=1)
    assert await drain(rt) == 0


async def test_at_the_deadline_at_most_once_gives_up(rt: Runtime, clock: ManualClock):
    """It may have gone out: no second message on this channel or another, and the reasons say just that."""
    done = await left(rt, "uncertain")
    clock.advance(30)
    await upkeep.sweep(rt)
    await drain(rt)
    assert await states(rt, done) == [("sms", "failed", "unconfirmed"), ("email", "skipped", "unconfirmed")]
    assert (await report(rt, done))["state"] == "failed"
    assert taken(rt) == []


async def test_at_the_deadline_at_least_once_sends_again_under_the_same_key(rt: Runtime, clock: ManualClock):
    """The text's policy allows a second message; the fall-back keeps waiting for its turn."""
    await publish(rt, replace(catalogue()["unterlagen_fehlen"], policy="at_least_once"))
    adapter(rt, "sms").fail_next(Uncertain("timeout"))
    done = await accept.accept(rt, CALLER, posted())
    await drain(rt)
    clock.advance(3600)
    await upkeep.sweep(rt)
    assert (await report(rt, done))["deliveries"][1]["standby"] is True
    await drain(rt)
    assert taken(rt) == [("sms", first(done)), ("sms", first(done))]
    assert (await states(rt, done))[0] == ("sms", "submitted", None)


async def test_what_has_outlived_its_time_ends(rt: Runtime, clock: ManualClock):
    """A reminder that nobody could send in time is not sent too late (B-S7); its fall-back was never needed."""
    done = await accept.accept(rt, CALLER, posted(expires_at=START + timedelta(hours=1)))
    clock.advance(3600)
    await upkeep.sweep(rt)
    assert [one[1:] for one in await states(rt, done)] == [("expired", "expired"), ("skipped", "not_needed")]
    told = await report(rt, done)
    assert told["state"] == "expired"
    assert all(one["explanation"] for one in told["timeline"])


async def test_a_submitted_one_stays_when_its_fall_backs_run_out(rt: Runtime, clock: ManualClock):
    """No receipt came, the notification expires: the fall-back ends quietly, what was taken stays taken."""
    done = await accept.accept(rt, CALLER, posted(expires_at=START + timedelta(hours=1)))
    await drain(rt)
    clock.advance(3600)
    await upkeep.sweep(rt)
    assert await states(rt, done) == [("sms", "submitted", None), ("email", "skipped", "not_needed")]
    assert (await report(rt, done))["state"] == "submitted"


async def test_a_row_that_nobody_rang_for_is_rung_for(rt: Runtime, clock: ManualClock):
    """The ring was lost (Redis flushed): the sweeper rings, after a short grace, once while the job waits."""
    done = await accept.accept(rt, CALLER, posted())
    pool: Any = rt.doorbell.pool  # type: ignore[attr-defined] # the embedded one
    await pool.flushall()
    await upkeep.sweep(rt)
    assert await rt.doorbell.depth("normal") == 0  # still within the grace
    clock.advance(3)
    for _ in range(2):
        await upkeep.sweep(rt)
    assert await rt.doorbell.depth("normal") == 1
    assert (await row(rt, first(done)))["state"] == "queued"


async def test_a_scheduled_one_is_rung_for_in_its_time(rt: Runtime, clock: ManualClock):
    """``send_at`` is kept: nothing before it, and the sweeper finds it after."""
    done = await accept.accept(rt, CALLER, posted(send_at=START + timedelta(hours=2)))
    clock.advance(7199)
    assert await deliver.deliver(rt, [first(done)]) == 0
    await upkeep.sweep(rt)
    assert await rt.doorbell.depth("normal") == 0
    clock.advance(4)
    await upkeep.sweep(rt)
    assert await rt.doorbell.depth("normal") == 1
    assert await drain(rt) == 1


async def test_without_redis_it_is_accepted_and_delivered_by_polling(rt: Runtime, vault: Vault, clock: ManualClock):
    """Redis delays, it never loses: 202 as ever, and the worker finds the rows in the tables (house.md)."""
    away = ArqDoorbell(server_pool(NOWHERE), new_id=rt.ids.new, local=False)
    async with open_runtime(rt.db, vault, clock, accounts=rt.accounts, doorbell=away) as alone:
        done = await accept.accept(alone, CALLER, posted())
        assert await alone.doorbell.depth("normal") is None
        assert (await seeing.readiness(alone))["checks"]["queue"] != "ok"
        assert (await seeing.readiness(alone))["ok"] is True
        assert await drain(alone) == 1
        assert (await states(alone, done))[0] == ("sms", "submitted", None)
    await away.close()


async def test_two_sweepers_do_the_work_once(rt: Runtime, vault: Vault, clock: ManualClock):
    """Every change is guarded by the state it expects: the timeline shows one requeueing, not two."""
    done = await left(rt, "claimed")
    clock.advance(30)
    async with open_runtime(rt.db, vault, clock, accounts=rt.accounts) as other:
        rows = [await upkeep._lapsed(one, upkeep.State.CLAIMED, clock.now()) for one in (rt, other)]
        assert [len(one) for one in rows] == [1, 1]
        await upkeep.sweep(rt)
        await upkeep.sweep(other)
    assert [one["event"] for one in (await report(rt, done))["timeline"]].count("requeued") == 1


async def test_forgotten_keys_are_deleted_after_a_week(rt: Runtime, clock: ManualClock):
    """Idempotency keys live for seven days, no longer and no shorter."""
    await accept.accept(rt, CALLER, posted())
    clock.advance(timedelta(days=6))
    assert await upkeep.forget(rt) == 0
    clock.advance(timedelta(days=1))
    assert await upkeep.forget(rt) == 1
    async with rt.db.read() as conn:
        assert (await conn.execute(select(func.count()).select_from(idempotency_keys))).scalar_one() == 0


@pytest.mark.parametrize("lane", ["urgent", "normal", "bulk"])
async def test_each_lane_is_polled_for_itself(rt: Runtime, lane: str):
    """A request's priority is its lane, in the row and at the bell."""
    await put(rt, person("P-2", ("sms",)))
    done = await accept.accept(rt, CALLER, posted("P-2", priority=upkeep.Lane(lane)))
    assert [one for one in upkeep.Lane if await upkeep.due_now(rt, one, limit=10)] == [upkeep.Lane(lane)]
    assert [one for one in upkeep.Lane if await rt.doorbell.depth(one)] == [upkeep.Lane(lane)]
    assert (await row(rt, first(done)))["lane"] == lane
