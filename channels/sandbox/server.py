"""Put the stand-ins together and let them listen on loopback.

``open_sandbox`` is the way in for other programs and tests; ``__main__`` is the same with arguments and signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aiohttp import web

from channels.sandbox.callbacks import Courier
from channels.sandbox.certificates import starttls_context
from channels.sandbox.clock import Clock
from channels.sandbox.control import MAX_BODY_BYTES, Control
from channels.sandbox.facts import Credentials, Facts
from channels.sandbox.loopback import NotLoopback, listening_socket, loopback_host
from channels.sandbox.page import Page
from channels.sandbox.rules import Rules
from channels.sandbox.smtp import Relay
from channels.sandbox.state import State
from channels.sandbox.telegram import TelegramBot
from channels.sandbox.twilio import Twilio

_SHUTDOWN_S = 0.5


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox. ``facts``: addresses and credentials; ``moved``: preferred ports that were taken."""

    facts: Facts
    state: State
    rules: Rules
    moved: tuple[int, ...] = ()


@contextlib.asynccontextmanager
async def open_sandbox(
    directory: Path,
    *,
    host: str = "127.0.0.1",
    http_port: int = 0,
    smtp_port: int = 0,
    starts_at: datetime | None = None,
) -> AsyncIterator[Sandbox]:
    """Run a sandbox in this event loop for the length of the block.

    directory: where ``ca.pem`` is written; made if missing.  Ports: 0 for any free one.  starts_at: the instant at
    which its clock begins, None for now.  Raises NotLoopback for any other host, OSError if it cannot listen.
    """
    host = loopback_host(host)
    tls, ca_file = _prepare(directory)
    # aiosmtpd writes every address and every line of a mail into its log.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    credentials, state, rules, courier = Credentials.draw(), State(Clock(starts_at)), Rules(), Courier()
    async with contextlib.AsyncExitStack() as stack:
        await courier.open()
        stack.push_async_callback(courier.close)
        smtp_at, smtp_moved = await _serve_smtp(stack, Relay(state, rules, credentials, tls), host, smtp_port)
        http_at, http_moved = await _serve_http(stack, _app(state, rules, courier, credentials), host, http_port)
        bracketed = f"[{host}]" if ":" in host else host
        facts = Facts.of(
            credentials,
            http=f"http://{bracketed}:{http_at}",
            smtp_host=host,
            smtp_port=smtp_at,
            ca_file=str(ca_file),
        )
        yield Sandbox(facts, state, rules, (*smtp_moved, *http_moved))


def _prepare(directory: Path) -> tuple[ssl.SSLContext, Path]:
    directory.mkdir(parents=True, exist_ok=True)
    ca_file = directory.resolve() / "ca.pem"
    return starttls_context(ca_file, now=Clock.machine_now()), ca_file


def _app(state: State, rules: Rules, courier: Courier, credentials: Credentials) -> web.Application:
    telegram = TelegramBot(state, rules, courier, credentials)
    twilio = Twilio(state, rules, courier, credentials)
    page = Page(state, credentials)
    app = web.Application(middlewares=[_only_loopback_names], client_max_size=MAX_BODY_BYTES)
    app.add_routes(telegram.routes())
    app.add_routes(twilio.routes())
    app.add_routes(Control(state, rules, courier, telegram, twilio).routes())
    app.add_routes(page.routes())
    app.on_shutdown.append(page.stop)
    return app


@web.middleware
async def _only_loopback_names(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse calls under another name: a foreign page could have pointed its own name here (DNS rebinding)."""
    try:
        loopback_host(request.url.host or "")
    except NotLoopback:
        return web.Response(status=421, text="This is a sandbox on loopback; call it by its loopback address.\n")
    return await handler(request)


async def _serve_smtp(
    stack: contextlib.AsyncExitStack, relay: Relay, host: str, port: int
) -> tuple[int, tuple[int, ...]]:
    listener, moved = listening_socket(host, port)
    server = await asyncio.get_running_loop().create_server(relay.protocol, sock=listener)
    stack.push_async_callback(relay.close)
    stack.callback(server.close)
    return listener.getsockname()[1], (port,) if moved else ()


async def _serve_http(
    stack: contextlib.AsyncExitStack, app: web.Application, host: str, port: int
) -> tuple[int, tuple[int, ...]]:
    listener, moved = listening_socket(host, port)
    # handler_cancellation: a caller that gave up while the sandbox hangs on order leaves nothing behind.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S)
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    await web.SockSite(runner, listener, backlog=1024).start()
    return listener.getsockname()[1], (port,) if moved else ()
