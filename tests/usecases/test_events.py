"""What clients are told: written with the change, numbered after the commit, never a word too much."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, event, func, select, update

from channels.kit.contract import Address, Fact, Inbound, Kind, Receipt
from channels.kit.errors import AddressRefused, OptedOut, Refused
from gateway.domain.callbacks import KEPT
from gateway.domain.errors import CallerError
from gateway.store import events as stored
from gateway.store.engine import Database
from gateway.store.tables import event_heads, events, subjects
from gateway.usecases import accept, receipts
from gateway.usecases import events as telling
from gateway.usecases.runtime import Runtime
from tests.support.clock import START
from tests.support.runtime import (
    ADDRESSES,
    CALLER,
    CANARIES,
    OTHER,
    TESTER,
    adapter,
    drain,
    first,
    person,
    posted,
    put,
    report,
    rewrite,
)

WRITERS, EACH = 16, 12


async def told(rt: Runtime, caller: Any = CALLER, after: int = 0) -> list[Mapping[str, Any]]:
    """Return a client's feed."""
    page = await telling.feed(rt, caller, after=after, limit=500)
    return list(page["events"])


async def types(rt: Runtime, caller: Any = CALLER) -> list[str]:
    """Return the types in a client's feed, in order."""
    return [one["type"] for one in await told(rt, caller)]


def receipt(rt: Runtime, account: str, fact: Fact, number: int = 0) -> Receipt:
    """Return a receipt for what an account has taken."""
    taken = adapter(rt, account).taken[number]
    return Receipt(event_id=f"{account}-{fact}-{number}", provider_id="", fact=fact, at=START, key=taken.key)


async def test_each_new_outcome_is_told_once(rt: Runtime):
    """Submitted, then delivered; a repeated receipt and one about reading tell nothing more (A-23)."""
    done = await accept.accept(rt, CALLER, posted(reference="Vorgang-77"))
    assert await told(rt) == []
    await drain(rt)
    await receipts.take(rt, "sms", [receipt(rt, "sms", Fact.DELIVERED)])
    await receipts.take(rt, "sms", [receipt(rt, "sms", Fact.DELIVERED), receipt(rt, "sms", Fact.READ)])
    found = await told(rt)
    assert [one["seq"] for one in found] == [1, 2]
    assert [one["type"] for one in found] == ["notification.submitted", "notification.delivered"]
    facts = {"notification": done.id, "delivery": first(done), "reference": "Vorgang-77", "channel": "sms"}
    assert found[1]["data"] == facts | {"state": "delivered", "recipient": None, "code": None, "test": False}
    assert await told(rt, OTHER) == []


async def test_a_fall_back_is_no_news_and_the_last_failure_says_why(rt: Runtime):
    """While another channel is left nothing is told; then the code of the delivery that was tried last."""
    for account in ("sms", "mail"):
        adapter(rt, account).fail_next(Refused("21", code="no_route"))
    done = await accept.accept(rt, CALLER, posted())
    await drain(rt)
    found = await told(rt)
    assert [one["type"] for one in found] == ["notification.failed"]
    said = found[0]["data"]
    assert (said["delivery"], said["channel"], said["code"]) == (first(done, 1), "email", "no_route")


async def test_a_later_report_that_changes_nothing_is_no_news(rt: Runtime):
    """A late delivery overrules a failure, once; that another channel then bounces leaves it delivered."""
    adapter(rt, "sms").fail_next(Refused("21"))
    done = await accept.accept(rt, CALLER, posted())
    await drain(rt)
    for place, (account, fact) in enumerate((("sms", Fact.DELIVERED), ("mail", Fact.FAILED))):
        late = Receipt(event_id="late", provider_id="", fact=fact, at=START, key=first(done, place))
        await receipts.take(rt, account, [late])
    assert await types(rt) == ["notification.submitted", "notification.delivered"]


async def test_a_notification_that_goes_nowhere_is_told_at_once(rt: Runtime):
    """Without a consent it is skipped at acceptance: the event has the reason; a repeated request tells nothing."""
    await put(rt, person("P-2", consents=()))
    for _ in range(2):
        await accept.accept(rt, CALLER, posted("P-2", key="same"))
    found = await told(rt)
    assert [(one["type"], one["data"]["state"], one["data"]["code"]) for one in found] == [
        ("notification.skipped", "skipped", "no_consent")
    ]


async def test_what_a_test_key_does_is_marked(rt: Runtime):
    """Played outcomes come in order and say that nothing was sent."""
    await put(rt, person("test-delivered"), caller=TESTER)
    await accept.accept(rt, TESTER, posted("test-delivered"))
    await drain(rt)
    found = await told(rt)
    assert [one["type"] for one in found] == ["notification.submitted", "notification.delivered"]
    assert {one["data"]["test"] for one in found} == {True}


async def test_a_pressed_button_is_told_to_its_client(rt: Runtime):
    """The answer names notification, delivery and button; who else pressed is nobody's business (B-T4)."""
    await put(rt, person("P-3", channels=("telegram",)))
    done = await accept.accept(rt, OTHER, posted("P-3", "termin_erinnerung", reference="R"))
    await drain(rt)
    pressed = Inbound(
        event_id="b1", sender=Address("telegram", ADDRESSES["telegram"]), kind=Kind.BUTTON, at=START, text="",
        payload=f"{first(done)}:1",
    )  # fmt: skip
    await receipts.take(rt, "telegram", [pressed])
    await receipts.take(rt, "telegram", [pressed])
    said = (await told(rt, OTHER))[-1]["data"]
    assert (said["notification"], said["delivery"], said["code"]) == (done.id, first(done), "button_1")
    assert await types(rt, OTHER) == ["notification.submitted", "answer.received"]
    assert await told(rt) == []


async def test_a_stop_is_told_to_every_client_that_wrote_to_the_person(rt: Runtime):
    """Both clients learn it once, by the person's id; after erasure the id is gone from what was told."""
    for caller in (CALLER, OTHER):
        await accept.accept(rt, caller, posted())
    for number in range(2):
        stop = Inbound(
            event_id=f"s{number}", sender=Address("sms", ADDRESSES["sms"]), kind=Kind.TEXT, at=START, text="STOPP"
        )
        await receipts.take(rt, "sms", [stop])
    for caller in (CALLER, OTHER):
        said = [one["data"] for one in await told(rt, caller) if one["type"] == "contact.stopped"]
        assert [(one["recipient"], one["channel"], one["code"]) for one in said] == [("P-1", "sms", "opted_out")]
    async with rt.db.write() as conn:
        await conn.execute(delete(subjects))
    assert {one["data"]["recipient"] for one in await told(rt)} == {None}


@pytest.mark.parametrize(("error", "kind"), [(AddressRefused, "contact.unreachable"), (OptedOut, "contact.stopped")])
async def test_a_suppressed_address_is_told(rt: Runtime, error: type[Refused], kind: str):
    """A hard refusal tells that nobody can be reached there; a block tells that the person does not want it."""
    adapter(rt, "sms").fail_next(error("30005"))
    await accept.accept(rt, CALLER, posted())
    await drain(rt)
    assert await types(rt) == [kind, "notification.submitted"]


async def test_no_event_holds_anything_personal(rt: Runtime):
    """No address, variable or recipient's id is in the table, whatever has happened."""
    adapter(rt, "sms").fail_next(AddressRefused("30005"))
    await accept.accept(rt, CALLER, posted())
    await drain(rt)
    async with rt.db.read() as conn:
        bodies = str((await conn.execute(select(events.c.body))).all())
    assert len(bodies) > 100
    assert not [one for one in (*CANARIES, "P-1") if one in bodies]


async def test_an_event_is_stored_with_its_change_or_not_at_all(rt: Runtime):
    """Where the transaction breaks after the outcome was written, neither of both is there."""
    done = await accept.accept(rt, CALLER, posted())

    def broken(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO events"):
            raise RuntimeError("cut")

    engine = rt.db._writer.sync_engine
    event.listen(engine, "before_cursor_execute", broken)
    with pytest.raises(RuntimeError):
        await drain(rt)
    event.remove(engine, "before_cursor_execute", broken)
    assert (await report(rt, done))["state"] == "pending"
    await rewrite(rt, first(done), state="submitted")
    assert await told(rt) == []
    await receipts.take(rt, "sms", [receipt(rt, "sms", Fact.DELIVERED)])
    assert await types(rt) == ["notification.delivered"]


async def test_a_page_has_its_limit_and_a_cursor(rt: Runtime):
    """Following ``next`` shows each event once; an empty page keeps the cursor."""
    for _ in range(5):
        await accept.accept(rt, CALLER, posted())
    await drain(rt)
    seen, after = list[int](), 0
    for _ in range(4):
        page = await telling.feed(rt, CALLER, after=after, limit=2)
        seen += [one["seq"] for one in page["events"]]
        after = page["next"]
    assert (seen, after) == ([1, 2, 3, 4, 5], 5)


async def forget(rt: Runtime) -> int:
    """Delete what is out of date, as the nightly purge does."""
    async with rt.db.write() as conn:
        return await stored.forget(conn, before=rt.clock.now() - KEPT)


async def test_old_events_go_and_a_cursor_among_them_is_refused(rt: Runtime, clock: Any):
    """After 30 days they are deleted; who was not there meanwhile is told so, and numbers go on."""
    for _ in range(2):
        await accept.accept(rt, CALLER, posted())
        await drain(rt)
        await told(rt)
        clock.advance(KEPT - timedelta(days=1))
    assert await forget(rt) == 1
    assert [one["seq"] for one in await told(rt)] == [2]
    assert [one["seq"] for one in await told(rt, after=1)] == [2]
    clock.advance(KEPT)
    assert await forget(rt) == 1
    assert await told(rt, after=2) == []
    for lost in (1, 3):
        with pytest.raises(CallerError) as caught:
            await told(rt, after=lost)
        assert caught.value.code == "cursor_unknown"


async def _write(db: Database, name: str, dice: random.Random, written: list[str]) -> None:
    """Commit events in small transactions, each after a wait that lets others overtake it."""
    for number in range(EACH):
        rows = [
            {"client_id": "c", "at": START, "type": "t", "body": {"id": f"{name}-{number}-{place}"}}
            for place in range(dice.randint(1, 3))
        ]
        async with db.write() as conn:
            await stored.append(conn, rows)
            await asyncio.sleep(dice.random() * 0.03)  # the case itself: commits in another order than inserts
        written += [row["body"]["id"] for row in rows]


async def _poll(rt: Runtime, writers: asyncio.Task[Any], seen: list[tuple[int, str]], after: int = 0) -> None:
    """Read the feed as fast as possible until everything is written and read."""
    caller = CALLER.__class__("c", "c", CALLER.scopes, test=False)
    while True:
        over = writers.done()
        page = await telling.feed(rt, caller, after=after, limit=7)
        seen += [(one["seq"], one["id"]) for one in page["events"]]
        after = page["next"]
        if over and not page["events"]:
            return


async def test_numbers_are_given_by_one_at_a_time(rt: Runtime):
    """Who comes second waits for the first to commit, and goes on behind it."""

    async def second() -> tuple[int, int]:
        async with rt.db.write() as conn:
            return await stored.number(conn, "c", limit=10)

    async with rt.db.write() as conn:
        await stored.append(conn, [{"client_id": "c", "at": START, "type": "t", "body": {"id": "1"}}])
    assert await telling.number_new(rt) == 1
    async with rt.db.write() as conn:
        await stored.append(conn, [{"client_id": "c", "at": START, "type": "t", "body": {"id": "2"}}])
    async with rt.db.write() as conn:
        await conn.execute(select(event_heads).with_for_update())
        waiting = asyncio.create_task(second())
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        await conn.execute(update(event_heads).values(seq=5))
    assert await waiting == (5, 6)


async def test_a_fast_reader_misses_nothing_of_sixteen_writers(rt: Runtime, database_url: str):
    """Rows that commit late, in any order: each is seen once, numbers go up by one, and no number is ever empty."""
    dice = random.Random(7)  # noqa: S311 - a repeatable schedule
    written: list[str] = []
    seen: dict[int, list[tuple[int, str]]] = {0: [], 1: []}
    db = await Database.open(database_url, pool=WRITERS)
    try:
        several = [_write(db, f"w{one}", random.Random(dice.random()), written) for one in range(WRITERS)]  # noqa: S311
        writers = asyncio.ensure_future(asyncio.gather(*several))
        await asyncio.gather(*(_poll(rt, writers, seen[one]) for one in seen))
        await writers
    finally:
        await db.close()
    for one in seen.values():
        assert [seq for seq, _ in one] == list(range(1, len(written) + 1))
        assert sorted(ident for _, ident in one) == sorted(written)
    assert seen[0] == seen[1]
    async with rt.db.read() as conn:
        assert (await conn.execute(select(event_heads.c.seq))).scalar_one() == len(written)
        assert (await conn.execute(select(func.count()).where(events.c.seq.is_(None)))).scalar_one() == 0
