"""The four adapters and the sandbox understand each other: sending, signed callbacks, and answers from the phone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from channels.conformance.bench import NOW, Bench, StillClock
from channels.kit.contract import Button, Fact, Kind, WebhookRequest
from channels.kit.registry import load
from channels.sandbox.facts import Facts
from channels.sandbox.server import open_sandbox
from gateway.egress import Http

ADDRESSES = {"email": "anna@post.example", "sms": "+4915123456789", "whatsapp": "+4915123456789", "telegram": "4711"}
SECRET = "Webhook-Secret"


def built(facts: Facts, http: Http) -> dict[str, Any]:
    """Return the four adapters, configured as the demo does it: by settings alone."""
    account = {
        "account_sid": facts.twilio_account_sid,
        "auth_token": facts.twilio_auth_token,
        "base_url": facts.twilio_base_url,
    }
    mail = {
        "host": facts.smtp_host,
        "port": facts.smtp_port,
        "ca_file": facts.ca_file,
        "username": facts.smtp_user,
        "password": facts.smtp_password,
        "sender": "info@mtk.example",
    }
    bot = {"token": facts.telegram_token, "webhook_secret": SECRET, "base_url": facts.telegram_base_url}
    settings = {
        "email_smtp": mail,
        "sms_twilio": {**account, "sender": facts.sms_number},
        "whatsapp_twilio": {**account, "sender": facts.whatsapp_number},
        "telegram_bot": bot,
    }
    made = [load(name)(load(name).Options(**one), http=http, clock=StillClock()) for name, one in settings.items()]
    return {one.capabilities.channel: one for one in made}


@asynccontextmanager
async def gateway(events: asyncio.Queue[Any], adapters: dict[str, Any]) -> AsyncIterator[str]:
    """Receive webhooks, verify and decode them; yield the address before the channel's name."""
    base = ""

    async def receive(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        hook = WebhookRequest(
            method=request.method,
            url=base.removesuffix("/webhooks") + request.raw_path,
            headers=headers,
            body=await request.read(),
            received_at=NOW,
        )
        adapter = adapters[request.match_info["channel"]]
        adapter.verify(hook)
        for event in adapter.decode(hook):
            events.put_nowait((request.match_info["channel"], event))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/webhooks/{channel}", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks"
    try:
        yield base
    finally:
        await runner.cleanup()


async def next_events(events: asyncio.Queue[Any], count: int) -> list[Any]:
    """Wait for the next ``count`` events."""
    async with asyncio.timeout(10):
        return [await events.get() for _ in range(count)]


async def test_sending_callbacks_and_answers(tmp_path: Path):
    """Each channel takes a message; receipts carry our key; a button pressed on the phone comes back and is acknowledged."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(open_sandbox(tmp_path))
        http = Http()
        stack.push_async_callback(http.close)
        adapters = built(sandbox.facts, http)
        for adapter in adapters.values():
            stack.push_async_callback(adapter.close)
            assert (await adapter.probe()).ok
        events: asyncio.Queue[Any] = asyncio.Queue()
        base = await stack.enter_async_context(gateway(events, adapters))
        control = f"{sandbox.facts.http}/control"

        async def order(path: str, what: object) -> None:
            headers = {"Content-Type": "application/json"}
            answer = await http.request("POST", f"{control}/{path}", headers=headers, body=json.dumps(what).encode())
            assert answer.status < 300, answer.body

        await adapters["telegram"].install(f"{base}/telegram")
        await order("inbound_url", {"sms": f"{base}/sms", "whatsapp": f"{base}/whatsapp"})
        await order("reply", {"channel": "whatsapp", "to": ADDRESSES["whatsapp"], "text": "Hallo"})
        ((_, hello),) = await next_events(events, 1)
        assert (hello.kind, hello.text, hello.sender.value) == (Kind.TEXT, "Hallo", ADDRESSES["whatsapp"])
        for channel, adapter in adapters.items():
            buttons = (Button("ja", "Ich komme"),) if channel == "telegram" else ()
            said = Bench().message(f"Grüße über {channel}", buttons=buttons)
            to = adapter.address_of(ADDRESSES[channel])
            await adapter.send(adapter.encode(said, to, key=f"key-{channel}", callback_url=f"{base}/{channel}"))
        facts = {(channel, event.fact, event.key) for channel, event in await next_events(events, 4)}
        assert facts == {
            (channel, fact, f"key-{channel}")
            for channel in ("sms", "whatsapp")
            for fact in (Fact.SUBMITTED, Fact.DELIVERED)
        }
        await order("reply", {"channel": "telegram", "to": ADDRESSES["telegram"], "button": "ja"})
        ((_, press),) = await next_events(events, 1)
        assert (press.kind, press.payload, press.sender.value) == (Kind.BUTTON, "ja", ADDRESSES["telegram"])
        await adapters["telegram"].acknowledge(press)
        log = json.loads((await http.request("GET", f"{control}/log?after=0")).body)
    assert {(one["channel"], one["text"]) for one in log} >= {(name, f"Grüße über {name}") for name in ADDRESSES}
    assert {one["key"] for one in log} >= {"key-email", "key-sms", "key-whatsapp"}
