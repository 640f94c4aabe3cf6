"""Endpoints and feed over HTTP: the routes, their answers as documented, and nothing about reading anywhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.domain.callbacks import TYPES
from gateway.http.api import callback_answers as answers
from gateway.usecases import posting
from gateway.usecases.runtime import Runtime
from tests.http.conftest import MakeClient, notification, person, problem
from tests.support.receivers import Receiver, receiving

PATH = "/v1/callbacks"


@pytest.fixture
def limits() -> Mapping[str, Any]:
    """Allow endpoints on loopback."""
    return {"client_per_s": 1000.0, "callback_private": True}


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Run an endpoint that takes everything."""
    async with receiving() as running:
        yield running


async def skipped(client: httpx.AsyncClient, count: int = 1) -> None:
    """Post notifications that go nowhere: each is an event at once."""
    await client.put("/v1/recipients/P-1", json=person(consent=False))
    for number in range(count):
        sent = {"Idempotency-Key": f"key-{number}"}
        answer = await client.post("/v1/notifications", json=notification(reference="R"), headers=sent)
        assert answer.json()["state"] == "skipped"


async def test_the_life_of_an_endpoint(client: httpx.AsyncClient, rt: Runtime, receiver: Receiver):
    """Registered, tested, listed, told, rotated, replayed, deleted; every answer is as documented."""
    made = await client.post(PATH, json={"url": receiver.url, "types": ["notification.skipped"]})
    assert made.status_code == 201
    endpoint = answers.NewEndpoint.model_validate_json(made.content)
    where = made.headers["location"]
    assert where == f"{PATH}/{endpoint.id}"
    assert answers.Pinged.model_validate_json((await client.post(f"{where}:test")).content).ok
    await skipped(client, 2)
    await posting.post_due(rt)
    assert receiver.types() == ["ping", "notification.skipped", "notification.skipped"]
    rotated = answers.NewEndpoint.model_validate_json((await client.post(f"{where}:rotate")).content)
    assert rotated.secret != endpoint.secret
    again = await client.post(f"{where}:replay", json={"after": 1})
    assert (again.status_code, again.json()) == (202, {"queued": 1})
    listed = answers.Endpoints.model_validate_json((await client.get(PATH)).content).callbacks
    assert [(one.id, one.waiting) for one in listed] == [(endpoint.id, 1)]
    assert "whsec_" not in (await client.get(where)).text
    assert (await client.delete(where)).status_code == 204
    problem(await client.get(where), 404, "not_found")


async def test_the_feed_tells_the_same_as_the_callback(client: httpx.AsyncClient, rt: Runtime, receiver: Receiver):
    """An event is one object, wherever it is read; the cursor leads on."""
    await client.post(PATH, json={"url": receiver.url})
    await skipped(client, 3)
    first = (await client.get("/v1/events", params={"limit": 2})).json()
    rest = (await client.get("/v1/events", params={"after": first["next"]})).json()
    answers.Events.model_validate(rest)
    await posting.post_due(rt)
    assert first["events"] + rest["events"] == sorted(receiver.events, key=lambda one: one["seq"])
    assert rest["next"] == 3


async def test_a_feed_is_its_clients_alone(client: httpx.AsyncClient, make_client: MakeClient):
    """Another client has numbers of its own, and a cursor that was never given is refused."""
    await skipped(client)
    other = await make_client("fachverfahren")
    assert (await other.get("/v1/events")).json() == {"events": [], "next": 0}
    problem(await other.get("/v1/events", params={"after": 1}), 410, "cursor_unknown")
    for wrong in ({"after": -1}, {"after": "x"}, {"limit": 501}, {"after": 2**63}):
        problem(await client.get("/v1/events", params=wrong), 422, "invalid")


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/url", "missing"),
        ({"url": "https://a b/"}, "/url", "wrong_format"),
        ({"url": "https://user@c.example/"}, "/url", "url_refused"),
        ({"url": "https://c.example/", "types": ["notification.read"]}, "/types/0", "not_one_of"),
        ({"url": "https://c.example/", "secret": "x"}, "/secret", "unknown_field"),
    ],
)
async def test_a_wrong_endpoint_is_a_fault(client: httpx.AsyncClient, body: Any, pointer: str, code: str):
    """Each fault names its field."""
    told = problem(await client.post(PATH, json=body), 422, "invalid")
    assert [(one["pointer"], one["code"]) for one in told["errors"]] == [(pointer, code)]


@pytest.mark.parametrize("body", [{}, {"after": 0, "since": "2026-11-23T09:00:00Z"}, {"after": -1}, {"since": "now"}])
async def test_a_replay_begins_somewhere(client: httpx.AsyncClient, receiver: Receiver, body: Any):
    """From a number or a time: one of both."""
    made = (await client.post(PATH, json={"url": receiver.url})).json()
    problem(await client.post(f"{PATH}/{made['id']}:replay", json=body), 422, "invalid")


async def test_nothing_about_reading_is_exported(client: httpx.AsyncClient):
    """No field, state or type of the whole interface says that somebody has read a message (A-23)."""
    document = (await client.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    shown = {name: schemas[name] for name in ("Event", "EventFacts", "Events", "Notification", "DeliveryInFull")}
    words = set(json.dumps(shown).replace(".", '"').replace("_", '"').split('"')) | {
        word for one in TYPES for word in one.split(".")
    }
    assert not words & {"read", "read at", "opened", "seen", "clicked"}
    assert set(schemas["EventFacts"]["properties"]) == {
        "notification", "delivery", "recipient", "reference", "state", "channel", "code", "test"
    }  # fmt: skip
