"""The emergency brake: a withdrawn text stops before the next call, what waits is held, and staff decide about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from channels.kit.contract import Confidentiality, Fact, Receipt
from channels.kit.errors import Refused, Unavailable
from gateway.domain.content import Content, Variable
from gateway.domain.errors import Conflict, Invalid, NotFound
from gateway.store.tables import audit, deliveries, template_versions
from gateway.store.vault import Vault
from gateway.usecases import accept, deliver, holds, previews, receipts, upkeep
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import Accepted
from tests.support.clock import START, ManualClock
from tests.support.runtime import (
    CALLER,
    adapter,
    catalogue,
    drain,
    first,
    open_runtime,
    person,
    posted,
    publish,
    put,
    report,
    row,
    states,
    taken,
)
from tests.usecases.interlude import Interlude

KEY = "unterlagen_fehlen"
TEXT = catalogue()[KEY]
HELD = ("queued", "template_withdrawn")


async def withdraw(rt: Runtime, name: str = KEY, **given: Any) -> holds.Withdrawn:
    """Pull the brake."""
    return await holds.withdraw(rt, name, actor="staff:erle", reason="Falsche Frist", **given)


async def version(rt: Runtime, delivery: str) -> str:
    """Return "key/number" of the text that a delivery carries."""
    statement = (
        select(template_versions.c.key, template_versions.c.number)
        .join(deliveries, deliveries.c.template_version == template_versions.c.id)
        .where(deliveries.c.id == delivery)
    )
    async with rt.db.read() as conn:
        key, number = (await conn.execute(statement)).one()
    return f"{key}/{number}"


async def events(rt: Runtime, done: Accepted) -> list[str]:
    """Return the events of the timeline."""
    return [one["event"] for one in (await report(rt, done))["timeline"]]


async def test_withdrawing_holds_what_waits(rt: Runtime):
    """First and fall-back are held with the reason, nothing goes out, and the client sees that it is still pending."""
    done = await accept.accept(rt, CALLER, posted())
    did = await withdraw(rt)
    assert (did.versions, did.held, did.others) == ((f"{KEY}/1",), 2, {})
    assert await drain(rt) == 0
    await upkeep.sweep(rt)
    assert await drain(rt) == 0
    told = await report(rt, done)
    assert told["state"] == "pending"
    assert [(one["state"], one["code"]) for one in told["deliveries"]] == [HELD, HELD]
    assert [(one["held"], one["standby"], one["due_at"]) for one in told["deliveries"]] == [(True, False, None)] * 2
    assert [(one["event"], one["code"]) for one in told["timeline"]][1:] == [("held", "template_withdrawn")] * 2
    assert "angehalten" in told["timeline"][-1]["explanation"]


async def test_the_brake_acts_before_the_next_call(rt: Runtime, vault: Vault, clock: ManualClock):
    """A delivery that is claimed and rendered already is held at the commit to sending; the provider is not called."""
    done = await accept.accept(rt, CALLER, posted())
    brake = Interlude(lambda: withdraw(rt))
    async with open_runtime(rt.db, vault, clock, accounts=rt.accounts, buckets=brake) as other:
        await deliver.deliver(other, [first(done)])
    assert taken(rt) == []
    told = (await report(rt, done))["deliveries"]
    assert [(one["state"], one["code"], one["held"]) for one in told] == [(*HELD, True)] * 2
    assert (await events(rt, done)).count("held") == 2
    assert (await row(rt, first(done)))["lease_until"] is None


async def test_what_is_retried_later_is_held_too(rt: Runtime, clock: ManualClock):
    """A message that waits for its next attempt does not slip through."""
    adapter(rt, "sms").fail_next(Unavailable("1"))
    done = await accept.accept(rt, CALLER, posted())
    await drain(rt)
    assert (await withdraw(rt)).held == 2
    clock.advance(3600)
    assert await drain(rt) == 0
    assert (await states(rt, done))[0] == ("sms", *HELD)


async def test_a_new_notification_is_refused(rt: Runtime):
    """Without an approved version there is nothing to plan with."""
    await withdraw(rt)
    with pytest.raises(Invalid) as caught:
        await accept.accept(rt, CALLER, posted())
    assert caught.value.faults[0].code == "template_unknown"


async def test_replacing_a_version_holds_nothing(rt: Runtime):
    """A newer version is for newer notifications: what is queued goes out with its own."""
    done = await accept.accept(rt, CALLER, posted())
    await publish(rt, replace(TEXT, title="Neu"))
    assert await drain(rt) == 1
    assert await version(rt, first(done)) == f"{KEY}/1"
    assert (await states(rt, done))[0] == ("sms", "submitted", None)


async def test_the_approved_version_is_meant_unless_another_is_named(rt: Runtime):
    """What still goes out with an older version is told, so that nobody believes everything had stopped."""
    old = await accept.accept(rt, CALLER, posted())
    await publish(rt, replace(TEXT, title="Neu"))
    new = await accept.accept(rt, CALLER, posted())
    did = await withdraw(rt)
    assert (did.versions, did.held, dict(did.others)) == ((f"{KEY}/2",), 2, {f"{KEY}/1": 2})
    assert [one[1:] for one in await states(rt, new)] == [HELD] * 2
    assert [one[1:] for one in await states(rt, old)] == [("queued", None)] * 2
    assert (await withdraw(rt, f"{KEY}/1")).held == 2
    with pytest.raises(Conflict):
        await withdraw(rt)
    with pytest.raises(NotFound):
        await withdraw(rt, f"{KEY}/9")


async def test_all_versions_can_be_stopped_at_once(rt: Runtime):
    """In a hurry: everything of this key."""
    await accept.accept(rt, CALLER, posted())
    await publish(rt, replace(TEXT, title="Neu"))
    did = await withdraw(rt, every=True)
    assert (did.versions, did.held, did.others) == ((f"{KEY}/1", f"{KEY}/2"), 2, {})
    assert await drain(rt) == 0


async def test_held_ones_go_on_with_another_version(rt: Runtime):
    """Released: the first is due again, the fall-back waits, both carry the new text, and the timeline says so."""
    done = await accept.accept(rt, CALLER, posted())
    await withdraw(rt)
    await publish(rt, replace(TEXT, title="Richtig"))
    moved = await holds.release(rt, KEY, to="latest", actor="staff:erle")
    assert (moved.count, moved.refused) == (2, {})
    assert await drain(rt) == 1
    assert taken(rt) == [("sms", first(done))]
    assert await states(rt, done) == [("sms", "submitted", None), ("email", "queued", None)]
    assert {await version(rt, first(done, place)) for place in (0, 1)} == {f"{KEY}/2"}
    assert (await events(rt, done)).count("released") == 2
    assert await holds.held(rt) == []


async def test_a_released_one_keeps_its_time(rt: Runtime, clock: ManualClock):
    """What was to go out tomorrow does not go out at once because it was held meanwhile."""
    done = await accept.accept(rt, CALLER, posted(send_at=START + timedelta(hours=20)))
    await withdraw(rt)
    await publish(rt, replace(TEXT, title="Richtig"))
    await holds.release(rt, KEY, to="2", actor="staff:erle")
    assert await drain(rt) == 0
    assert (await row(rt, first(done)))["due_at"] == START + timedelta(hours=20)
    clock.advance(timedelta(hours=20))
    assert await drain(rt) == 1


CHANGES: Sequence[tuple[str, dict[str, Any]]] = (
    ("variables_differ", {"variables": {"frist": TEXT.variables["frist"]}}),
    ("variables_differ", {"variables": {**TEXT.variables, "mehr": Variable("mehr", "text", "x", 20)}}),
    (
        "variables_differ",
        {"variables": {**TEXT.variables, "frist": replace(TEXT.variables["frist"], type="text")}},
    ),
    (
        "variables_differ",
        {"variables": {**TEXT.variables, "link": replace(TEXT.variables["link"], max_length=39)}},
    ),
    ("class_not_allowed", {"klass": Confidentiality(TEXT.klass + 1)}),
    ("purpose_unknown", {"purpose": "info"}),
)


@pytest.mark.parametrize(("code", "change"), CHANGES)
async def test_a_version_that_says_something_else_is_refused(rt: Runtime, code: str, change: dict[str, Any]):
    """Other variables, a higher class or another purpose: nobody accepted or consented to that."""
    done = await accept.accept(rt, CALLER, posted())
    await withdraw(rt)
    await publish(rt, replace(TEXT, **change))
    with pytest.raises(Conflict) as caught:
        await holds.release(rt, KEY, to="latest", actor="staff:erle")
    assert [fault.code for fault in caught.value.faults] == [code]
    assert [one[1:] for one in await states(rt, done)] == [HELD] * 2


async def test_there_must_be_a_version_to_move_to(rt: Runtime):
    """Neither a withdrawn one nor none at all will do."""
    await accept.accept(rt, CALLER, posted())
    await withdraw(rt)
    with pytest.raises(NotFound):
        await holds.release(rt, KEY, to="latest", actor="staff:erle")
    with pytest.raises(Conflict):
        await holds.release(rt, KEY, to="1", actor="staff:erle")


async def test_a_channel_that_the_version_lacks_stays_held(rt: Runtime):
    """The new text is not written for SMS: the SMS waits on, and the e-mail behind it does not overtake it."""
    done = await accept.accept(rt, CALLER, posted())
    await withdraw(rt)
    await publish(rt, replace(TEXT, channels=tuple(one for one in TEXT.channels if one != "sms")))
    moved = await holds.release(rt, KEY, to="latest", actor="staff:erle")
    assert (moved.count, moved.refused) == (1, {"not_in_template": 1})
    assert await drain(rt) == 0
    assert await states(rt, done) == [("sms", *HELD), ("email", "queued", None)]


async def test_held_ones_can_be_cancelled(rt: Runtime):
    """Cancelled by staff, fall-back too, with a sentence that says who; nothing goes out."""
    done = await accept.accept(rt, CALLER, posted())
    await withdraw(rt)
    assert (await holds.cancel(rt, KEY, actor="staff:erle")).count == 2
    assert await drain(rt) == 0
    told = await report(rt, done)
    assert told["state"] == "cancelled"
    assert [(one["state"], one["code"]) for one in told["deliveries"]] == [("cancelled", "cancelled_by_staff")] * 2
    assert await holds.held(rt) == []


async def test_every_decision_is_in_the_audit(rt: Runtime):
    """Who withdrew which version for what reason, who released, who cancelled."""
    await accept.accept(rt, CALLER, posted())
    await withdraw(rt)
    await publish(rt, replace(TEXT, title="Richtig"))
    await holds.release(rt, KEY, to="latest", actor="staff:ulme")
    await accept.accept(rt, CALLER, posted())
    await withdraw(rt)
    await holds.cancel(rt, KEY, actor="staff:esche")
    statement = select(audit).where(audit.c.verb.like("template.%")).order_by(audit.c.id)
    async with rt.db.read() as conn:
        rows = list(await conn.execute(statement))
    assert [(one.verb, one.actor, one.object) for one in rows] == [
        ("template.withdrawn", "staff:erle", f"{KEY}/1"),
        ("template.released", "staff:ulme", f"{KEY}/2"),
        ("template.withdrawn", "staff:erle", f"{KEY}/2"),
        ("template.held_cancelled", "staff:esche", KEY),
    ]
    assert rows[0].detail == {"reason": "Falsche Frist", "held": 2}
    assert len(rows[1].detail["deliveries"]) == 2


async def test_the_list_tells_how_much_is_held_and_how_long_it_may_wait(rt: Runtime, clock: ManualClock):
    """By version: count, since when, and when the first of them expires."""
    await accept.accept(rt, CALLER, posted(expires_at=START + timedelta(hours=5)))
    await accept.accept(rt, CALLER, posted())
    clock.advance(60)
    await withdraw(rt)
    (told,) = await holds.held(rt)
    assert (told["key"], told["number"], told["state"], told["count"]) == (KEY, 1, "withdrawn", 4)
    assert (told["since"], told["first_expires_at"]) == (START + timedelta(minutes=1), START + timedelta(hours=5))


async def test_held_ones_expire_in_their_time(rt: Runtime, clock: ManualClock):
    """Nobody decided: what is useless by now ends as such, and can no longer be released."""
    done = await accept.accept(rt, CALLER, posted(expires_at=START + timedelta(hours=1)))
    await withdraw(rt)
    clock.advance(3600)
    await upkeep.sweep(rt)
    assert (await report(rt, done))["state"] == "expired"
    await publish(rt, replace(TEXT, title="Richtig"))
    assert (await holds.release(rt, KEY, to="latest", actor="staff:erle")).count == 0


async def test_the_client_can_cancel_a_held_one(rt: Runtime):
    """A held notification is still the client's to call off."""
    done = await accept.accept(rt, CALLER, posted())
    await withdraw(rt)
    assert (await previews.cancel(rt, CALLER, done.id))["state"] == "cancelled"
    assert await holds.held(rt) == []


async def test_a_held_fall_back_is_not_needed_once_the_first_arrived(rt: Runtime):
    """The SMS was with its provider already: it is submitted, the held e-mail waits, and ends when the SMS arrives."""
    done = await accept.accept(rt, CALLER, posted())
    await drain(rt)
    assert (await withdraw(rt)).held == 1
    assert (await report(rt, done))["state"] == "submitted"
    said = Receipt(event_id="e-1", provider_id="", fact=Fact.DELIVERED, at=None, key=first(done))
    await receipts.take(rt, "sms", [said])
    assert await states(rt, done) == [("sms", "delivered", None), ("email", "skipped", "not_needed")]


async def test_a_held_fall_back_waits_when_the_first_fails(rt: Runtime):
    """Its turn has come, but not its text's: it stays held, and goes when it is released."""
    done = await accept.accept(rt, CALLER, posted())
    adapter(rt, "sms").during = lambda _: withdraw(rt)
    adapter(rt, "sms").fail_next(Refused("1"))
    await drain(rt)
    assert await states(rt, done) == [("sms", "failed", "refused"), ("email", *HELD)]
    assert (await report(rt, done))["state"] == "pending"
    await publish(rt, replace(TEXT, title="Richtig"))
    await holds.release(rt, KEY, to="latest", actor="staff:erle")
    assert await drain(rt) == 1
    assert (await states(rt, done))[1] == ("email", "submitted", None)


def k2(content: Content) -> Content:
    """Return the text as a K2 one with a neutral twin."""
    return replace(content, klass=Confidentiality.K2, twin="termin_hinweis")


async def test_a_withdrawn_twin_is_held_the_same(rt: Runtime):
    """The SMS carries the neutral twin: withdrawing the twin holds it, and new notifications no longer plan it."""
    await publish(rt, k2(TEXT))
    done = await accept.accept(rt, CALLER, posted())
    assert await version(rt, first(done)) == "termin_hinweis/1"
    assert (await withdraw(rt, "termin_hinweis")).held == 1
    assert await drain(rt) == 0
    assert await states(rt, done) == [("sms", *HELD), ("email", "queued", None)]
    again = await accept.accept(rt, CALLER, posted())
    assert [one[0] for one in await states(rt, again)] == ["email"]
    await publish(rt, replace(catalogue()["termin_hinweis"], title="Richtig"))
    await holds.release(rt, "termin_hinweis", to="latest", actor="staff:erle")
    await drain(rt)
    assert (await states(rt, done))[0] == ("sms", "submitted", None)


async def test_many_are_held_and_released_in_batches(rt: Runtime, monkeypatch: pytest.MonkeyPatch):
    """One transaction holds them all; releasing goes batch by batch and leaves none behind."""
    monkeypatch.setattr(holds, "BATCH", 3)
    await put(rt, *(person(f"P-6{number}", ("sms",)) for number in range(10)))
    for number in range(10):
        await accept.accept(rt, CALLER, posted(f"P-6{number}"))
    assert (await withdraw(rt)).held == 10
    await publish(rt, replace(TEXT, title="Richtig"))
    assert (await holds.release(rt, KEY, to="latest", actor="staff:erle")).count == 10
    assert await drain(rt) == 10
    statement = select(func.count()).where(audit.c.verb == "template.released")
    async with rt.db.read() as conn:
        assert (await conn.execute(statement)).scalar_one() == 4
