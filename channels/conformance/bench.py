"""The bench on which an adapter is tried: what a subclass tells about it, and how it is built against a stand-in.

Holds no test itself.
"""

from __future__ import annotations

import html
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol

from pydantic import SecretStr

from channels.conformance.acts import Act, Standin
from channels.kit.contract import Adapter, AdapterOptions, Capabilities, Format, HttpClient, Message

NOW = datetime(2027, 1, 15, 10, 0, tzinfo=UTC)
CANARY = "Kanarienvogel-im-Text"
KEY = "0190f3a2-7c11-7d60-8f27-1b6a50b2c9aa"
CALLBACK = "https://gateway.example/webhooks/account"


class StillClock:
    """A clock whose date stands still, so that stated dates can be compared."""

    def now(self) -> datetime:
        """Return the instant at which all tests happen."""
        return NOW

    def monotonic(self) -> float:
        """Return seconds that move on."""
        return time.monotonic()


class OpenHttp(HttpClient, Protocol):
    """The core's HTTP client, with an end."""

    async def close(self) -> None:
        """Close all connections."""
        ...


class Bench:
    """What a subclass states about its adapter."""

    adapter: ClassVar[type[Adapter]]
    http: ClassVar[type[OpenHttp]]  # the core's client: gateway.egress.Http
    standin: ClassVar[type[Standin]]
    good_addresses: ClassVar[Mapping[str, str]]  # what somebody wrote -> canonical; the first is used for sending
    bad_addresses: ClassVar[Sequence[str]]
    expected: ClassVar[Mapping[Act, tuple[type[Exception], ...]]] = {}  # where the adapter's own table wins

    @property
    def capabilities(self) -> Capabilities:
        """Return what the adapter declares."""
        return self.adapter.capabilities

    def options(self) -> dict[str, Any]:
        """Return valid options that reach nobody; secrets in them are canaries."""
        return self.standin().options()

    def said(self, request: Any) -> str:
        """Return the text of an encoded request as the person will read it."""
        text: str = request.text
        return text

    def trace(self, standin: Standin) -> object:
        """Return what ``install`` left behind at the provider; None for nothing."""
        raise NotImplementedError

    # -- built from the above

    def built(self, **changed: Any) -> Any:
        """Return an adapter that reaches nobody; for everything that needs no provider."""
        return self.made(self.adapter.Options(**{**self.options(), **changed}), self.http())

    def made(self, options: AdapterOptions, http: HttpClient) -> Any:
        """Return the adapter. ``Any``: optional abilities are found by protocol, as the core does it."""
        return self.adapter(options, http=http, clock=StillClock())

    @asynccontextmanager
    async def playing(self, act: Act, **changed: Any) -> AsyncIterator[tuple[Any, Any]]:
        """Run a stand-in that plays ``act``, and the adapter against it; yield both."""
        standin, http = self.standin(), self.http()
        standin.play(act)
        await standin.start()
        adapter = self.made(self.adapter.Options(**{**standin.options(), **changed}), http)
        try:
            yield adapter, standin
        finally:
            await adapter.close()
            await http.close()
            await standin.close()

    def message(self, text: str, **changed: Any) -> Message:
        """Return ``text`` in every look, as the core would render plain text."""
        escaped = html.escape(text, quote=False)
        looks = {
            Format.TEXT: text,
            Format.MARKUP: text,
            Format.CHAT_HTML: escaped,
            Format.HTML: f'<!doctype html><html lang="de"><body><p>{escaped}</p></body></html>',
        }
        return Message(looks=looks, subject="Neue Nachricht", sent_at=NOW, **changed)

    def request(self, adapter: Any, text: str = CANARY, **changed: Any) -> Any:
        """Return the encoded call for ``text`` to the first good address."""
        to = adapter.address_of(next(iter(self.good_addresses)))
        return adapter.encode(self.message(text, **changed), to, key=KEY, callback_url=CALLBACK)

    def canaries(self, options: AdapterOptions) -> list[str]:
        """Return everything that nobody may find in a log: secrets, the text, the address."""
        secrets = [one.get_secret_value() for one in dict(options).values() if isinstance(one, SecretStr)]
        raw, canonical = next(iter(self.good_addresses.items()))
        return [*secrets, CANARY, raw, canonical]
