"""What a provider's answer does: fall-backs, suppression, withdrawals, retries, waiting; its words stay out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
import structlog

from channels.kit.contract import Confidentiality
from channels.kit.errors import (
    AddressRefused,
    ChannelError,
    ContentRefused,
    Misconfigured,
    OptedOut,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
    WindowClosed,
)
from channels.memory import MemoryRequest
from gateway.queue.limits import LocalBuckets, Rate
from gateway.store import people
from gateway.usecases import accept, deliver, health, recipients
from gateway.usecases.runtime import Runtime
from tests.support.clock import START, ManualClock
from tests.support.runtime import (
    ADDRESSES,
    CALLER,
    CANARIES,
    adapter,
    drain,
    first,
    open_accounts,
    person,
    posted,
    put,
    report,
    row,
    states,
    taken,
)

EMAIL = ("email", "submitted", None)
STOPPED = ("email", "skipped", "stopped_content")
NOT_NEEDED = ("email", "skipped", "not_needed")


async def reason(rt: Runtime) -> str | None:
    """Return why P-1's telephone is suppressed, None if it is not."""
    told = await recipients.get(rt, CALLER, "P-1")
    return next(one["reason"] for one in told["contact_points"] if one["channel"] == "sms")  # type: ignore[no-any-return] # a str or None


async def consented(rt: Runtime) -> bool:
    """Tell whether P-1 still wants SMS."""
    told = await recipients.get(rt, CALLER, "P-1")
    return next(bool(one["given"]) for one in told["consents"] if one["channel"] == "sms")


# error -> (states of both deliveries, why the address is suppressed, does the consent still stand)
FINAL: list[tuple[ChannelError, list[tuple[str, str, str | None]], str | None, bool]] = [
    (Refused("21"), [("sms", "failed", "refused"), EMAIL], None, True),
    (WindowClosed("63016"), [("sms", "failed", "window_closed"), EMAIL], None, True),
    (AddressRefused("30005"), [("sms", "failed", "address_refused"), EMAIL], "address_refused", True),
    (OptedOut("21610"), [("sms", "failed", "opted_out"), EMAIL], "opted_out", False),
    (ContentRefused("30007"), [("sms", "failed", "content_refused"), STOPPED], None, True),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(FINAL)), ids=[type(one[0]).__name__ for one in FINAL])
async def test_a_refusal_moves_on_suppresses_or_stops(rt: Runtime, number: int):
    """Each class of refusal does what its verdict says, to this notification, the address and the ledger."""
    error, ended, suppressed, given = FINAL[number]
    adapter(rt, "sms").fail_next(error)
    done = await accept.accept(rt, CALLER, posted())
    await drain(rt)
    assert await states(rt, done) == ended
    assert await reason(rt) == suppressed
    assert await consented(rt) is given
    attempt = (await report(rt, done))["deliveries"][0]["attempts"][0]
    assert (attempt["verdict"], attempt["provider_code"]) == (error.code, error.provider_code)


async def test_an_opt_out_is_a_row_in_the_ledger(rt: Runtime):
    """The withdrawal is appended, with who said so; the consent's own row stays as it is (A-07, A-12)."""
    adapter(rt, "sms").fail_next(OptedOut())
    await accept.accept(rt, CALLER, posted())
    await drain(rt)
    async with rt.db.read() as conn:
        subject = (await people.persons(conn, ["P-1"]))["P-1"].recipient.subject
        rows = [one for one in await people.ledger(conn, subject) if one["channel"] == "sms"]
    assert [(one["given"], one["source"], one["actor"]) for one in rows] == [
        (True, "portal", "portal"),
        (False, "opted_out", "account:sms"),
    ]


async def test_a_suppressed_address_is_not_planned_again(rt: Runtime):
    """The next notification leaves the dead number out, with the reason."""
    adapter(rt, "sms").fail_next(AddressRefused())
    await accept.accept(rt, CALLER, posted())
    await drain(rt)
    later = await accept.accept(rt, CALLER, posted())
    assert {one["channel"]: one["reason"] for one in later.answer["skipped"]}["sms"] == "contact_point_suppressed"


@pytest.mark.parametrize("kind", [Throttled, Misconfigured])
async def test_waiting_is_not_an_attempt_that_counts(rt: Runtime, clock: ManualClock, kind: type[ChannelError]):
    """Too fast, or our own mistake: the message waits and goes out later, and the backoff does not grow."""
    adapter(rt, "sms").fail_next(kind("429", retry_after_s=40.0))
    done = await accept.accept(rt, CALLER, posted())
    assert await drain(rt) == 1
    facts = await row(rt, first(done))
    assert (facts["state"], facts["tries"]) == ("queued", 0)
    assert START + timedelta(seconds=40) <= facts["due_at"] <= START + timedelta(seconds=42)
    assert await drain(rt) == 0
    clock.advance(42)
    await health.probe_due(rt)  # a refused account is asked first
    assert await drain(rt) == 1
    assert (await states(rt, done))[0] == ("sms", "submitted", None)


async def test_unavailable_is_retried_until_the_message_expires(rt: Runtime, clock: ManualClock):
    """Retries grow apart and end before the expiry; then the delivery gave up, and the next channel is too late."""
    adapter(rt, "sms").fail_next(*[Unavailable("503")] * 200)
    done = await accept.accept(rt, CALLER, posted(expires_at=START + timedelta(hours=2), channels=("sms",)))
    calls = 0
    gaps = []
    while (await row(rt, first(done)))["state"] == "queued":
        calls += await drain(rt)
        facts = await row(rt, first(done))
        if facts["due_at"] is not None:
            gaps.append((facts["due_at"] - clock.now()).total_seconds())
            clock.advance(facts["due_at"] - clock.now())
    assert await states(rt, done) == [("sms", "failed", "gave_up")]
    assert clock.now() < START + timedelta(hours=2)
    assert 8 <= calls <= 60
    assert gaps[3] > gaps[0]
    assert (await row(rt, first(done)))["tries"] == calls


async def test_an_unknown_outcome_waits_and_nothing_else_goes_out(rt: Runtime, clock: ManualClock):
    """Nobody knows whether it went out: no retry and no fall-back until a receipt or the deadline (walk, line 11)."""
    adapter(rt, "sms").fail_next(Uncertain("timeout"))
    done = await accept.accept(rt, CALLER, posted())
    await drain(rt)
    clock.advance(600)
    assert await drain(rt) == 0
    assert (await states(rt, done))[0] == ("sms", "uncertain", "uncertain")
    told = await report(rt, done)
    assert (told["state"], told["deliveries"][1]["standby"]) == ("uncertain", True)
    assert (await row(rt, first(done)))["lease_until"] == START + timedelta(hours=1)


async def test_an_adapters_own_mistake_is_uncertain_and_its_words_stay_out_of_the_log(rt: Runtime):
    """An exception of no known class may have come after the message went out; its text may quote the address."""

    async def broken(request: MemoryRequest) -> None:
        raise LookupError(f"no route for {request.to}: {request.text}")

    adapter(rt, "sms").during = broken
    done = await accept.accept(rt, CALLER, posted())
    with structlog.testing.capture_logs() as lines:
        await drain(rt)
    assert (await states(rt, done))[0] == ("sms", "uncertain", "uncertain")
    assert [one["error"] for one in lines if one["event"] == "delivery.unexpected"] == ["LookupError"]
    assert not [canary for canary in CANARIES if canary in repr(lines)]


async def test_a_fall_back_is_not_needed_where_nothing_more_will_be_reported(rt: Runtime):
    """Telegram reports no delivery: what it took is as good as it gets, and the fall-backs end."""
    await put(rt, person("P-2", ("telegram", "email")))
    done = await accept.accept(rt, CALLER, posted("P-2"))
    await drain(rt)
    assert await states(rt, done) == [("telegram", "submitted", None), NOT_NEEDED]
    assert (await report(rt, done))["state"] == "submitted"


async def test_all_channels_refused_is_a_failed_notification(rt: Runtime):
    """When the last fall-back fails too, the notification has failed, each delivery with its reason."""
    adapter(rt, "sms").fail_next(Refused())
    adapter(rt, "mail").fail_next(AddressRefused())
    done = await accept.accept(rt, CALLER, posted())
    await drain(rt)
    assert [one[1:] for one in await states(rt, done)] == [("failed", "refused"), ("failed", "address_refused")]
    assert (await report(rt, done))["state"] == "failed"


async def test_without_a_token_it_goes_back_with_the_time_at_which_there_is_one(rt: Runtime, clock: ManualClock):
    """The account's rate holds: two go now, the third waits its half second, and no attempt is spent."""
    accounts = open_accounts(clock)
    limited = accounts["sms"].__class__(
        facts=accounts["sms"].facts, adapter=adapter(rt, "sms"), rates=(Rate("account:sms", 2.0, 2.0),)
    )
    rt.accounts = {**rt.accounts, "sms": limited}
    rt.buckets = LocalBuckets(clock)
    await put(rt, *(person(f"L-{number}", ("sms",)) for number in range(3)))
    ids = [first(await accept.accept(rt, CALLER, posted(f"L-{number}"))) for number in range(3)]
    assert await deliver.deliver(rt, ids) == 2
    waiting = [one for one in [await row(rt, ident) for ident in ids] if one["state"] == "queued"]
    assert [(one["tries"], one["due_at"] - START) for one in waiting] == [(0, timedelta(seconds=0.5))]
    clock.advance(0.5)
    assert await drain(rt) == 1


async def test_a_persons_rate_is_counted_for_each_person(rt: Runtime, clock: ManualClock):
    """One message a minute and person: the second to the same person waits, another person's goes."""
    sms = rt.accounts["sms"]
    rate = (Rate("recipient:sms", 1 / 60, 1.0),)
    rt.accounts = {
        **rt.accounts,
        "sms": sms.__class__(facts=sms.facts, adapter=sms.adapter, recipient_rates=rate),
    }
    await put(rt, person("P-2", ("sms",)))
    ids = [first(await accept.accept(rt, CALLER, posted(who))) for who in ("P-1", "P-1", "P-2")]
    assert await deliver.deliver(rt, ids) == 2
    assert [key for _, key in taken(rt)].count(ids[2]) == 1
    clock.advance(60)
    assert await drain(rt) == 1


async def test_no_repr_on_the_walk_shows_a_person(rt: Runtime):
    """Requests, work and calls may end in a traceback: their reprs hold no address, value or text."""
    reprs: list[str] = []

    async def look(request: MemoryRequest) -> None:
        reprs.append(repr(request))

    adapter(rt, "sms").during = look
    one = posted(person())
    reprs += [repr(one), repr(one.recipient), repr(rt.accounts["sms"].facts)]
    await accept.accept(rt, CALLER, one)
    await drain(rt)
    reprs.append(repr(list(adapter(rt, "sms").messages.values())))
    assert len(reprs) == 5
    assert not _canaries(reprs)


def _canaries(texts: Sequence[str]) -> list[str]:
    return [canary for canary in (*CANARIES, *ADDRESSES.values()) if any(canary in text for text in texts)]


async def test_classes_are_compared_with_what_the_account_may_carry_now(rt: Runtime):
    """The fixture's own ceilings: otherwise the tests of the gates would prove nothing."""
    ceilings = {name: one.facts.ceiling for name, one in rt.accounts.items()}
    assert ceilings["mail"] is Confidentiality.K2
    assert {ceilings[name] for name in ("sms", "whatsapp", "telegram")} == {Confidentiality.K1}
