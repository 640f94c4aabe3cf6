"""Updates on their way to the bot: asked for by getUpdates, or posted to its webhook.

An update stays until it is acknowledged (a higher offset, or a 2xx answer of the webhook). Bot API, "Getting updates".
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from channels.sandbox.callbacks import Courier, Post
from channels.sandbox.clock import Clock
from channels.sandbox.loopback import is_loopback_url

KEPT_UPDATES = 10_000
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 -- a header's name
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
_LONGEST_POLL_S = 50
_MOST_AT_ONCE = 100
_TRIES = 8


class BotError(Exception):
    """What the Bot API answers instead of a result."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters


@dataclass(slots=True)
class Webhook:
    """Where updates are posted. ``secret`` goes into the secret header if it is not empty."""

    url: str = field(repr=False)
    secret: str = field(repr=False)
    max_connections: int = 40
    last_error_at: int = 0
    last_error: str = ""


class Updates:
    """The queue of one bot."""

    def __init__(self, courier: Courier, clock: Clock) -> None:
        self._courier = courier
        self._clock = clock
        self._waiting: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._next_id = 100_000_000 + secrets.randbelow(100_000_000)
        self._arrived = asyncio.Event()
        self._reader = 0
        self._allowed: tuple[str, ...] = ()
        self.webhook: Webhook | None = None

    def add(self, kind: str, content: dict[str, Any]) -> int | None:
        """Queue an update and return its id, or None if the bot did not ask for this kind."""
        if self._allowed and kind not in self._allowed:
            return None
        self._next_id += 1
        self._waiting[self._next_id] = {"update_id": self._next_id, kind: content}
        while len(self._waiting) > KEPT_UPDATES:
            self._waiting.popitem(last=False)
        self._arrived.set()
        if self.webhook is not None:
            self._post(self.webhook, self._next_id)
        return self._next_id

    def set_webhook(self, url: str, secret: str, allowed: Sequence[str] | None, *, max_connections: int) -> str:
        """Post updates to ``url`` from now on, the waiting ones too. Raises BotError; returns what the server says."""
        if not url:
            return self.delete_webhook()
        if not is_loopback_url(url):
            raise BotError(400, "Bad Request: bad webhook: the sandbox calls loopback addresses only")
        if secret and not _SECRET.fullmatch(secret):
            raise BotError(400, "Bad Request: secret token contains unallowed characters")
        self._allow(allowed)
        before, self.webhook = self.webhook, Webhook(url, secret, max_connections)
        for update_id in tuple(self._waiting):
            self._post(self.webhook, update_id)
        if before is not None and (before.url, before.secret) == (url, secret):
            return "Webhook is already set"
        return "Webhook was set"

    def delete_webhook(self, *, drop_pending: bool = False) -> str:
        """Go back to getUpdates."""
        if drop_pending:
            self._waiting.clear()
        if self.webhook is None:
            return "Webhook is already deleted"
        self.webhook = None
        return "Webhook was deleted"

    def webhook_info(self) -> dict[str, Any]:
        """Return the WebhookInfo object."""
        hook = self.webhook
        facts: dict[str, Any] = {
            "url": hook.url if hook else "",
            "has_custom_certificate": False,
            "pending_update_count": len(self._waiting),
        }
        if hook is not None:
            facts["max_connections"] = hook.max_connections
            if hook.last_error_at:
                facts["last_error_date"] = hook.last_error_at
                facts["last_error_message"] = hook.last_error
        if self._allowed:
            facts["allowed_updates"] = list(self._allowed)
        return facts

    async def get(self, *, offset: int, limit: int, timeout_s: int, allowed: Sequence[str] | None) -> list[Any]:
        """Return waiting updates from ``offset`` on; all before it are acknowledged. Waits up to ``timeout_s``.

        A negative offset counts from the end of the queue. Raises BotError 409 while a webhook is set, and in the
        older of two calls at the same time.
        """
        self._refuse_beside_webhook()
        self._allow(allowed)
        self._acknowledge(offset)
        self._reader += 1
        mine = self._reader
        self._arrived.set()  # wakes an older reader, which then gives way
        deadline = asyncio.get_running_loop().time() + min(max(timeout_s, 0), _LONGEST_POLL_S)
        while not self._waiting and (left_s := deadline - asyncio.get_running_loop().time()) > 0:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), left_s)
            except TimeoutError:
                break
            self._refuse_beside_webhook()
            if mine != self._reader:
                raise BotError(
                    409,
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                )
        return list(self._waiting.values())[: min(max(limit, 1), _MOST_AT_ONCE)]

    def _refuse_beside_webhook(self) -> None:
        if self.webhook is not None:
            raise BotError(
                409,
                "Conflict: can't use getUpdates method while webhook is active; "
                "use deleteWebhook to delete the webhook first",
            )

    def _allow(self, allowed: Sequence[str] | None) -> None:
        if allowed is not None:
            self._allowed = tuple(allowed)

    def _acknowledge(self, offset: int) -> None:
        if offset < 0:
            done = list(self._waiting)[:offset]
        else:
            done = [update_id for update_id in self._waiting if update_id < offset]
        for update_id in done:
            del self._waiting[update_id]

    def _post(self, hook: Webhook, update_id: int) -> None:
        def ended(delivered: bool, what: str) -> None:
            if delivered or self.webhook is hook:
                # The real server holds an update for 24 h; after its last try this one gives up.
                self._waiting.pop(update_id, None)
            if not delivered:
                hook.last_error_at, hook.last_error = int(self._clock.now().timestamp()), what

        headers = {"Content-Type": "application/json"}
        if hook.secret:
            headers[SECRET_HEADER] = hook.secret
        self._courier.post(
            Post(
                hook.url,
                json.dumps(self._waiting[update_id]).encode(),
                headers,
                tries=_TRIES,
                stubborn=True,
                ended=ended,
                wanted=lambda: self.webhook is hook and update_id in self._waiting,
            )
        )
