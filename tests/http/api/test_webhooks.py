"""Webhooks: the raw call reaches the adapter as it came; forged, unknown and oversized calls do nothing."""

from __future__ import annotations

import json

import httpx
import pytest
from twilio.request_validator import RequestValidator

from gateway.usecases.runtime import Runtime
from tests.http.conftest import BASE, MakeClient, counts, problem

SECRET = {"X-Memory-Secret": "memory"}
EVENT = {"id": "e1", "fact": "delivered", "provider_id": "memory-1"}


@pytest.fixture
async def provider(make_client: MakeClient) -> httpx.AsyncClient:
    """Lend a client without a key, as a provider is one."""
    client = await make_client()
    del client.headers["Authorization"]
    return client


async def test_an_authentic_call_is_kept_once(provider: httpx.AsyncClient, rt: Runtime):
    """204 with nothing in it; the same call again changes nothing."""
    for _ in range(2):
        answer = await provider.post("/webhooks/memory", content=json.dumps([EVENT]), headers=SECRET)
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await counts(rt))["receipts"] == 1


async def test_a_forged_call_does_nothing(provider: httpx.AsyncClient, rt: Runtime):
    """A wrong or missing secret is 403, and no row is written."""
    before = await counts(rt)
    for headers in ({}, {"X-Memory-Secret": "wrong"}):
        answer = await provider.post("/webhooks/memory", content=json.dumps([EVENT]), headers=headers)
        problem(answer, 403, "forged")
    assert await counts(rt) == before


async def test_an_unknown_account_is_not_found(provider: httpx.AsyncClient):
    """Accounts that do not exist, and one whose channel receives nothing, answer alike."""
    unknown = problem(await provider.post("/webhooks/gibt-es-nicht", content=b"[]"), 404, "not_found")
    silent = problem(await provider.post("/webhooks/mail", content=b"[]"), 404, "not_found")
    assert unknown["detail"] == silent["detail"]


async def test_a_signature_covers_the_public_address(provider: httpx.AsyncClient, rt: Runtime):
    """Signed over the public URL with its query, byte for byte, the call is authentic; with another query it is not."""
    target = "/webhooks/s%6Ds?mid=a%20b&x=%C3%A4+1"
    form = {"MessageSid": "SM" + "1" * 32, "MessageStatus": "delivered", "AccountSid": "AC" + "0" * 32}
    signed = RequestValidator("token").compute_signature(f"{BASE}{target}", form)
    headers = {"X-Twilio-Signature": signed}
    good = await provider.post(httpx.URL(BASE + target), data=form, headers=headers)
    assert good.status_code == 204, good.text
    assert (await counts(rt))["receipts"] == 1
    problem(await provider.post(f"{target}1", data=form, headers=headers), 403, "forged")


async def test_a_large_call_is_refused(provider: httpx.AsyncClient):
    """More than 64 kB is nothing that a provider sends."""
    problem(await provider.post("/webhooks/memory", content=b"x" * 64_001, headers=SECRET), 413, "body_too_large")


async def test_an_authentic_call_of_unknown_shape_is_taken(provider: httpx.AsyncClient):
    """2xx, so that the provider does not repeat what we will never understand."""
    answer = await provider.post("/webhooks/memory", content=b"{{{", headers=SECRET)
    assert answer.status_code == 204
