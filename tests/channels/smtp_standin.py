"""A mail relay on loopback that behaves and misbehaves, phase by phase, and counts what it has committed.

Speaks STARTTLS (or implicit TLS), AUTH PLAIN and one envelope at a time; real sockets, so that cuts are real.
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import email
import email.policy
import shutil
import socket
import struct
import tempfile
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from channels.conformance import Act
from channels.conformance.certificates import certificate, server_context

USER, PASSWORD = "botengang", "Kanarien-Passwort"
DROP, RESET, HANG, HALF, DRIBBLE = "<drop>", "<reset>", "<hang>", "<half>", "<dribble>"
SCRIPTS: dict[Act, dict[str, str]] = {
    Act.RESET: {"dot": RESET},
    Act.EMPTY: {"dot": DROP},
    Act.HANG: {"dot": HANG, "noop": HANG},
    Act.DRIBBLE: {"dot": DRIBBLE},
    Act.HALF: {"dot": HALF},
    Act.GARBAGE: {"dot": "was? nein"},
    Act.THROTTLE_BARE: {"rcpt": "450 4.7.1 rate limit exceeded"},
    Act.CREDENTIALS: {"auth": "535 5.7.8 authentication failed"},
    Act.FAULT: {"rcpt": "451 4.3.0 local error"},
    Act.DOWN: {"greeting": "421 4.3.2 shutting down"},
    Act.UNKNOWN: {"rcpt": "550 nein <anna@post.example>"},
}
GOOD = {
    "greeting": "220 relay ESMTP",
    "auth": "235 2.7.0 ok",
    "mail": "250 2.1.0 ok",
    "rcpt": "250 2.1.5 ok",
    "data": "354 go ahead",
    "dot": "250 2.0.0 queued",
    "rset": "250 2.0.0 ok",
    "quit": "221 2.0.0 bye",
}


@cache
def ca_file() -> Path:
    """Return a file with the throw-away authority, for the length of the process."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "ca.pem"
    path.write_bytes(certificate()[0])
    return path


class SmtpStandin:
    """One relay. ``script`` overrides replies by phase; ``extensions`` is what EHLO offers."""

    acts: ClassVar[frozenset[Act]] = frozenset({Act.ACCEPT, Act.REFUSE, Act.UNTRUSTED, *SCRIPTS})

    def __init__(self, script: dict[str, str] | None = None, *, implicit: bool = False, starttls: bool = True) -> None:
        self.script = dict(script or {})
        self.implicit, self.starttls = implicit, starttls
        self.mechanisms, self.size = "PLAIN LOGIN CRAM-MD5", 0
        self.act = Act.ACCEPT
        self.sends = self.committed = self.connections = self.logins = 0
        self.reached = asyncio.Event()
        self.lines: list[str] = []  # commands as they came, without the login's secrets
        self.mails: list[EmailMessage] = []
        self.port = 1
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def texts(self) -> list[str]:
        """Return the plain text of each mail that was committed."""
        return [mail.get_body(("plain",)).get_content() for mail in self.mails]

    def play(self, act: Act) -> None:
        """Behave like this from now on."""
        self.act = act
        self.script = dict(SCRIPTS.get(act, {}))

    async def start(self) -> None:
        """Listen; for REFUSE, find a port where nobody does."""
        tls = server_context() if self.implicit else None
        self._server = await asyncio.start_server(self._welcome, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        if self.act is Act.REFUSE:
            await self.close()

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    def options(self) -> dict[str, Any]:
        """Return the adapter's options that point here."""
        trusted = {} if self.act is Act.UNTRUSTED else {"ca_file": ca_file()}
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "tls": "implicit" if self.implicit else "starttls",
            "username": USER,
            "password": PASSWORD,
            "sender": "amt@mtk.example",
            "sender_name": "MTK-Info",
            **trusted,
        }

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        self._talks.add(asyncio.current_task())
        self.connections += 1
        try:
            if await self._say(writer, "greeting"):
                while line := (await reader.readline()).decode().rstrip("\r\n"):
                    if not await self._obey(line, reader, writer):
                        break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            writer.close()

    async def _obey(self, line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one command; True if the connection lives on."""
        verb = line.partition(" ")[0].lower()
        self.lines.append(line if verb != "auth" else "AUTH")
        if verb in ("ehlo", "helo"):
            return self._extensions(writer)
        if verb == "starttls":
            writer.write(b"220 2.0.0 go\r\n")
            await writer.start_tls(server_context())
            return True
        if verb == "auth":
            self.logins += 1
            good = base64.b64decode(line.rsplit(maxsplit=1)[-1]) == f"\0{USER}\0{PASSWORD}".encode()
            return await self._say(writer, "auth", "" if good else "535 5.7.8 no")
        if verb == "mail":
            self.sends += 1
        if verb != "data":
            return await self._say(writer, verb, "250 2.0.0 ok" if verb == "noop" else "")
        return await self._data(reader, writer)

    def _extensions(self, writer: asyncio.StreamWriter) -> bool:
        secure = writer.get_extra_info("sslcontext") is not None
        offered = ["relay"]
        if secure and self.mechanisms:
            offered.append(f"AUTH {self.mechanisms}")
        if self.starttls and not secure:
            offered.append("STARTTLS")
        offered.append(f"SIZE {self.size}")
        *some, last = offered
        writer.write("".join([*(f"250-{one}\r\n" for one in some), f"250 {last}\r\n"]).encode())
        return True

    async def _data(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Take the content up to the final dot, and commit it unless the script refuses it."""
        if not await self._say(writer, "data") or self.script.get("data"):
            return True
        lines = []
        while (line := await reader.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        if not self.script.get("dot", "")[:1].isdigit():
            self.committed += 1
            self.mails.append(email.message_from_bytes(b"".join(lines), policy=email.policy.default))
        self.reached.set()
        return await self._say(writer, "dot")

    async def _say(self, writer: asyncio.StreamWriter, phase: str, instead: str = "") -> bool:
        """Reply as scripted; False if the connection ends here."""
        reply = self.script.get(phase) or instead or GOOD.get(phase, "500 5.5.2 what?")
        if reply == HANG:
            await asyncio.Event().wait()
        if reply == RESET:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        while reply == DRIBBLE:
            writer.write(b"250-still busy\r\n")
            await asyncio.sleep(0.05)
        if reply == HALF:
            writer.write(b"25")
        if reply in (RESET, DROP, HALF):
            return False
        writer.write(f"{reply}\r\n".encode())
        await writer.drain()
        return phase != "quit" and not reply.startswith("421")
