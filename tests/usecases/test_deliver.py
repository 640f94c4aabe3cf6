"""Delivering: one claim, one call, no open transaction, and everything that still may stop it at the last moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from channels.kit.contract import Confidentiality
from channels.memory import MemoryRequest
from gateway.store import deliveries as rows
from gateway.store import notifications, people, templates
from gateway.store.engine import Database
from gateway.store.tables import attempts, contact_points, subjects
from gateway.store.vault import Vault
from gateway.usecases import accept, deliver, inbound, recipients, upkeep
from gateway.usecases.runtime import Runtime
from tests.support.clock import START, ManualClock
from tests.support.runtime import (
    ADDRESSES,
    CALLER,
    adapter,
    catalogue,
    drain,
    first,
    open_accounts,
    open_runtime,
    person,
    posted,
    publish,
    put,
    report,
    row,
    states,
    taken,
)
from tests.usecases.interlude import Interlude


async def test_two_workers_make_one_call(rt: Runtime, vault: Vault, clock: ManualClock, database_url: str):
    """The same ids given to two processes at once lead to one call each; the loser gets nothing."""
    await put(rt, *(person(f"P-{number}", ("sms",)) for number in range(10, 30)))
    ids = [first(await accept.accept(rt, CALLER, posted(f"P-{number}"))) for number in range(10, 30)]
    second = await Database.open(database_url)
    async with open_runtime(second, vault, clock, accounts=rt.accounts) as other:
        calls = await asyncio.gather(deliver.deliver(rt, ids), deliver.deliver(other, ids))
    await second.close()
    assert sum(calls) == 20
    assert sorted(key for _, key in taken(rt)) == sorted(ids)
    assert await deliver.deliver(rt, ids) == 0


async def test_no_transaction_is_open_while_a_provider_is_called_or_a_text_is_rendered(rt: Runtime):
    """From inside the call the database can be written: nobody holds it (house.md, line 10 of the walk)."""
    done = await accept.accept(rt, CALLER, posted())
    seen: list[bool] = []

    async def write(_: MemoryRequest) -> None:
        async with asyncio.timeout(5), rt.db.write() as conn:
            await notifications.note(
                conn, [{"notification_id": done.id, "delivery_id": None, "at": START, "event": "probe", "code": None}]
            )
        seen.append(True)

    adapter(rt, "sms").during = write
    adapter(rt, "sms").encoding = lambda: seen.append(rt.db.in_transaction())
    await drain(rt)
    assert seen == [False, True]
    assert (await row(rt, first(done)))["state"] == "submitted"


Act = Callable[[Runtime, str], Awaitable[object]]


async def _withdraw(rt: Runtime, _: str) -> None:
    given = {"source": "portal", "actor": "portal", "at": START}
    await recipients.withdraw_consent(rt, CALLER, "P-1", "sms", "dienst", **given)  # type: ignore[arg-type] # all strings


async def _stop(rt: Runtime, _: str) -> None:
    async with rt.db.write() as conn:
        indexes = rt.vault.indexes("sms", ADDRESSES["sms"])
        await people.suppress(
            conn, [{"channel": "sms", "address_index": one, "reason": "opted_out", "since": START} for one in indexes]
        )


async def _cancel(rt: Runtime, notification: str) -> None:
    async with rt.db.write() as conn:
        await notifications.cancel(conn, notification, now=rt.clock.now())


async def _expire(rt: Runtime, notification: str) -> None:
    async with rt.db.write() as conn:
        table = notifications.notifications
        await conn.execute(update(table).where(table.c.id == notification).values(expires_at=rt.clock.now()))


async def _withdraw_text(rt: Runtime, _: str) -> None:
    async with rt.db.write() as conn:
        version = (await templates.approved_ids(conn))["unterlagen_fehlen"]
        await templates.withdraw(conn, version)


STOPS: dict[str, tuple[Act, str]] = {
    "consent_withdrawn": (_withdraw, "skipped"),
    "contact_point_suppressed": (_stop, "skipped"),
    "cancelled": (_cancel, "cancelled"),
    "expired": (_expire, "expired"),
    "template_withdrawn": (_withdraw_text, "queued"),  # held for staff
}


@pytest.mark.parametrize("code", STOPS)
async def test_what_is_said_before_the_call_wins(rt: Runtime, code: str):
    """Consent, suppression, cancellation, expiry and text are read again after the claim, and each stops it (A-07)."""
    act, state = STOPS[code]
    done = await accept.accept(rt, CALLER, posted(channels=("sms",)))
    rt.buckets = Interlude(lambda: act(rt, done.id))
    assert await deliver.deliver(rt, [first(done)]) == 0
    assert taken(rt) == []
    assert await states(rt, done) == [("sms", state, code)]
    assert (await report(rt, done))["state"] == {"queued": "pending"}.get(state, state)


async def test_the_lease_covers_the_call_however_late_it_begins(rt: Runtime, clock: ManualClock):
    """A worker that was held up within its claim renews the lease before it calls: no sweeper interferes."""
    done = await accept.accept(rt, CALLER, posted(channels=("sms",)))
    during: list[datetime] = []

    async def hold_up() -> None:
        clock.advance(25)  # of the claim's 30 seconds; the call may take 20

    async def look(_: MemoryRequest) -> None:
        during.append((await row(rt, first(done)))["lease_until"])

    rt.buckets = Interlude(hold_up)
    adapter(rt, "sms").during = look
    assert await deliver.deliver(rt, [first(done)]) == 1
    assert during[0] >= clock.now() + timedelta(seconds=20)


async def test_a_claim_that_has_lapsed_goes_back_to_the_queue(rt: Runtime, clock: ManualClock):
    """A worker that was held up too long calls nobody, blames no rule, and nothing is lost."""
    done = await accept.accept(rt, CALLER, posted(channels=("sms",)))

    async def hold_up() -> None:
        clock.advance(31)

    rt.buckets = Interlude(hold_up)
    assert await deliver.deliver(rt, [first(done)]) == 0
    assert (await row(rt, first(done)))["state"] == "queued"
    assert await drain(rt) == 1
    assert await states(rt, done) == [("sms", "submitted", None)]


async def test_a_worker_that_lost_its_claim_calls_nobody(rt: Runtime, vault: Vault, clock: ManualClock):
    """The lease lapses, another worker delivers, the first wakes up: its token is old, so it does nothing at all."""
    done = await accept.accept(rt, CALLER, posted(channels=("sms",)))
    async with open_runtime(rt.db, vault, clock, accounts=rt.accounts) as other:

        async def meanwhile() -> None:
            clock.advance(31)
            await upkeep.sweep(other)
            assert await drain(other) == 1

        rt.buckets = Interlude(meanwhile)
        assert await deliver.deliver(rt, [first(done)]) == 0
    assert len(taken(rt)) == 1
    facts = await row(rt, first(done))
    assert (facts["state"], facts["token"], facts["tries"]) == ("submitted", 2, 1)


async def test_a_worker_leaves_alone_what_another_has_claimed_meanwhile(rt: Runtime, clock: ManualClock):
    """The row is claimed and its lease is good, but it is another's: the fencing token tells them apart."""
    done = await accept.accept(rt, CALLER, posted(channels=("sms",)))

    async def meanwhile() -> None:
        clock.advance(31)
        await upkeep.sweep(rt)
        async with rt.db.write() as conn:
            lease = clock.now() + timedelta(seconds=60)
            assert await rows.claim(conn, [first(done)], now=clock.now(), lease_until=lease)

    rt.buckets = Interlude(meanwhile)
    assert await deliver.deliver(rt, [first(done)]) == 0
    facts = await row(rt, first(done))
    assert (facts["state"], facts["token"]) == ("claimed", 2)
    assert taken(rt) == []


async def test_a_late_answer_clears_up_what_was_called_uncertain(rt: Runtime, clock: ManualClock):
    """The lease lapsed during the call, but the claim is still ours: that the provider took it is known after all."""
    done = await accept.accept(rt, CALLER, posted(channels=("sms",)))

    async def lapse(_: MemoryRequest) -> None:
        clock.advance(31)
        await upkeep.sweep(rt)
        assert (await row(rt, first(done)))["state"] == "uncertain"

    adapter(rt, "sms").during = lapse
    await deliver.deliver(rt, [first(done)])
    facts = await row(rt, first(done))
    assert (facts["state"], facts["provider_id"], facts["lease_until"]) == ("submitted", "memory-1", None)


async def test_a_worker_whose_token_is_gone_records_nothing(rt: Runtime, vault: Vault, clock: ManualClock):
    """Its call ends after another worker has claimed and sent again: its answer does not touch the row."""
    old = catalogue()["unterlagen_fehlen"]
    await publish(rt, replace(old, policy="at_least_once"))
    done = await accept.accept(rt, CALLER, posted(channels=("sms",)))
    sms = adapter(rt, "sms")
    async with open_runtime(rt.db, vault, clock, accounts=rt.accounts) as other:

        async def overtaken(_: MemoryRequest) -> None:
            sms.during = None
            for wait in (31, 3601):  # the lease, then the deadline of the unknown outcome
                clock.advance(wait)
                await upkeep.sweep(other)
            assert await drain(other) == 1

        sms.during = overtaken
        await deliver.deliver(rt, [first(done)])
    facts = await row(rt, first(done))
    assert (facts["state"], facts["token"], facts["tries"], facts["provider_id"]) == ("submitted", 2, 1, "memory-1")
    async with rt.db.read() as conn:
        calls = (await conn.execute(select(attempts.c.provider_id).order_by(attempts.c.id))).scalars().all()
    assert calls == ["memory-1", "memory-2"]  # both calls were made, and both are on record


async def test_the_last_gate_holds_after_the_operator_lowered_the_ceiling(
    rt: Runtime, vault: Vault, clock: ManualClock
):
    """A text planned under a higher ceiling never reaches the adapter; the next channel takes over (A-01)."""
    done = await accept.accept(rt, CALLER, posted())
    lower = open_accounts(clock, {"sms": Confidentiality.K0})
    async with open_runtime(rt.db, vault, clock, accounts=lower) as later:
        await drain(later)
        assert adapter(later, "sms").messages == {}
        assert await states(later, done) == [("sms", "failed", "class_not_allowed"), ("email", "submitted", None)]


async def test_an_account_that_is_gone_or_no_longer_released_hands_over(rt: Runtime, vault: Vault, clock: ManualClock):
    """Settings changed between planning and sending: the reason is told and the fall-back goes (A-15)."""
    for code in ("account_gone", "account_not_released"):
        done = await accept.accept(rt, CALLER, posted())
        accounts = open_accounts(clock)
        sms = accounts.pop("sms")
        if code == "account_not_released":
            accounts["sms"] = replace(sms, facts=replace(sms.facts, released=False))
        async with open_runtime(rt.db, vault, clock, accounts=accounts) as later:
            await drain(later)
            assert await states(later, done) == [("sms", "failed", code), ("email", "submitted", None)]


async def test_a_paused_account_keeps_its_messages(rt: Runtime, vault: Vault, clock: ManualClock):
    """Nothing is sent, lost or handed over while an account is paused; it goes out when the pause is over."""
    accounts = open_accounts(clock)
    accounts["sms"] = replace(accounts["sms"], facts=replace(accounts["sms"].facts, paused=True))
    async with open_runtime(rt.db, vault, clock, accounts=accounts) as paused:
        done = await accept.accept(paused, CALLER, posted(channels=("sms",)))
        assert await drain(paused) == 0
    facts = await row(rt, first(done))
    assert (facts["state"], facts["tries"], facts["due_at"]) == ("queued", 0, START + timedelta(seconds=60))
    clock.advance(60)
    assert await drain(rt) == 1


async def test_one_row_that_cannot_be_read_holds_up_nobody(rt: Runtime):
    """A damaged row ends with a reason for the administrators; its neighbours in the chunk go out."""
    await put(rt, person("P-2", ("sms",)))
    bad, good = [await accept.accept(rt, CALLER, posted(who, channels=("sms",))) for who in ("P-1", "P-2")]
    async with rt.db.write() as conn:
        wrong = subjects.c.recipient == "P-1"
        await conn.execute(update(subjects).where(wrong).values(data_key_sealed=b"\x01" + b"\0" * 60))
    assert await deliver.deliver(rt, [first(bad), first(good)]) == 1
    assert await states(rt, bad) == [("sms", "failed", "internal")]
    assert await states(rt, good) == [("sms", "submitted", None)]


async def test_a_contact_point_that_is_gone_is_a_skip_with_a_reason(rt: Runtime):
    """An address deleted after planning ends the delivery, and the next channel takes over."""
    done = await accept.accept(rt, CALLER, posted())
    async with rt.db.write() as conn:
        await conn.execute(contact_points.delete().where(contact_points.c.channel == "sms"))
    await drain(rt)
    assert await states(rt, done) == [("sms", "skipped", "contact_point_gone"), ("email", "submitted", None)]


async def test_a_large_chunk_is_sent_in_groups_and_each_once(rt: Runtime):
    """Sixty deliveries in one job: three groups, sixty calls, no phone twice."""
    await put(rt, *(person(f"G-{number}", ("telegram",)) for number in range(60)))
    items = [posted(f"G-{number}") for number in range(60)]
    done = await accept.accept_batch(rt, CALLER, items)
    ids = [first(one) for one in done if isinstance(one, accept.Accepted)]
    assert await deliver.deliver(rt, ids) == 60
    assert sorted(key for _, key in taken(rt)) == sorted(ids)
    async with rt.db.read() as conn:
        assert {one["state"] for one in [await rows.one(conn, ident) or {} for ident in ids]} == {"submitted"}


async def test_a_stop_that_is_committed_first_wins_over_a_claim(rt: Runtime):
    """STOPP arrives while the worker has already claimed and rendered: nothing goes out any more (A-07)."""
    done = await accept.accept(rt, CALLER, posted())

    async def stopped() -> None:
        async with rt.db.write() as conn:
            indexes = rt.vault.indexes("sms", ADDRESSES["sms"])
            await inbound.stop(rt, conn, "sms", indexes, source="text", actor="account:sms")

    rt.buckets = Interlude(stopped)
    await drain(rt)
    assert await states(rt, done) == [("sms", "skipped", "contact_point_suppressed"), ("email", "submitted", None)]
