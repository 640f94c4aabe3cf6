"""Anything at all is sent to every operation: no 500, problems on errors, and nothing of what was sent comes back.

The operations and the shapes of their bodies are the OpenAPI document's own; hypothesis bends them. Bounded: a fixed
number of requests for each operation, the same ones at every run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.http.conftest import APPROVED, CONSENT, MakeClient, notification, person

CANARY = "Zaunkoenig7351"  # stands in every text that is sent; an answer that holds it quotes the request
EXAMPLES = 25  # requests for each operation
NASTY = (
    "", " ", "\x00", "\x1b[2J", "\u202e", "\ud800", "\U0001f469\u200d\U0001f467", "\uffff", "\u2028", "%00", "../..",
    "{{ 7*7 }}", "'; DROP TABLE notifications; --", "P-1\n", "\uff30-1", "9" * 400, "-0", "1e400", "a" * 5_000,
)  # fmt: skip
MEDIA = ("application/json", "application/x-ndjson", "text/plain", "application/json; charset=utf-16", "", "a/b/c;;=")
Drawn = dict[str, Any]


def operations(app: FastAPI) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield method, path and description of every operation of the API."""
    for path, methods in app.openapi()["paths"].items():
        for method, told in methods.items():
            yield method.upper(), path, told


def good(path: str) -> Any:
    """Return a body that the operation takes, to bend from."""
    if ":batch" in path:
        item = person(2) | {"id": "P-2"} if "recipients" in path else notification(idempotency_key="k")
        return [item, item]
    if "/consents/" in path:
        return CONSENT
    return person(3) if "recipients" in path else notification()


texts = st.sampled_from(NASTY).map(lambda text: CANARY + text) | st.sampled_from(NASTY)
names = st.sampled_from([*NASTY, "unbekannt", "id"])  # a plain name may come back, as a pointer
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


def bent(draw: st.DrawFn, value: Any) -> Any:
    """Return ``value`` with one place in it replaced, removed, doubled or added to."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(value)))
        return value | {name: bent(draw, value[name])}
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], bent(draw, value[place]), *value[place + 1 :]]
    if isinstance(value, dict) and draw(st.booleans()):
        return value | {draw(names): draw(values)}
    return draw(values)


@st.composite
def bodies(draw: st.DrawFn, path: str) -> bytes:
    """Draw a body: a good one, one with a bent place, or none that is JSON at all."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.binary(max_size=200))
    if kind == 1:
        depth = draw(st.sampled_from([100, 1_000, 60_000]))
        return draw(st.sampled_from([b"[" * depth, b'{"a":' * depth, b"[" * depth + b"]" * depth]))
    value = good(path) if kind == 2 else bent(draw, good(path))
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    if kind == 3 and text.startswith("{"):
        text = "{" + f'"template": "{CANARY}", ' + text[1:]  # a name that comes twice
    return text.encode("utf-8", "surrogatepass")


@st.composite
def requests(draw: st.DrawFn, method: str, path: str, told: Mapping[str, Any]) -> Drawn:
    """Draw one request to an operation."""
    known = {"id": "P-1", "key": APPROVED[0], "channel": "sms", "purpose": "dienst", "account": "sms"}

    def part(match: re.Match[str]) -> str:
        chosen = draw(st.just(known.get(match[1], CANARY)) | texts.filter(bool))
        return quote(chosen.encode("utf-8", "surrogatepass"), safe="")

    query = [one["name"] for one in told.get("parameters", ()) if one["in"] == "query"]
    asked = {name: draw(texts) for name in query if draw(st.booleans())}
    pairs = "&".join(f"{name}={quote(value.encode('utf-8', 'surrogatepass'))}" for name, value in asked.items())
    headers = {"Content-Type": draw(st.sampled_from(MEDIA) | st.just(MEDIA[0]) | st.just(MEDIA[0]))}
    if draw(st.integers(0, 4)):
        headers["Idempotency-Key"] = draw(st.sampled_from([CANARY, "k" * 300, "a b", "\x7f", CANARY * 3]))
    return {
        "method": method,
        "url": re.sub(r"\{(\w+)\}", part, path) + (f"?{pairs}" if pairs else ""),
        "headers": headers,
        "content": draw(bodies(path)) if method in {"POST", "PUT", "DELETE"} else None,
    }


def check(answer: httpx.Response) -> None:
    """Hold one answer against what every answer promises."""
    asked = f"{answer.request.method} {answer.request.url.path[:60]}"
    assert answer.status_code < 500, asked
    assert answer.headers["x-content-type-options"] == "nosniff"
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json", asked
        told = answer.json()
        assert told["status"] == answer.status_code
        assert told["detail"]
        assert CANARY not in answer.text, asked
    elif answer.content:
        problems = [one["problem"] for one in answer.json().get("results", ()) if "problem" in one]
        assert all(CANARY not in json.dumps(one) for one in problems), asked


async def test_nothing_that_is_sent_breaks_an_operation(make_client: MakeClient, app: FastAPI):
    """Every operation, with bodies, paths, queries and headers that nobody thought of."""
    client = await make_client("fuzz")
    await client.put("/v1/recipients/P-1", json=person())
    await client.post("/v1/notifications", json=notification(), headers={"Idempotency-Key": "first"})
    drawn: list[Drawn] = []
    for method, path, told in operations(app):

        @seed(len(path) * 7)
        @settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(requests(method, path, told))
        def draw(one: Drawn) -> None:
            drawn.append(one)

        draw()
    assert len(drawn) > 10 * EXAMPLES
    for one in drawn:
        check(await client.request(**one))
