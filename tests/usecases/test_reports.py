"""Reports, previews and cancelling: what callers see of a notification, and that seeing stores nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from channels.kit.contract import Format
from channels.kit.errors import Refused
from gateway.domain.errors import Invalid, NotFound
from gateway.store.tables import metadata
from gateway.usecases import accept, deliver, previews, reports
from gateway.usecases.runtime import Ids, Runtime
from gateway.usecases.shapes import Search
from tests.support.runtime import (
    CALLER,
    CANARIES,
    OTHER,
    adapter,
    drain,
    first,
    person,
    posted,
    put,
    report,
    states,
    taken,
)
from tests.usecases.interlude import Interlude


class Given(Ids):
    """Ids that a test has chosen."""

    def __init__(self, *ids: str) -> None:
        self._given = iter(ids)

    def new(self) -> str:
        """Return the next of them."""
        return next(self._given)


async def counts(rt: Runtime) -> dict[str, int]:
    """Count the rows of every table."""
    async with rt.db.read() as conn:
        return {
            table.name: (await conn.execute(select(func.count()).select_from(table))).scalar_one()
            for table in metadata.sorted_tables
        }


async def test_the_report_tells_everything_but_content_and_address(rt: Runtime):
    """States, attempts and reasons with a sentence for caseworkers; no address, value or text (A-19)."""
    adapter(rt, "sms").fail_next(Refused("30008"))
    done = await accept.accept(rt, CALLER, posted(reference="Vorgang-7"))
    await drain(rt)
    told = await report(rt, done)
    assert (told["state"], told["reference"], told["test"]) == ("submitted", "Vorgang-7", False)
    assert [one["event"] for one in told["timeline"]] == ["accepted", "failed", "submitted"]
    sms, mail = told["deliveries"]
    assert [(one["number"], one["verdict"], one["provider_code"]) for one in sms["attempts"]] == [
        (1, "refused", "30008")
    ]
    assert (mail["state"], mail["standby"], mail["account"]) == ("submitted", False, "mail")
    everything = [*told["deliveries"], *told["skipped"], *told["timeline"]]
    assert all(one["explanation"] and "{code}" not in one["explanation"] for one in everything)
    assert not [canary for canary in CANARIES if canary in repr(told)]


async def test_another_clients_notification_is_not_found(rt: Runtime):
    """Not even its existence is told, neither for looking nor for cancelling."""
    done = await accept.accept(rt, CALLER, posted())
    for ident in (done.id, "unknown"):
        with pytest.raises(NotFound):
            await reports.notification(rt, OTHER, ident)
        with pytest.raises(NotFound):
            await previews.cancel(rt, OTHER, ident)
    assert (await states(rt, done))[0][1] == "queued"


async def test_a_list_is_paged_from_the_newest_and_never_shifts(rt: Runtime):
    """Following the cursor shows each notification once, whatever is posted meanwhile; others' are not in it."""
    ids = [(await accept.accept(rt, CALLER, posted(reference=f"V-{number % 2}"))).id for number in range(5)]
    await accept.accept(rt, OTHER, posted())
    seen, after = [], None
    while True:
        page, after = await reports.listing(rt, CALLER, Search(limit=2, after=after))
        seen += [one["id"] for one in page]
        if after is None:
            break
        await accept.accept(rt, CALLER, posted())
    assert seen == ids[::-1]


async def test_a_list_is_filtered_by_reference_state_and_template(rt: Runtime):
    """Each filter alone, and together."""
    await put(rt, person("P-2", ("sms",), consents=()))
    one = await accept.accept(rt, CALLER, posted(reference="a"))
    two = await accept.accept(rt, CALLER, posted("P-2", "termin_hinweis", reference="b"))

    async def found(**given: str) -> list[str]:
        return [row["id"] for row in (await reports.listing(rt, CALLER, Search(**given)))[0]]

    assert await found(reference="a") == [one.id]
    assert await found(state="skipped") == [two.id]
    assert await found(template="termin_hinweis") == [two.id]
    assert await found(reference="a", state="skipped") == []


async def test_a_preview_stores_nothing(rt: Runtime):
    """Not a row in any table, not even about the recipient that the request states; nothing is sent or rung for."""
    before = await counts(rt)
    stated = person("P-1", ("sms",), language="tr")
    shown = await previews.preview(rt, CALLER, posted(stated))
    assert [one["channel"] for one in shown.deliveries] == ["sms", "email"]
    assert await counts(rt) == before
    assert await rt.doorbell.depth("normal") == 0
    assert taken(rt) == []


async def test_a_preview_is_what_the_adapter_gets(rt: Runtime):
    """Same delivery id and instant: the same subject, looks, buttons and direction, on each channel."""
    everywhere = ("email", "sms", "telegram", "whatsapp")
    await put(rt, person("P-2", everywhere, language="ar"))
    ids = [f"00000000-0000-7000-8000-00000000000{number}" for number in range(4)]
    own, rt.ids = rt.ids, Given(*ids)
    shown = await previews.preview(rt, CALLER, posted("P-2", "termin_erinnerung"))
    rt.ids = Given("notification-1", *ids)
    done = await accept.accept(rt, CALLER, posted("P-2", "termin_erinnerung"))
    rt.ids = own
    for name in ("mail", "sms", "telegram"):
        adapter(rt, name).fail_next(Refused())
    await drain(rt)
    for number, one in enumerate(shown.deliveries):
        message = adapter(rt, one["account"]).messages[first(done, number)]
        assert one["message"] == {
            "subject": message.subject,
            "looks": {look.value: text for look, text in message.looks.items()},
            "buttons": [button.label for button in message.buttons],
            "direction": message.direction,
        }
    assert [one["twin"] for one in shown.deliveries] == [False, True, True, True]
    assert shown.deliveries[0]["message"]["direction"] == "rtl"
    assert Format.HTML.value in shown.deliveries[0]["message"]["looks"]


async def test_a_preview_tells_skips_and_problems(rt: Runtime):
    """What would not go out is told with the same reasons; a forbidden word is shown as a problem of that message."""
    shown = await previews.preview(rt, CALLER, posted(channels=("email",)))
    assert {one["channel"]: one["reason"] for one in shown.skipped}["sms"] == "not_requested"
    await put(rt, person("P-3", ("sms",), consents=(*(person("P-3", ("sms",)).consents or ()),)))
    with pytest.raises(NotFound):
        await previews.preview(rt, CALLER, posted("nobody"))
    with pytest.raises(Invalid):
        await previews.preview(rt, CALLER, posted(variables={}))


async def test_cancelling_stops_what_is_still_in_the_house(rt: Runtime):
    """Nothing goes out afterwards, fall-backs included; cancelling again is harmless."""
    done = await accept.accept(rt, CALLER, posted())
    for _ in range(2):
        told = await previews.cancel(rt, CALLER, done.id)
        assert told["state"] == "cancelled"
    assert await drain(rt) == 0
    assert [one["event"] for one in told["timeline"]] == ["accepted", "cancel_asked", "cancelled", "cancelled"]
    assert [state for _, state, _ in await states(rt, done)] == ["cancelled", "cancelled"]


async def test_what_a_worker_has_claimed_is_cancelled_before_its_call(rt: Runtime):
    """The worker has it in hand already: it stops at the last moment (walk, line 9)."""
    done = await accept.accept(rt, CALLER, posted())
    rt.buckets = Interlude(lambda: previews.cancel(rt, CALLER, done.id))
    assert await deliver.deliver(rt, [first(done)]) == 0
    assert taken(rt) == []
    assert (await states(rt, done))[0] == ("sms", "cancelled", "cancelled")


async def test_what_has_left_cannot_be_called_back(rt: Runtime):
    """Cancelling is too late for what a provider took; the fall-back does not go any more."""
    done = await accept.accept(rt, CALLER, posted())
    await drain(rt)
    told = await previews.cancel(rt, CALLER, done.id)
    assert [one["state"] for one in told["deliveries"]] == ["submitted", "cancelled"]
    assert told["state"] == "submitted"
