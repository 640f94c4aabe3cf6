"""The courier: bounded, patient, and never off this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from channels.sandbox import callbacks
from channels.sandbox.callbacks import Courier, Post


@pytest.fixture
async def courier() -> AsyncIterator[Courier]:
    """Open a courier of our own."""
    made = Courier()
    await made.open()
    yield made
    await made.close()


async def ended(courier: Courier, until: Any, **facts: Any) -> tuple[bool, str]:
    """Post once and return how it ended."""
    told: list[tuple[bool, str]] = []
    courier.post(
        Post(body=b"x", headers={}, first_pause_s=0.01, ended=lambda ok, what: told.append((ok, what)), **facts)
    )
    await until(lambda: bool(told))
    return told[0]


async def test_nothing_leaves_this_machine(courier: Courier, until: Any) -> None:
    """A post to another machine is dropped at once and counted."""
    assert await ended(courier, until, url="http://192.0.2.1/") == (False, "not a loopback address")
    assert courier.dropped == 1


async def test_it_gives_up(courier: Courier, webhook: Any, until: Any) -> None:
    """After its last try a post is given up, with the last answer."""
    webhook.answers = [500] * 9
    assert await ended(courier, until, url=webhook.url, tries=3) == (False, "Wrong response from the webhook: 500")
    assert (len(webhook.calls), courier.given_up) == (3, 1)


async def test_nobody_listening_is_tried_again(courier: Courier, until: Any) -> None:
    """A refused connection is like a 5xx."""
    delivered, what = await ended(courier, until, url="http://127.0.0.1:1/", tries=2)
    assert (delivered, what) == (False, "ClientConnectorError")


async def test_redirects_are_not_followed(courier: Courier, webhook: Any, until: Any) -> None:
    """A redirect is an answer that is not 2xx, and ends the post."""
    webhook.answers = [307]
    assert (await ended(courier, until, url=webhook.url))[0] is False
    assert len(webhook.calls) == 1


async def test_an_unwanted_post_is_dropped(courier: Courier, webhook: Any, until: Any) -> None:
    """What nobody wants any more is not sent."""
    courier.post(Post(webhook.url, b"", {}, wanted=lambda: False))
    await until(lambda: courier.dropped == 1)
    assert webhook.calls == []


async def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit posts are dropped and counted, instead of filling the memory."""
    monkeypatch.setattr(callbacks, "MAX_WAITING", 2)
    courier = Courier()
    for _ in range(3):
        courier.post(Post("http://127.0.0.1:1/", b"", {}))
    assert (courier.waiting, courier.dropped) == (2, 1)
