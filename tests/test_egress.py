"""Our outgoing HTTP client makes one request a call and names every failure by what may have left the house."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import aiohttp
import pytest
from aiohttp import client_exceptions, web

from channels.conformance import Act, Call, HttpStandin, Reply
from channels.kit.errors import CertificateRefused, HttpFailure, MaybeSent, NotSent
from gateway.egress import MAX_ANSWER_BYTES, Http, failure_of


class Server(HttpStandin):
    """A server that answers what it was asked."""

    size = 0

    def text_of(self, call: Call) -> str:
        """Return the body."""
        return call.body.decode()

    def success(self, call: Call) -> Reply:
        """Return a body of ``size`` bytes, or the request's."""
        return Reply(200, b"x" * self.size or call.body, {"X-Method": call.method, "Set-Cookie": "a=b"})


async def asked(act: Act, *, method: str = "POST", **limits: Any) -> tuple[Any, Server]:
    """Ask a server that plays ``act`` once; return answer or failure, and the server."""
    server, http = Server(), Http()
    server.play(act)
    await server.start()
    try:
        ended: Any = await http.request(method, f"{server.base_url}/geheim?token=geheim", body=b"ja", **limits)
    except HttpFailure as exc:
        ended = exc
    finally:
        await http.close()
        await server.close()
    return ended, server


@pytest.mark.parametrize(
    ("act", "failure"),
    [
        (Act.REFUSE, NotSent),
        (Act.UNTRUSTED, CertificateRefused),
        (Act.RESET, MaybeSent),
        (Act.EMPTY, MaybeSent),
        (Act.HALF, MaybeSent),
        (Act.GARBAGE, MaybeSent),
        (Act.HANG, MaybeSent),
        (Act.DRIBBLE, MaybeSent),
    ],
)
async def test_failures(act: Act, failure: type[HttpFailure]):
    """Each fault on the wire says whether anything may have left, with no URL and no cause that shows one."""
    ended, server = await asked(act, total_s=0.5)
    assert type(ended) is failure
    assert "geheim" not in str(ended)
    assert ended.__cause__ is None
    assert ended.__suppress_context__
    assert len(server.calls) <= 1


@pytest.mark.parametrize("act", [Act.CREDENTIALS, Act.THROTTLE_SECONDS, Act.FAULT, Act.GATEWAY, Act.REDIRECT])
async def test_every_status_is_an_answer(act: Act):
    """Nothing is retried and no redirect is followed: the caller sees what came."""
    answer, server = await asked(act, method="GET")
    assert answer.status == server.refusal(act, server.calls[0]).status
    assert len(server.calls) == 1


async def test_an_answer_is_read_to_its_end():
    """Status, body and lower-case header names come back; the request is what was asked for."""
    answer, server = await asked(Act.ACCEPT, headers={"X-A": "b"}, method="PUT")
    assert (answer.status, answer.body, answer.headers["x-method"]) == (200, b"ja", "PUT")
    assert server.calls[0].headers["x-a"] == "b"
    assert "cookie" not in server.calls[0].headers


async def test_no_cookie_is_kept():
    """What one provider sets is never sent again, to it or to anybody."""
    server, http = Server(), Http()
    await server.start()
    for _ in range(2):
        await http.request("GET", server.base_url)
    assert "cookie" not in server.calls[1].headers
    await http.close()
    await server.close()


async def test_an_endless_answer_is_not_kept():
    """A megabyte is more than any provider says: the rest is not read."""
    server, http = Server(), Http()
    server.size = MAX_ANSWER_BYTES + 1
    await server.start()
    with pytest.raises(MaybeSent, match="too large"):
        await http.request("GET", server.base_url)
    await http.close()
    await server.close()


async def test_a_connection_that_takes_too_long_is_not_sent():
    """With every connection in use, waiting for one ends as not sent: nothing left this machine."""
    server, http = Server(), Http(connections=1)
    server.play(Act.HANG)
    await server.start()
    first = asyncio.create_task(http.request("POST", server.base_url, total_s=30.0))
    await server.reached.wait()
    with pytest.raises(NotSent):
        await http.request("POST", server.base_url, connect_s=0.1, total_s=5.0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await http.close()
    await server.close()


@pytest.mark.parametrize("url", ["", "http://", "ftp://127.0.0.1/", "http://127.0.0.1:99999/", "http://a b/"])
async def test_urls_that_are_none(url: str):
    """A URL that cannot be called was not called."""
    http = Http()
    with pytest.raises(NotSent):
        await http.request("GET", url)
    await http.close()


async def test_a_header_with_a_line_break_is_not_sent():
    """Header injection ends before anything is written."""
    server, http = Server(), Http()
    await server.start()
    with pytest.raises(NotSent):
        await http.request("GET", server.base_url, headers={"X-A": "a\r\nX-B: b"})
    assert server.calls == []
    await http.close()
    await server.close()


async def test_many_at_once_share_connections():
    """A thousand calls need no more connections than allowed, and leave none behind."""
    running, most = 0, 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        await request.read()
        running -= 1
        return web.Response()

    runner = web.AppRunner(app := web.Application())
    app.router.add_post("/", answer)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url, http = f"http://127.0.0.1:{runner.addresses[0][1]}/", Http(connections=20)
    answers = await asyncio.gather(
        *[http.request("POST", url, body=b"x", connect_s=25, total_s=30) for _ in range(1000)]
    )
    assert {one.status for one in answers} == {200}
    assert most <= 20
    await http.close()
    await http.close()
    await runner.cleanup()


def _instance(cls: type[BaseException]) -> BaseException:
    """Make an exception without its constructor: only its class counts."""
    return cls.__new__(cls)


NEVER_LEFT = {
    client_exceptions.ClientConnectorError,
    client_exceptions.ClientConnectorDNSError,
    client_exceptions.ClientProxyConnectionError,
    client_exceptions.UnixClientConnectorError,
    client_exceptions.ConnectionTimeoutError,
    client_exceptions.InvalidURL,
    client_exceptions.InvalidUrlClientError,
    client_exceptions.InvalidUrlRedirectClientError,
    client_exceptions.NonHttpUrlClientError,
    client_exceptions.NonHttpUrlRedirectClientError,
}
NO_TRUST = {
    client_exceptions.ClientSSLError,
    client_exceptions.ClientConnectorSSLError,
    client_exceptions.ClientConnectorCertificateError,
    client_exceptions.ServerFingerprintMismatch,
}


def test_every_exception_of_aiohttp_is_known():
    """Each of the library's exceptions means exactly one thing; an unknown one may have left the house."""
    found = {
        one
        for _, one in inspect.getmembers(client_exceptions, inspect.isclass)
        if issubclass(one, aiohttp.ClientError) and one.__module__ == client_exceptions.__name__
    }
    assert found >= NEVER_LEFT | NO_TRUST
    for cls in found:
        expected = NotSent if cls in NEVER_LEFT else CertificateRefused if cls in NO_TRUST else MaybeSent
        assert type(failure_of(_instance(cls))) is expected, cls
    assert type(failure_of(TimeoutError())) is MaybeSent
