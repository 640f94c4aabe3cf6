"""Test keys: the whole walk up to the provider call, which is played; one magic recipient for each outcome."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from gateway.domain.errors import Invalid
from gateway.store.tables import audit, consents, suppressions
from gateway.usecases import accept, recipients, simulation
from gateway.usecases.runtime import Runtime
from tests.support.clock import ManualClock
from tests.support.runtime import CALLER, TESTER, drain, first, posted, report, row, states, taken

FIRST_STATE = {
    "delivered": ("delivered", None),
    "submitted": ("submitted", None),
    "address-refused": ("failed", "address_refused"),
    "opted-out": ("failed", "opted_out"),
    "content-refused": ("failed", "content_refused"),
    "refused": ("failed", "refused"),
    "window-closed": ("failed", "window_closed"),
    "throttled": ("queued", "throttled"),
    "unavailable": ("queued", "unavailable"),
    "uncertain": ("uncertain", "uncertain"),
}
SKIPS = {"no-consent": "no_consent", "unverified": "contact_point_unverified", "no-channel": "no_contact_point"}


def test_every_outcome_is_tested():
    """The tables here name every magic recipient that there is."""
    assert set(FIRST_STATE) | set(SKIPS) == set(simulation.OUTCOMES)


@pytest.mark.parametrize("outcome", FIRST_STATE)
async def test_a_magic_recipient_ends_as_its_name_says(rt: Runtime, outcome: str):
    """Real plan, real rows, a played call: no adapter is reached, and the report says that it was a test."""
    one = posted(f"test-{outcome}", channels=("email",))
    done = await accept.accept(rt, TESTER, one)
    assert [one["channel"] for one in done.answer["deliveries"]] == ["email"]
    await drain(rt)
    assert [(state, code) for _, state, code in await states(rt, done, TESTER)] == [FIRST_STATE[outcome]]
    assert (await report(rt, done, TESTER))["test"] is True
    assert taken(rt) == []


@pytest.mark.parametrize("outcome", SKIPS)
async def test_a_magic_recipient_may_be_out_of_reach(rt: Runtime, outcome: str):
    """The reasons for not planning can be tried as well."""
    done = await accept.accept(rt, TESTER, posted(f"test-{outcome}"))
    assert done.answer["state"] == "skipped"
    assert {one["reason"] for one in done.answer["skipped"] if one["channel"] == "sms"} == {SKIPS[outcome]}


async def test_a_played_outcome_touches_nobody(rt: Runtime):
    """A simulated refusal suppresses nothing and withdraws nothing: the next test finds everything as before."""
    for outcome in ("address-refused", "opted-out"):
        await accept.accept(rt, TESTER, posted(f"test-{outcome}"))
        await drain(rt)
        again = await accept.accept(rt, TESTER, posted(f"test-{outcome}"))
        assert len(again.answer["deliveries"]) == 4
    async with rt.db.read() as conn:
        assert (await conn.execute(select(func.count()).select_from(suppressions))).scalar_one() == 0


async def test_the_ledger_does_not_grow_with_every_test(rt: Runtime, clock: ManualClock):
    """The ledger is for ever: a magic recipient's consents are in it once, however often it is used."""

    async def rows() -> int:
        async with rt.db.read() as conn:
            return (await conn.execute(select(func.count()).select_from(consents))).scalar_one()

    await accept.accept(rt, TESTER, posted("test-delivered"))
    before = await rows()
    for _ in range(3):
        clock.advance(60)
        await accept.accept(rt, TESTER, posted("test-delivered"))
    assert await rows() == before


async def test_test_keys_reach_no_real_person_and_live_keys_no_magic_one(rt: Runtime):
    """The two worlds never meet, neither for posting nor for putting."""
    for caller, who in ((TESTER, "P-1"), (CALLER, "test-delivered")):
        with pytest.raises(Invalid):
            await accept.accept(rt, caller, posted(who))
        with pytest.raises(Invalid):
            await recipients.put(rt, caller, recipients.PostedRecipient(id=who, language="de"))
    with pytest.raises(Invalid) as told:
        await accept.accept(rt, TESTER, posted("test-nonsense"))
    assert told.value.faults[0].code == "magic_recipient_unknown"


async def test_a_played_call_that_failed_moves_on_to_the_next_channel(rt: Runtime):
    """The fall-backs of a test are walked like real ones."""
    done = await accept.accept(rt, TESTER, posted("test-refused"))
    await drain(rt)
    assert [one[1:] for one in await states(rt, done, TESTER)] == [("failed", "refused")] * 4
    assert (await row(rt, first(done)))["account"] == "simulator"


async def test_no_address_of_a_test_is_in_the_audit(rt: Runtime):
    """Audit rows name the client and the verb, never an address."""
    await accept.accept(rt, TESTER, posted("test-delivered"))
    async with rt.db.read() as conn:
        lines = (await conn.execute(select(audit))).all()
    assert lines
    assert not [line for line in lines if "@" in repr(line)]
