"""Batches over HTTP: a result for every item in its place, one bad item spoils nothing, repeating is harmless."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from gateway.http.api import answers
from gateway.usecases.runtime import Runtime
from tests.http.conftest import CONSENT, MakeClient, counts, notification, person, problem

NOTIFICATIONS = "/v1/notifications:batch"
RECIPIENTS = "/v1/recipients:batch"


@pytest.fixture
def limits() -> Mapping[str, float]:
    """Set limits that a test can reach."""
    return {"client_per_s": 1000.0, "max_body_bytes": 2_000, "max_batch_bytes": 3_000_000}


def items(count: int, **more: Any) -> list[dict[str, Any]]:
    """Return notifications for P-1 with a key each."""
    return [notification(idempotency_key=f"k{number}", **more) for number in range(count)]


async def test_one_bad_item_never_spoils_the_others(client: httpx.AsyncClient, rt: Runtime):
    """Malformed, invalid and unknown items have a problem for a result, the good ones are accepted."""
    await client.put("/v1/recipients/P-1", json=person())
    sent = items(6)
    sent[1]["betrag"] = 1
    sent[2]["recipient"] = {"id": "P-unknown"}
    sent[3]["template"] = "gibt_es_nicht"
    del sent[4]["idempotency_key"]
    answer = await client.post(NOTIFICATIONS, json=sent)
    told = answers.BatchOfNotifications.model_validate_json(answer.content).results
    assert answer.status_code == 202
    assert [one.index for one in told] == list(range(6))
    assert [one.status == 202 for one in told] == [True, False, False, False, False, True]
    assert [one.problem.status if one.problem else one.status for one in told] == [one.status for one in told]
    assert told[1].problem is not None
    assert told[1].problem.errors is not None
    assert told[1].problem.errors[0].pointer == "/betrag"
    assert (await counts(rt))["notifications"] == 2


async def test_a_repeated_batch_is_harmless(client: httpx.AsyncClient, rt: Runtime):
    """The same batch again, as NDJSON this time, changes no row and says the same; so does a single post."""
    await client.put("/v1/recipients/P-1", json=person())
    first = (await client.post(NOTIFICATIONS, json=items(3))).json()["results"]
    before = await counts(rt)
    lines = "\n".join(json.dumps(one) for one in items(3)) + "\n"
    sent = {"Content-Type": "application/x-ndjson"}
    again = (await client.post(NOTIFICATIONS, content=lines, headers=sent)).json()["results"]
    assert [one["id"] for one in again] == [one["id"] for one in first]
    assert [one["repeated"] for one in first + again] == [False] * 3 + [True] * 3
    single = await client.post("/v1/notifications", json=notification(), headers={"Idempotency-Key": "k0"})
    assert single.json()["id"] == first[0]["id"]
    assert await counts(rt) == before


async def test_keys_that_meet_in_one_batch(client: httpx.AsyncClient, rt: Runtime):
    """The same item twice is one notification; the same key for two things is one and a conflict."""
    await client.put("/v1/recipients/P-1", json=person())
    one, two = items(2)
    answer = await client.post(NOTIFICATIONS, json=[one, one, two, two | {"reference": "other"}])
    told = answer.json()["results"]
    assert [item["status"] for item in told] == [202, 202, 202, 409]
    assert told[0]["id"] == told[1]["id"] != told[2]["id"]
    assert told[3]["problem"]["type"] == "/problems/idempotency_key_reused"
    assert (await counts(rt))["notifications"] == 2


async def test_a_thousand_at_once(client: httpx.AsyncClient, rt: Runtime):
    """A long batch is accepted whole, in order; the limit of a single body does not hold for it."""
    await client.put("/v1/recipients/P-1", json=person())
    answer = await client.post(NOTIFICATIONS, json=items(1000))
    assert {one["status"] for one in answer.json()["results"]} == {202}
    assert (await counts(rt))["notifications"] == 1000


async def test_limits_of_bodies(client: httpx.AsyncClient, rt: Runtime):
    """Too many bytes are 413 on both kinds of routes, a wrong media type 415, too many or no items 422."""
    before = await counts(rt)
    key = {"Idempotency-Key": "k"}
    problem(await client.post("/v1/notifications", content=b" " * 2_001, headers=key), 415, "unsupported_media_type")
    sent = key | {"Content-Type": "application/json"}
    problem(await client.post("/v1/notifications", content=b" " * 2_001, headers=sent), 413, "body_too_large")
    problem(await client.post(NOTIFICATIONS, content=b" " * 3_000_001, headers=sent), 413, "body_too_large")
    problem(await client.post(NOTIFICATIONS, json=[]), 422, "batch_size")
    problem(await client.post(NOTIFICATIONS, json=[{}] * 10_001), 422, "batch_size")
    problem(await client.post(NOTIFICATIONS, json=notification()), 422, "invalid")
    problem(await client.post(RECIPIENTS, content=b"[", headers=sent), 400, "malformed_json")
    assert await counts(rt) == before


async def test_recipients_come_in_batches_too(client: httpx.AsyncClient):
    """Contact points, preferences and consents arrive; a wrong address is that item's problem and is not quoted."""
    people = [{"id": f"P-{number}", **person(number)} for number in range(1, 4)]
    people[1]["contact_points"][0]["address"] = "Zaunkönig"
    answer = await client.post(RECIPIENTS, json=people)
    told = answers.BatchOfRecipients.model_validate_json(answer.content).results
    assert [one.status for one in told] == [200, 422, 200]
    assert told[1].problem is not None
    assert told[1].problem.errors is not None
    assert told[1].problem.errors[0].pointer == "/contact_points/0/address"
    assert "Zaunkönig" not in answer.text
    seen = answers.Recipient.model_validate_json((await client.get("/v1/recipients/P-3")).content)
    assert len(seen.contact_points) == len(seen.consents) == 2


async def test_consents_in_a_batch_need_their_scope(make_client: MakeClient):
    """A key without consents:write may state people, but not that they agreed."""
    clerk = await make_client("clerk", scopes=["recipients:write", "recipients:read"])
    people = [{"id": "P-1"}, {"id": "P-2", "consents": [CONSENT | {"channel": "sms", "purpose": "dienst"}]}]
    told = (await clerk.post(RECIPIENTS, json=people)).json()["results"]
    assert [one["status"] for one in told] == [200, 403]
    assert (await clerk.get("/v1/recipients/P-2")).status_code == 404
