"""Notifications over HTTP, on both databases: accepted once, and found by their owner only."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from gateway.http.api import answers
from gateway.usecases.runtime import Runtime
from tests.http.conftest import MakeClient, counts, notification, person, problem
from tests.support.clock import START, ManualClock

PATH = "/v1/notifications"


def key(value: str) -> dict[str, str]:
    """Return the header of a key."""
    return {"Idempotency-Key": value}


@pytest.fixture
async def known(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Give a client whose recipient P-1 can be reached."""
    assert (await client.put("/v1/recipients/P-1", json=person())).status_code == 200
    return client


async def test_a_notification_is_accepted_with_its_plan(known: httpx.AsyncClient):
    """202 with Location, the deliveries in the person's order, and a reason for each channel left out."""
    answer = await known.post(PATH, json=notification(), headers=key("k1"))
    told = answers.Accepted.model_validate_json(answer.content)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"{PATH}/{told.id}"
    assert "idempotent-replayed" not in answer.headers
    assert [one.channel for one in told.deliveries] == ["sms", "email"]
    assert {one.channel: one.reason for one in told.skipped}["telegram"] == "no_account"
    assert all(one.explanation for one in told.skipped)


async def test_a_repeated_request_gets_the_first_answer(known: httpx.AsyncClient, rt: Runtime):
    """The same key with the same body, however it is written, is one notification with one answer."""
    first = await known.post(PATH, json=notification(), headers=key("k1"))
    before = await counts(rt)
    spaced = json.dumps(notification() | {"reference": None}, indent=3)
    sent = {"Content-Type": "application/json; charset=utf-8"}
    second = await known.post(PATH, content=spaced, headers=key("k1") | sent)
    assert (second.status_code, second.json()) == (202, first.json())
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers["location"] == first.headers["location"]
    assert await counts(rt) == before


async def test_a_key_is_not_used_for_another_body(known: httpx.AsyncClient, rt: Runtime):
    """The same key with another body is 409, and nothing is stored."""
    await known.post(PATH, json=notification(), headers=key("k1"))
    before = await counts(rt)
    other = await known.post(PATH, json=notification(reference="another"), headers=key("k1"))
    problem(other, 409, "idempotency_key_reused")
    assert await counts(rt) == before


async def test_two_at_the_same_instant_are_one(known: httpx.AsyncClient, rt: Runtime):
    """Concurrent requests with one key make one notification; all get the same answer."""
    posts = [known.post(PATH, json=notification(), headers=key("k1")) for _ in range(8)]
    told = await asyncio.gather(*posts)
    assert {one.status_code for one in told} == {202}
    assert len({one.json()["id"] for one in told}) == 1
    assert sum("idempotent-replayed" not in one.headers for one in told) == 1
    assert (await counts(rt))["notifications"] == 1


async def test_keys_belong_to_their_client(known: httpx.AsyncClient, make_client: MakeClient, rt: Runtime):
    """Two clients may use the same key for different things."""
    other = await make_client("fachverfahren")
    await known.post(PATH, json=notification(), headers=key("k1"))
    answer = await other.post(PATH, json=notification(reference="x"), headers=key("k1"))
    assert answer.status_code == 202
    assert (await counts(rt))["notifications"] == 2


async def test_a_key_is_kept_for_seven_days(known: httpx.AsyncClient, clock: ManualClock):
    """A key still answers before its time is up, and is free again afterwards."""
    first = await known.post(PATH, json=notification(), headers=key("k1"))
    clock.advance(timedelta(days=7) - timedelta(seconds=1))
    again = await known.post(PATH, json=notification(), headers=key("k1"))
    clock.advance(2)
    anew = await known.post(PATH, json=notification(), headers=key("k1"))
    assert again.json()["id"] == first.json()["id"]
    assert anew.json()["id"] != first.json()["id"]


async def test_no_key_no_notification(known: httpx.AsyncClient, rt: Runtime):
    """Without the header, and with a wrong one, the answer says what to send; nothing is stored."""
    before = await counts(rt)
    told = problem(await known.post(PATH, json=notification()), 400, "idempotency_key_missing")
    assert "Idempotency-Key" in told["detail"]
    problem(await known.post(PATH, json=notification(), headers=key("k" * 256)), 400, "idempotency_key_invalid")
    assert await counts(rt) == before


async def test_what_does_not_fit_the_template_is_refused(known: httpx.AsyncClient, rt: Runtime):
    """Unknown fields, unknown and missing variables: 422 with a pointer each, nothing persisted (A-03)."""
    before = await counts(rt)
    extra = await known.post(PATH, json=notification(betrag="100"), headers=key("k1"))
    values = await known.post(PATH, json=notification(variables={"betrag": "Zaunkönig"}), headers=key("k2"))
    template = await known.post(PATH, json=notification(template="gibt_es_nicht"), headers=key("k3"))
    pointers = [[one["pointer"] for one in problem(got, 422, "invalid")["errors"]] for got in (extra, values, template)]
    assert pointers == [["/betrag"], ["/variables/betrag", "/variables/link"], ["/template"]]
    assert "Zaunkönig" not in values.text
    assert await counts(rt) == before


async def test_an_unknown_recipient_is_a_problem_and_a_stated_one_is_stored(client: httpx.AsyncClient):
    """An id alone must be known; with contact points the person becomes known, without a consent nothing goes out."""
    bare = await client.post(PATH, json=notification("P-9"), headers=key("k1"))
    problem(bare, 404, "not_found")
    stated = {"id": "P-9", **person(9, consent=False)}
    answer = await client.post(PATH, json=notification() | {"recipient": stated}, headers=key("k2"))
    assert (answer.status_code, answer.json()["state"]) == (202, "skipped")
    assert {one["reason"] for one in answer.json()["skipped"]} >= {"no_consent"}


async def test_a_notification_is_looked_up_by_its_owner_only(known: httpx.AsyncClient, make_client: MakeClient):
    """The owner sees plan and timeline; another client gets the same 404 as for an id that does not exist."""
    ident = (await known.post(PATH, json=notification(reference="Vorgang-77"), headers=key("k1"))).json()["id"]
    seen = answers.Notification.model_validate_json((await known.get(f"{PATH}/{ident}")).content)
    assert (seen.reference, seen.template, seen.recipient.id) == ("Vorgang-77", "termin_hinweis", "P-1")
    assert seen.test is False
    assert seen.created_at == START
    assert [one.event for one in seen.timeline] == ["accepted"]
    assert [one.standby for one in seen.deliveries] == [False, True]
    other = await make_client("fachverfahren")
    theirs = problem(await other.get(f"{PATH}/{ident}"), 404, "not_found")
    nobodys = problem(await other.get(f"{PATH}/0192f7a0-0000-7000-8000-000000000000"), 404, "not_found")
    assert theirs["detail"] == nobodys["detail"]
    problem(await other.post(f"{PATH}/{ident}:cancel"), 404, "not_found")


async def test_times_are_utc_with_an_offset(known: httpx.AsyncClient):
    """A time sent with an offset comes back as the same instant in UTC."""
    sent = notification(send_at="2026-11-24T10:30:00+01:00")
    ident = (await known.post(PATH, json=sent, headers=key("k1"))).json()["id"]
    told = (await known.get(f"{PATH}/{ident}")).json()
    assert told["send_at"] == "2026-11-24T09:30:00Z"
    assert datetime.fromisoformat(told["created_at"]) == START.astimezone(UTC)


async def test_cancelling_ends_what_has_not_left(known: httpx.AsyncClient):
    """Everything queued is cancelled; a second time is harmless."""
    ident = (await known.post(PATH, json=notification(), headers=key("k1"))).json()["id"]
    for _ in range(2):
        answer = await known.post(f"{PATH}/{ident}:cancel")
        told = answers.Notification.model_validate_json(answer.content)
        assert (answer.status_code, told.state) == (200, "cancelled")
        assert {one.state for one in told.deliveries} == {"cancelled"}


async def test_pages_follow_one_another(known: httpx.AsyncClient, clock: ManualClock):
    """The cursor walks through all of them once, newest first; what arrives in between shifts nothing."""
    posted = []
    for number in range(5):
        clock.advance(1)
        answer = await known.post(PATH, json=notification(reference=f"r{number % 2}"), headers=key(f"k{number}"))
        posted.append(answer.json()["id"])
    seen: list[str] = []
    after: dict[str, Any] = {}
    while True:
        page = answers.Page.model_validate_json((await known.get(PATH, params={"limit": 2, **after})).content)
        seen += [one.id for one in page.notifications]
        await known.post(PATH, json=notification(), headers=key(f"late{len(seen)}"))
        if page.next is None:
            break
        after = {"after": page.next}
    assert seen == posted[::-1]


async def test_a_search_narrows(known: httpx.AsyncClient, make_client: MakeClient):
    """Reference, state and template narrow what is found; another client finds nothing of it."""
    for number in range(3):
        await known.post(PATH, json=notification(reference=f"r{number}"), headers=key(f"k{number}"))
    other = await make_client("fachverfahren")
    found = {
        query: len((await who.get(f"{PATH}?{query}")).json()["notifications"])
        for who, query in [
            (known, "reference=r1"),
            (known, "state=pending"),
            (known, "state=failed"),
            (known, "template=termin_hinweis&reference=r2"),
            (known, "template=dienst_hinweis"),
            (other, "limit=200"),
        ]
    }
    assert list(found.values()) == [1, 3, 0, 1, 0, 0], found


async def test_a_wrong_query_names_its_parameter(client: httpx.AsyncClient):
    """A query outside its limits is 422 and names the parameter, not the value."""
    for query in ("limit=0", "limit=201", "limit=x", "state=sent", "reference=%00", "template=A", "after=%0a"):
        told = problem(await client.get(f"{PATH}?{query}"), 422, "invalid")
        assert [one["parameter"] for one in told["errors"]] == [query.partition("=")[0]]


async def test_a_preview_stores_nothing(known: httpx.AsyncClient, rt: Runtime):
    """The plan and each channel's message come back, and no table has one row more."""
    before = await counts(rt)
    answer = await known.post(f"{PATH}:preview", json=notification())
    seen = answers.Preview.model_validate_json(answer.content)
    assert answer.status_code == 200
    assert [one.channel for one in seen.deliveries] == ["sms", "email"]
    for one in seen.deliveries:
        assert one.message is not None
        assert "k3Vq8ZtA" in one.message.looks["text"]
    assert "html" in (seen.deliveries[1].message or pytest.fail("no message")).looks
    assert await counts(rt) == before


@pytest.mark.parametrize(
    ("recipient", "state", "reasons"),
    [("test-delivered", "pending", set()), ("test-no-consent", "skipped", {"no_consent"})],
)
async def test_a_test_key_reaches_magic_recipients(
    make_client: MakeClient, recipient: str, state: str, reasons: set[str]
):
    """A test key plans its magic recipients without anybody having stated them, and says that it is a test."""
    trial = await make_client("portal", test=True)
    answer = await trial.post(PATH, json=notification(recipient), headers=key("k1"))
    told = answer.json()
    assert (answer.status_code, told["state"]) == (202, state), told
    assert {one["reason"] for one in told["skipped"]} == reasons
    assert (await trial.get(f"{PATH}/{told['id']}")).json()["test"] is True


async def test_test_keys_and_people_are_kept_apart(known: httpx.AsyncClient, make_client: MakeClient):
    """A test key cannot reach a person, and a live key cannot reach a magic recipient."""
    trial = await make_client("portal", test=True)
    assert (await trial.post(PATH, json=notification("P-1"), headers=key("k1"))).status_code == 422
    answer = await known.post(PATH, json=notification("test-delivered"), headers=key("k2"))
    problem(answer, 422, "test_key_mismatch")
