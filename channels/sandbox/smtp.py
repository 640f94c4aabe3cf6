"""The mail relay's stand-in: SMTP with STARTTLS and AUTH demanded, and refusals on order.

It delivers to nobody: what it takes is on the phones page. RFC 5321, RFC 3207 (STARTTLS), RFC 4954 (AUTH).
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import ssl
import weakref
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, LoginPassword, Session
from aiosmtpd.smtp import AuthResult as Auth

from channels.sandbox import wire
from channels.sandbox.facts import Credentials
from channels.sandbox.mail import message_key
from channels.sandbox.rules import Outcome, Rules
from channels.sandbox.state import State

MAX_MAIL_BYTES = 10_000_000
_IDLE_S = 300
_PLAIN_PATH = re.compile(r"<([A-Za-z0-9._+=-]+@[A-Za-z0-9.-]+)>(.*)")


class Relay:
    """Makes one protocol object per connection, and answers what it asks."""

    def __init__(self, state: State, rules: Rules, credentials: Credentials, tls: ssl.SSLContext) -> None:
        self._state = state
        self._rules = rules
        self._tls = tls
        self._open: weakref.WeakSet[_Server] = weakref.WeakSet()
        self._login = (credentials.smtp_user.encode(), credentials.smtp_password.encode())

    def protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol of a new connection."""
        server = _Server(
            self,
            hostname="localhost",
            ident="Botengang sandbox ESMTP",
            tls_context=self._tls,
            require_starttls=True,
            auth_required=True,
            authenticator=self._authenticated,
            data_size_limit=MAX_MAIL_BYTES,
            enable_SMTPUTF8=True,
            timeout=_IDLE_S,
            loop=asyncio.get_running_loop(),
        )
        self._open.add(server)
        return server

    async def close(self) -> None:
        """Cut every connection that is still open; a listening socket that closes leaves them alone."""
        for server in tuple(self._open):
            if isinstance(server.transport, asyncio.WriteTransport):
                server.transport.abort()
        await asyncio.sleep(0)  # lets the connections notice before the loop may end

    def _authenticated(self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, given: Any) -> Auth:
        ok = isinstance(given, LoginPassword) and hmac.compare_digest(
            b"\0".join((given.login, given.password)), b"\0".join(self._login)
        )
        return Auth(success=ok, handled=False)

    async def handle_EHLO(  # noqa: N802 -- aiosmtpd finds its hooks by these names
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, answers: list[str]
    ) -> list[str]:
        """Announce PIPELINING too: commands are read from a stream, so they may come in one packet (RFC 2920)."""
        session.host_name = hostname
        return [*answers[:-1], "250-PIPELINING", "250-ENHANCEDSTATUSCODES", answers[-1]]

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd finds its hooks by these names
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a recipient, unless something else was ordered for it."""
        outcome = self._rules.take("email", address, at="rcpt")
        if outcome is None:
            envelope.rcpt_tos.append(address)
            return "250 2.1.5 Ok"
        return await self._refuse(server, address, outcome, b"")

    async def handle_DATA(  # noqa: N802 -- aiosmtpd finds its hooks by these names
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take the mail for each recipient of the envelope, unless something else was ordered for one of them."""
        raw = envelope.original_content or b""
        for address in envelope.rcpt_tos:
            outcome = self._rules.take("email", address, at="data")
            if outcome is not None and outcome.fault != "cut_after_accept":
                return await self._refuse(server, address, outcome, raw)
            queue_id = secrets.token_hex(6).upper()
            self._state.record("email", address, provider_id=queue_id, key=message_key(raw), status="arrived", raw=raw)
            if outcome is not None:
                await _cut(server)
        return f"250 2.0.0 Ok: queued as {queue_id}"

    async def handle_exception(self, error: Exception) -> str:
        """Answer a mistake of the sandbox itself without telling what it was about."""
        return f"451 4.3.0 {type(error).__name__} in the sandbox"

    async def _refuse(self, server: SMTP, address: str, outcome: Outcome, raw: bytes) -> str:
        code: int | str = outcome.fault or int(outcome.reply[:3])
        self._state.record(
            "email",
            address,
            key=message_key(raw),
            accepted=False,
            code=code,
            reason=outcome.reply,
            status="failed",
            raw=raw,
        )
        if outcome.fault == "hang":
            await wire.hang()
        if outcome.fault:
            await _cut(server)
        if outcome.reply.startswith("421") and server.transport is not None:
            # 421 closes the channel (RFC 5321, 4.2.2), but only after the reply has been written.
            asyncio.get_running_loop().call_soon(server.transport.close)
        return outcome.reply


async def _cut(server: SMTP) -> None:
    """Reset the connection and say nothing more; losing the connection ends the waiting task."""
    wire.reset(server.transport)
    await wire.hang()


class _Server(SMTP):
    """aiosmtpd with a short way through the most common form of an address; all others take the long one."""

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        plain = _PLAIN_PATH.fullmatch(arg.strip())
        if plain is not None:
            return plain[1], plain[2].strip()
        # A null sender is legal (RFC 5321, 4.5.5), but the gateway never has a reason to use it.
        address: tuple[str | None, str | None] = super()._getaddr(arg)
        return address
