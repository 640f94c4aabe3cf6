"""Clients and API keys in the database."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from gateway.store import keys
from gateway.store.engine import Database
from tests.support.clock import START, ManualClock


async def _two_keys(db: Database) -> None:
    async with db.write() as conn:
        await keys.create_client(conn, id="c1", name="fachverfahren", now=START)
        for name, test in (("k1", False), ("k2", True)):
            await keys.insert_key(
                conn, id=name, client_id="c1", secret_hash="geheim", scopes={"b", "a"}, test=test, now=START
            )


async def test_a_key_is_found_with_its_client(db: Database):
    """Finding a key gives scopes, kind and the client's name; its hash is not in the repr."""
    await _two_keys(db)
    async with db.read() as conn:
        found = await keys.find_key(conn, "k2")
    assert found is not None
    assert (found.client, found.client_id, found.scopes, found.test) == ("fachverfahren", "c1", ("a", "b"), True)
    assert found.created_at == START
    assert "geheim" not in repr(found)


async def test_an_unknown_key_is_not_found(db: Database):
    """A public half that nobody has gives None."""
    async with db.read() as conn:
        assert await keys.find_key(conn, "k1") is None


async def test_a_revoked_key_is_not_found_but_listed(db: Database, clock: ManualClock):
    """Revoking ends a key at once and for good; the list still shows it, and the other key goes on."""
    await _two_keys(db)
    async with db.write() as conn:
        assert await keys.revoke_key(conn, "k1", clock.now())
    async with db.write() as conn:
        assert not await keys.revoke_key(conn, "k1", clock.advance(60))
        assert not await keys.revoke_key(conn, "unknown", clock.now())
    async with db.read() as conn:
        assert await keys.find_key(conn, "k1") is None
        assert await keys.find_key(conn, "k2") is not None
        assert [(one.id, one.revoked_at) for one in await keys.list_keys(conn)] == [("k1", START), ("k2", None)]


async def test_a_client_is_known_by_its_name_once(db: Database):
    """A client is found by its name, and the name is given only once."""
    await _two_keys(db)
    async with db.read() as conn:
        found = await keys.client_by_name(conn, "fachverfahren")
        assert found is not None
        assert found.id == "c1"
        assert await keys.client_by_name(conn, "other") is None
    with pytest.raises(IntegrityError):
        async with db.write() as conn:
            await keys.create_client(conn, id="c2", name="fachverfahren", now=START)
