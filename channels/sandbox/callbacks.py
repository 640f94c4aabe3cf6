"""Post to the gateway's webhooks as providers do: in the background, many at once but bounded, again after a failure.

It knows nothing of what it carries; the stand-ins sign their posts before they hand them over. Loopback only.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from channels.sandbox.loopback import is_loopback_url

CONCURRENCY = 32
MAX_WAITING = 100_000
_TIMEOUT_S = 15
_OK = range(200, 300)
_SERVER_ERRORS = range(500, 600)
_TOO_MANY = 429
_LONGEST_PAUSE_S = 60.0


def _nothing(_delivered: bool, _what: str) -> None:
    """Ignore how a post ended."""


def _always() -> bool:
    return True


@dataclass(slots=True)
class Post:
    """One call of a webhook.

    tries: how often at most.  first_pause_s: pause after the first failure; it doubles each time.  stubborn: also try
    again after a 4xx answer.  ended: called once with (delivered, what was the last answer).  wanted: asked before each
    try; False drops the post.
    """

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    tries: int = 5
    first_pause_s: float = 0.2
    stubborn: bool = False
    ended: Callable[[bool, str], None] = field(default=_nothing, repr=False)
    wanted: Callable[[], bool] = field(default=_always, repr=False)
    tried: int = 0


class Courier:
    """Carries posts in the background. ``delivered``, ``given_up`` and ``dropped`` count how they ended."""

    def __init__(self) -> None:
        self.delivered = 0
        self.given_up = 0
        self.dropped = 0
        self._waiting: asyncio.Queue[Post] = asyncio.Queue(MAX_WAITING)
        self._pausing: set[asyncio.TimerHandle] = set()
        self._carriers: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Start carrying; needs a running loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONCURRENCY, force_close=False),
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._carriers = [asyncio.create_task(self._carry(self._session)) for _ in range(CONCURRENCY)]

    async def close(self) -> None:
        """Stop at once; what was waiting is dropped."""
        for pause in self._pausing:
            pause.cancel()
        for carrier in self._carriers:
            carrier.cancel()
        await asyncio.gather(*self._carriers, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    @property
    def waiting(self) -> int:
        """Return how many posts are waiting for their turn or for another try."""
        return self._waiting.qsize() + len(self._pausing)

    def post(self, post: Post) -> None:
        """Take a post; it leaves as soon as a carrier is free. Posts that would leave this machine are dropped."""
        if not is_loopback_url(post.url):
            self.dropped += 1
            post.ended(False, "not a loopback address")  # noqa: FBT003 -- the callback's one flag
            return
        try:
            self._waiting.put_nowait(post)
        except asyncio.QueueFull:
            self.dropped += 1
            post.ended(False, "too many posts waiting")  # noqa: FBT003 -- the callback's one flag

    async def _carry(self, session: aiohttp.ClientSession) -> None:
        while True:
            post = await self._waiting.get()
            if not post.wanted():
                self.dropped += 1
                continue
            post.tried += 1
            delivered, again_after_s, what = await self._try(session, post)
            if delivered:
                self.delivered += 1
                post.ended(True, what)  # noqa: FBT003 -- the callback's one flag
            elif again_after_s is None or post.tried >= post.tries:
                self.given_up += 1
                post.ended(False, what)  # noqa: FBT003 -- the callback's one flag
            else:
                self._later(again_after_s, post)

    async def _try(self, session: aiohttp.ClientSession, post: Post) -> tuple[bool, float | None, str]:
        pause_s = min(post.first_pause_s * 2 ** (post.tried - 1), _LONGEST_PAUSE_S)
        try:
            # encoded=True: the signature covers the address byte for byte, so it must not be normalised.
            async with session.post(
                URL(post.url, encoded=True), data=post.body, headers=post.headers, allow_redirects=False
            ) as answer:
                await answer.read()
                status, wish = answer.status, answer.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            return False, pause_s, type(exc).__name__
        if status in _OK:
            return True, None, str(status)
        if status in _SERVER_ERRORS or status == _TOO_MANY or post.stubborn:
            with contextlib.suppress(ValueError):
                pause_s = min(max(pause_s, float(wish)), _LONGEST_PAUSE_S)
            return False, pause_s, f"Wrong response from the webhook: {status}"
        return False, None, f"Wrong response from the webhook: {status}"

    def _later(self, pause_s: float, post: Post) -> None:
        def again() -> None:
            self._pausing.discard(timer)
            self.post(post)

        timer = asyncio.get_running_loop().call_later(pause_s, again)
        self._pausing.add(timer)
