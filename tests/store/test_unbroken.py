"""A cancelled writer on SQLite leaves no lock behind: the next one writes at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from sqlalchemy import text

from gateway.store.engine import Database


async def _write_for_ever(db: Database) -> None:
    while True:
        async with db.write() as conn:
            await conn.execute(text("UPDATE cancelled SET a = a + 1"))
            await conn.execute(text("DELETE FROM cancelled WHERE a > 3"))
            await asyncio.sleep(0)


async def test_cancelling_a_writer_at_any_moment_frees_the_database(db: Database):
    """Cancelled before, within and after its statements, forty times over: nobody finds the database locked."""
    async with db.write() as conn:
        await conn.execute(text("CREATE TABLE cancelled (a INTEGER)"))
    for number in range(40):
        task = asyncio.create_task(_write_for_ever(db))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(task), 0.0007 * (number % 13))
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        async with asyncio.timeout(4), db.write() as conn:
            await conn.execute(text("INSERT INTO cancelled VALUES (1)"))
    async with db.write() as conn:
        await conn.execute(text("DROP TABLE cancelled"))
