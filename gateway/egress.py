"""Our one outgoing HTTP client: one request a call, real time-outs, every failure named.

Follows no redirects, retries nothing, keeps no cookies, reads no environment; who may be called is the caller's.
RFC 9110. Failures say only whether the request may have left: their texts would show URLs with tokens in them.
"""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from channels.kit.contract import HttpAnswer
from channels.kit.errors import CertificateRefused, HttpFailure, MaybeSent, NotSent

MAX_ANSWER_BYTES = 1_048_576
_CHUNK_BYTES = 65_536

# first row that fits wins; anything else that goes wrong may have reached the server
_FAILURES: tuple[tuple[type[BaseException], type[HttpFailure]], ...] = (
    (aiohttp.ClientSSLError, CertificateRefused),
    (aiohttp.ServerFingerprintMismatch, CertificateRefused),
    (aiohttp.ClientConnectorError, NotSent),  # refused, unreachable, DNS
    (aiohttp.ConnectionTimeoutError, NotSent),  # also: no free connection in time
    (aiohttp.InvalidURL, NotSent),
    (aiohttp.NonHttpUrlClientError, NotSent),
    (ValueError, NotSent),  # a header that cannot be written
)


class Http:
    """The implementation of :class:`channels.kit.contract.HttpClient`. Built anywhere, used in one event loop."""

    def __init__(self, *, connections: int = 100) -> None:
        """Keep the limit of open ``connections``, over all servers; further calls wait within their ``connect_s``."""
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

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
        """Return the answer, whatever its status. Raises NotSent, CertificateRefused or MaybeSent; nothing else."""
        limits = aiohttp.ClientTimeout(total=total_s, connect=min(connect_s, 0.9 * total_s))
        try:
            async with self._opened().request(
                method, url, headers=headers, data=body, timeout=limits, allow_redirects=False
            ) as answer:
                content = await _read(answer)
                names = {name.lower(): value for name, value in answer.headers.items()}
                return HttpAnswer(answer.status, names, content)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise failure_of(exc) from None  # the cause quotes the URL

    def _opened(self) -> aiohttp.ClientSession:
        """Return the session, made in the running loop on first use."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        """Close all connections; may be repeated."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def failure_of(exc: BaseException) -> HttpFailure:
    """Return what an exception of aiohttp means: nothing left this machine, or something may have."""
    for cls, failure in _FAILURES:
        if isinstance(exc, cls):
            return failure(type(exc).__name__)
    return MaybeSent(type(exc).__name__)


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """Return the whole body. Raises MaybeSent for one that does not end."""
    content = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise MaybeSent("answer too large")
    return bytes(content)
