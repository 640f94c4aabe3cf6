"""The processes an operator starts: all in one (`up`), the HTTP side (`serve`), the working side (`work`), `bounces`.

Each ends cleanly on SIGTERM and SIGINT: no new work, what is in flight ends, everything is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import bootstrap, telemetry
from gateway.bounces import receiving
from gateway.http.app import create_app
from gateway.http.metrics import create_watch
from gateway.settings import Settings, SettingsInvalid
from gateway.store.migrate import migrate
from gateway.usecases.runtime import Runtime
from workers.main import working

log = telemetry.log()
_BACKLOG = 2048  # as uvicorn's own
HEAD_BYTES = 65_536  # request line and fields together; one read from the socket may go beyond it
HEAD_S = 30.0
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class PortTaken(Exception):
    """Somebody else listens there; the message names the port and the remedy."""


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol with what it lacks: an end to the length, and to the duration, of a request's head.

    Nobody has shown a key by then, so a head that never ends would fill the memory for anybody who asks.
    """

    _unread = 0  # bytes since the parser last had something to tell: an unfinished head, or trailers after a body
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base class
        """Expect a head."""
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._done()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse what has become too long."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Expect the rest of the head, on a connection that has been used before too."""
        self._expect()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Be content: the body has limits of its own (gateway.http.bodies)."""
        self._unread = 0
        self._done()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count anew."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Count anew."""
        self._unread = 0
        super().on_message_complete()

    def _expect(self) -> None:
        self._done()
        self._late = self.loop.call_later(HEAD_S, self.transport.close)

    def _done(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: ours ends workers too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to us."""
        yield


def bind(listen: str, setting: str = "GATEWAY_LISTEN") -> socket.socket:
    """Return a listening socket for ``host:port``, the value of ``setting``. Raises PortTaken."""
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host.strip("[]"), int(port)))
        sock.listen(_BACKLOG)  # now: a port that is bound and does not listen yet can be bound by others too
    except OSError as exc:
        sock.close()
        raise PortTaken(
            f"Cannot listen on {listen} ({exc.strerror}). Stop what listens there, or set {setting} otherwise."
        ) from None
    return sock


@contextlib.asynccontextmanager
async def serving(
    rt: Runtime, sock: socket.socket, create: Callable[[Runtime], Callable[..., Any]] = create_app
) -> AsyncIterator[None]:
    """Serve HTTP on ``sock`` while the block runs: the whole program, or what ``create`` makes."""
    config = uvicorn.Config(
        create(rt),
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=10,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn tells it by a flag only
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await task


@contextlib.contextmanager
def stop_signal() -> Iterator[asyncio.Event]:
    """Lend an event that SIGTERM or SIGINT sets."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    kinds = (signal.SIGTERM, signal.SIGINT)
    for kind in kinds:
        loop.add_signal_handler(kind, event.set)
    try:
        yield event
    finally:
        for kind in kinds:
            loop.remove_signal_handler(kind)


async def up(settings: Settings, *, ready: Callable[[], None] = lambda: None) -> None:
    """Run gateway and worker in this process until asked to stop; migrates first."""
    lock = bootstrap.embedded_lock(settings) if settings.embedded else contextlib.nullcontext()
    with contextlib.closing(bind(settings.listen)) as sock, lock, stop_signal() as stop:
        async with bootstrap.open(settings) as rt:
            await migrate(rt.db)
            worker = working(rt, concurrency=settings.concurrency, sweep_s=settings.sweep_s)
            async with worker, serving(rt, sock), _bounces_too(rt, settings):
                log.info("gateway.started", mode="up", listen=settings.listen)
                ready()
                await stop.wait()
    log.info("gateway.stopped")


async def serve(settings: Settings) -> None:
    """Run the HTTP side until asked to stop (scaled mode)."""
    with contextlib.closing(bind(settings.listen)) as sock, stop_signal() as stop:
        async with bootstrap.open(settings) as rt, serving(rt, sock):
            log.info("gateway.started", mode="serve", listen=settings.listen)
            await stop.wait()
    log.info("gateway.stopped")


@contextlib.asynccontextmanager
async def _watched(rt: Runtime, settings: Settings) -> AsyncIterator[None]:
    """Tell how a worker is while the block runs, where a place for it is set."""
    if settings.work_listen is None:
        yield
        return
    with contextlib.closing(bind(settings.work_listen, "GATEWAY_WORK_LISTEN")) as sock:
        async with serving(rt, sock, create_watch):
            yield


async def work(settings: Settings) -> None:
    """Run the working side until asked to stop (scaled mode)."""
    with stop_signal() as stop:
        async with contextlib.AsyncExitStack() as stack:
            rt = await stack.enter_async_context(bootstrap.open(settings))
            await stack.enter_async_context(working(rt, concurrency=settings.concurrency, sweep_s=settings.sweep_s))
            await stack.enter_async_context(_watched(rt, settings))
            log.info("gateway.started", mode="work", listen=settings.work_listen)
            await stop.wait()
    log.info("gateway.stopped")


@contextlib.asynccontextmanager
async def _bounces_too(rt: Runtime, settings: Settings) -> AsyncIterator[None]:
    """Take bounces while the block runs, where a place for them is set."""
    if settings.bounces_listen is None:
        yield
        return
    with contextlib.closing(bind(settings.bounces_listen, "GATEWAY_BOUNCES_LISTEN")) as sock:
        async with receiving(rt, sock):
            yield


async def bounces(settings: Settings) -> None:
    """Take bounces from the relay until asked to stop (scaled mode). Raises SettingsInvalid where no place is set."""
    if settings.bounces_listen is None:
        raise SettingsInvalid(["GATEWAY_BOUNCES_LISTEN: say where your relay hands bounces over: 127.0.0.1:8024"])
    with stop_signal() as stop:
        async with bootstrap.open(settings) as rt, _bounces_too(rt, settings):
            log.info("gateway.started", mode="bounces", listen=settings.bounces_listen)
            await stop.wait()
    log.info("gateway.stopped")
