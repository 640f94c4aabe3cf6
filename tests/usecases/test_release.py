"""An account's release ends on its day, also for a process that runs on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from gateway.usecases import accept, deliver
from gateway.usecases.runtime import Runtime
from tests.support.clock import ManualClock
from tests.support.runtime import CALLER, first, posted, states, taken


async def test_a_release_ends_while_the_process_runs(rt: Runtime, clock: ManualClock):
    """A-15: on the last day it sends; the day after, neither what was planned before nor anything new goes out."""
    rt.accounts = {
        name: replace(one, review_by=clock.now().date() + timedelta(days=1)) for name, one in rt.accounts.items()
    }
    late = clock.now() + timedelta(days=6)
    good, bad = [await accept.accept(rt, CALLER, posted(channels=("sms",), expires_at=late)) for _ in range(2)]
    clock.advance(timedelta(days=1).total_seconds())
    await deliver.deliver(rt, [first(good)])
    clock.advance(timedelta(days=1).total_seconds())
    await deliver.deliver(rt, [first(bad)])
    assert len(taken(rt)) == 1
    assert [one[1:] for one in await states(rt, bad)] == [("failed", "account_not_released")]
    new = await accept.accept(rt, CALLER, posted(channels=("sms",)))
    assert {one["channel"]: one["reason"] for one in new.answer["skipped"]}["sms"] == "account_not_released"
