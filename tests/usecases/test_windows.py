"""Limits of a day (B-W8): the 251st person takes the next channel, whoever counts, at the same cost for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
import structlog
from sqlalchemy import event, text

from gateway.domain.model import Lane
from gateway.domain.windows import CALLS, PEOPLE, Window
from gateway.store.dialect import insert
from gateway.store.engine import Database
from gateway.store.rows import Work
from gateway.store.tables import contacted, usage
from gateway.store.vault import Vault
from gateway.usecases import accept, deliver, windows
from gateway.usecases.runtime import Runtime
from tests.support.clock import START, ManualClock
from tests.support.runtime import (
    drain,
    first,
    open_accounts,
    open_runtime,
    publish,
    row,
    states,
    taken,
)
from tests.usecases import troubled
from tests.usecases.troubled import accepted, ids


@pytest_asyncio.fixture
async def rt(db: Database, vault: Vault, clock: ManualClock) -> AsyncIterator[Runtime]:
    """Lend a Runtime whose Telegram account may write to ten people a day, and mail five times."""
    accounts = open_accounts(clock)
    accounts["telegram"] = troubled.account(clock, accounts["telegram"], windows=[Window(PEOPLE, 10)])
    accounts["mail"] = troubled.account(clock, accounts["mail"], windows=[Window(CALLS, 5)])
    async with open_runtime(db, vault, clock, accounts=accounts) as opened:
        await publish(opened)
        yield opened


async def tally(rt: Runtime, done: list[accept.Accepted]) -> dict[tuple[str, str, str | None], int]:
    """Count the deliveries by channel, state and code."""
    found: dict[tuple[str, str, str | None], int] = {}
    for one in done:
        for key in await states(rt, one):
            found[key] = found.get(key, 0) + 1
    return found


async def test_the_251st_person_of_a_day_takes_the_next_channel(db: Database, vault: Vault, clock: ManualClock):
    """B-W8: 250 people by WhatsApp, one by SMS; told at 200; a day and an hour later there is room again."""
    found = open_accounts(clock)
    found["whatsapp"] = troubled.account(clock, found["whatsapp"], windows=[Window(PEOPLE, 250)])
    async with open_runtime(db, vault, clock, accounts=found) as rt:
        await publish(rt)
        done = await accepted(rt, 251, ("whatsapp", "sms"))
        with structlog.testing.capture_logs() as logs:
            await drain(rt)
        sent = [account for account, _ in taken(rt)]
        assert (sent.count("whatsapp"), sent.count("sms")) == (250, 1)
        assert (await tally(rt, done))["whatsapp", "skipped", "daily_limit"] == 1
        near = [one for one in logs if one["event"] == "limit.neared"]
        assert [(one["account"], one["kind"], one["limit"]) for one in near] == [("whatsapp", "people", 250)]
        assert 200 <= near[0]["used"] < 225
        clock.advance(timedelta(hours=25))
        (later,) = await accepted(rt, 1, ("whatsapp", "sms"))
        await drain(rt)
        assert (await states(rt, later))[0] == ("whatsapp", "submitted", None)


async def test_who_has_no_other_channel_waits_until_the_oldest_hour_leaves(rt: Runtime):
    """Ten people, and an eleventh waits, without an attempt, until there is room: nothing is lost (B-W8)."""
    await accepted(rt, 10, ("telegram",))
    assert await drain(rt) == 10
    assert await used(rt, "telegram") == [(PEOPLE, 10)]
    (eleventh,) = await accepted(rt, 1, ("telegram",))
    assert await drain(rt) == 0
    facts = await row(rt, first(eleventh))
    assert (facts["state"], facts["code"], facts["tries"]) == ("queued", "daily_limit", 0)
    assert facts["due_at"] == START + timedelta(hours=25, seconds=2.5)  # and a little spread


async def used(rt: Runtime, account: str) -> list[tuple[str, int]]:
    """Return what is used of an account's windows."""
    return [(window.kind, count) for window, count in await windows.used(rt, account)]


def work(ident: str, account: str, person: str, lane: Lane = Lane.NORMAL) -> Work:
    """Return a claimed delivery, as far as reserving looks at it."""
    return Work(
        id=ident, notification_id="n", subject="s", recipient="r", token=1, tries=0, position=0, last=True,
        channel="c", account=account, lane=lane.value, due_at=START, version="v", contact_point=person,
        language="de", purpose="dienst", simulate=None, expires_at=START, address_sealed=b"", address_index=b"",
        variables_sealed=None, data_key_sealed=b"",
    )  # fmt: skip


async def reserve(rt: Runtime, *works: Work) -> list[str]:
    """Reserve in a transaction; return who got no place."""
    async with rt.db.write() as conn:
        return sorted(await windows.reserve(rt, conn, works))


async def test_a_person_counts_once_and_from_the_last_time(rt: Runtime, clock: ManualClock):
    """B-W8, a moving window: writing again at 20:00 keeps the person in it until 20:00 of the next day, as one."""
    assert await reserve(rt, *(work(f"a{number}", "telegram", f"p{number}") for number in range(10))) == []
    assert await reserve(rt, work("b", "telegram", "p0"), work("c", "telegram", "p0"), work("d", "telegram", "q")) == [
        "d"
    ]
    clock.advance(timedelta(hours=11))
    assert await reserve(rt, work("e", "telegram", "p0")) == []
    assert await used(rt, "telegram") == [(PEOPLE, 10)]
    clock.advance(timedelta(hours=14))  # the first nine have left, p0 has not
    assert await used(rt, "telegram") == [(PEOPLE, 1)]
    assert len(await reserve(rt, *(work(f"f{number}", "telegram", f"q{number}") for number in range(12)))) == 3


async def test_calls_are_counted_whoever_gets_them(rt: Runtime):
    """A cap on messages: the same person counts each time; bulk leaves the last fifth for the others."""
    bulk = [work(f"b{number}", "mail", "p", Lane.BULK) for number in range(5)]
    assert await reserve(rt, *bulk) == ["b4"]
    assert await reserve(rt, work("n", "mail", "p"), work("m", "mail", "p")) == ["m"]


@pytest.mark.parametrize("ahead_h", [0, 1])
async def test_processes_together_never_reserve_more_than_there_is(
    rt: Runtime, vault: Vault, database_url: str, ahead_h: int
):
    """Two processes with twenty people each at once, also with clocks on both sides of an hour: exactly ten places."""
    second = await Database.open(database_url)
    later = ManualClock(START + timedelta(hours=ahead_h))
    async with open_runtime(second, vault, later, accounts=rt.accounts) as other:
        assert not await reserve(rt, work("x", "telegram", "x"))
        assert not await reserve(other, work("y", "telegram", "y"))
        sets = [(one, f"{one is rt}{number}") for number in range(20) for one in (rt, other)]
        short = await asyncio.gather(*(reserve(one, work(name, "telegram", name)) for one, name in sets))
    await second.close()
    assert sum(not one for one in short) == 8
    assert await used(rt, "telegram") == [(PEOPLE, 10)]


@contextmanager
def plans(rt: Runtime) -> Iterator[list[tuple[str, Any]]]:
    """Collect what is said to the database about windows."""
    said: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        said.append((statement, parameters))

    engine = rt.db._writer.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield said
    event.remove(engine, "before_cursor_execute", note)


async def _history(rt: Runtime, rows: int) -> None:
    """Fill the tables as years of service would."""
    async with rt.db.write() as conn:
        for start in range(0, rows, 1000):
            old = [
                {"account": "telegram", "contact_point": f"old-{start + n}", "last_at": START - timedelta(days=40)}
                for n in range(1000)
            ]
            await conn.execute(insert(conn, contacted).values(old))
        hours = [
            {"account": "telegram", "kind": PEOPLE, "hour": START - timedelta(hours=50 + n), "count": 3}
            for n in range(5000)
        ]
        await conn.execute(insert(conn, usage).values(hours))
        await conn.execute(text("ANALYZE"))


async def test_reserving_costs_the_same_after_years(rt: Runtime):
    """Four statements a group, rows found by primary key, with 20,000 contacts and 5,000 hours in the tables."""
    await _history(rt, 20_000)
    await reserve(rt, work("a", "telegram", "p"))
    wanted = [work(f"a{number}", "telegram", f"p{number}") for number in range(9)]
    with plans(rt) as said:
        assert await reserve(rt, *wanted) == []
    about = [(one, given) for one, given in said if "usage" in one or "contacted" in one]
    assert len(about) == 4
    found = [line for one, given in about if one.startswith("SELECT") for line in await _plan(rt, one, given)]
    assert len(found) >= 2
    assert not [one for one in found if "Seq Scan" in one or one.startswith("SCAN")]


async def _plan(rt: Runtime, statement: str, given: Any) -> list[str]:
    """Ask the database how it finds what a statement asks for."""
    ask, column = ("EXPLAIN QUERY PLAN", 3) if rt.db.dialect == "sqlite" else ("EXPLAIN", 0)
    async with rt.db.write() as conn:
        return [str(line[column]) for line in await conn.exec_driver_sql(f"{ask} {statement}", given)]


async def test_an_account_without_such_limits_costs_nothing(rt: Runtime):
    """Delivering over it says nothing to the tables of windows."""
    done = await accepted(rt, 3)
    with plans(rt) as said:
        assert await deliver.deliver(rt, ids(done)) == 3
    assert [one for one, _ in said if "usage" in one or "contacted" in one] == []


@pytest.mark.parametrize("hours", [47, 49])
async def test_what_no_window_reaches_is_forgotten(rt: Runtime, clock: ManualClock, hours: int):
    """Whom we wrote to is kept no longer than the limit needs it (data economy): two days, cautiously."""
    await reserve(rt, work("a", "telegram", "p"))
    clock.advance(timedelta(hours=hours))
    assert await windows.forget(rt) == (2 if hours > 48 else 0)
