"""Keys are renewed under load: everything opens throughout, a stopped run goes on, nothing of a writer is lost."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from gateway.store import rotation
from gateway.store.engine import Database
from gateway.store.keyring import KeyRing
from gateway.store.rotation import NotRotated, outstanding, rotate
from gateway.store.tables import contact_points, endpoints, inbound, subjects, suppressions
from gateway.store.vault import Vault, head, inbound_row
from tests.support.clock import START
from tests.support.seeds import Seeded, person, seed

NOTHING = {"subjects": 0, "inbound": 0, "endpoints": 0, "contact_points": 0, "suppressions": 0}


async def _seed(db: Database, vault: Vault, numbers: range, *, suppressed: bool = False) -> None:
    async with db.write() as conn:
        for number in numbers:
            await seed(conn, vault, person(number), suppressed=suppressed)


async def _readable(db: Database, vault: Vault, one: Seeded) -> bool:
    """Read a person back the way the verbs do: find by index, open with the data key, look for suppression."""
    indexes = vault.indexes("email", one.address)
    point = contact_points.c
    reach = sa.and_(suppressions.c.channel == point.channel, suppressions.c.address_index == point.address_index)
    statement = (
        sa.select(point.id, point.address_sealed, subjects.c.data_key_sealed, suppressions.c.reason)
        .join(subjects, subjects.c.subject == point.subject)
        .outerjoin(suppressions, reach)
        .where(point.channel == "email", point.address_index.in_(indexes))
    )
    async with db.read() as conn:
        row = (await conn.execute(statement)).one()
        heard = (await conn.execute(sa.select(inbound).where(inbound.c.address_index.in_(indexes)))).one()
    key = vault.open_data_key(one.subject, row.data_key_sealed)
    plain = vault.open(row.address_sealed, table="contact_points", row=row.id, column="address_sealed", data_key=key)
    words = vault.open(
        heard.text_sealed, table="inbound", row=inbound_row(heard.account, heard.event_id), column="text_sealed"
    )
    return (plain.decode(), words.decode(), row.reason) == (one.address, one.words, "opted_out")


async def test_everything_moves_to_the_new_keys(db: Database, vault: Vault, ring: KeyRing):
    """After one run no row needs an old key, everything reads as before, and a second run has nothing to do."""
    await _seed(db, vault, range(5), suppressed=True)
    assert await rotate(db, vault) == 0
    ring.add_key()
    ring.add_index_key()
    everything = {"subjects": 5, "inbound": 5, "contact_points": 5, "suppressions": 5}
    assert await outstanding(db, vault) == NOTHING | everything
    assert await rotate(db, vault, batch=2) == 20
    assert await outstanding(db, vault) == NOTHING
    assert await rotate(db, vault, batch=2) == 0
    for number in range(5):
        assert await _readable(db, vault, person(number))


async def test_only_what_the_new_key_concerns_is_touched(db: Database, vault: Vault, ring: KeyRing):
    """A new sealing key alone renews data keys and inbound, a new index key alone indexes."""
    await _seed(db, vault, range(2), suppressed=True)
    ring.add_key()
    assert await outstanding(db, vault) == NOTHING | {"subjects": 2, "inbound": 2}
    assert await rotate(db, vault) == 4
    ring.add_index_key()
    assert await outstanding(db, vault) == NOTHING | {"inbound": 2, "contact_points": 2, "suppressions": 2}
    assert await rotate(db, vault) == 6


async def test_the_secrets_of_endpoints_move_too(db: Database, vault: Vault, ring: KeyRing):
    """Both secrets of an endpoint are sealed anew and open as before; one without an old secret has none after."""

    def sealed(ident: str, column: str) -> bytes:
        return vault.seal(b"whsec_abc", table="endpoints", row=ident, column=column)

    async with db.write() as conn:
        for ident in ("a", "b"):
            row = {"id": ident, "client_id": "c", "url": "https://c.example/", "types": [], "created_at": START}
            old = sealed(ident, "previous_sealed") if ident == "a" else None
            secrets = {"secret_sealed": sealed(ident, "secret_sealed"), "previous_sealed": old}
            await conn.execute(sa.insert(endpoints).values(row | secrets))
    ring.add_key()
    assert await outstanding(db, vault) == NOTHING | {"endpoints": 2}
    assert await rotate(db, vault) == 2
    assert await outstanding(db, vault) == NOTHING
    async with db.read() as conn:
        first, second = (await conn.execute(sa.select(endpoints).order_by(endpoints.c.id))).all()
    for column in ("secret_sealed", "previous_sealed"):
        value = getattr(first, column)
        assert value.startswith(head(2))
        assert vault.open(value, table="endpoints", row="a", column=column) == b"whsec_abc"
    assert second.previous_sealed is None


async def test_a_stopped_run_is_continued(db: Database, vault: Vault, ring: KeyRing, monkeypatch: pytest.MonkeyPatch):
    """A run that dies between two batches keeps what it did; the next one does the rest and no more."""
    await _seed(db, vault, range(6))
    ring.add_key()
    calls = 0
    renew = rotation._DATA_KEYS.renew

    async def dying(conn: object, *args: object) -> int:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise ConnectionAbortedError
        return await renew(conn, *args)

    with monkeypatch.context() as patch:
        patch.setattr(
            rotation, "_DATA_KEYS", rotation._Step(subjects, (subjects.c.subject,), rotation._stale_data_keys, dying)
        )
        with pytest.raises(Exception, match="ConnectionAborted"):
            await rotate(db, vault, batch=2)
    assert (await outstanding(db, vault))["subjects"] == 4
    assert await rotate(db, vault, batch=2) == 4 + 6
    assert await outstanding(db, vault) == NOTHING


async def test_people_are_served_while_keys_are_renewed(db: Database, vault: Vault, ring: KeyRing):
    """Readers find, open and see the suppression of everyone at every instant, and writers go on writing."""
    await _seed(db, vault, range(20), suppressed=True)
    done = asyncio.Event()
    written = 0

    async def read() -> int:
        rounds = 0
        while not done.is_set() or rounds == 0:
            assert await _readable(db, vault, person(rounds % 20))
            rounds += 1
        return rounds

    async def write() -> None:
        nonlocal written
        while not done.is_set():
            await _seed(db, vault, range(100 + written, 101 + written), suppressed=True)
            written += 1

    tasks = [asyncio.create_task(read()), asyncio.create_task(write())]
    for add in (ring.add_key, ring.add_index_key):
        add()
        await rotate(db, vault, batch=3)
    done.set()
    rounds, _ = await asyncio.gather(*tasks)
    assert rounds > 1
    assert written > 1
    await rotate(db, vault)
    assert await outstanding(db, vault) == NOTHING
    for number in (*range(20), *range(100, 100 + written)):
        assert await _readable(db, vault, person(number))


async def test_a_row_changed_meanwhile_is_left_alone(db: Database, vault: Vault, ring: KeyRing):
    """A writer that was faster than the batch wins: its value stays, and the row is renewed next time if need be."""
    await _seed(db, vault, range(1))
    ring.add_key()
    async with db.read() as conn:
        seen = (await conn.execute(rotation._stale_data_keys(vault))).one()
    newer = vault.seal_data_key("subject-0000", vault.new_data_key())
    async with db.write() as conn:
        await conn.execute(sa.update(subjects).values(data_key_sealed=newer))
        assert await rotation._renew_data_key(conn, vault, seen) == 0
    async with db.read() as conn:
        assert (await conn.execute(sa.select(subjects.c.data_key_sealed))).scalar_one() == newer


async def test_a_stop_under_an_old_index_is_found_again(db: Database, vault: Vault, ring: KeyRing):
    """A suppression that was written with the old key after its contact point had the new one is moved as well."""
    await _seed(db, vault, range(1))
    old = vault.index("email", person(0).address)
    ring.add_index_key()
    await rotate(db, vault)
    async with db.write() as conn:
        row = {"channel": "email", "address_index": old, "reason": "opted_out", "since": START}
        await conn.execute(sa.insert(suppressions).values(row))
    assert await rotate(db, vault) == 1
    assert await _readable(db, vault, person(0))


async def test_a_stop_under_both_indexes_becomes_one(db: Database, vault: Vault, ring: KeyRing):
    """Where the address is suppressed under the new index already, the old row goes and the new one stays as it is."""
    await _seed(db, vault, range(1), suppressed=True)
    ring.add_index_key()
    async with db.write() as conn:
        index = vault.index("email", person(0).address)
        row = {"channel": "email", "address_index": index, "reason": "bounced", "since": START}
        await conn.execute(sa.insert(suppressions).values(row))
    await rotate(db, vault)
    async with db.read() as conn:
        kept = (await conn.execute(sa.select(suppressions.c.address_index, suppressions.c.reason))).all()
    assert kept == [(index, "bounced")]


async def test_the_suppression_of_an_erased_person_keeps_the_old_key(db: Database, vault: Vault, ring: KeyRing):
    """Without the address there is nothing to index anew: the row stays, still found, and is counted (A-12)."""
    await _seed(db, vault, range(2), suppressed=True)
    async with db.write() as conn:
        await conn.execute(sa.delete(inbound).where(inbound.c.event_id == "subject-0001"))
        await conn.execute(sa.delete(subjects).where(subjects.c.subject == "subject-0001"))
    ring.add_index_key()
    await rotate(db, vault)
    assert await outstanding(db, vault) == NOTHING | {"suppressions": 1}
    async with db.read() as conn:
        known = suppressions.c.address_index.in_(vault.indexes("email", person(1).address))
        assert (await conn.execute(sa.select(suppressions.c.reason).where(known))).scalar_one() == "opted_out"


async def test_a_row_that_does_not_open_is_named_and_the_rest_is_renewed(db: Database, vault: Vault, ring: KeyRing):
    """One damaged row does not hold up the others; it is counted by table, without what is in it."""
    await _seed(db, vault, range(3))
    async with db.write() as conn:
        damaged = head(1) + bytes(60)
        await conn.execute(
            sa.update(subjects).where(subjects.c.subject == "subject-0001").values(data_key_sealed=damaged)
        )
    ring.add_key()
    with pytest.raises(NotRotated, match="1 of subjects") as caught:
        await rotate(db, vault)
    assert (caught.value.changed, caught.value.rows) == (5, {"subjects": 1})
    assert await outstanding(db, vault) == NOTHING | {"subjects": 1}
