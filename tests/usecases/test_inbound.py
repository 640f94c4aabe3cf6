"""What people write: a stop is obeyed before the next call, everything is kept sealed, nobody speaks for another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import func, select

from channels.kit.contract import Address, Inbound, Kind
from gateway.store import audit, people
from gateway.store.tables import consents, inbound, suppressions
from gateway.store.vault import inbound_row
from gateway.usecases import accept, receipts, recipients
from gateway.usecases import inbound as writing
from gateway.usecases.runtime import Runtime
from gateway.usecases.stopping import delivery_of, stop_url
from tests.support.clock import START
from tests.support.runtime import (
    ADDRESSES,
    BASE,
    CALLER,
    drain,
    first,
    person,
    point,
    posted,
    put,
    report,
    states,
    taken,
)


def wrote(text: str, *, event: str = "", channel: str = "sms", kind: Kind = Kind.TEXT, **given: Any) -> Inbound:
    """Return what P-1 wrote on the telephone."""
    address = given.pop("address", ADDRESSES[channel])
    ident = event or f"in-{abs(hash((text, kind, address)))}"
    return Inbound(event_id=ident, sender=Address(channel, address), kind=kind, at=START, text=text, **given)


async def skipped(rt: Runtime, who: str = "P-1") -> dict[str, str]:
    """Return why channels are left out for somebody now."""
    done = await accept.accept(rt, CALLER, posted(who))
    return {one["channel"]: one["reason"] for one in done.answer["skipped"]}


async def withdrawals(rt: Runtime) -> list[tuple[str, str, str]]:
    """Return (channel, purpose, source) of every withdrawal in the ledger."""
    async with rt.db.read() as conn:
        statement = select(consents).where(consents.c.given.is_(False)).order_by(consents.c.id)
        return [(one.channel, one.purpose, one.source) for one in await conn.execute(statement)]


@pytest.mark.parametrize("text", ["STOPP", "stop", " Stopp! ", "S T O P", "Abmelden.", "СТОП", "توقف", "dur"])
async def test_one_word_stops_the_channel_before_the_next_call(rt: Runtime, text: str):
    """Whatever the spelling: consent withdrawn, address suppressed, and what waits does not go out any more (A-07)."""
    done = await accept.accept(rt, CALLER, posted())
    await receipts.take(rt, "sms", [wrote(text)])
    await drain(rt)
    assert [name for name, _ in taken(rt)] == ["mail"]
    assert await states(rt, done) == [("sms", "skipped", "contact_point_suppressed"), ("email", "submitted", None)]
    assert await withdrawals(rt) == [("sms", "dienst", "text")]
    assert (await skipped(rt))["sms"] == "contact_point_suppressed"


@pytest.mark.parametrize("text", ["Stopp, ich komme doch", "Ende der Woche?", "", "👍"])
async def test_other_words_stop_nothing_and_are_kept(rt: Runtime, text: str):
    """Only the word alone is a stop; everything else waits in the inbox, sealed, and can be opened again."""
    await receipts.take(rt, "sms", [wrote(text, event="e1")])
    assert await withdrawals(rt) == []
    async with rt.db.read() as conn:
        row = (await conn.execute(select(inbound))).one()
    place = {"table": "inbound", "row": inbound_row("sms", "e1")}
    assert rt.vault.open(row.text_sealed, column="text_sealed", **place).decode() == text
    assert rt.vault.open(row.address_sealed, column="address_sealed", **place).decode() == ADDRESSES["sms"]
    assert not text or text.encode() not in row.text_sealed


async def test_the_providers_own_stop_counts_too(rt: Runtime):
    """A block or an unsubscribe that the provider reports is a stop, without any word (A-07)."""
    await receipts.take(rt, "sms", [wrote("", kind=Kind.STOP)])
    assert await withdrawals(rt) == [("sms", "dienst", "stop")]


async def test_a_stop_holds_for_every_purpose_of_the_channel_and_for_no_other_channel(rt: Runtime):
    """Stopping SMS ends all of SMS; e-mail goes on."""
    given = (*(person().consents or ()), recipients.PostedConsent(**_info()))
    await put(rt, person(consents=given))
    await receipts.take(rt, "sms", [wrote("STOPP")])
    assert sorted(await withdrawals(rt)) == [("sms", "dienst", "text"), ("sms", "info", "text")]
    assert "email" not in await skipped(rt)


def _info() -> dict[str, Any]:
    return {
        "channel": "sms", "purpose": "info", "text_version": "1", "text_hash": "x", "language": "de",
        "source": "desk", "actor": "desk", "given_at": START,
    }  # fmt: skip


async def test_a_shared_telephone_stops_for_everyone_who_has_it(rt: Runtime):
    """Two persons, one number: nobody can tell who wrote, so both are spared, and the words are nobody's alone."""
    await put(rt, person("P-2", ("sms",)))
    await receipts.take(rt, "sms", [wrote("STOPP")])
    assert len(await withdrawals(rt)) == 2
    assert (await skipped(rt, "P-2"))["sms"] == "contact_point_suppressed"
    async with rt.db.read() as conn:
        assert (await conn.execute(select(inbound.c.subject))).scalars().all() == [None]


async def test_a_stranger_may_stop_too(rt: Runtime):
    """A number that nobody has is suppressed all the same: it may be put tomorrow."""
    await receipts.take(rt, "sms", [wrote("STOPP", address="+4915550199999")])
    await put(rt, person("P-3", ("sms",), contact_points=(point("sms", "+4915550199999"),)))
    assert (await skipped(rt, "P-3"))["sms"] == "contact_point_suppressed"


async def test_a_repeated_event_does_nothing(rt: Runtime):
    """Webhooks come twice: one inbox row, one withdrawal, one audit entry (B-T6)."""
    for _ in range(2):
        await receipts.take(rt, "sms", [wrote("STOPP"), wrote("STOPP")])
    async with rt.db.read() as conn:
        rows = [
            (await conn.execute(select(func.count()).select_from(one))).scalar_one() for one in (inbound, suppressions)
        ]
        entries = (await conn.execute(select(audit.audit.c.verb).where(audit.audit.c.verb == "stop"))).all()
    assert (rows, len(entries), len(await withdrawals(rt))) == ([1, 1], 1, 1)


async def test_a_withdrawal_needs_a_standing_consent(rt: Runtime):
    """Stopping twice, by two messages, appends one withdrawal only: the ledger tells what changed."""
    await receipts.take(rt, "sms", [wrote("STOPP", event="e1")])
    await receipts.take(rt, "sms", [wrote("STOPP", event="e2")])
    assert await withdrawals(rt) == [("sms", "dienst", "text")]


async def _pressed(rt: Runtime, payload: str, address: str) -> list[str]:
    facts: Sequence[Inbound] = [
        wrote("Ja", channel="telegram", kind=Kind.BUTTON, payload=payload, address=address, event=payload + address)
    ]
    await receipts.take(rt, "telegram", facts)
    async with rt.db.read() as conn:
        return [str(one) for one in (await conn.execute(select(inbound.c.kind))).scalars()]


async def test_a_button_counts_from_the_person_who_got_it_alone(rt: Runtime):
    """A press from another chat, or of another message, is kept and answers nothing (B-T4)."""
    await put(
        rt, person("P-2", ("telegram",)), person("P-3", ("telegram",), contact_points=(point("telegram", "7002"),))
    )
    done = await accept.accept(rt, CALLER, posted("P-2"))
    await drain(rt)
    for payload, address in (
        (f"{first(done)}:1", "7002"),
        ("nothing:1", "7001"),
        (f"{first(done)}:x", "7001"),
        ("", "7001"),
    ):
        await _pressed(rt, payload, address)
    assert "answered" not in [one["event"] for one in (await report(rt, done))["timeline"]]
    await _pressed(rt, f"{first(done)}:2", "7001")
    last = (await report(rt, done))["timeline"][-1]
    assert (last["event"], last["code"], last["delivery"]) == ("answered", "button_2", first(done))


async def test_the_link_in_a_message_stops_its_channel(rt: Runtime):
    """The signed link belongs to one delivery; following it stops that channel for that person (RFC 8058, A-07)."""
    done = await accept.accept(rt, CALLER, posted())
    await drain(rt)
    assert await writing.stop_by_token(rt, first(done))
    assert await withdrawals(rt) == [("sms", "dienst", "link")]
    assert not await writing.stop_by_token(rt, "unknown")


async def test_only_our_own_links_are_known(rt: Runtime):
    """A token for another delivery, a changed one and nonsense are nobody's."""
    url = stop_url(rt, "delivery-1")
    token = url.removeprefix(f"{BASE}/stop/")
    assert delivery_of(rt, token) == "delivery-1"
    tag = token.rpartition(".")[2]
    changed = ("0" if tag[0] != "0" else "1") + tag[1:]
    for wrong in (
        f"delivery-2.{tag}",
        f"delivery-1.{changed}",
        f"delivery-1.{tag[:-1]}",
        "delivery-1.",
        "",
        "ä.ö",
        tag,
    ):
        assert delivery_of(rt, wrong) is None
    assert all(value not in url for value in ADDRESSES.values())


async def test_a_link_outlives_the_rotation_of_its_key(rt: Runtime):
    """Mails lie around for months: links that were signed with an older index key stay good."""
    before = stop_url(rt, "delivery-1").removeprefix(f"{BASE}/stop/")
    rt.vault._ring.add_index_key()
    assert stop_url(rt, "delivery-1") != f"{BASE}/stop/{before}"
    assert delivery_of(rt, before) == "delivery-1"


async def test_owners_are_found_by_address_alone(rt: Runtime):
    """The index finds the contact points of an address, and no others."""
    async with rt.db.read() as conn:
        found = await people.owners(conn, "sms", rt.vault.indexes("sms", ADDRESSES["sms"]))
        none = await people.owners(conn, "whatsapp", rt.vault.indexes("whatsapp", ADDRESSES["sms"]))
    assert (len(found), none) == (1, [])
