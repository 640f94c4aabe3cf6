"""The four adapters and the sandbox understand each other: sending, signed callbacks, and answers from the phone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest_asyncio
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


class World:
    """A sandbox, the four adapters, and a place for webhooks."""

    def __init__(self, facts: Facts, http: Http) -> None:
        self.http = http
        self.adapters = built(facts, http)
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.base = ""
        self._control = f"{facts.http}/control"

    async def order(self, path: str, what: object) -> None:
        """Tell the sandbox what shall happen."""
        headers, body = {"Content-Type": "application/json"}, json.dumps(what).encode()
        answer = await self.http.request("POST", f"{self._control}/{path}", headers=headers, body=body)
        assert answer.status < 300, answer.body

    async def log(self) -> list[dict[str, Any]]:
        """Return what the sandbox has seen."""
        found: list[dict[str, Any]] = json.loads((await self.http.request("GET", f"{self._control}/log?after=0")).body)
        return found

    async def next(self, count: int) -> list[Any]:
        """Wait for the next ``count`` events that the webhooks brought."""
        async with asyncio.timeout(10):
            return [await self.events.get() for _ in range(count)]

    async def send(self, channel: str, *buttons: Button) -> None:
        """Send one message over a channel."""
        adapter = self.adapters[channel]
        said = Bench().message(f"Grüße über {channel}", buttons=buttons)
        to = adapter.address_of(ADDRESSES[channel])
        await adapter.send(adapter.encode(said, to, key=f"key-{channel}", callback_url=f"{self.base}/{channel}"))


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Run everything, with the webhooks installed."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(open_sandbox(tmp_path))
        made = World(sandbox.facts, Http())
        stack.push_async_callback(made.http.close)
        for adapter in made.adapters.values():
            stack.push_async_callback(adapter.close)
        made.base = await stack.enter_async_context(gateway(made.events, made.adapters))
        await made.adapters["telegram"].install(f"{made.base}/telegram")
        await made.order("inbound_url", {"sms": f"{made.base}/sms", "whatsapp": f"{made.base}/whatsapp"})
        yield made


async def test_sending_and_signed_callbacks(world: World):
    """Each account is healthy and its message arrives as it was; verified receipts carry our key."""
    await world.order("reply", {"channel": "whatsapp", "to": ADDRESSES["whatsapp"], "text": "Hallo"})
    ((_, hello),) = await world.next(1)  # opens the window for free text
    assert (hello.kind, hello.text, hello.sender.value) == (Kind.TEXT, "Hallo", ADDRESSES["whatsapp"])
    for channel, adapter in world.adapters.items():
        assert (await adapter.probe()).ok
        await world.send(channel)
    received = {(channel, event.fact, event.key) for channel, event in await world.next(4)}
    names, facts = ("sms", "whatsapp"), (Fact.SUBMITTED, Fact.DELIVERED)
    assert received == {(name, fact, f"key-{name}") for name in names for fact in facts}
    log = await world.log()
    assert {(one["channel"], one["text"]) for one in log} >= {(name, f"Grüße über {name}") for name in ADDRESSES}
    assert {one["key"] for one in log} >= {"key-email", "key-sms", "key-whatsapp"}


async def test_a_button_on_the_phone(world: World):
    """B-T4: a press comes back with our id, verified, and is acknowledged."""
    await world.send("telegram", Button("ja", "Ich komme"))
    await world.order("reply", {"channel": "telegram", "to": ADDRESSES["telegram"], "button": "ja"})
    ((_, press),) = await world.next(1)
    assert (press.kind, press.payload, press.sender.value) == (Kind.BUTTON, "ja", ADDRESSES["telegram"])
    await world.adapters["telegram"].acknowledge(press)
