"""Requests whose head never ends: anybody could fill the memory or hold connections with them, without a key."""

from __future__ import annotations

import asyncio

import pytest

from gateway import processes

CHUNK = 16_384


async def flooded(port: int, start: bytes) -> tuple[int, bytes]:
    """Send ``start`` and then more of the same line until the server hangs up; return bytes taken and the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = 0
    try:
        writer.write(start)
        while sent < 20 * processes.HEAD_BYTES and not reader.at_eof():
            writer.write(b"a" * CHUNK)
            await writer.drain()
            sent += CHUNK
            await asyncio.sleep(0)
    except ConnectionError:
        pass
    answer = b""
    try:
        async with asyncio.timeout(5):
            answer = await reader.read(1000)
    except ConnectionError:
        pass
    finally:
        writer.close()
    return sent, answer


@pytest.mark.parametrize(
    "start",
    [
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: ",
        b"GET /",
        b"POST /webhooks/sms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ",
    ],
)
async def test_a_head_without_an_end_is_cut_off(port: int, start: bytes):
    """A field, an address or a trailer that goes on and on ends in a closed connection, far below a megabyte."""
    sent, answer = await flooded(port, start)
    assert sent < 20 * processes.HEAD_BYTES
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


async def test_a_long_head_is_told_so(port: int):
    """Just beyond the limit the answer still arrives: 431, and the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * processes.HEAD_BYTES)
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 431 ")
    writer.close()


async def test_many_requests_on_one_connection_are_not_added_up(port: int):
    """The limit is for one head: a connection that carries more than that in all stays open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (processes.HEAD_BYTES // 2) + b"\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert await asyncio.wait_for(reader.readexactly(len(b'{"ok":true}')), 5) == b'{"ok":true}'
    writer.close()


@pytest.mark.parametrize("start", [b"", b"GET /livez HTTP/1.1\r\nHo"])
async def test_a_head_that_does_not_come_is_not_waited_for(port: int, start: bytes, monkeypatch: pytest.MonkeyPatch):
    """A connection that says nothing, or stops in the middle of its head, is closed after a while."""
    monkeypatch.setattr(processes, "HEAD_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(start)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_second_head_that_stops_is_not_waited_for(port: int, monkeypatch: pytest.MonkeyPatch):
    """The deadline holds for every request of a connection: one byte does not keep it open for ever."""
    monkeypatch.setattr(processes, "HEAD_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b'{"ok":true}'), 5)
    writer.write(b"G")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
