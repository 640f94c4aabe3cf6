"""Receipts: repeated, reversed, too early, unknown, forged; and what a failure sets in motion."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from channels.kit.contract import Fact, Receipt, WebhookRequest
from channels.kit.errors import AddressRefused, ContentRefused, Forged, OptedOut, Refused
from channels.memory import MemoryRequest
from gateway.domain.errors import NotFound
from gateway.store.tables import metadata
from gateway.store.tables import receipts as kept
from gateway.usecases import accept, receipts, upkeep
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import Accepted
from tests.support.clock import START
from tests.support.runtime import CALLER, adapter, drain, first, person, posted, put, report, row, states

EMAIL = ("email", "submitted", None)


def receipt(fact: Fact, event: str = "", *, of: str = "memory-1", **given: Any) -> Receipt:
    """Return what the provider reports about the first message that an account took."""
    return Receipt(event_id=event or f"{of}:{fact.value}", provider_id=of, fact=fact, at=START, **given)


def hook(events: list[dict[str, str]], secret: str = "memory") -> WebhookRequest:
    """Return a webhook call of the memory provider."""
    body = json.dumps(events).encode()
    return WebhookRequest(
        method="POST", url="https://boten.example/webhooks/sms", headers={"x-memory-secret": secret}, body=body,
        received_at=START,
    )  # fmt: skip


async def sent(rt: Runtime, **given: Any) -> Accepted:
    """Post one notification and let it go out."""
    done = await accept.accept(rt, CALLER, posted(**given))
    await drain(rt)
    return done


async def stored(rt: Runtime) -> list[tuple[str, str | None]]:
    """Return (event, delivery) of every kept receipt."""
    async with rt.db.read() as conn:
        return [(one.event_id, one.delivery_id) for one in await conn.execute(select(kept).order_by(kept.c.event_id))]


async def test_delivered_ends_it_and_its_fall_backs(rt: Runtime):
    """The provider's word that the person has it: the fall-back is not needed any more, the timeline shows it once."""
    done = await sent(rt)
    await receipts.take(rt, "sms", [receipt(Fact.DELIVERED)])
    assert await states(rt, done) == [("sms", "delivered", None), ("email", "skipped", "not_needed")]
    told = await report(rt, done)
    assert told["state"] == "delivered"
    assert [one["event"] for one in told["timeline"]] == ["accepted", "submitted", "delivered", "skipped"]


async def test_repeated_and_reversed_receipts_change_nothing(rt: Runtime):
    """Providers repeat and overtake themselves: the end is the same, and each event is kept once (B-T6)."""
    done = await sent(rt)
    facts = [receipt(Fact.DELIVERED), receipt(Fact.SUBMITTED), receipt(Fact.DELIVERED)]
    for one in [*facts, *facts]:
        await receipts.take(rt, "sms", [one])
    await receipts.take(rt, "sms", facts)
    assert (await states(rt, done))[0] == ("sms", "delivered", None)
    assert [one["event"] for one in (await report(rt, done))["timeline"]].count("delivered") == 1
    assert await stored(rt) == [("memory-1:delivered", first(done)), ("memory-1:submitted", first(done))]


@pytest.mark.parametrize("by_key", [True, False], ids=["our key", "the provider's id"])
async def test_a_receipt_may_be_faster_than_our_own_record(rt: Runtime, by_key: bool):
    """It comes while the call is still open: by our key it counts at once, by the provider's id once we know that."""
    done = await accept.accept(rt, CALLER, posted())

    async def early(_: MemoryRequest) -> None:
        key = first(done) if by_key else ""
        await receipts.take(rt, "sms", [receipt(Fact.DELIVERED, key=key)])

    adapter(rt, "sms").during = early
    await drain(rt)
    facts = await row(rt, first(done))
    assert (facts["state"], facts["provider_id"], facts["tries"]) == ("delivered", "memory-1", 1)
    assert (await states(rt, done))[1] == ("email", "skipped", "not_needed")
    assert await stored(rt) == [("memory-1:delivered", first(done))]


async def test_an_unknown_receipt_is_kept_and_matched_later(rt: Runtime):
    """A receipt about a message that nobody knows yet waits in its table until the sweeper finds the message."""
    await receipts.take(rt, "sms", [receipt(Fact.DELIVERED, of="lost-and-found")])
    assert await stored(rt) == [("lost-and-found:delivered", None)]
    assert await receipts.match_kept(rt) == 0
    done = await sent(rt)
    async with rt.db.write() as conn:
        table = metadata.tables["deliveries"]
        await conn.execute(table.update().where(table.c.id == first(done)).values(provider_id="lost-and-found"))
    assert await upkeep.sweep(rt) >= 1
    assert (await states(rt, done))[0] == ("sms", "delivered", None)
    assert await stored(rt) == [("lost-and-found:delivered", first(done))]


async def test_a_receipt_without_any_id_is_kept_and_never_tried_again(rt: Runtime):
    """Providers that give no id cannot be matched by one: such rows must not keep the sweeper busy for ever."""
    await sent(rt)
    async with rt.db.write() as conn:
        await conn.execute(metadata.tables["deliveries"].update().values(provider_id=""))
    await receipts.take(rt, "sms", [receipt(Fact.DELIVERED, "nameless", of="")])
    assert await stored(rt) == [("nameless", None)]
    assert await receipts.match_kept(rt) == 0


async def test_another_accounts_receipt_moves_nothing(rt: Runtime):
    """Provider ids are unique within an account only."""
    done = await sent(rt)
    await receipts.take(rt, "whatsapp", [receipt(Fact.DELIVERED)])
    assert (await states(rt, done))[0] == ("sms", "submitted", None)


async def test_a_failure_promotes_the_fall_back(rt: Runtime):
    """The carrier gave up after the provider had taken it: the next channel goes, and the address is suppressed."""
    done = await sent(rt)
    await receipts.take(rt, "sms", [receipt(Fact.FAILED, error=AddressRefused("30005"))])
    assert (await states(rt, done))[0] == ("sms", "failed", "address_refused")
    assert await drain(rt) == 1
    assert (await states(rt, done))[1] == EMAIL
    later = await accept.accept(rt, CALLER, posted())
    assert {one["channel"]: one["reason"] for one in later.answer["skipped"]}["sms"] == "contact_point_suppressed"


async def test_a_reported_stop_withdraws_and_a_reported_text_stops(rt: Runtime):
    """Receipts carry the same verdicts as answers: OptedOut ends the consent, ContentRefused ends the fall-backs."""
    await put(rt, person("P-2", ("whatsapp", "email")))
    one, two = await sent(rt), await sent(rt, recipient="P-2")
    await receipts.take(rt, "sms", [receipt(Fact.FAILED, error=OptedOut("21610"))])
    await receipts.take(rt, "whatsapp", [receipt(Fact.FAILED, error=ContentRefused("63013"))])
    await drain(rt)
    assert await states(rt, one) == [("sms", "failed", "opted_out"), EMAIL]
    assert await states(rt, two) == [("whatsapp", "failed", "content_refused"), ("email", "skipped", "stopped_content")]


async def test_a_kept_failure_means_later_what_it_meant_when_it_came(rt: Runtime):
    """The class of the error is kept with the receipt, a third party's own class as the one it is made from."""

    class Quarantined(AddressRefused):
        default_code = "quarantined"

    done = await accept.accept(rt, CALLER, posted())

    async def early(_: MemoryRequest) -> None:
        await receipts.take(rt, "sms", [receipt(Fact.FAILED, error=Quarantined("x1"))])

    adapter(rt, "sms").during = early
    await drain(rt)
    assert await states(rt, done) == [("sms", "failed", "quarantined"), EMAIL]
    later = await accept.accept(rt, CALLER, posted())
    assert {one["channel"]: one["reason"] for one in later.answer["skipped"]}["sms"] == "contact_point_suppressed"


async def test_a_failure_after_delivered_changes_nothing(rt: Runtime):
    """The person has it: what comes later does not take it away."""
    done = await sent(rt)
    await receipts.take(rt, "sms", [receipt(Fact.DELIVERED), receipt(Fact.FAILED, error=Refused("30003"))])
    assert (await states(rt, done))[0] == ("sms", "delivered", None)


async def test_that_somebody_has_read_it_is_never_stored(rt: Runtime):
    """A reading receipt proves delivery and leaves no other trace in any table, not even its event's name (A-23)."""
    done = await sent(rt)
    for _ in range(2):
        await receipts.take(rt, "sms", [receipt(Fact.DELIVERED), receipt(Fact.READ, key=first(done))])
    other = await sent(rt)
    await receipts.take(rt, "sms", [receipt(Fact.READ, of="memory-2")])
    assert (await states(rt, other))[0] == ("sms", "delivered", None)
    async with rt.db.read() as conn:
        for table in metadata.sorted_tables:
            for line in await conn.execute(select(table)):
                assert "read" not in [str(value) for value in line if table.name != "audit"], table.name
                assert ":read" not in repr(line), table.name
    assert [event for event, _ in await stored(rt)] == ["memory-1:delivered"]


async def test_a_webhook_is_verified_before_anything_else(rt: Runtime):
    """A forged call changes and keeps nothing; an authentic one with the same words does (B-T6)."""
    done = await sent(rt)
    events = [{"id": "e1", "provider_id": "memory-1", "fact": "delivered"}]
    with pytest.raises(Forged):
        await receipts.take_webhook(rt, "sms", hook(events, secret="guessed"))
    assert await stored(rt) == []
    assert (await states(rt, done))[0] == ("sms", "submitted", None)
    await receipts.take_webhook(rt, "sms", hook(events))
    assert (await states(rt, done))[0] == ("sms", "delivered", None)


async def test_an_authentic_call_of_unknown_shape_is_taken_and_does_nothing(rt: Runtime):
    """Providers add things: we answer 2xx, otherwise they repeat it for days."""
    await receipts.take_webhook(rt, "sms", hook([{"id": "e1", "surprise": "x"}]))
    assert await stored(rt) == []


async def test_no_account_no_webhook(rt: Runtime):
    """An address that belongs to no account is not found."""
    with pytest.raises(NotFound):
        await receipts.take_webhook(rt, "nobody", hook([]))
