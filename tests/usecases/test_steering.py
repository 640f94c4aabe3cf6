"""Around an account in trouble: another account of the channel, the next channel after a while, or patience."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from channels.kit.contract import Confidentiality, Fact, Receipt
from channels.kit.errors import Misconfigured, Unavailable
from gateway.store.engine import Database
from gateway.store.vault import Vault
from gateway.usecases import accept, accounts, deliver, health
from gateway.usecases.runtime import Runtime
from tests.support.clock import START, ManualClock
from tests.support.runtime import (
    CALLER,
    adapter,
    drain,
    first,
    open_accounts,
    open_runtime,
    posted,
    publish,
    put,
    report,
    row,
    states,
    taken,
)
from tests.usecases import troubled
from tests.usecases.interlude import Interlude
from tests.usecases.troubled import Mute, Probed, accepted, ids


@pytest_asyncio.fixture
async def rt(db: Database, vault: Vault, clock: ManualClock) -> AsyncIterator[Runtime]:
    """Lend a Runtime with two SMS accounts; ``P-1`` takes SMS, else e-mail."""
    found = open_accounts(clock)
    found["sms"] = troubled.account(clock, found["sms"], Probed, weight=3)
    found["sms2"] = troubled.account(clock, found["sms"], Mute, name="sms2", weight=1)
    async with open_runtime(db, vault, clock, accounts=found) as opened:
        await publish(opened)
        await put(opened)
        yield opened


async def refuse(rt: Runtime, *names: str, error: Exception | None = None) -> None:
    """Let these accounts be refused by their provider."""
    for name in names:
        async with rt.db.write() as conn:
            await rt.health.observe(rt, conn, name, [error or Misconfigured(code="quota")])  # type: ignore[list-item]


async def test_accounts_of_a_channel_share_its_messages_by_weight(rt: Runtime):
    """Three to one over many draws (A-01 decides who may; weights decide who does)."""
    draws = iter([(number + 0.5) / 40 for number in range(40)])
    rt.dice = lambda: next(draws)
    for one in await accepted(rt, 40):
        assert one.answer["deliveries"]
    rt.dice = lambda: 0.5
    await drain(rt)
    assert (len(adapter(rt, "sms").taken), len(adapter(rt, "sms2").taken)) == (30, 10)


async def test_a_message_moves_to_the_account_that_works(rt: Runtime):
    """Planned on one account, sent over the other at once; its receipt finds it; the timeline says so (traps 22)."""
    done = await accept.accept(rt, CALLER, posted())
    assert (await row(rt, first(done)))["account"] == "sms"
    await refuse(rt, "sms")
    assert await drain(rt) == 1
    facts = await row(rt, first(done))
    assert (facts["state"], facts["account"], facts["tries"]) == ("submitted", "sms2", 1)
    assert [account for account, _ in taken(rt)] == ["sms2"]
    told = await report(rt, done)
    assert "account_changed" in [one["event"] for one in told["timeline"]]
    got = Receipt(event_id="e1", provider_id=facts["provider_id"], fact=Fact.DELIVERED, at=None)
    await rt.reports.join(("sms2", [got]))
    assert (await states(rt, done))[0][1] == "delivered"


Change = dict[str, Any]


@pytest.mark.parametrize(
    "second",
    [{"released": False}, {"ceiling": Confidentiality.K0}, {"paused": True}, {"bound": True}, {"channel": "email"}],
    ids=lambda one: next(iter(one)),
)
async def test_it_moves_only_where_it_may_go(rt: Runtime, second: Change):
    """Released, fit for the class, working, of the channel, and able to reach the person: else the message waits."""
    done = await accept.accept(rt, CALLER, posted(channels=("sms",)))
    two = rt.accounts["sms2"]
    rt.accounts = {**rt.accounts, "sms2": replace(two, facts=replace(two.facts, **second))}
    await refuse(rt, "sms")
    assert await drain(rt) == 0
    facts = await row(rt, first(done))
    assert (facts["state"], facts["account"], facts["code"]) == ("queued", "sms", "account_rests")


async def test_new_messages_are_planned_around_an_account_that_rests(rt: Runtime, clock: ManualClock):
    """While it rests nothing is planned on it; when a try is due it gets a little, and one of that shows how it is."""
    await refuse(rt, "sms")
    assert {(await row(rt, one))["account"] for one in ids(await accepted(rt, 5))} == {"sms2"}
    await drain(rt)
    clock.advance(30)
    assert await health.probe_due(rt) == 1
    rt.dice = lambda: 0.0
    done = await accepted(rt, 5)
    assert {(await row(rt, one))["account"] for one in ids(done)} == {"sms2"}  # 100 against 3 times 10
    rt.dice = lambda: 0.99
    done = await accepted(rt, 5)
    assert {(await row(rt, one))["account"] for one in ids(done)} == {"sms"}
    assert await deliver.deliver(rt, ids(done)) == 5
    assert sorted(account for account, key in taken(rt) if key in ids(done)) == ["sms", *["sms2"] * 4]
    assert rt.health.flows("sms")


async def test_after_a_while_the_next_channel_takes_over(rt: Runtime, clock: ManualClock):
    """Down for five minutes: who can be reached otherwise is; who cannot is kept, and nothing is lost."""
    await refuse(rt, "sms", "sms2")
    both = await accept.accept(rt, CALLER, posted())
    (alone,) = await accepted(rt, 1)
    clock.advance(60)
    await refuse(rt, "sms", "sms2", error=Misconfigured())
    assert await drain(rt) == 0
    assert [one[1] for one in await states(rt, both)] == ["queued", "queued"]
    adapter(rt, "sms2").fail_next(*[Misconfigured(code="quota")] * 9)
    probed = adapter(rt, "sms")
    assert isinstance(probed, Probed)
    probed.ok = False
    for _ in range(30):
        clock.advance(10)
        await health.probe_due(rt)
        await drain(rt)
    assert await states(rt, both) == [("sms", "skipped", "account_down"), ("email", "submitted", None)]
    assert (await states(rt, alone))[0][1] == "queued"
    assert [account for account, _ in taken(rt)] == ["mail"]


async def test_a_provider_that_is_down_hands_over_too(rt: Runtime, clock: ManualClock):
    """A failure rate opens the circuit; after the same while the fall-back goes."""
    done = await accept.accept(rt, CALLER, posted())
    for name in ("sms", "sms2"):
        async with rt.db.write() as conn:
            await rt.health.observe(rt, conn, name, [Unavailable("503")] * 25)
    await drain(rt)
    rt.policy = replace(rt.policy, failover_after=timedelta(seconds=20))
    clock.advance(36)
    adapter(rt, "sms2").fail_next(Unavailable("503"))
    await drain(rt)
    assert ("email", "submitted", None) in await states(rt, done)


async def test_a_pause_hands_nothing_over(rt: Runtime, clock: ManualClock):
    """An operator who pauses wants the messages kept, however long; resuming lets them go at once."""
    done = await accept.accept(rt, CALLER, posted())
    for name in ("sms", "sms2"):
        await accounts.pause(rt, name, actor="operator:test")
    for _ in range(20):
        assert await drain(rt) == 0
        clock.advance(60)
    assert [one[1] for one in await states(rt, done)] == ["queued", "queued"]
    await drain(rt)
    assert await accounts.resume(rt, "sms", actor="operator:test") == 1
    assert await drain(rt) == 1
    assert (await states(rt, done))[0] == ("sms", "submitted", None)
    assert [verb for _, verb, _ in await troubled.audited(rt)] == [
        "account.paused",
        "account.paused",
        "account.resumed",
    ]


async def test_an_account_that_opens_during_the_preparation_is_not_called(rt: Runtime):
    """Between the look and the call another group was refused: this one goes back and comes again in two seconds."""
    done = await accept.accept(rt, CALLER, posted(channels=("sms",)))
    (late,) = await accepted(rt, 1)
    rt.buckets = Interlude(lambda: refuse(rt, "sms"))
    assert await deliver.deliver(rt, [first(done), first(late)]) == 1
    waiting = [one for one in [await row(rt, first(done)), await row(rt, first(late))] if one["state"] == "queued"]
    assert [one["due_at"] for one in waiting] == [START + timedelta(seconds=2)]


async def test_messages_that_waited_together_come_back_spread(rt: Runtime):
    """A queue that rests does not return at one instant."""
    draws = iter([number / 20 for number in range(20)])
    done = await accepted(rt, 20)
    await refuse(rt, "sms", "sms2")
    rt.dice = lambda: next(draws)
    await deliver.deliver(rt, ids(done))
    due = [(await row(rt, one))["due_at"] for one in ids(done)]
    assert len(set(due)) == 20
    assert START + timedelta(seconds=30) <= min(due) < max(due) < START + timedelta(seconds=35)
