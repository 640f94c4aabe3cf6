"""Emptying a database that is the demonstration's: what is left can be set up anew."""

from __future__ import annotations

from gateway.store import tallies
from gateway.store.engine import Database
from gateway.store.migrate import current, head, migrate


async def test_an_emptied_database_can_be_set_up_again(empty_url: str):
    """A second demonstration on the same servers starts from a clean state: nothing of the first is in its way."""
    db = await Database.open(empty_url)
    try:
        await migrate(db)
        async with db.write() as conn:
            assert not await tallies.is_empty(conn)
            await tallies.empty(conn)
            assert await tallies.is_empty(conn)
        await migrate(db)
        assert await current(db) == head()
    finally:
        await db.close()
