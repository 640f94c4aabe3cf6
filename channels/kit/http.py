"""What adapters over HTTP share: reading an answer, and remembering the one that an SDK hides.

Makes no request itself. The rules are the generic ones; an adapter's own table comes first.
Standards: RFC 9110 (status codes, Retry-After).
"""

from __future__ import annotations

import email.utils
import ipaddress
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from channels.kit.contract import HttpAnswer, HttpClient
from channels.kit.errors import (
    CertificateRefused,
    ChannelError,
    HttpFailure,
    Misconfigured,
    NotSent,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
)

_GATEWAYS = (502, 504)  # an intermediary speaks: it may have handed the request on
_OK, _REDIRECT, _CLIENT, _SERVER = 200, 300, 400, 500
_CREDENTIALS = (401, 403, 404, 407)
_TOO_MANY = 429
_LAST: ContextVar[Head | None] = ContextVar("last_answer", default=None)


def _guarded(url: str) -> str:
    """Return ``url`` without its last slash, if credentials may travel to it."""
    parts = urlsplit(url)
    if parts.scheme == "http" and _is_loopback(parts.hostname or ""):
        return url.rstrip("/")
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("must be https://host[:port][/path]; http:// is for loopback addresses only")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    """Tell whether traffic to ``host`` stays on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


BaseUrl = Annotated[str, AfterValidator(_guarded)]  # for an adapter's options: where the provider's API is


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of an answer, without its body."""

    status: int
    headers: Mapping[str, str]


class Witness:
    """The core's HTTP client, remembering the head of the last answer of the running task.

    SDK exceptions drop status or headers; the translation asks here. Kept per task, so concurrent sends do not mix.
    """

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        connect_s: float = 5.0,
        total_s: float = 10.0,
    ) -> HttpAnswer:
        """Pass the request on; same answer, same failures."""
        _LAST.set(None)
        answer = await self._http.request(method, url, headers=headers, body=body, connect_s=connect_s, total_s=total_s)
        _LAST.set(Head(answer.status, answer.headers))
        return answer

    def last(self) -> Head | None:
        """Return the head of this task's last answer; None if there was none."""
        return _LAST.get()


def failure(exc: HttpFailure) -> ChannelError:
    """Return the class of a request without a usable answer."""
    if isinstance(exc, CertificateRefused):
        return Misconfigured(code="certificate")
    if isinstance(exc, NotSent):
        return Unavailable(code="not_reached")
    return Uncertain()


def refusal(status: int, headers: Mapping[str, str], *, now: datetime, provider_code: str = "") -> ChannelError:
    """Return the class of an answer that is not 2xx, by its status alone.

    ``now``: UTC, for a Retry-After that is a date. ``provider_code``: the provider's own code, if there is one.
    """
    code = provider_code or str(status)
    if status == _TOO_MANY:
        return Throttled(code, retry_after_s=retry_after_s(headers, now=now))
    if status in _CREDENTIALS or _REDIRECT <= status < _CLIENT:
        return Misconfigured(code)
    if status in _GATEWAYS:
        return Uncertain(code)
    if status >= _SERVER:
        return Unavailable(code, retry_after_s=retry_after_s(headers, now=now))
    if status < _REDIRECT:
        return Uncertain(code)  # accepted, yet not as we know it
    return Refused(code)


def retry_after_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Return the seconds of a ``retry-after`` header (a number or a date), None if absent or unreadable."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - now).total_seconds())
