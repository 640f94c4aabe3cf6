"""Retention: each kind goes after its own period and no earlier; a dry run only counts; a broken run is finished."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from channels.kit.contract import Confidentiality, Fact, Inbound, Kind, Receipt
from channels.kit.errors import Refused
from gateway.domain.deadletters import Wanted
from gateway.store import tables
from gateway.store.retention import first_id
from gateway.usecases import accept, deadletters, deliver, events, receipts, retention, upkeep
from gateway.usecases.runtime import Ids, Runtime
from gateway.usecases.shapes import Accepted
from tests.support.clock import START, ManualClock
from tests.support.runtime import CALLER, adapter, catalogue, drain, first, posted, publish, report, states
from tests.support.waiting import wait_until

KEPT_LEDGERS = ("consents", "suppressions", "subjects", "contact_points", "template_versions")


async def counts(rt: Runtime) -> dict[str, int]:
    """Return the number of rows of every table, and of notifications with their variables."""
    async with rt.db.read() as conn:
        found = {
            table.name: (await conn.execute(select(func.count()).select_from(table))).scalar_one()
            for table in tables.metadata.sorted_tables
        }
        full = select(func.count()).where(tables.notifications.c.variables_sealed.is_not(None))
        return found | {"variables": (await conn.execute(full)).scalar_one()}


async def a_day(rt: Runtime, *, number: int) -> Accepted:
    """Do a day's work: one sent and delivered notification, words from a person, an unreadable call, an event."""
    done = await accept.accept(rt, CALLER, posted())
    await drain(rt)
    said = Receipt(event_id=f"r-{number}", provider_id="", fact=Fact.DELIVERED, at=None, key=first(done))
    sender = adapter(rt, "sms").address_of("+4915550100077")
    word = Inbound(event_id=f"i-{number}", sender=sender, kind=Kind.TEXT, text="Danke", payload="", at=None)
    await receipts.take(rt, "sms", [said, word])
    raw = {"id": rt.ids.new(), "account": "sms", "body_sealed": b"-", "received_at": rt.clock.now()}
    async with rt.db.write() as conn:
        await conn.execute(insert(tables.raw_webhooks).values(raw))
    await events.number_new(rt)
    return done


async def purged(rt: Runtime, **given: Any) -> dict[str, int]:
    """Purge and return what was done, without the kinds that nothing was done to."""
    return {kind: rows for kind, rows in (await retention.purge(rt, **given)).items() if rows}


async def test_each_kind_goes_after_its_own_period(rt: Runtime, clock: ManualClock):
    """Time travel over a year: nothing before its day, everything on it, and the ledgers never."""
    await a_day(rt, number=1)
    began = await counts(rt)
    told = began["events"]
    assert told
    for days, gone in (
        (6.9, {}),
        (7, {"raw_webhooks": 1, "idempotency_keys": 1}),
        (29.9, {}),
        (30, {"variables": 1, "inbound": 1}),
        (30.1, {"events": told}),
        (364.9, {}),
        (365, {"notifications": 1, "receipts": 1}),
    ):
        clock.advance(START + timedelta(days=days) - clock.now())
        assert {kind: rows for kind, rows in (await purged(rt)).items() if kind != "contacted"} == gone, days
    left = await counts(rt)
    for name in (
        "notifications",
        "deliveries",
        "attempts",
        "timeline",
        "receipts",
        "inbound",
        "raw_webhooks",
        "events",
    ):
        assert left[name] == 0, name
    assert {name: left[name] for name in KEPT_LEDGERS} == {name: began[name] for name in KEPT_LEDGERS}


async def test_variables_of_the_most_confidential_texts_go_early(rt: Runtime, clock: ManualClock):
    """K2 after seven days, the others after thirty; the rest of the notification stays and can still be reported."""
    text = catalogue()["unterlagen_fehlen"]
    await publish(rt, replace(text, klass=Confidentiality.K2, twin="termin_hinweis"))
    secret = await accept.accept(rt, CALLER, posted())
    plain = await accept.accept(rt, CALLER, posted(template="termin_hinweis"))
    await drain(rt)
    await ended(rt, secret, plain)
    clock.advance(timedelta(days=7))
    assert (await purged(rt))["variables_k2"] == 1
    assert await with_variables(rt) == {plain.id}
    assert (await report(rt, secret))["state"] == "delivered"
    clock.advance(timedelta(days=23))
    assert (await purged(rt))["variables"] == 1
    assert await with_variables(rt) == set()


async def ended(rt: Runtime, *several: Accepted) -> None:
    """Report these as delivered."""
    said = [
        Receipt(event_id=f"d-{one.id}", provider_id="", fact=Fact.DELIVERED, at=None, key=first(one)) for one in several
    ]
    await receipts.take(rt, "sms", said)


async def with_variables(rt: Runtime) -> set[str]:
    """Return the notifications that still have their variables."""
    table = tables.notifications.c
    async with rt.db.read() as conn:
        return set((await conn.execute(select(table.id).where(table.variables_sealed.is_not(None)))).scalars())


async def test_what_is_not_over_keeps_everything(rt: Runtime, clock: ManualClock):
    """A queued, an uncertain and a recently ended notification are left alone, however old they are."""
    waiting = await accept.accept(rt, CALLER, posted(expires_at=START + timedelta(days=29)))
    late = await accept.accept(rt, CALLER, posted())
    clock.advance(timedelta(days=400))
    async with rt.db.write() as conn:
        await conn.execute(
            update(tables.deliveries)
            .where(tables.deliveries.c.notification_id == late.id)
            .values(state="failed", changed_at=clock.now() - timedelta(days=1))
        )
        await conn.execute(
            update(tables.notifications).where(tables.notifications.c.id == late.id).values(outcome="failed")
        )
    assert "variables" not in await purged(rt)
    assert await with_variables(rt) == {waiting.id, late.id}
    await upkeep.sweep(rt)  # the waiting one ends now, and its period begins
    assert "variables" not in await purged(rt)
    clock.advance(timedelta(days=30))
    assert (await purged(rt))["variables"] == 2


async def test_a_skipped_notification_is_over_from_its_beginning(rt: Runtime, clock: ManualClock):
    """Nothing could be planned: its variables go thirty days after it was posted."""
    done = await accept.accept(rt, CALLER, posted(channels=("telegram",)))
    assert done.answer["state"] == "skipped"
    clock.advance(timedelta(days=30))
    assert (await purged(rt))["variables"] == 1


async def test_a_dry_run_counts_the_same_and_changes_nothing(rt: Runtime, clock: ManualClock):
    """What it announces is what the next run does; not a row is touched, and no audit entry is written."""
    for number in range(3):
        await a_day(rt, number=number)
    clock.advance(timedelta(days=400))
    before = await counts(rt)
    announced = await retention.purge(rt, dry_run=True)
    assert await counts(rt) == before
    assert (announced["variables"], announced["notifications"], announced["inbound"]) == (3, 3, 3)
    assert await retention.purge(rt) == announced
    assert await purged(rt) == {}


CHILD = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from gateway.store.engine import Database
from gateway.store.keyring import KeyRing
from gateway.store.vault import Vault
from gateway.usecases import retention
from tests.support.clock import START, ManualClock
from tests.support.runtime import open_runtime

async def main(url, ring):
    clock = ManualClock(START + timedelta(days=400))
    async with open_runtime(await Database.open(url), Vault(KeyRing.load(Path(ring))), clock) as rt:
        await retention.purge(rt, batch=1)

asyncio.run(main(*sys.argv[1:]))
"""


async def many_ended(rt: Runtime, count: int) -> None:
    """Leave this many notifications, each with two deliveries, the first delivered."""
    await accept.accept_batch(rt, CALLER, [posted() for _ in range(count)])
    own = tables.deliveries.c
    async with rt.db.write() as conn:
        for position, state in ((0, "delivered"), (1, "skipped")):
            await conn.execute(
                update(tables.deliveries).where(own.position == position).values(state=state, due_at=None)
            )
        await conn.execute(update(tables.notifications).values(outcome="delivered"))


async def test_a_run_killed_in_the_middle_is_finished_by_the_next(
    rt: Runtime, clock: ManualClock, database_url: str, tmp_path: Path
):
    """SIGKILL while it deletes: no notification is half there, serving went on meanwhile, and the next run ends it."""
    await many_ended(rt, 100)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, database_url, str(tmp_path / "ring.json"), cwd=Path(__file__).parents[2]
    )

    async def half_done() -> bool:
        return 0 < (await counts(rt))["notifications"] < 100

    try:
        await wait_until(half_done, 60)
    finally:
        child.kill()
        await child.wait()
    left = await counts(rt)
    assert 0 < left["notifications"] < 100
    assert left["deliveries"] == 2 * left["notifications"]
    clock.advance(timedelta(days=400))
    new = await accept.accept(rt, CALLER, posted())
    assert (await retention.purge(rt))["notifications"] == left["notifications"]
    assert await with_variables(rt) == {new.id}


async def test_a_run_ends_early_when_asked(rt: Runtime, clock: ManualClock):
    """A process that is stopping does not finish a long purge first."""
    for number in range(6):
        await a_day(rt, number=number)
    clock.advance(timedelta(days=400))
    looks = iter([False, False, True])
    done = await retention.purge(rt, batch=2, stopping=lambda: next(looks, True))
    assert {kind: rows for kind, rows in done.items() if rows} == {"variables": 2}


async def test_two_processes_purge_together(rt: Runtime, clock: ManualClock):
    """Each row is deleted once, nobody waits for ever, nobody fails."""
    for number in range(10):
        await a_day(rt, number=number)
    clock.advance(timedelta(days=400))
    both = await asyncio.gather(retention.purge(rt, batch=2), retention.purge(rt, batch=2))
    for kind in ("variables", "notifications", "receipts", "inbound"):
        assert sum(one[kind] for one in both) == 10, kind
    assert (await counts(rt))["deliveries"] == 0


async def test_requests_are_served_while_it_purges(rt: Runtime, clock: ManualClock):
    """Notifications are accepted between the batches; what is new stays."""
    for number in range(10):
        await a_day(rt, number=number)
    clock.advance(timedelta(days=400))
    run = asyncio.create_task(retention.purge(rt, batch=1))
    new = [await accept.accept(rt, CALLER, posted()) for _ in range(5)]
    assert not run.done()
    await run
    assert await with_variables(rt) == {one.id for one in new}


async def test_purged_values_are_never_sent_as_something_else(rt: Runtime, clock: ManualClock):
    """A dead letter whose values are gone is refused; one that got into the queue all the same is not rendered."""
    adapter(rt, "sms").fail_next(Refused("1"))
    adapter(rt, "mail").fail_next(Refused("2"))
    done = await accept.accept(rt, CALLER, posted(expires_at=START + timedelta(days=29)))
    await drain(rt)
    async with rt.db.write() as conn:
        await conn.execute(update(tables.notifications).values(variables_sealed=None))
    did = await deadletters.requeue(rt, Wanted(), actor="staff:erle", twice=True)
    assert list(did.refused) == ["values_purged"]
    async with rt.db.write() as conn:
        await conn.execute(update(tables.deliveries).values(state="queued", due_at=clock.now()))
    assert await deliver.deliver(rt, [first(done)]) == 0
    assert (await states(rt, done))[0] == ("sms", "failed", "values_purged")


async def test_it_runs_once_a_night(rt: Runtime, clock: ManualClock):
    """At the first look after three o'clock of German time; a process that was down then does it when it is up."""
    look = retention.nightly()
    assert await look(rt) is True  # 10:00: this process has not purged yet
    assert await look(rt) is False
    clock.advance(timedelta(hours=16, minutes=59))
    assert await look(rt) is False  # 02:59
    clock.advance(60)
    assert await look(rt) is True
    clock.advance(timedelta(hours=23))
    assert await look(rt) is False


async def test_a_purge_is_in_the_audit(rt: Runtime, clock: ManualClock):
    """Who, when, and how many rows of each kind; a run that found nothing leaves no entry."""
    await a_day(rt, number=1)
    clock.advance(timedelta(days=31))
    await retention.purge(rt, actor="cli")
    await retention.purge(rt, actor="cli")
    async with rt.db.read() as conn:
        rows = list(await conn.execute(select(tables.audit).where(tables.audit.c.verb == "retention.purged")))
    assert [(one.actor, one.detail["variables"], one.detail["raw_webhooks"]) for one in rows] == [("cli", 1, 1)]


@pytest.mark.parametrize("at", [START, START + timedelta(milliseconds=1), START + timedelta(days=900)])
def test_ids_sort_by_their_moment(at: datetime):
    """Everything made before a moment lies below its first id, everything made at it or later does not."""
    assert Ids(ManualClock(at - timedelta(milliseconds=1))).new() < first_id(at) <= Ids(ManualClock(at)).new()
