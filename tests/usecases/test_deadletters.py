"""Dead letters: what no channel has taken is seen with its reason, and goes once more if that is right, or is ended."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from channels.kit.errors import AddressRefused, ChannelError, Misconfigured, Refused, Uncertain
from gateway.domain.deadletters import Wanted
from gateway.domain.reasons import codes_of
from gateway.store.tables import audit
from gateway.usecases import accept, deadletters, deliver, upkeep
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import Accepted
from tests.support.clock import ManualClock
from tests.support.runtime import (
    CALLER,
    OTHER,
    adapter,
    catalogue,
    drain,
    first,
    person,
    posted,
    publish,
    put,
    report,
    row,
    states,
    taken,
)

EVERYTHING = Wanted()


async def dead(rt: Runtime, *errors: ChannelError, recipient: str = "P-1", **given: Any) -> Accepted:
    """Post a notification that fails with these errors, one for each channel in order (SMS, e-mail)."""
    for name, error in zip(("sms", "mail"), errors, strict=False):
        adapter(rt, name).fail_next(error)
    done = await accept.accept(rt, given.pop("caller", CALLER), posted(recipient, **given))
    await drain(rt)
    return done


async def listed(rt: Runtime, wanted: Wanted = EVERYTHING) -> list[tuple[str, str]]:
    """Return (delivery, what may be done) of the dead letters."""
    page, _ = await deadletters.listing(rt, wanted)
    return [(one["id"], one["requeue"]) for one in page]


async def test_a_dead_letter_tells_what_happened_and_what_to_do(rt: Runtime):
    """Both channels refused: each failure is listed, newest first, with class and sentences in two languages."""
    done = await dead(rt, Refused("1", code="no_route"), Refused("2"))
    page, following = await deadletters.listing(rt, EVERYTHING)
    assert following is None
    assert [(one["id"], one["channel"], one["code"]) for one in page] == [
        (first(done, 1), "email", "refused"),
        (first(done, 0), "sms", "no_route"),
    ]
    assert {(one["class"], one["requeue"], one["notification"]) for one in page} == {("refused", "possible", done.id)}
    assert all("Bitte" in one["explanation"] or "bitte" in one["explanation"] for one in page)
    assert all("hoose" in one["explanation_en"] for one in page)


async def test_what_was_taken_or_is_under_way_is_no_dead_letter(rt: Runtime):
    """A failed first channel whose fall-back took the message, and one whose fall-back still waits, are not shown."""
    await dead(rt, Refused("1"))
    adapter(rt, "sms").fail_next(Refused("1"))
    done = await accept.accept(rt, CALLER, posted())
    await deliver.deliver(rt, [first(done)])
    assert await states(rt, done) == [("sms", "failed", "refused"), ("email", "queued", None)]
    assert await listed(rt) == []


async def test_the_filter_narrows(rt: Runtime, clock: ManualClock):
    """Account, channel, template, code, class of error, client, time and ids each leave out what does not fit."""
    begun = clock.now()
    done = await dead(rt, Refused("1", code="no_route"), Refused("2"))
    clock.advance(60)
    sms, mail = first(done, 0), first(done, 1)
    for wanted, expected in (
        (Wanted(account="sms"), [sms]),
        (Wanted(channel="email"), [mail]),
        (Wanted(template="unterlagen_fehlen"), [mail, sms]),
        (Wanted(template="termin_erinnerung"), []),
        (Wanted(codes=frozenset({"no_route"})), [sms]),
        (Wanted(codes=codes_of("refused")), [mail, sms]),
        (Wanted(codes=codes_of("misconfigured")), []),
        (Wanted(client=CALLER.client_id), [mail, sms]),
        (Wanted(client=OTHER.client_id), []),
        (Wanted(since=begun, until=clock.now()), [mail, sms]),
        (Wanted(since=clock.now()), []),
        (Wanted(until=begun), []),
        (Wanted(ids=(sms, "unknown")), [sms]),
    ):
        assert [one for one, _ in await listed(rt, wanted)] == expected, wanted
    assert await deadletters.summary(rt, EVERYTHING) == {("sms", "no_route"): 1, ("mail", "refused"): 1}


async def test_pages_follow_one_another(rt: Runtime):
    """The cursor leads through all of them, each once, newest first."""
    ids = []
    for number in range(5):
        await put(rt, person(f"P-2{number}", ("sms",)))
        ids.append(first(await dead(rt, Refused("1"), recipient=f"P-2{number}")))
    seen: list[str] = []
    after = None
    for size in (2, 2, 1):
        page, after = await deadletters.listing(rt, EVERYTHING, after=after, limit=2)
        assert len(page) == size
        seen += [one["id"] for one in page]
    assert (seen, after) == (ids[::-1], None)


async def test_requeued_ones_go_out_in_their_order(rt: Runtime):
    """The first channel is tried again at once, the second is its fall-back again: never both at the same time."""
    done = await dead(rt, Refused("1"), Refused("2"))
    before = await rt.doorbell.depth("normal") or 0
    did = await deadletters.requeue(rt, EVERYTHING, actor="staff:erle")
    assert (did.deliveries, did.notifications, did.refused, did.more) == (2, 1, {}, False)
    assert await rt.doorbell.depth("normal") == before + 1
    told = await report(rt, done)
    assert told["state"] == "pending"
    assert [one["standby"] for one in told["deliveries"]] == [False, True]
    assert [one["event"] for one in told["timeline"]][-2:] == ["requeued_by_staff"] * 2
    await drain(rt)
    assert await states(rt, done) == [("sms", "submitted", None), ("email", "queued", None)]
    assert taken(rt) == [("sms", first(done))]


async def test_consent_is_read_again(rt: Runtime):
    """A requeued message takes the normal path: an address suppressed since is not written to."""
    done = await dead(rt, AddressRefused("1"), Refused("2"))
    await deadletters.requeue(rt, Wanted(account="sms"), actor="staff:erle")
    await drain(rt)
    assert (await states(rt, done))[0] == ("sms", "skipped", "contact_point_suppressed")
    assert taken(rt) == []


async def test_expired_ones_are_refused_with_the_reason(rt: Runtime, clock: ManualClock):
    """A reminder after the appointment is never sent, whoever asks for it."""
    done = await dead(rt, Refused("1"), Refused("2"))
    clock.advance(timedelta(hours=72))
    assert await listed(rt) == [(first(done, 1), "expired"), (first(done, 0), "expired")]
    did = await deadletters.requeue(rt, EVERYTHING, actor="staff:erle", twice=True)
    assert (did.deliveries, did.refused) == (0, {"expired": [first(done, 0), first(done, 1)]})
    assert (await row(rt, first(done)))["state"] == "failed"


async def unconfirmed(rt: Runtime, clock: ManualClock) -> Accepted:
    """Leave a dead letter that may have arrived: nobody answered, and the deadline has passed."""
    await put(rt, person("P-3", ("sms",)))
    done = await dead(rt, Uncertain("timeout"), recipient="P-3")
    clock.advance(3600)
    await upkeep.sweep(rt)
    assert await states(rt, done) == [("sms", "failed", "unconfirmed")]
    return done


async def test_what_may_have_arrived_needs_a_word(rt: Runtime, clock: ManualClock):
    """At most once: it is sent again only by somebody who accepts a second message expressly."""
    done = await unconfirmed(rt, clock)
    assert await listed(rt) == [(first(done), "may_be_twice")]
    did = await deadletters.requeue(rt, EVERYTHING, actor="staff:erle")
    assert (did.deliveries, did.refused) == (0, {"may_be_twice": [first(done)]})
    assert await drain(rt) == 0
    did = await deadletters.requeue(rt, EVERYTHING, actor="staff:erle", twice=True)
    assert (did.deliveries, await drain(rt)) == (1, 1)


async def test_a_dry_run_counts_and_changes_nothing(rt: Runtime, clock: ManualClock):
    """What would be done and what would be refused is told; the rows and the audit stay as they are."""
    sure = await dead(rt, Refused("1"), Refused("2"))
    unsure = await unconfirmed(rt, clock)
    did = await deadletters.requeue(rt, EVERYTHING, actor="staff:erle", dry_run=True)
    assert (did.deliveries, did.notifications, did.refused) == (2, 1, {"may_be_twice": [first(unsure)]})
    did = await deadletters.close(rt, EVERYTHING, actor="staff:erle", dry_run=True)
    assert (did.deliveries, did.notifications, did.refused) == (3, 2, {})
    assert await audited(rt) == []
    assert len(await listed(rt)) == 3
    assert await states(rt, sure) == [("sms", "failed", "refused"), ("email", "failed", "refused")]


async def audited(rt: Runtime) -> list[tuple[str, str, list[str]]]:
    """Return (actor, verb, deliveries) of the decisions on dead letters."""
    async with rt.db.read() as conn:
        rows = await conn.execute(select(audit).where(audit.c.verb.like("dead_letters%")).order_by(audit.c.id))
        return [(one.actor, one.verb, one.detail["deliveries"]) for one in rows]


async def test_closed_ones_stay_failed_and_are_never_sent(rt: Runtime):
    """Closing takes them off the list, tells who did it, and does not rewrite what happened."""
    done = await dead(rt, Refused("1"), Refused("2"))
    did = await deadletters.close(rt, Wanted(ids=(first(done),)), actor="client:portal")
    assert (did.deliveries, did.notifications) == (1, 1)
    assert await listed(rt) == []
    told = await report(rt, done)
    assert (told["state"], told["timeline"][-1]["event"]) == ("failed", "closed_by_client")
    did = await deadletters.requeue(rt, Wanted(ids=(first(done),)), actor="staff:erle")
    assert (did.deliveries, did.refused) == (0, {"not_a_dead_letter": [first(done)]})
    assert await audited(rt) == [("client:portal", "dead_letters.closed", [first(done)])]


async def test_two_decisions_at_once_requeue_once(rt: Runtime):
    """Two operators press the button at the same moment: the message goes out once, and one audit entry tells of it."""
    await put(rt, *(person(f"P-4{number}", ("sms",)) for number in range(8)))
    ids = [first(await dead(rt, Refused("1"), recipient=f"P-4{number}")) for number in range(8)]
    did = await asyncio.gather(*(deadletters.requeue(rt, EVERYTHING, actor=f"staff:{who}") for who in ("erle", "ulme")))
    assert sum(one.deliveries for one in did) == 8
    await drain(rt)
    assert sorted(key for _, key in taken(rt)) == sorted(ids)
    assert sorted(one for _, _, several in await audited(rt) for one in several) == sorted(ids)


async def test_many_are_done_in_batches_and_no_more_than_wished(rt: Runtime, monkeypatch: Any):
    """Each batch is a transaction of its own; ``more`` says that the request should be repeated."""
    monkeypatch.setattr(deadletters, "BATCH", 2)
    await put(rt, *(person(f"P-5{number}", ("sms",)) for number in range(5)))
    for number in range(5):
        await dead(rt, Refused("1"), recipient=f"P-5{number}")
    did = await deadletters.requeue(rt, EVERYTHING, actor="staff:erle", most=3)
    assert (did.deliveries, did.more) == (3, True)
    did = await deadletters.requeue(rt, EVERYTHING, actor="staff:erle", most=3)
    assert (did.deliveries, did.more) == (2, False)
    assert [len(several) for _, _, several in await audited(rt)] == [2, 1, 2]


async def test_at_least_once_needs_no_word(rt: Runtime, clock: ManualClock):
    """A text that allows a second message goes again without asking, even after an unclear answer."""
    await publish(rt, replace(catalogue()["unterlagen_fehlen"], policy="at_least_once"))
    done = await unconfirmed_fallback(rt, clock)
    assert {what for _, what in await listed(rt)} == {"possible"}
    assert (await report(rt, done))["state"] == "failed"


async def unconfirmed_fallback(rt: Runtime, clock: ManualClock) -> Accepted:
    """Leave a notification whose first channel failed with an unclear word and whose second was refused."""
    done = await dead(rt, Refused("1", code="uncertain"), Refused("2"))
    clock.advance(1)
    return done


async def test_a_fall_back_of_one_that_may_have_arrived_needs_the_word_too(rt: Runtime, clock: ManualClock):
    """Choosing only the e-mail does not hide that the SMS may have arrived: the person would get it twice."""
    done = await unconfirmed_fallback(rt, clock)
    did = await deadletters.requeue(rt, Wanted(account="mail"), actor="staff:erle")
    assert did.refused == {"may_be_twice": [first(done, 1)]}


async def test_a_paused_account_keeps_its_messages_and_makes_no_dead_letters(rt: Runtime):
    """Misconfigured is not failed: the message waits for the account."""
    await dead(rt, Misconfigured("1"))
    assert await listed(rt) == []
