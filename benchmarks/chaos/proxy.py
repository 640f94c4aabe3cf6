"""Stand before the gateway's webhooks and make receipts unruly: some twice, some late, so that others overtake them.

It answers the provider at once and brings every call to the gateway in the end, however often that is down meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

TWICE = 0.3
LATE = 0.4
LATE_S = 0.8
AGAIN_S = 0.3
_KEPT = ("content-type", "x-twilio-signature", "i-twilio-idempotency-token", "user-agent", "accept")


class Proxy:
    """``twice`` and ``late`` count what was done to the calls; ``refused`` what the gateway answered with 4xx."""

    def __init__(self, draw: random.Random) -> None:
        self.port = 0
        self.api = ""
        self.twice = self.late = self.refused = 0
        self._draw = draw
        self._under_way: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen on a free loopback port while the block runs."""
        app = web.Application()
        app.router.add_post("/webhooks/{account}", self._take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        try:
            yield
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
            await self._session.close()
            await runner.cleanup()

    @property
    def done(self) -> dict[str, int]:
        """Return what was done to the calls, in words."""
        return {
            "receipts delivered twice": self.twice,
            "receipts delivered late": self.late,
            "receipts refused": self.refused,
        }

    @property
    def waiting(self) -> int:
        """Return how many calls the gateway has not got yet."""
        return len(self._under_way)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name: request.headers[name] for name in _KEPT if name in request.headers}
        copies = 2 if self._draw.random() < TWICE else 1
        self.twice += copies - 1
        for _ in range(copies):
            wait_s = self._draw.uniform(0, LATE_S) if self._draw.random() < LATE else 0.0
            self.late += wait_s > 0
            task = asyncio.create_task(self._bring(request.raw_path, headers, body, wait_s))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return web.Response(status=204)

    async def _bring(self, path: str, headers: dict[str, str], body: bytes, wait_s: float) -> None:
        """Call the gateway until it has taken the receipt."""
        await asyncio.sleep(wait_s)
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with self._session.post(self.api + path, data=body, headers=headers) as answer:
                    if answer.status < 500:
                        self.refused += answer.status >= 400
                        return
            await asyncio.sleep(AGAIN_S)
