"""Take the mails that came back from the relay, over LMTP or SMTP, and hand each to the verb; an entry like HTTP.

It keeps no mail and logs no address. "250" is said after the commit only: the relay keeps what we could not keep.
One recipient a mail, as bounces have; so the answers of LMTP and of SMTP are the same. RFC 2033 (LMTP), 5321, 2034.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session, syntax

from channels.kit.errors import Forged
from gateway import telemetry
from gateway.domain.errors import NotFound
from gateway.store.engine import StoreAway
from gateway.usecases import receipts
from gateway.usecases.runtime import Runtime

MAX_MAIL_BYTES = 10_240_000  # what Postfix takes by default: nothing that it has taken is too big for us
_IDLE_S = 300.0  # RFC 5321, 4.5.3.2.7
_LINE_BYTES = 65_536  # some servers forget to fold; RFC 5321 allows us to be kinder than 1,000
_NOT_OURS = "550 5.1.1 no such return address"
_LATER = "451 4.3.0 not kept, bring it again"
log = telemetry.log()
logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd's: it writes down addresses and contents


class _Conversation(SMTP):
    """aiosmtpd's SMTP, which also answers to LMTP's greeting."""

    line_length_limit = _LINE_BYTES

    @syntax("LHLO hostname")
    async def smtp_LHLO(self, hostname: str) -> None:  # noqa: N802 -- aiosmtpd finds commands by these names
        """Greet as for EHLO."""
        await self.smtp_EHLO(hostname)

    async def ended(self) -> None:
        """Hang up, and wait until what was under way has noticed; a commit under way is finished by its group."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()
        if self._handler_coroutine is not None:
            await asyncio.wait([self._handler_coroutine])


class Receiver:
    """Answers each recipient and each mail."""

    def __init__(self, rt: Runtime) -> None:
        """Serve this Runtime's accounts."""
        self._rt = rt
        self._open: set[_Conversation] = set()

    def protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol of a new connection."""
        self._open = {one for one in self._open if one.transport is not None}
        conversation = _Conversation(
            self,
            hostname=socket.gethostname(),
            ident="Botengang bounces",
            data_size_limit=MAX_MAIL_BYTES,
            enable_SMTPUTF8=True,
            timeout=_IDLE_S,
            loop=asyncio.get_running_loop(),
        )
        self._open.add(conversation)
        return conversation

    async def close(self) -> None:
        """End every connection; the relay brings again what got no answer."""
        for one in self._open:
            await one.ended()

    async def handle_EHLO(  # noqa: N802 -- aiosmtpd finds its hooks by these names
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, answers: list[str]
    ) -> list[str]:
        """Announce what RFC 2033 demands: PIPELINING and ENHANCEDSTATUSCODES."""
        session.host_name = hostname
        return [*answers[:-1], "250-PIPELINING", "250-ENHANCEDSTATUSCODES", answers[-1]]

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd finds its hooks by these names
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take one return address of ours, so that the relay can refuse all others at its own door."""
        if envelope.rcpt_tos:
            return "452 4.5.3 one recipient at a time"
        try:
            receipts.owner_of(self._rt, address)
        except (NotFound, Forged):
            return _NOT_OURS
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(  # noqa: N802 -- aiosmtpd finds its hooks by these names
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Hand the mail to the verb; the store decides whether the relay may forget it."""
        [address] = envelope.rcpt_tos
        trace = (
            b"Return-Path: <>\r\n" if envelope.mail_from in {"", "<>"} else b""
        )  # RFC 5321, 4.4: we are the last hop
        try:
            account = receipts.owner_of(self._rt, address)
            await receipts.take_mail(self._rt, account, address, trace + (envelope.original_content or b""))
        except (NotFound, Forged):
            return _NOT_OURS
        except StoreAway:
            log.warning("bounce.deferred", account=account)
            return _LATER
        return "250 2.0.0 Ok"

    async def handle_exception(self, error: Exception) -> str:
        """Tell the relay to come again, and us the class only: a text may quote."""
        log.error("bounce.failed", error=type(error).__name__)
        return _LATER


@contextlib.asynccontextmanager
async def receiving(rt: Runtime, sock: socket.socket) -> AsyncIterator[None]:
    """Take bounces on ``sock`` while the block runs."""
    receiver = Receiver(rt)
    server: Any = await asyncio.get_running_loop().create_server(receiver.protocol, sock=sock)
    try:
        yield
    finally:
        server.close()
        await receiver.close()
