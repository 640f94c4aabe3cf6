"""Callbacks leave for the public internet only: the address that was checked is the one that is connected to."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks import Webhook

from channels.kit.errors import HttpFailure
from gateway.egress import Barred, Courier, UrlRefused, is_public
from tests.support.clock import START
from tests.support.receivers import Receiver, receiving

SECRETS = ["whsec_bmV1ZXMgZ2VoZWltbmlzIG5ldWVzIGdlaGVpbW5pcw==", "whsec_YWx0ZXMgZ2VoZWltbmlzIGFsdGVzIGdlaGVpbQ=="]


class Names(AbstractResolver):
    """A resolver whose answers a test chooses, one list of addresses for each look-up."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - the library's signature
    ) -> list[ResolveResult]:
        """Return the next answer; the last one stays."""
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise OSError("no such name")
        return [
            ResolveResult(
                hostname=host, host=one, port=port, proto=0, flags=0,
                family=socket.AF_INET6 if ":" in one else socket.AF_INET,
            )
            for one in found
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing to give back."""


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Run an endpoint on loopback."""
    async with receiving() as running:
        yield running


async def sent(courier: Courier, url: str, secrets: Sequence[str] = SECRETS) -> Any:
    """Post once; return the status or the failure."""
    try:
        return (await courier.post(url, b'{"a":1}', ident="evt-1", at=START, secrets=secrets)).status
    except HttpFailure as exc:
        return exc
    finally:
        await courier.close()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.0.1", "::1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - to be refused, not to be bound to
        "::", "224.0.0.1", "ff02::1", "ff0e::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254",
        "fec0::1", "240.0.0.1", "255.255.255.255", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::a00:1", "2002:7f00:1::", "168.63.129.16", "192.0.0.192", "100.100.100.200", "127.1", "2130706433",
        "0x7f.1", "localhost", "",
    ],
)  # fmt: skip
def test_addresses_inside_are_known(address: str):
    """Private, loopback, link-local, multicast, metadata, in any version and inside one another; and what is none."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"])
def test_addresses_outside_are_known(address: str):
    """The public internet is let through."""
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "127.0.0.1.", "2130706433", "0x7f.0.0.1", "0x7f000001", "017700000001", "[::1]",
        "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "10.0.0.1", "169.254.169.254", "[fe80::1%25lo]",
    ],
)  # fmt: skip
async def test_an_address_in_a_url_is_judged_however_it_is_spelt(host: str):
    """No look-up happens for these, so they are refused before; at registration and at every post."""
    names = Names(["93.184.215.14"])
    courier = Courier(resolver=names)
    with pytest.raises(UrlRefused):
        await courier.check(f"https://{host}/x")
    assert isinstance(await sent(courier, f"https://{host}/x"), Barred)
    assert names.asked == []


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["::1"], ["10.0.0.1"], ["169.254.169.254"], ["::ffff:10.0.0.1"], ["93.184.215.14", "::1"]]
)
async def test_a_name_that_leads_inside_is_refused(found: list[str]):
    """One address inside among several is enough."""
    with pytest.raises(UrlRefused, match="not_public"):
        await Courier(resolver=Names(found)).check("https://hooks.example/x")
    assert isinstance(await sent(Courier(resolver=Names(found)), "https://hooks.example/x"), Barred)


async def test_a_name_that_changes_its_address_is_refused_at_the_post(receiver: Receiver):
    """Rebinding: public when it was registered, loopback when it is called; the port is open and nothing arrives."""
    port = receiver.url.split(":")[2].split("/")[0]
    url = f"https://hooks.example:{port}/x"
    courier = Courier(resolver=Names(["93.184.215.14"], ["127.0.0.1"]))
    await courier.check(url)
    assert isinstance(await sent(courier, url), Barred)
    assert receiver.calls == []


async def test_the_address_that_was_found_is_the_one_connected_to(receiver: Receiver):
    """One look-up for a post, and its answer is what is used: the system's resolver never hears of the name."""
    names = Names(["127.0.0.1"])
    courier = Courier(private=True, resolver=names)
    assert await sent(courier, receiver.url.replace("127.0.0.1", "hooks.example")) == 204
    assert names.asked == ["hooks.example"]
    assert receiver.calls[0][0]["host"].startswith("hooks.example:")


async def test_a_name_that_is_not_known_yet_may_be_registered():
    """A look-up that fails is no reason to refuse: the test of the endpoint will tell."""
    courier = Courier(resolver=Names([]))
    await courier.check("https://hooks.example/x")
    assert type(await sent(courier, "https://hooks.example/x")).__name__ == "NotSent"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://hooks.example/", "not_https"),
        ("ftp://hooks.example/", "not_https"),
        ("https:///x", "malformed"),
        ("hooks.example", "malformed"),
        ("https://a:b@hooks.example/", "malformed"),
        ("https://hooks.example/#x", "malformed"),
        ("https://hooks.example:0/", "malformed"),
        ("https://hooks.example:99999/", "malformed"),
        ("https://a\\@127.0.0.1/", "malformed"),
        ("https://①②⑦.⓪.⓪.①/", "malformed"),
        ("https://hooks.example/" + "x" * 2000, "malformed"),
    ],
)
async def test_what_is_no_endpoint_is_refused_with_a_reason(url: str, reason: str):
    """Only plain https URLs; the reason never quotes one."""
    with pytest.raises(UrlRefused) as caught:
        await Courier(resolver=Names(["93.184.215.14"])).check(url)
    assert str(caught.value) == reason


async def test_a_post_is_signed_with_every_secret(receiver: Receiver):
    """The three headers of Standard Webhooks; the signatures stand beside each other, the newest first."""
    assert await sent(Courier(private=True), receiver.url) == 204
    headers, body = receiver.calls[0]
    expected = " ".join(Webhook(one).sign("evt-1", START, body.decode()) for one in SECRETS)
    assert headers["webhook-signature"] == expected
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("evt-1", str(int(START.timestamp())))
    assert (headers["content-type"], body) == ("application/json", b'{"a":1}')


async def test_a_redirect_is_not_followed(receiver: Receiver):
    """Wherever it points: the answer is what counts."""
    receiver.answer = lambda _: (307, {"location": receiver.url})
    assert await sent(Courier(private=True), receiver.url) == 307
    assert len(receiver.calls) == 1
