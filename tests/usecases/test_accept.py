"""Accepting: pinned texts, repeated requests, shared commits, and what is refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from channels.kit.contract import Confidentiality
from gateway.domain.errors import Conflict, Invalid, NotFound
from gateway.queue.jobs import queue_name, unpack
from gateway.store.engine import Database
from gateway.store.tables import deliveries, idempotency_keys, notifications, subjects
from gateway.store.vault import Vault
from gateway.usecases import accept
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import Accepted, Caller, PostedRecipient
from tests.support.clock import START, ManualClock
from tests.support.runtime import (
    CALLER,
    OTHER,
    VALUES,
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
    states,
    taken,
)


async def count(rt: Runtime, table: Any) -> int:
    """Count a table's rows."""
    async with rt.db.read() as conn:
        return (await conn.execute(select(func.count()).select_from(table))).scalar_one()


async def test_the_answer_names_deliveries_in_order_of_preference_and_every_skip(rt: Runtime):
    """The plan is answered before anything is sent, and nothing has been sent."""
    done = await accept.accept(rt, CALLER, posted())
    assert done.answer["state"] == "pending"
    assert [(one["channel"], one["state"]) for one in done.answer["deliveries"]] == [
        ("sms", "queued"),
        ("email", "queued"),
    ]
    assert {one["channel"]: one["reason"] for one in done.answer["skipped"]} == {
        "telegram": "no_contact_point",
        "whatsapp": "no_contact_point",
    }
    assert all(one["explanation"] for one in done.answer["skipped"])
    assert taken(rt) == []


async def test_the_text_is_pinned_at_acceptance(rt: Runtime):
    """A version that is approved between acceptance and sending changes nothing that was accepted before."""
    done = await accept.accept(rt, CALLER, posted())
    old = catalogue()["unterlagen_fehlen"]
    text = replace(old.texts["de"], message="Ganz neu: bis {{ frist }} hier: {{ link }} - danke.")
    await publish(rt, replace(old, texts={**old.texts, "de": text}))
    later = await accept.accept(rt, CALLER, posted())
    await drain(rt)
    texts = {one.key: one.text for one in adapter(rt, "sms").taken}
    assert "Ganz neu" not in texts[first(done)]
    assert "Ganz neu" in texts[first(later)]


async def test_the_same_key_and_body_get_the_first_answer_again(rt: Runtime):
    """Repeating is harmless: same id, same answer, one notification, even after the state moved on."""
    one = posted(key="k")
    before = await accept.accept(rt, CALLER, one)
    await drain(rt)
    again = await accept.accept(rt, CALLER, one)
    assert (again.repeated, again.id, again.answer) == (True, before.id, before.answer)
    assert not before.repeated
    assert await count(rt, notifications) == 1


async def test_the_same_key_with_another_body_is_refused(rt: Runtime):
    """A key stands for one body: another one is a mistake of the caller's, told as such."""
    await accept.accept(rt, CALLER, posted(key="k"))
    with pytest.raises(Conflict) as told:
        await accept.accept(rt, CALLER, posted(key="k", reference="other"))
    assert told.value.code == "idempotency_key_reused"
    assert await count(rt, notifications) == 1


async def test_keys_are_per_client_and_forgotten_after_a_week(rt: Runtime, clock: ManualClock):
    """Another client's key is another key, and a key may be used anew after seven days."""
    one = posted(key="k")
    mine = await accept.accept(rt, CALLER, one)
    theirs = await accept.accept(rt, OTHER, one)
    assert theirs.id != mine.id
    clock.advance(timedelta(days=7, seconds=1))
    anew = await accept.accept(rt, CALLER, replace(one, body=b"another"))
    assert not anew.repeated
    assert anew.id != mine.id


async def test_two_at_the_same_instant_become_one(rt: Runtime):
    """Concurrent requests with one key in one process: one notification, and the other gets its answer."""
    one = posted(key="k")
    results = await asyncio.gather(*(accept.accept(rt, CALLER, one) for _ in range(5)))
    assert {done.id for done in results} == {results[0].id}
    assert sorted(done.repeated for done in results) == [False, True, True, True, True]
    assert await count(rt, notifications) == 1


async def test_two_processes_given_the_same_batch_in_another_order_make_each_once(
    rt: Runtime, vault: Vault, clock: ManualClock, database_url: str
):
    """Two Runtimes on one database never wait for each other and never make a second notification."""
    second = await Database.open(database_url)
    async with open_runtime(second, vault, clock, accounts=rt.accounts) as other:
        items = [posted(key=f"k-{number}") for number in range(40)]
        mine, theirs = await asyncio.gather(
            accept.accept_batch(rt, CALLER, items), accept.accept_batch(other, CALLER, items[::-1])
        )
    await second.close()
    assert [one.id for one in mine if isinstance(one, Accepted)] == [
        one.id for one in reversed(theirs) if isinstance(one, Accepted)
    ]
    assert await count(rt, notifications) == 40
    assert await count(rt, deliveries) == 80
    assert await count(rt, idempotency_keys) == 40


async def test_a_group_shares_its_transactions_and_bad_neighbours_spoil_nothing(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch
):
    """Fifty requests at once, every fifth of them wrong: far fewer transactions than requests, and 40 accepted."""
    opened = 0
    write = rt.db.write

    def counted() -> Any:
        nonlocal opened
        opened += 1
        return write()

    monkeypatch.setattr(rt.db, "write", counted)
    wrong = {"variables": {"frist": "kein Datum"}}
    given = [posted(**(wrong if number % 5 == 0 else {})) for number in range(50)]
    results = await asyncio.gather(*(accept.accept(rt, CALLER, one) for one in given), return_exceptions=True)
    assert [isinstance(one, Invalid) for one in results] == [number % 5 == 0 for number in range(50)]
    assert await count(rt, notifications) == 40
    assert opened <= 3


async def test_a_batch_answers_in_order_and_a_repeated_one_is_harmless(rt: Runtime):
    """Each item has its own result: refused beforehand, unknown recipient, accepted, twice the same key."""
    known = Invalid("refused by the parser")
    items = [posted(key="a"), known, posted("nobody"), posted(key="b"), posted(key="a", reference="x")]
    results = await accept.accept_batch(rt, CALLER, items)
    kinds = [type(one) for one in results]
    assert kinds == [Accepted, Invalid, NotFound, Accepted, Conflict]
    again = await accept.accept_batch(rt, CALLER, items)
    assert [type(one) for one in again] == kinds
    assert [one.repeated for one in again if isinstance(one, Accepted)] == [True, True]
    assert await count(rt, notifications) == 2


async def test_a_stated_recipient_is_saved_with_the_request(rt: Runtime):
    """A request may bring the person along; a contact point that it adds leaves those that are known alone."""
    new = person("P-9", ("sms",))
    done = await accept.accept(rt, CALLER, posted(new))
    assert [one["channel"] for one in done.answer["deliveries"]] == ["sms"]
    more = PostedRecipient(id="P-9", contact_points=person("P-9", ("email",)).contact_points)
    later = await accept.accept(rt, CALLER, posted(more))
    assert {one["channel"]: one["reason"] for one in later.answer["skipped"]}["email"] == "no_consent"
    assert [one["channel"] for one in later.answer["deliveries"]] == ["sms"]


async def test_a_refused_request_stores_nothing_about_its_recipient(rt: Runtime):
    """A request that does not fit leaves no trace of the person it brought along."""
    with pytest.raises(Invalid):
        await accept.accept(rt, CALLER, posted(person("P-9"), variables={}))
    assert await count(rt, subjects) == 1


WEEK = timedelta(days=7)
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown template": ({"template": "gibt_es_nicht"}, "/template", "template_unknown"),
    "missing variable": ({"variables": {"link": VALUES["termin_hinweis"]["link"]}}, "/variables/frist", ""),
    "unknown variable": ({"variables": {**VALUES["unterlagen_fehlen"], "mehr": "1"}}, "/variables/mehr", ""),
    "unknown channel": ({"channels": ("sms", "fax")}, "/channels/1", "channel_unknown"),
    "expired": ({"expires_at": START - WEEK}, "/expires_at", "expired"),
    "expires before it is sent": ({"send_at": START + WEEK, "expires_at": START + WEEK}, "/expires_at", "expired"),
    "too far": ({"send_at": START + 60 * WEEK}, "/send_at", "too_far"),
    "bad address": (
        {"recipient": person("P-8", contact_points=(replace(person().contact_points[0], address="a b"),))},  # type: ignore[index] # it has two
        "/recipient/contact_points/0/address",
        "address_invalid",
    ),
    "channel without account": (
        {"recipient": person("P-8", contact_points=(replace(person().contact_points[0], channel="fax"),))},  # type: ignore[index] # it has two
        "/recipient/contact_points/0/channel",
        "channel_unknown",
    ),
    "unknown purpose": (
        {"recipient": person("P-8", consents=(replace(person().consents[0], purpose="werbung"),))},  # type: ignore[index] # it has two
        "/recipient/consents/0/purpose",
        "purpose_unknown",
    ),
}


async def test_every_mistake_names_its_field(rt: Runtime):
    """What is wrong is told with a JSON pointer and a stable code, without the value, and nothing is stored."""
    for name, (given, pointer, code) in REFUSED.items():
        with pytest.raises(Invalid) as told:
            await accept.accept(rt, CALLER, posted(**given))
        faults = [(one.pointer, one.code) for one in told.value.faults]
        assert pointer in [one[0] for one in faults], name
        assert not code or (pointer, code) in faults, name
        assert "a b" not in str(told.value), name
    assert await count(rt, notifications) == 0


async def test_an_unknown_recipient_is_not_found(rt: Runtime):
    """Somebody whom nobody has put cannot be written to."""
    with pytest.raises(NotFound):
        await accept.accept(rt, CALLER, posted("P-404"))


async def test_k3_never_leaves_the_house(rt: Runtime):
    """A text of class K3 is refused at the door, whatever any account may carry (A-01)."""
    await publish(rt, replace(catalogue()["termin_hinweis"], key="bescheid", klass=Confidentiality.K3))
    with pytest.raises(Invalid) as told:
        await accept.accept(rt, CALLER, posted(template="bescheid", variables=VALUES["termin_hinweis"]))
    assert told.value.code == "class_not_allowed"
    assert await count(rt, notifications) == 0


async def test_k2_goes_as_its_twin_where_k2_is_not_allowed(rt: Runtime):
    """Appointment details reach the mailbox; a messenger only hears that there is something (A-01, A-09)."""
    await put(rt, person("P-2", ("telegram",)), person("P-3", ("email",)))
    told = await accept.accept(rt, CALLER, posted("P-2", "termin_erinnerung"))
    mailed = await accept.accept(rt, CALLER, posted("P-3", "termin_erinnerung"))
    await drain(rt)
    assert [one["template"] for one in (await report(rt, told))["deliveries"]] == ["termin_hinweis"]
    assert "16.03.2027" not in adapter(rt, "telegram").taken[0].text
    assert VALUES["termin_hinweis"]["link"] in adapter(rt, "telegram").taken[0].text
    assert [one["template"] for one in (await report(rt, mailed))["deliveries"]] == ["termin_erinnerung"]
    assert "16.03.2027" in adapter(rt, "mail").taken[0].text


async def test_nothing_to_plan_is_a_skipped_notification_with_reasons(rt: Runtime):
    """Without any consent nothing is sent, and the caller learns why (A-04, A-05)."""
    await put(rt, person("P-4", ("sms",), consents=()))
    done = await accept.accept(rt, CALLER, posted("P-4"))
    assert done.answer["state"] == "skipped"
    assert done.answer["deliveries"] == []
    assert {one["channel"]: one["reason"] for one in done.answer["skipped"]}["sms"] == "no_consent"
    told = await report(rt, done)
    assert (told["state"], [one["event"] for one in told["timeline"]]) == ("skipped", ["skipped"])


async def test_only_the_first_delivery_is_rung_for_and_a_later_one_not_at_all(rt: Runtime):
    """The doorbell rings after the commit, for what is due, with ids alone."""
    done = await accept.accept(rt, CALLER, posted())
    await accept.accept(rt, CALLER, posted(send_at=START + timedelta(hours=1)))
    pool: Any = rt.doorbell.pool  # type: ignore[attr-defined] # the embedded one
    jobs = [await pool.get(f"arq:job:{ident.decode()}") for ident in await pool.zrange(queue_name("normal"), 0, -1)]
    assert [unpack(raw)["a"] for raw in jobs] == [[[first(done)]]]
    assert await drain(rt) == 1


async def test_the_language_and_its_fallback_are_recorded(rt: Runtime):
    """Who reads another language gets German where there is no such text, and the report says so (A-28)."""
    await put(rt, person("P-5", ("sms",), language="tr"), person("P-6", ("sms",), language="fr"))
    told = [await report(rt, await accept.accept(rt, CALLER, posted(one))) for one in ("P-5", "P-6")]
    assert [(one["language"], one["language_fell_back"]) for one in told] == [("tr", False), ("de", True)]


async def test_a_request_for_some_channels_restricts_the_plan(rt: Runtime):
    """``channels`` leaves the others out with a reason; the preference decides the order."""
    done = await accept.accept(rt, CALLER, posted(channels=("email",)))
    assert [one["channel"] for one in done.answer["deliveries"]] == ["email"]
    assert {one["channel"]: one["reason"] for one in done.answer["skipped"]}["sms"] == "not_requested"


@pytest.mark.parametrize("who", [CALLER, OTHER])
async def test_a_recipient_belongs_to_the_authority(rt: Runtime, who: Caller):
    """Any client may write to a known person; the notification is its own."""
    done = await accept.accept(rt, who, posted())
    await drain(rt)
    assert (await states(rt, done, who))[0] == ("sms", "submitted", None)
