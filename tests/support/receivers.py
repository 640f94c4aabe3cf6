"""A client's endpoint: a real HTTP server on loopback that keeps what is posted, and answers as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web


@dataclass
class Receiver:
    """What came, and what is answered: a status, or a status with headers; ``gate`` holds answers back."""

    url: str = ""
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], int | tuple[int, dict[str, str]]] = lambda _: 204
    gate: asyncio.Event | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return the bodies that came, in order."""
        return [msgspec.json.decode(body) for _, body in self.calls]

    def types(self) -> list[str]:
        """Return the types that came, in order of the events' numbers."""
        return [one["type"] for one in sorted(self.events, key=lambda one: one["seq"] or 0)]

    async def take(self, request: web.Request) -> web.Response:
        """Keep one call and answer."""
        body = await request.read()
        self.calls.append(({name.lower(): value for name, value in request.headers.items()}, body))
        self.reached.set()
        if self.gate is not None:
            await self.gate.wait()
        given = self.answer(msgspec.json.decode(body))
        status, headers = given if isinstance(given, tuple) else (given, {})
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Lend a running endpoint."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{tail:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}/botengang"
    try:
        yield receiver
    finally:
        if receiver.gate is not None:
            receiver.gate.set()
        await runner.cleanup()
