"""Recipients: put and added to, merged by address, shown as hints only, with a ledger that only grows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from gateway.domain.errors import Invalid, NotFound
from gateway.store.engine import Database
from gateway.store.tables import audit, consents, contact_points, subjects
from gateway.store.vault import Vault
from gateway.usecases import accept, recipients
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import PostedRecipient
from tests.support.clock import START, ManualClock
from tests.support.runtime import (
    ADDRESSES,
    CALLER,
    OTHER,
    consent,
    open_runtime,
    person,
    point,
    posted,
    put,
)


async def points(rt: Runtime, who: str = "P-1") -> dict[str, Mapping[str, Any]]:
    """Return somebody's contact points by channel and hint."""
    told = await recipients.get(rt, CALLER, who)
    return {f"{one['channel']} {one['address_hint']}": one for one in told["contact_points"]}


async def ledger(rt: Runtime) -> list[tuple[str, str, bool]]:
    """Return (channel, purpose, given) of the whole ledger, oldest first."""
    async with rt.db.read() as conn:
        rows = await conn.execute(select(consents).order_by(consents.c.id))
        return [(one.channel, one.purpose, one.given) for one in rows]


async def test_putting_replaces_the_contact_points_that_are_not_listed(rt: Runtime):
    """A list is the whole list; known addresses keep their id, so that what is planned for them stays good."""
    before = await points(rt)
    listed = (point("sms"), point("telegram"))
    told = await recipients.put(rt, CALLER, PostedRecipient(id="P-1", contact_points=listed))
    assert [one["channel"] for one in told["contact_points"]] == ["sms", "telegram"]
    after = await points(rt)
    key = next(name for name in before if name.startswith("sms"))
    assert after[key]["id"] == before[key]["id"]


async def test_putting_what_is_none_leaves_it_as_it_is(rt: Runtime):
    """Only stated fields change."""
    await recipients.put(rt, CALLER, PostedRecipient(id="P-1", language="tr", birth_year=2008))
    told = await recipients.put(rt, CALLER, PostedRecipient(id="P-1", birth_year=2009))
    assert (told["language"], told["birth_year"], told["preferred_channels"]) == ("tr", 2009, ["sms", "email"])
    assert len(told["contact_points"]) == 2
    empty = await recipients.put(rt, CALLER, PostedRecipient(id="P-1", contact_points=(), preferred_channels=()))
    assert (empty["contact_points"], empty["preferred_channels"]) == ([], [])


async def test_posting_adds_to_the_contact_points(rt: Runtime):
    """A notification that brings an address along adds it; the others stay."""
    more = PostedRecipient(id="P-1", contact_points=(point("telegram"),))
    await accept.accept(rt, CALLER, posted(more))
    assert sorted(one["channel"] for one in (await points(rt)).values()) == ["email", "sms", "telegram"]


async def test_the_same_address_twice_is_one_contact_point(rt: Runtime):
    """Within one list, in a later one, and after a rotation of the index key: merged by address."""
    twice = (point("sms"), point("sms"))
    await recipients.put(rt, CALLER, PostedRecipient(id="P-1", contact_points=twice))
    rt.vault._ring.add_index_key()
    await recipients.put(rt, CALLER, PostedRecipient(id="P-1", contact_points=twice))
    assert len(await points(rt)) == 1


async def test_a_contact_point_is_unverified_until_somebody_says_how(rt: Runtime):
    """An unverified address gets nothing; stating when and how it was verified makes it good."""
    await put(rt, person("P-2", ("sms",), contact_points=(point("sms", verified=False),)))
    done = await accept.accept(rt, CALLER, posted("P-2"))
    assert {one["channel"]: one["reason"] for one in done.answer["skipped"]}["sms"] == "contact_point_unverified"
    await put(rt, PostedRecipient(id="P-2", contact_points=(point("sms"),)))
    told = next(iter((await points(rt, "P-2")).values()))
    assert (told["verified_at"], told["verified_how"]) == (START - timedelta(days=30), "desk")
    assert len((await accept.accept(rt, CALLER, posted("P-2"))).answer["deliveries"]) == 1


async def test_stating_an_address_again_without_proof_keeps_the_old_proof(rt: Runtime):
    """A client that knows nothing of the verification does not undo it."""
    await put(rt, PostedRecipient(id="P-1", contact_points=(point("sms", verified=False),)))
    assert [one["verified_how"] for one in (await points(rt)).values()] == ["desk"]


async def test_addresses_are_shown_as_hints_only_and_reading_is_audited(rt: Runtime):
    """Nobody gets a full address back, and who looked is on record with the random subject alone (A-12, A-19)."""
    told = await recipients.get(rt, OTHER, "P-1")
    for address in ADDRESSES.values():
        assert address not in repr(told)
        assert address.partition("@")[0] not in repr(told)
    async with rt.db.read() as conn:
        last = (await conn.execute(select(audit).order_by(audit.c.id.desc()).limit(1))).one()
        subject = (await conn.execute(select(subjects.c.subject))).scalar_one()
    assert (last.actor, last.verb, last.subject) == ("client:fachverfahren", "read", subject)
    assert "P-1" not in repr(last)


async def test_two_clients_mean_the_same_person(rt: Runtime):
    """The id is the authority's: what one client puts, the other one sees."""
    await put(rt, PostedRecipient(id="P-1", language="uk"), caller=OTHER)
    assert (await recipients.get(rt, CALLER, "P-1"))["language"] == "uk"


async def test_a_consent_that_is_stated_again_is_no_news(rt: Runtime):
    """The ledger grows with what changes, not with how often a client repeats itself."""
    assert await ledger(rt) == [("sms", "dienst", True), ("email", "dienst", True)]
    await put(rt, person())
    assert len(await ledger(rt)) == 2
    later = replace(consent("sms"), given_at=START)
    await put(rt, PostedRecipient(id="P-1", consents=(later,)))
    assert (await ledger(rt))[2:] == [("sms", "dienst", True)]


async def test_the_last_entry_of_the_ledger_stands(rt: Runtime):
    """Given, withdrawn, given again: three rows, and the last one decides, whatever dates they claim (A-04)."""

    async def reachable() -> bool:
        done = await accept.accept(rt, CALLER, posted(channels=("sms",)))
        return bool(done.answer["deliveries"])

    how = {"source": "portal", "actor": "portal"}
    gone = await recipients.withdraw_consent(rt, CALLER, "P-1", "sms", "dienst", at=START - timedelta(days=99), **how)
    assert (gone["given"], await reachable()) == (False, False)
    back = await recipients.give_consent(rt, CALLER, "P-1", consent("sms"))
    assert (back["given"], await reachable()) == (True, True)
    assert back["ledger_row"] > gone["ledger_row"]
    told = await recipients.get(rt, CALLER, "P-1")
    assert [one["ledger_row"] for one in told["consents"] if one["channel"] == "sms"] == [back["ledger_row"]]
    assert len(await ledger(rt)) == 4


async def test_consents_need_a_known_purpose_and_a_known_person(rt: Runtime):
    """A typing mistake must not become a consent that nothing ever asks for."""
    with pytest.raises(Invalid) as told:
        await recipients.give_consent(rt, CALLER, "P-1", consent("sms", "werbung"))
    assert told.value.faults[0].code == "purpose_unknown"
    with pytest.raises(NotFound):
        await recipients.give_consent(rt, CALLER, "nobody", consent("sms"))
    with pytest.raises(NotFound):
        await recipients.get(rt, CALLER, "nobody")
    assert len(await ledger(rt)) == 2


async def test_one_bad_item_of_a_batch_spoils_no_other(rt: Runtime):
    """Results come in the order of the items, each with its own problem."""
    known = Invalid("refused by the parser")
    bad = person("B-2", contact_points=(point("sms", "not a number"),))
    results = await recipients.put_batch(rt, CALLER, [person("B-1"), known, bad, person("B-3")])
    assert [isinstance(one, Mapping) for one in results] == [True, False, False, True]
    assert results[1] is known
    assert isinstance(results[2], Invalid)
    assert results[2].faults[0].pointer == "/contact_points/0/address"
    assert "not a number" not in repr(results[2])
    async with rt.db.read() as conn:
        ids = set((await conn.execute(select(subjects.c.recipient))).scalars())
    assert ids == {"P-1", "B-1", "B-3"}


async def test_the_last_of_equal_ids_in_a_batch_wins(rt: Runtime):
    """A list with the same person twice is no error; what comes later holds."""
    await put(rt, person("B-1", language="en"), person("B-1", language="tr"))
    assert (await recipients.get(rt, CALLER, "B-1"))["language"] == "tr"


async def test_two_processes_putting_the_same_people_in_another_order(
    rt: Runtime, vault: Vault, clock: ManualClock, database_url: str
):
    """Neither waits for the other for ever, and each person exists once."""
    people = [person(f"B-{number:03}", ("sms",)) for number in range(40)]
    second = await Database.open(database_url)
    async with open_runtime(second, vault, clock, accounts=rt.accounts) as other:
        await asyncio.gather(put(rt, *people), put(other, *people[::-1]))
    await second.close()
    async with rt.db.read() as conn:
        assert len((await conn.execute(select(subjects))).all()) == 41


async def test_many_contact_points_fit_into_one_batch(rt: Runtime):
    """Five hundred people with twelve addresses each: more values than one statement may hold."""
    many = [
        PostedRecipient(
            id=f"M-{number}", contact_points=tuple(point("sms", f"+49155{number:03}{other:05}") for other in range(12))
        )
        for number in range(500)
    ]
    await put(rt, *many)
    async with rt.db.read() as conn:
        assert len((await conn.execute(select(contact_points.c.id))).all()) == 6002
