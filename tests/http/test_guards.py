"""The door: every route is guarded or known to be public, and every answer leaves in the same envelope."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from gateway.http import guards
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import SCOPES
from tests.http.conftest import BASE, MakeClient, problem
from tests.support.clock import ManualClock

RATE = 5.0
SECRET = "Zaunkönig +4915550100001"


@pytest.fixture
def limits() -> Mapping[str, float]:
    """Set a rate that a test can exceed."""
    return {"client_per_s": RATE}


def dependencies(dependant: Any) -> Iterator[Any]:
    """Walk what a route depends on."""
    yield dependant.call
    for one in dependant.dependencies:
        yield from dependencies(one)


def operations(app: FastAPI) -> Iterator[tuple[str, str, str]]:
    """Return method, path and scope of every guarded operation in the OpenAPI document."""
    for path, methods in app.openapi()["paths"].items():
        for method, told in methods.items():
            for entry in told.get("security", ()):
                yield method.upper(), re.sub(r"\{.*?\}", "x", path), entry["key"][0]


async def test_every_route_is_guarded_or_public(app: FastAPI):
    """A new route without a guard fails here; so does a public path that is gone."""
    open_doors = set()
    for context in iter_route_contexts(app.routes):
        dependant = getattr(context, "dependant", None)
        if dependant is None or guards.caller not in set(dependencies(dependant)):
            open_doors.add(context.path)
    assert open_doors == set(guards.PUBLIC)


async def test_every_guarded_route_asks_for_a_key_and_one_known_scope(make_client: MakeClient, app: FastAPI):
    """Without a key each is 401, and with a key that has all scopes but the route's own 403."""
    asked = list(operations(app))
    assert {scope for _, _, scope in asked} == set(SCOPES)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as stranger:
        for method, path, _ in asked:
            answer = await stranger.request(method, path)
            problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"].startswith("Bearer")
    without = {one: await make_client(one, scopes=[scope for scope in SCOPES if scope != one]) for one in SCOPES}
    for method, path, scope in asked:
        told = problem(await without[scope].request(method, path), 403, "missing_scope")
        assert scope in told["detail"]


async def test_wrong_keys_are_all_answered_alike(client: httpx.AsyncClient):
    """Broken, unknown and half-right keys get the same answer, which repeats none of them."""
    right = client.headers["Authorization"].removeprefix("Bearer ")
    stem = right.rpartition("_")[0]
    wrong = ["", "x", f"{stem}_{'a' * 32}", right[:-1], f"{right}x", "bt_live_0000000000000000_x", "bt_live__", "\x7f"]
    answers = [await client.get("/v1/templates", headers={"Authorization": f"Bearer {one}"}) for one in wrong]
    answers.append(await client.get("/v1/templates", headers={"Authorization": f"Basic {right}"}))
    details = {problem(answer, 401, "unauthenticated")["type"] for answer in answers}
    assert len(details) == 1
    assert stem not in "".join(answer.text for answer in answers)


async def test_a_strangers_body_is_not_read(app: FastAPI):
    """Who shows no key cannot make us read, or keep, one byte."""
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/notifications:batch", "headers": [], "query_string": b""}
    await app(scope | {"http_version": "1.1", "root_path": "", "scheme": "https"}, receive, send)
    assert sent[0]["status"] == 401


async def test_who_is_too_fast_waits(make_client: MakeClient, clock: ManualClock):
    """Beyond the rate it is 429 with Retry-After, for this client only, and after that time it goes on."""
    fast, slow = await make_client("fast"), await make_client("slow")
    answers = [await fast.get("/v1/templates") for _ in range(int(RATE) + 1)]
    assert {one.status_code for one in answers[:-1]} == {200}
    problem(answers[-1], 429, "too_many_requests")
    assert (await slow.get("/v1/templates")).status_code == 200
    clock.advance(int(answers[-1].headers["retry-after"]))
    assert (await fast.get("/v1/templates")).status_code == 200


async def test_every_answer_has_the_envelope(client: httpx.AsyncClient):
    """Good, refused and unknown: a request id of its own and the headers that keep browsers from guessing."""
    answers = [await client.get(path) for path in ("/livez", "/v1/templates", "/v1/notifications/x", "/nowhere")]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["strict-transport-security"]
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)


async def test_unknown_paths_and_methods_are_problems(client: httpx.AsyncClient):
    """Nothing is served under other paths, a slash at the end included, and the methods in Allow are named."""
    for path in ("/nowhere", "/v1/templates/", "/v1"):
        problem(await client.get(path), 404, "unknown_route")
    answer = await client.delete("/v1/notifications")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"]


async def test_no_trace_of_a_crash_leaves_the_house(client: httpx.AsyncClient, app: FastAPI):
    """An unexpected error is a plain 500 with an id; the log has the id and the class, nobody has its text."""

    async def crash() -> None:
        raise RuntimeError(SECRET)

    app.add_api_route("/crash", crash)
    with structlog.testing.capture_logs() as logged:
        answer = await client.get("/crash")
    told = problem(answer, 500, "internal")
    assert told["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    crashes = [one for one in logged if one["event"] == "request.failed"]
    assert [(one["error"], one["request"]) for one in crashes] == [("RuntimeError", answer.headers["x-request-id"])]
    assert "Zaunkönig" not in answer.text + repr(logged)
    assert "Traceback" not in answer.text


async def test_the_runtime_is_the_apps(app: FastAPI, rt: Runtime):
    """The program works on the Runtime that it was given."""
    assert app.state.rt is rt
