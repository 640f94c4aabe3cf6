"""Keys: shown once, stored hashed, refused when wrong or revoked, paced."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from gateway.domain.errors import Forbidden, Invalid, TooMany
from gateway.store import keys
from gateway.store.tables import api_keys, audit
from gateway.usecases import access
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import SCOPES
from tests.support.clock import ManualClock
from tests.support.runtime import CALLER, OTHER


async def test_a_key_says_who_calls(rt: Runtime):
    """Client, scopes and the world it belongs to come from the stored row."""
    live = await access.authenticate(rt, await access.create_key(rt, "portal"))
    test = await access.authenticate(rt, await access.create_key(rt, "portal", scopes=["templates:read"], test=True))
    assert (live.name, live.test, live.scopes) == ("portal", False, frozenset(SCOPES))
    assert (test.client_id, test.test, test.scopes) == (live.client_id, True, {"templates:read"})
    access.require(test, "templates:read")
    with pytest.raises(Forbidden) as told:
        access.require(test, "notifications:write")
    assert told.value.code == "missing_scope"


async def test_the_secret_is_nowhere_in_the_database(rt: Runtime):
    """Only a hash is kept, and making a key is on record without it (A-17)."""
    key = await access.create_key(rt, "portal")
    secret = key.split("_")[3]
    async with rt.db.read() as conn:
        rows = repr((await conn.execute(select(api_keys))).all()) + repr((await conn.execute(select(audit))).all())
    assert secret not in rows
    assert "key.created" in rows
    assert len(secret) >= 32


async def test_wrong_keys_are_all_refused_alike(rt: Runtime):
    """Unknown, cut, changed and foreign keys get the same answer, which does not repeat them."""
    key = await access.create_key(rt, "portal")
    _, _, ident, secret = key.split("_")
    other = await access.create_key(rt, "portal")
    wrong = ["", "bt", key[:-1], key + "x", f"bt_live_{ident}_{other.split('_')[3]}", f"xx_live_{ident}_{secret}",
             f"bt_live_nobody_{secret}", f"bt_live_{ident}_ä", f"{key}_"]  # fmt: skip
    for one in wrong:
        with pytest.raises(Forbidden) as told:
            await access.authenticate(rt, one)
        assert told.value.code == "unauthenticated"
        assert secret not in str(told.value)


async def test_a_revoked_key_is_refused_at_once(rt: Runtime):
    """Revoking needs no restart."""
    key = await access.create_key(rt, "portal")
    async with rt.db.write() as conn:
        assert await keys.revoke_key(conn, key.split("_")[2], rt.clock.now())
    with pytest.raises(Forbidden):
        await access.authenticate(rt, key)


async def test_a_live_key_cannot_be_renamed_into_a_test_key(rt: Runtime):
    """What a key may do is in the row, not in its text."""
    key = await access.create_key(rt, "portal")
    assert (await access.authenticate(rt, key.replace("_live_", "_test_"))).test is False


@pytest.mark.parametrize(("name", "scopes"), [("", SCOPES), ("x" * 81, SCOPES), ("a\nb", SCOPES), ("ok", ["all"])])
async def test_a_key_for_nobody_or_for_unknown_scopes_is_not_made(rt: Runtime, name: str, scopes: list[str]):
    """Mistakes are told before anything is stored, the same on both databases."""
    with pytest.raises(Invalid):
        await access.create_key(rt, name, scopes=scopes)
    async with rt.db.read() as conn:
        assert await keys.list_keys(conn) == []


async def test_each_client_has_its_own_pace(rt: Runtime, clock: ManualClock):
    """Beyond its rate a client waits as long as it is told, and nobody else does."""
    rt.policy = replace(rt.policy, client_per_s=2.0)
    for _ in range(2):
        await access.admit(rt, CALLER)
    with pytest.raises(TooMany) as told:
        await access.admit(rt, CALLER)
    await access.admit(rt, OTHER)
    clock.advance(told.value.retry_after_s)
    await access.admit(rt, CALLER)
