"""Transactions, their isolation, and what happens when the database is not there."""

from __future__ import annotations

import asyncio
import stat
import traceback
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.store import audit
from gateway.store.engine import Database, StoreAway
from gateway.store.tables import clients
from tests.support.clock import START
from tests.support.waiting import wait_until

CANARY = "kanarienvogel-4711"


async def _names(db: Database) -> list[str]:
    async with db.read() as conn:
        return list((await conn.execute(sa.select(clients.c.name).order_by(clients.c.name))).scalars())


def _client(name: str) -> sa.Insert:
    return sa.insert(clients).values(id=name, name=name, created_at=START)


async def test_a_write_is_kept_when_its_block_ends(db: Database):
    """What a finished block wrote is there for the next reader."""
    async with db.write() as conn:
        await conn.execute(_client("a"))
    assert await _names(db) == ["a"]


async def test_an_error_takes_everything_back(db: Database):
    """An exception in the block undoes all of it and passes through unchanged."""

    async def fail() -> None:
        async with db.write() as conn:
            await conn.execute(_client("a"))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await _names(db) == []


async def test_a_cancelled_write_takes_everything_back_and_frees_the_writer(db: Database):
    """Cancelling a task in its transaction undoes it, and the next writer is not held up."""
    inside = asyncio.Event()

    async def hold() -> None:
        async with db.write() as conn:
            await conn.execute(_client("a"))
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with db.write() as conn:
        await conn.execute(_client("b"))
    assert await _names(db) == ["b"]


async def test_fifty_writers_at_once_lose_nothing(db: Database):
    """Read-then-write in concurrent transactions: all succeed, every row is there."""

    async def one(number: int) -> None:
        async with db.write() as conn:
            await conn.execute(sa.select(sa.func.count()).select_from(clients))
            await conn.execute(_client(f"{number:02}"))

    await asyncio.gather(*(one(number) for number in range(50)))
    assert await _names(db) == [f"{number:02}" for number in range(50)]


async def test_two_processes_share_one_database(db: Database, database_url: str):
    """A second opening of the same database, like a command line verb's, writes while the first one does."""
    other = await Database.open(database_url)
    try:

        async def one(where: Database, name: str) -> None:
            async with where.write() as conn:
                await conn.execute(_client(name))

        await asyncio.gather(*(one(where, f"{where is db}{n}") for n in range(10) for where in (db, other)))
        assert len(await _names(other)) == 20
    finally:
        await other.close()


async def test_nobody_sees_an_unfinished_write(db: Database):
    """A reader beside an open transaction sees the state before it, without waiting."""
    async with db.write() as conn:
        await conn.execute(_client("a"))
        assert await _names(db) == []


async def test_a_reading_connection_refuses_to_write(db: Database):
    """A store function that writes through ``read()`` fails instead of losing the write at the end."""
    with pytest.raises(sa.exc.DBAPIError):
        async with db.read() as conn:
            await conn.execute(_client("a"))
    assert await _names(db) == []


async def test_a_transaction_inside_a_transaction_is_refused(db: Database):
    """The second ``write()`` of one task would wait for itself for ever; it raises at once."""
    async with db.write():
        assert db.in_transaction()
        with pytest.raises(RuntimeError, match="already has a transaction"):
            async with db.write():
                pass
    assert not db.in_transaction()


async def test_moments_come_back_as_they_went_in(db: Database):
    """An instant keeps its microseconds and comes back aware, in UTC."""
    moment = START.replace(microsecond=123_457)
    async with db.write() as conn:
        await conn.execute(sa.insert(clients).values(id="a", name="a", created_at=moment))
        assert (await conn.execute(sa.select(clients.c.created_at))).scalar_one() == moment


async def test_no_error_repeats_a_value(db: Database):
    """Neither a duplicate nor a value of the wrong kind shows up in message, detail or traceback (house rule 12)."""
    for values in ({"id": CANARY, "name": CANARY}, {"id": "b" + CANARY, "name": CANARY}, {"id": 17, "name": [CANARY]}):
        report = ""
        try:
            async with db.write() as conn:
                await conn.execute(sa.insert(clients).values(**values, created_at=START))
        except sa.exc.SQLAlchemyError as error:
            report = "".join(traceback.format_exception(error))
        assert CANARY not in report
    async with db.read() as conn:
        assert (await conn.execute(sa.select(sa.func.count()).select_from(clients))).scalar_one() == 1


async def test_an_audit_entry_belongs_to_its_transaction(db: Database):
    """Entries are numbered in order, and one of a failed transaction is not kept."""
    async with db.write() as conn:
        first = await audit.append(conn, at=START, actor="staff:1", verb="read", object="recipient", subject="s")
        second = await audit.append(conn, at=START, actor="staff:1", verb="read", object="recipient", detail={"n": 1})
    assert first < second
    with suppress(LookupError):
        async with db.write() as conn:
            await audit.append(conn, at=START, actor="staff:1", verb="read", object="recipient")
            raise LookupError
    async with db.read() as conn:
        assert (await conn.execute(sa.text("SELECT count(*) FROM audit"))).scalar_one() == 2


async def test_sqlite_is_set_for_durability(tmp_path: Path):
    """WAL, an fsync for each commit, foreign keys and patience hold on reading and writing connections."""
    db = await Database.open(f"sqlite:///{tmp_path / 'new.db'}")
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
    for lend in (db.read, db.write):
        async with lend() as conn:
            for pragma, value in wanted.items():
                assert (await conn.execute(sa.text(f"PRAGMA {pragma}"))).scalar_one() == value, pragma
    assert stat.S_IMODE((tmp_path / "new.db").stat().st_mode) == 0o600
    await db.close()


async def test_postgresql_is_set_for_durability(postgres_url: str):
    """Writing connections commit synchronously under READ COMMITTED."""
    db = await Database.open(postgres_url)
    async with db.write() as conn:
        assert (await conn.execute(sa.text("SHOW transaction_isolation"))).scalar_one() == "read committed"
        assert (await conn.execute(sa.text("SHOW synchronous_commit"))).scalar_one() == "on"
    await db.close()


async def test_a_server_that_hung_up_is_forgotten(postgres_url: str):
    """After the server closed every connection, the very next reader and writer get new ones and notice nothing."""
    db, other = await Database.open(postgres_url, pool=1), await Database.open(postgres_url, pool=1)
    lent = []
    for lend in (db.read, db.write):
        async with lend() as conn:
            lent.append((await conn.get_raw_connection()).driver_connection)
    async with other.write() as conn:
        for one in lent:
            await conn.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": one.get_server_pid()})
    await wait_until(lambda: all(one.is_closed() for one in lent))
    await db.ping()
    async with db.write() as conn:
        assert (await conn.execute(sa.text("SELECT 1"))).scalar_one() == 1
    await db.close()
    await other.close()


async def test_a_connection_lost_in_a_transaction_is_store_away(postgres_url: str):
    """When the server hangs up on an open transaction, the caller hears StoreAway and can answer 503."""
    db = await Database.open(postgres_url, pool=1)

    async def hang_up() -> None:
        async with db.write() as conn:
            await conn.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))
            await conn.execute(sa.text("SELECT 1"))

    with pytest.raises(StoreAway):
        await hang_up()
    await db.close()


@pytest.mark.parametrize(
    "url", ["sqlite:////no-such-folder/store.db", f"postgresql://x:{CANARY}@127.0.0.1:1/db", "postgresql://x@[::1]:1/d"]
)
async def test_an_unreachable_database_is_store_away(url: str):
    """Opening what nobody answers for raises StoreAway and shows no password."""
    with pytest.raises(StoreAway) as caught:
        await Database.open(url)
    assert CANARY not in str(caught.value)


async def test_a_locked_sqlite_file_is_store_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A writer that another process keeps out for longer than the patience gives up with StoreAway."""
    monkeypatch.setattr("gateway.store.sqlite.EVERY", ("PRAGMA busy_timeout = 20", "PRAGMA journal_mode = WAL"))
    url = f"sqlite:///{tmp_path / 'store.db'}"
    one, two = await Database.open(url), await Database.open(url)
    async with one.write():
        with pytest.raises(StoreAway):
            async with two.write():
                pass
    await one.close()
    await two.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "not a url"])
async def test_another_kind_of_url_is_refused(url: str):
    """Only a SQLite file and PostgreSQL are databases of ours; the message names both."""
    with pytest.raises(ValueError, match="sqlite:///path"):
        await Database.open(url)
