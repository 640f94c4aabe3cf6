"""Ask the domain name system for the few records that decide whether our mails are believed.

Read-only and bounded in time; what the records should say is gateway.usecases.doctor's. RFC 1035, RFC 5321 (MX).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dns.asyncresolver import Resolver as Asking
from dns.exception import DNSException
from dns.resolver import NXDOMAIN, NoAnswer, NoResolverConfiguration

PORT = 53


class NoResolver(Exception):
    """Nobody answered: that says nothing about the records."""


class Resolver:
    """Asks the system's name servers, or the given ones (``host`` or ``host:port``)."""

    def __init__(self, nameservers: Sequence[str] = (), *, timeout_s: float = 3.0) -> None:
        self._given = tuple(nameservers)
        self._timeout_s = timeout_s
        self._asking: Asking | None = None

    async def texts(self, name: str) -> list[str]:
        """Return the TXT records of a name, each in one piece; none is an answer too. Raises NoResolver."""
        return [b"".join(row.strings).decode("ascii", "replace") for row in await self._rows(name, "TXT")]

    async def exchangers(self, name: str) -> list[str]:
        """Return the mail exchangers of a name, most preferred first. Raises NoResolver."""
        rows = sorted(await self._rows(name, "MX"), key=lambda row: row.preference)
        return [str(row.exchange).rstrip(".") for row in rows]

    async def _rows(self, name: str, kind: str) -> list[Any]:
        try:
            answer = await self._opened().resolve(name.rstrip(".") + ".", kind, lifetime=self._timeout_s)
        except (NXDOMAIN, NoAnswer):
            return []
        except (DNSException, OSError) as exc:
            raise NoResolver(type(exc).__name__) from None
        return list(answer)

    def _opened(self) -> Asking:
        """Return the resolver; reading the system's configuration may fail, so that it waits for the first question."""
        if self._asking is None:
            try:
                asking = Asking(configure=not self._given)
            except (NoResolverConfiguration, OSError) as exc:
                raise NoResolver(type(exc).__name__) from None
            if self._given:
                hosts = [one.rpartition(":") if one.count(":") == 1 else (one, "", "") for one in self._given]
                asking.nameservers = [host for host, _, _ in hosts]
                asking.port = int(hosts[0][2] or PORT)
            self._asking = asking
        return self._asking
