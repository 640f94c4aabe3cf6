"""A second channel without a refusal: only where the text says after how long, and told apart when both arrive."""

from __future__ import annotations

from dataclasses import replace

import pytest

from channels.kit.contract import Fact, Receipt
from channels.kit.errors import Uncertain
from gateway.usecases import accept, receipts, upkeep
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import Accepted
from tests.support.clock import START, ManualClock
from tests.support.runtime import (
    CALLER,
    adapter,
    catalogue,
    drain,
    first,
    posted,
    publish,
    put,
    report,
    row,
    states,
    taken,
)

HOURS_S = 4 * 3600


async def submitted(rt: Runtime, escalate_after_s: int) -> Accepted:
    """Return a notification that SMS has taken and nobody has reported on, with e-mail behind it."""
    text = replace(catalogue()["unterlagen_fehlen"], key="eilig", escalate_after_s=escalate_after_s)
    await publish(rt, text)
    await put(rt)
    values = {name: one.example for name, one in text.variables.items()}
    done = await accept.accept(rt, CALLER, posted(template="eilig", variables=values))
    await drain(rt)
    assert await states(rt, done) == [("sms", "submitted", None), ("email", "queued", None)]
    return done


def delivered(rt: Runtime) -> Receipt:
    """Return the SMS provider's word that it arrived."""
    (_,) = adapter(rt, "sms").taken
    return Receipt(event_id="late", provider_id="memory-1", fact=Fact.DELIVERED, at=START)


async def test_the_next_channel_takes_over_after_the_time_of_the_text(rt: Runtime, clock: ManualClock):
    """Nothing was reported for four hours: e-mail goes out once, however often the sweeper looks, and it is noted."""
    done = await submitted(rt, HOURS_S)
    clock.advance(HOURS_S - 1)
    await upkeep.sweep(rt)
    await drain(rt)
    assert len(taken(rt)) == 1
    clock.advance(1)
    for _ in range(3):
        await upkeep.sweep(rt)
        await drain(rt)
    assert [name for name, _ in taken(rt)] == ["mail", "sms"]
    assert "escalated" in [one["event"] for one in (await report(rt, done))["timeline"]]


async def test_a_text_without_the_word_never_uses_a_second_channel(rt: Runtime, clock: ManualClock):
    """Silence alone is no reason for a second message: only ``escalate_after_s`` makes it one."""
    await submitted(rt, 0)
    clock.advance(24 * 3600)
    await upkeep.sweep(rt)
    await drain(rt)
    assert len(taken(rt)) == 1


async def test_a_receipt_in_time_ends_the_wait(rt: Runtime, clock: ManualClock):
    """It arrived: the fall-back is not needed, and the clock does not bring it back."""
    done = await submitted(rt, HOURS_S)
    await receipts.take(rt, "sms", [delivered(rt)])
    clock.advance(HOURS_S + 1)
    await upkeep.sweep(rt)
    await drain(rt)
    assert await states(rt, done) == [("sms", "delivered", None), ("email", "skipped", "not_needed")]
    assert len(taken(rt)) == 1


async def test_a_late_receipt_is_told_apart(rt: Runtime, clock: ManualClock):
    """Both channels took it: the late one is marked, noted as "also delivered", and the notification is delivered."""
    done = await submitted(rt, HOURS_S)
    clock.advance(HOURS_S)
    await upkeep.sweep(rt)
    await drain(rt)
    await receipts.take(rt, "sms", [delivered(rt)])
    assert (await row(rt, first(done)))["also"] is True
    told = await report(rt, done)
    assert told["state"] == "delivered"
    assert "also_delivered" in [one["event"] for one in told["timeline"]]


async def test_a_receipt_before_the_second_call_saves_it(rt: Runtime, clock: ManualClock):
    """The receipt comes after the hand-over but before the second channel was called: nothing more goes out."""
    done = await submitted(rt, HOURS_S)
    clock.advance(HOURS_S)
    await upkeep.sweep(rt)
    await receipts.take(rt, "sms", [delivered(rt)])
    await drain(rt)
    assert len(taken(rt)) == 1
    assert await states(rt, done) == [("sms", "delivered", None), ("email", "skipped", "not_needed")]


@pytest.mark.parametrize(("channels", "left"), [(("sms", "email"), HOURS_S), (("sms",), None)])
async def test_the_provider_gets_just_that_time(rt: Runtime, channels: tuple[str, ...], left: int | None):
    """The first channel's validity is the time it has; the last one's is the notification's life (B-S7)."""
    text = replace(catalogue()["unterlagen_fehlen"], key="eilig", escalate_after_s=HOURS_S)
    await publish(rt, text)
    await put(rt)
    values = {name: one.example for name, one in text.variables.items()}
    await accept.accept(rt, CALLER, posted(template="eilig", variables=values, channels=channels))
    await drain(rt)
    (sms,) = adapter(rt, "sms").messages.values()
    assert sms.valid_s == (left or rt.policy.default_expiry.total_seconds())


@pytest.mark.parametrize(("escalate_after_s", "calls"), [(HOURS_S, 1), (0, 0)])
async def test_an_unknown_outcome_moves_on_only_where_the_text_allows_a_second_channel(
    rt: Runtime, clock: ManualClock, escalate_after_s: int, calls: int
):
    """Nobody knows whether SMS took it: at the deadline e-mail follows only if the text allows two channels."""
    text = replace(catalogue()["unterlagen_fehlen"], key="eilig", escalate_after_s=escalate_after_s)
    await publish(rt, text)
    await put(rt)
    values = {name: one.example for name, one in text.variables.items()}
    adapter(rt, "sms").fail_next(Uncertain("lost"))
    done = await accept.accept(rt, CALLER, posted(template="eilig", variables=values))
    await drain(rt)
    assert (await states(rt, done))[0] == ("sms", "uncertain", "uncertain")
    clock.advance(rt.policy.uncertain.total_seconds() + 1)
    await upkeep.sweep(rt)
    await drain(rt)
    assert (await states(rt, done))[0] == ("sms", "failed", "unconfirmed")
    assert [name for name, _ in taken(rt)] == [*["mail"] * calls, "sms"]  # the memory channel took the unknown one
