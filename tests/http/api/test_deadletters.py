"""Dead letters over HTTP: a client's own, by id or filter, with a dry run; nobody else's."""

from __future__ import annotations

from typing import Any

import httpx
import pytest_asyncio
from sqlalchemy import update

from gateway.http.api import answers
from gateway.store.tables import deliveries, notifications
from gateway.usecases.runtime import Runtime
from tests.http.conftest import MakeClient, notification, person, problem
from tests.support.clock import START


@pytest_asyncio.fixture
async def letters(client: httpx.AsyncClient, rt: Runtime) -> list[str]:
    """Leave three notifications whose SMS failed and whose e-mail was skipped; return the SMS's ids."""
    found = []
    for number in (1, 2, 3):
        await client.put(f"/v1/recipients/P-{number}", json=person(number))
        posted = await client.post(
            "/v1/notifications", json=notification(f"P-{number}"), headers={"Idempotency-Key": f"k-{number}"}
        )
        found.append(posted.json()["deliveries"][0]["id"])
    async with rt.db.write() as conn:
        own = deliveries.c
        for where, state in ((own.position == 0, "failed"), (own.position > 0, "skipped")):
            await conn.execute(update(deliveries).where(where).values(state=state, code="no_route", due_at=None))
        await conn.execute(update(notifications).values(outcome="failed"))
    return found


async def listed(client: httpx.AsyncClient, **query: Any) -> list[str]:
    """Return the ids on a page, after checking the answer's form."""
    answer = await client.get("/v1/dead-letters", params=query)
    assert answer.status_code == 200
    return [one.id for one in answers.DeadLetters.model_validate_json(answer.text).dead_letters]


async def decided(client: httpx.AsyncClient, verb: str, **body: Any) -> answers.Decision:
    """Post a decision and return its answer."""
    answer = await client.post(f"/v1/dead-letters:{verb}", json=body)
    assert answer.status_code == 200, answer.text
    return answers.Decision.model_validate_json(answer.text)


async def test_a_client_sees_its_own_with_what_to_do(client: httpx.AsyncClient, letters: list[str]):
    """Newest first, with the German sentence; each filter narrows, and the cursor leads on."""
    answer = (await client.get("/v1/dead-letters", params={"limit": 2})).json()
    assert [one["id"] for one in answer["dead_letters"]] == letters[:0:-1]
    first = answer["dead_letters"][0]
    assert (first["code"], first["class"], first["requeue"]) == ("no_route", "refused", "possible")
    assert "bitte" in first["explanation"]
    assert await listed(client, after=answer["next"]) == letters[:1]
    for narrower in (
        {"account": "mail"},
        {"class": "misconfigured"},
        {"code": "refused"},
        {"until": f"{START:%FT%TZ}"},
    ):
        assert await listed(client, **narrower) == [], narrower
    assert len(await listed(client, **{"class": "refused", "account": "sms", "template": "termin_hinweis"})) == 3


async def test_another_client_neither_sees_nor_touches_them(make_client: MakeClient, letters: list[str]):
    """Other people's dead letters are as good as none."""
    other = await make_client("fachverfahren")
    assert await listed(other) == []
    done = await decided(other, "requeue", ids=letters[:1])
    assert (done.deliveries, [one.code for one in done.refused]) == (0, ["not_a_dead_letter"])
    assert (await decided(other, "cancel", filter={})).notifications == 0


async def test_requeue_by_id_and_by_filter(client: httpx.AsyncClient, letters: list[str]):
    """A dry run changes nothing; then one by id, and the rest by filter."""
    dry = await decided(client, "requeue", filter={"class": "refused"}, dry_run=True)
    assert (dry.dry_run, dry.deliveries, len(await listed(client))) == (True, 3, 3)
    done = await decided(client, "requeue", ids=[letters[0], "unknown"])
    assert (done.deliveries, [(one.code, one.ids) for one in done.refused]) == (1, [("not_a_dead_letter", ["unknown"])])
    assert (await decided(client, "requeue", filter={"channel": "sms"})).deliveries == 2
    assert await listed(client) == []


async def test_cancel_closes(client: httpx.AsyncClient, letters: list[str]):
    """Closed ones are off the list and cannot be requeued."""
    assert (await decided(client, "cancel", filter={"account": "sms"})).notifications == 3
    assert await listed(client) == []
    assert (await decided(client, "requeue", ids=letters)).deliveries == 0


async def test_a_choice_is_by_ids_or_by_filter(client: httpx.AsyncClient):
    """Neither or both is refused: nobody requeues everything by forgetting a field."""
    for body in ({}, {"ids": ["a"], "filter": {}}):
        problem(await client.post("/v1/dead-letters:requeue", json=body), 422, "invalid")
        problem(await client.post("/v1/dead-letters:cancel", json=body), 422, "invalid")
