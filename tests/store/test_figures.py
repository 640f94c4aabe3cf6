"""Figures are exact up to their cap, and each is read over an index: a scrape never walks a big table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import event, update

from gateway.domain.states import Outcome
from gateway.store import figures
from gateway.store.engine import Connection, Database
from gateway.store.tables import deliveries, notifications
from gateway.store.vault import Vault
from gateway.usecases import accept
from gateway.usecases.runtime import Runtime
from tests.support.clock import START, ManualClock
from tests.support.runtime import CALLER, first, open_runtime, posted, publish, put, rewrite

LATER = START + timedelta(hours=1)
READINGS: dict[str, Callable[[Connection], Awaitable[Any]]] = {
    "oldest_due": lambda conn: figures.oldest_due(conn, "normal", now=LATER),
    "count_due": lambda conn: figures.count_due(conn, "normal", now=LATER, cap=10),
    "running": lambda conn: figures.running(conn, cap=10),
    "lapsed": lambda conn: figures.lapsed(conn, before=LATER, cap=10),
    "held": lambda conn: figures.held(conn, cap=10),
    "failed": lambda conn: figures.failed(conn, "sms", since=START, cap=10),
    "oldest_callback": lambda conn: figures.oldest_callback(conn, now=LATER),
}


@pytest_asyncio.fixture
async def rt(db: Database, vault: Vault, clock: ManualClock) -> AsyncIterator[Runtime]:
    """Lend a Runtime: figures are of rows that the verbs wrote."""
    async with open_runtime(db, vault, clock) as opened:
        await publish(opened)
        await put(opened)
        yield opened


async def accepted(rt: Runtime, count: int) -> list[str]:
    """Accept some and return their first deliveries."""
    return [first(await accept.accept(rt, CALLER, posted())) for _ in range(count)]


async def test_what_waits_is_counted(rt: Runtime):
    """Due rows by lane, the oldest of them, what is running by state, and what nobody heals."""
    one, two, three, four = await accepted(rt, 4)
    await rewrite(rt, one, due_at=START - timedelta(minutes=5))
    await rewrite(rt, two, state="claimed", lease_until=START - timedelta(minutes=2))
    await rewrite(rt, three, state="uncertain", lease_until=START - timedelta(minutes=2))
    await rewrite(rt, four, due_at=None, held=True)
    async with rt.db.read() as conn:
        assert await figures.oldest_due(conn, "normal", now=START) == START - timedelta(minutes=5)
        assert await figures.oldest_due(conn, "bulk", now=START) is None
        assert await figures.count_due(conn, "normal", now=START, cap=10) == 1
        assert await figures.running(conn, cap=10) == {"claimed": 1, "uncertain": 1}
        assert await figures.lapsed(conn, before=START, cap=10) == 1
        assert await figures.held(conn, cap=10) == 1


async def test_a_dead_letter_is_one_that_no_channel_took(rt: Runtime):
    """A failed delivery whose fall-back is still under way, or was cancelled by staff, is none."""
    for number, ident in enumerate(await accepted(rt, 3)):
        await rewrite(rt, ident, state="failed", changed_at=START)
        outcome = Outcome.PENDING if number == 0 else Outcome.FAILED
        owner = deliveries.c.id == ident
        note = notifications.update().values(outcome=outcome.value, cancelled_at=START if number == 1 else None)
        async with rt.db.write() as conn:
            await conn.execute(note.where(notifications.c.id == deliveries.c.notification_id, owner))
    async with rt.db.read() as conn:
        assert await figures.failed(conn, "sms", since=START, cap=10) == 1
        assert await figures.failed(conn, "sms", since=LATER, cap=10) == 0


async def test_counting_stops_at_the_cap(rt: Runtime):
    """On a bad day the figure says "at least so many" instead of reading a million rows."""
    await accepted(rt, 5)
    async with rt.db.read() as conn:
        assert await figures.count_due(conn, "normal", now=LATER, cap=3) == 3
    async with rt.db.write() as conn:
        await conn.execute(update(deliveries).values(state="sending"))
    async with rt.db.read() as conn:
        assert await figures.running(conn, cap=3) == {"sending": 3}


@pytest.mark.parametrize("name", READINGS)
async def test_every_reading_goes_over_an_index(rt: Runtime, name: str):
    """The database's own plan has no walk over deliveries, notifications or callbacks."""
    plans: list[str] = []
    engine = rt.db._reader.sync_engine
    explain = "EXPLAIN QUERY PLAN " if rt.db.dialect == "sqlite" else "EXPLAIN "

    def planned(conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.startswith("EXPLAIN"):
            plans.extend(str(row) for row in conn.exec_driver_sql(explain + statement, parameters))

    async with rt.db.read() as conn:
        if rt.db.dialect == "postgresql":
            await conn.exec_driver_sql("SET enable_seqscan = off")  # the tables are small: show what is possible
        event.listen(engine, "before_cursor_execute", planned)
        try:
            await READINGS[name](conn)
        finally:
            event.remove(engine, "before_cursor_execute", planned)
    assert plans
    walks = [line for line in plans if "Seq Scan" in line or ("SCAN" in line and "INDEX" not in line)]
    assert [line for line in walks if "deliveries" in line or "callback" in line or "notifications" in line] == []
