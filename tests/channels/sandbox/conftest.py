"""A running sandbox, a real web server as the gateway's webhook, and the providers' real SDKs set to the sandbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from multidict import MultiDict
from telegram import Bot

from channels.sandbox.server import Sandbox, open_sandbox

Check = Callable[[], bool | Awaitable[bool]]


@dataclass(slots=True)
class Call:
    """One call that the webhook got."""

    path: str
    headers: dict[str, str]
    form: MultiDict[str]
    json: Any


@dataclass(slots=True)
class Webhook:
    """The gateway's side. ``answers``: statuses for the next calls, 204 afterwards."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """Keep the call and answer as ordered."""
        is_json = request.content_type == "application/json"
        self.calls.append(
            Call(
                request.raw_path,
                {name.lower(): value for name, value in request.headers.items()},
                MultiDict() if is_json else MultiDict((name, str(one)) for name, one in (await request.post()).items()),
                await request.json() if is_json else None,
            )
        )
        return web.Response(status=self.answers.pop(0) if self.answers else 204)


async def wait_until(check: Check, within_s: float = 8.0) -> None:
    """Poll ``check`` until it holds. Raises TimeoutError."""
    deadline = time.monotonic() + within_s
    while True:
        held = check()
        if held is True or (not isinstance(held, bool) and await held):
            return
        if time.monotonic() > deadline:
            raise TimeoutError
        await asyncio.sleep(0.01)


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """Return the bounded wait, for tests that cannot import from here."""
    return wait_until


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """Run a sandbox in this loop."""
    async with open_sandbox(tmp_path / "sandbox") as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """Open a bare HTTP client."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    """Serve a webhook on loopback."""
    hook = Webhook()
    app = web.Application()
    app.router.add_post("/{path:.*}", hook.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield hook
    await runner.cleanup()


@pytest.fixture
async def bot(sandbox: Sandbox) -> AsyncIterator[Bot]:
    """Open the SDK for the sandbox's bot."""
    # The block calls getMe first; without it the SDK would leave its connections open at the end.
    async with Bot(sandbox.facts.telegram_token, base_url=sandbox.facts.telegram_base_url) as made:
        yield made


@dataclass(slots=True)
class Control:
    """The control interface, spoken over HTTP."""

    session: aiohttp.ClientSession
    base: str

    async def post(self, name: str, body: Any) -> tuple[int, Any]:
        """Post JSON; return status and body."""
        async with self.session.post(f"{self.base}/control/{name}", json=body) as answer:
            return answer.status, await answer.json()

    async def get(self, name: str) -> Any:
        """Return the JSON at ``name``."""
        async with self.session.get(f"{self.base}/control/{name}") as answer:
            return await answer.json()

    async def rule(self, channel: str, to: str, outcome: dict[str, Any], times: int | None = None) -> None:
        """Order one outcome."""
        status, body = await self.post("rules", [{"channel": channel, "to": to, "outcome": outcome, "times": times}])
        assert status == 200, body


@pytest.fixture
def control(sandbox: Sandbox, client: aiohttp.ClientSession) -> Control:
    """Return the control interface of the sandbox."""
    return Control(client, sandbox.facts.http)
