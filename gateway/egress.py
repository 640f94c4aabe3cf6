"""Our one outgoing HTTP client: one request a call, real time-outs, every failure named; and signed callbacks.

Follows no redirects, retries nothing, keeps no cookies, reads no environment. Providers' addresses come from the
operator; a client's endpoint must lie outside, and the address that was checked is the one that is connected to.
RFC 9110, Standard Webhooks 1.0. Failures say only whether the request may have left: URLs may have tokens in them.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks import Webhook
from yarl import URL

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

    def __init__(
        self, *, connections: int = 100, resolver: AbstractResolver | None = None, bodies: bool = True
    ) -> None:
        """Keep the limit of open ``connections``, over all servers; further calls wait within their ``connect_s``.

        resolver: finds addresses in place of the system's.  bodies: answers are read; otherwise their heads suffice.
        """
        self._connections = connections
        self._resolver = resolver
        self._bodies = bodies
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
                content = await _read(answer) if self._bodies else b""
                names = {name.lower(): value for name, value in answer.headers.items()}
                return HttpAnswer(answer.status, names, content)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise failure_of(exc) from None  # the cause quotes the URL

    def _opened(self) -> aiohttp.ClientSession:
        """Return the session, made in the running loop on first use."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._connections, resolver=self._resolver, use_dns_cache=self._resolver is None
                ),
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


# --- callbacks ------------------------------------------------------------------------------------------------------
_METADATA = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.0.0.0/24")))  # public by the book, and not
_EMBEDS_V4 = ipaddress.ip_network("64:ff9b::/96")  # NAT64 (RFC 6052): the last four bytes are the address meant
_LONGEST_URL = 2000


class Barred(NotSent):
    """The endpoint's host has an address that is not public. Nothing left this machine."""


class UrlRefused(ValueError):
    """The URL cannot be an endpoint; ``reason`` says why without quoting it."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        self.reason = reason
        super().__init__(reason)


def is_public(address: str) -> bool:
    """Tell whether an IP address lies on the public internet: not private, loopback, link-local, multicast, metadata.

    Addresses of version 4 inside those of version 6 (mapped, NAT64, 6to4, Teredo) are judged themselves.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = [one for one in (ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())) if one is not None]
        if ip in _EMBEDS_V4:
            inner.append(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF))
        if inner:
            return all(is_public(str(one)) for one in inner)
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not any(ip in one for one in _METADATA)


class _Checked(AbstractResolver):
    """Finds a host's addresses and hands them on only if every one of them is public."""

    def __init__(self, inner: AbstractResolver | None) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses that will be connected to. Raises Barred, OSError for an unknown host."""
        if self._inner is None:
            self._inner = aiohttp.ThreadedResolver()  # needs a running loop
        found = await self._inner.resolve(host, port, family)
        if not all(is_public(one["host"]) for one in found):
            raise Barred("not_public")
        return found

    async def close(self) -> None:
        """Close what looks up names."""
        if self._inner is not None:
            await self._inner.close()


class Courier:
    """Posts signed callbacks to clients' endpoints. ``private``: addresses inside and plain http are allowed too."""

    def __init__(
        self, *, private: bool = False, resolver: AbstractResolver | None = None, connections: int = 256
    ) -> None:
        """Keep what is given; ``resolver`` looks up names in place of the system. Connects to nothing."""
        self._private = private
        self._resolver = resolver if private else _Checked(resolver)
        self._http = Http(connections=connections, resolver=self._resolver, bodies=False)

    async def check(self, url: str) -> None:
        """Raise UrlRefused if this cannot be an endpoint; a host that is not known (yet) is none of its reasons."""
        host = self._host_of(url)
        if isinstance(self._resolver, _Checked) and not _is_literal(host):
            try:
                await self._resolver.resolve(host)
            except Barred:
                raise UrlRefused("not_public") from None
            except OSError:
                return

    def _host_of(self, url: str) -> str:
        """Return the host, as the client below reads it. Raises UrlRefused for what needs no look-up to be refused."""
        try:
            parts = URL(url)
        except (ValueError, TypeError):
            raise UrlRefused("malformed") from None
        host = parts.raw_host or ""
        plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= _LONGEST_URL
        if not plain or not host or not parts.port or parts.user is not None or parts.fragment:
            raise UrlRefused("malformed")
        if parts.scheme != "https" and not (self._private and parts.scheme == "http"):
            raise UrlRefused("not_https")
        if not self._private and _is_literal(host) and not is_public(host):
            raise UrlRefused("not_public")
        return host

    async def post(self, url: str, body: bytes, *, ident: str, at: datetime, secrets: Sequence[str]) -> HttpAnswer:
        """Post one signed body and return status and headers of the answer. Raises HttpFailure, Barred among them.

        ident: the same for every try, by which receivers know a repetition.  secrets: all that sign, the newest first.
        """
        try:
            self._host_of(url)
        except UrlRefused as exc:
            raise Barred(exc.reason) from None
        headers = {
            "content-type": "application/json",
            "user-agent": "botengang",
            "webhook-id": ident,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(Webhook(one).sign(ident, at, body.decode()) for one in secrets),
        }
        return await self._http.request("POST", url, headers=headers, body=body)

    async def close(self) -> None:
        """Close all connections; may be repeated."""
        await self._http.close()
        if isinstance(self._resolver, _Checked):
            await self._resolver.close()


def _is_literal(host: str) -> bool:
    """Tell whether a URL's host is an address, in any spelling that a resolver might take (127.1), and not a name."""
    last = host.rstrip(".").rpartition(".")[2]
    return ":" in host or last.isdigit() or last.startswith("0x")
