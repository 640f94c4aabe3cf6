"""An HTTP provider on loopback that behaves and misbehaves: the stand-in for adapters over HTTP.

Speaks just enough HTTP/1.1 to be called; real sockets, so that resets and half answers are real.
Subclass it with the provider's answers.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Any, ClassVar
from urllib.parse import parse_qs

from channels.conformance.acts import STATED_S, Act
from channels.conformance.bench import NOW
from channels.conformance.certificates import server_context

_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close with a reset


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came over the wire. Header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """Return the form fields of the body."""
        fields = parse_qs(self.body.decode(), keep_blank_values=True)
        return {name: values[0] for name, values in fields.items()}


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; ``body`` is JSON unless it is bytes."""

    status: int
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpStandin:
    """A provider with an HTTP API. Subclasses say what success looks like, and what differs from the usual."""

    acts: ClassVar[frozenset[Act]] = frozenset(Act)

    def __init__(self) -> None:
        self.act = Act.ACCEPT
        self.sends = 0
        self.reached = asyncio.Event()
        self.calls: list[Call] = []
        self.texts: list[str] = []
        self.base_url = "http://127.0.0.1:1"
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    # -- for subclasses

    def is_send(self, call: Call) -> bool:
        """Tell whether the call sends something to a person."""
        return call.method == "POST"

    def text_of(self, call: Call) -> str:
        """Return the text that the provider reads out of a call to send."""
        raise NotImplementedError

    def success(self, call: Call) -> Reply:
        """Return the answer to a good call."""
        raise NotImplementedError

    def refusal(self, act: Act, call: Call) -> Reply:  # noqa: ARG002  # subclasses may look at the call
        """Return the answer of an act that answers."""
        until = format_datetime(NOW.replace(second=int(STATED_S)), usegmt=True)
        return {
            Act.BROKEN: Reply(200, b"<html>angenommen</html>"),
            Act.THROTTLE_SECONDS: Reply(429, headers={"Retry-After": str(int(STATED_S))}),
            Act.THROTTLE_DATE: Reply(429, headers={"Retry-After": until}),
            Act.THROTTLE_BARE: Reply(429),
            Act.CREDENTIALS: Reply(401),
            Act.FAULT: Reply(500),
            Act.DOWN: Reply(503, b"<html>maintenance</html>"),
            Act.GATEWAY: Reply(502, b"<html>bad gateway</html>"),
            Act.REDIRECT: Reply(302, headers={"Location": "http://127.0.0.1:1/"}),
            Act.UNKNOWN: Reply(418),
        }[act]

    def options(self) -> dict[str, Any]:
        """Return the adapter's options that point here."""
        raise NotImplementedError

    # -- the server

    def play(self, act: Act) -> None:
        """Behave like this from now on."""
        self.act = act

    async def start(self) -> None:
        """Listen; for REFUSE, find a port where nobody does."""
        tls: ssl.SSLContext | None = server_context() if self.act is Act.UNTRUSTED else None
        self._server = await asyncio.start_server(self._welcome, "127.0.0.1", 0, ssl=tls)
        port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        if self.act is Act.REFUSE:
            await self.close()

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        talk = asyncio.current_task()
        if talk is not None:
            self._talks.add(talk)
        try:
            while call := await _read(reader):
                if not await self._answer(call, writer):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the caller has gone, or the test is over
        finally:
            writer.close()

    async def _answer(self, call: Call, writer: asyncio.StreamWriter) -> bool:
        """Play the act; True if the connection lives on."""
        self.calls.append(call)
        if self.is_send(call):
            self.sends += 1
            self.reached.set()
        if self.act is Act.ACCEPT:
            if self.is_send(call):
                self.texts.append(self.text_of(call))
            return await _write(writer, self.success(call))
        if self.act is Act.RESET:
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            writer.transport.abort()
        elif self.act is Act.HANG:
            await asyncio.Event().wait()
        elif self.act in (Act.HALF, Act.DRIBBLE):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{")
            while self.act is Act.DRIBBLE:
                writer.write(b" ")
                await asyncio.sleep(0.05)
        elif self.act is Act.GARBAGE:
            writer.write(b"\x15\x03\x01 what?\r\n\r\n")
        elif self.act is not Act.EMPTY:
            return await _write(writer, self.refusal(self.act, call))
        return False


async def _read(reader: asyncio.StreamReader) -> Call | None:
    """Return the next request, None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    method, path, _ = first.split(" ", 2)
    return Call(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


async def _write(writer: asyncio.StreamWriter, reply: Reply) -> bool:
    """Write one answer; the connection lives on."""
    body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    kind = "text/html" if isinstance(reply.body, bytes) else "application/json"
    lines = [f"HTTP/1.1 {reply.status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()
    return True
