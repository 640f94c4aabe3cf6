"""An HTTP answer without a table of its own becomes the class that its status says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from pydantic import BaseModel, ValidationError

from channels.conformance.bench import NOW
from channels.kit.contract import HttpAnswer
from channels.kit.errors import ChannelError, Misconfigured, Refused, Throttled, Unavailable, Uncertain
from channels.kit.http import BaseUrl, Witness, refusal, retry_after_s


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (202, Uncertain),
        (301, Misconfigured),
        (400, Refused),
        (401, Misconfigured),
        (403, Misconfigured),
        (404, Misconfigured),
        (422, Refused),
        (429, Throttled),
        (500, Unavailable),
        (502, Uncertain),
        (503, Unavailable),
        (504, Uncertain),
        (599, Unavailable),
    ],
)
def test_statuses(status: int, expected: type[ChannelError]):
    """Each family of statuses has its class; a gateway's 502 or 504 may hide an accepted call."""
    error = refusal(status, {}, now=NOW)
    assert (type(error), error.provider_code) == (expected, str(status))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Fri, 15 Jan 2027 10:00:07 GMT", 7.0),
        ("Fri, 15 Jan 2027 09:00:00 GMT", 0.0),
        ("Fri, 15 Jan 2027 10:00:07", 7.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("\u0667", None),
        ("Fri, 99 Jan 2027 10:00:07 GMT", None),
    ],
)
def test_retry_after(text: str, seconds: float | None):
    """RFC 9110: seconds or a date; a date that has passed is now, nonsense is nothing."""
    assert retry_after_s({"retry-after": text}, now=NOW) == seconds


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example",
        "https://api.example:8443/v1/",
        "http://127.0.0.1:9/x",
        "http://localhost",
        "http://[::1]:80",
    ],
)
def test_base_urls_that_keep_a_secret(url: str):
    """Credentials travel over TLS, or stay on this machine."""

    class Model(BaseModel):
        url: BaseUrl

    assert Model(url=url).url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example",
        "http://127.0.0.1.example",
        "ftp://a.example",
        "api.example",
        "",
        "https://u:p@a.example",
        "https://a.example?x=1",
    ],
)
def test_base_urls_that_do_not(url: str):
    """Plain HTTP to anywhere else, and URLs with a secret or a query in them, stop the start."""

    class Model(BaseModel):
        url: BaseUrl

    with pytest.raises(ValidationError, match="https://"):
        Model(url=url)


class Echo:
    """An HTTP client whose answer's status is in the URL; it answers only when all callers are there."""

    def __init__(self, callers: int) -> None:
        self._all = asyncio.Barrier(callers)

    async def request(self, method: str, url: str, **_: object) -> HttpAnswer:
        """Wait for the others, then answer."""
        await self._all.wait()
        return HttpAnswer(int(url), {"retry-after": method}, b"")


async def test_the_witness_does_not_mix_concurrent_calls():
    """Each task sees the head of its own answer, although all share one adapter."""
    witness = Witness(Echo(20))

    async def head_of(status: int) -> tuple[int, Mapping[str, str]]:
        await witness.request(str(status), str(status))
        await asyncio.sleep(0)
        last = witness.last()
        return last.status, last.headers

    found = await asyncio.gather(*[head_of(status) for status in range(200, 220)])
    assert found == [(status, {"retry-after": str(status)}) for status in range(200, 220)]
