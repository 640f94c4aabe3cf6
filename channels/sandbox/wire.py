"""Break connections on purpose: reset one, or leave a caller waiting.

These are the faults in which a caller cannot know what happened; refusals with an answer are the stand-ins' own work.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import NoReturn

from aiohttp import web

_LONGEST_HANG_S = 900
_LINGER_NOT = struct.pack("ii", 1, 0)


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Cut a connection so that the other side sees a reset (TCP RST), not an orderly end."""
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
    else:
        transport.close()


async def hang() -> None:
    """Say nothing for a quarter of an hour; ends early when the caller gives up."""
    await asyncio.sleep(_LONGEST_HANG_S)


async def break_request(request: web.Request, fault: str) -> NoReturn:
    """Leave an HTTP caller without an answer. fault: "hang" waits first, everything else resets at once."""
    if fault == "hang":
        await hang()
    reset(request.transport)
    raise asyncio.CancelledError
