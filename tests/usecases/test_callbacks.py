"""Endpoints: secrets shown once and sealed, rotation, replay, tests, limits, and nobody else's business."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select
from standardwebhooks import Webhook, WebhookVerificationError

from gateway.domain.errors import Conflict, Invalid, NotFound
from gateway.egress import Courier
from gateway.store import callbacks as stored
from gateway.store.tables import audit, endpoints
from gateway.usecases import callbacks, posting
from gateway.usecases.runtime import Runtime
from tests.support.clock import ManualClock
from tests.support.receivers import Receiver, receiving
from tests.support.runtime import CALLER, OTHER
from tests.usecases.test_posting import happen

URL = "https://93.184.215.14/botengang"


@pytest_asyncio.fixture
async def inside(rt: Runtime) -> AsyncIterator[Runtime]:
    """Allow endpoints on loopback."""
    await rt.courier.close()
    rt.courier = Courier(private=True)
    yield rt
    await rt.courier.close()


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Run an endpoint that takes everything."""
    async with receiving() as running:
        yield running


def signs(secret: str, call: tuple[dict[str, str], bytes], at: Any) -> bool:
    """Tell whether one of the signatures of a post was made with this secret."""
    headers, body = call
    return Webhook(secret).sign(headers["webhook-id"], at, body.decode()) in headers["webhook-signature"].split(" ")


async def test_a_secret_is_shown_once_and_sealed(rt: Runtime):
    """It appears in the answer only: no listing has it, and the table holds it sealed, bound to its row."""
    made = await callbacks.register(rt, CALLER, URL, [])
    assert made["secret"].startswith("whsec_")
    assert len(Webhook(made["secret"])._whsecret) == 32
    seen = (await callbacks.listing(rt, CALLER))[0]
    assert seen == {name: value for name, value in made.items() if name != "secret"}
    assert seen == await callbacks.one(rt, CALLER, made["id"])
    async with rt.db.read() as conn:
        row = (await conn.execute(select(endpoints))).one()
        verbs = list((await conn.execute(select(audit.c.verb).where(audit.c.verb.like("callback.%")))).scalars())
    assert made["secret"].encode() not in row.secret_sealed
    place = {"table": "endpoints", "row": made["id"], "column": "secret_sealed"}
    assert rt.vault.open(row.secret_sealed, **place).decode() == made["secret"]
    assert verbs == ["callback.registered"]


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://93.184.215.14/", "https"),
        ("https://127.0.0.1/", "public"),
        ("https://[::ffff:10.0.0.1]/", "public"),
        ("https://169.254.169.254/latest", "public"),
        ("https://user:geheim@93.184.215.14/", "user name"),
        ("ftp://93.184.215.14/", "https"),
        ("not a url", "absolute"),
    ],
)
async def test_an_endpoint_that_we_would_not_call_is_refused(rt: Runtime, url: str, word: str):
    """The fault says what must be otherwise, without quoting the URL; nothing is stored."""
    with pytest.raises(Invalid) as caught:
        await callbacks.register(rt, CALLER, url, [])
    assert [(one.pointer, one.code) for one in caught.value.faults] == [("/url", "url_refused")]
    assert word in caught.value.faults[0].detail
    assert "geheim" not in str(caught.value)
    assert await callbacks.listing(rt, CALLER) == []


async def test_unknown_types_and_too_many_endpoints_are_refused(rt: Runtime):
    """There is no type for reading (A-23); a client has twenty endpoints at most, another its own twenty."""
    with pytest.raises(Invalid) as caught:
        await callbacks.register(rt, CALLER, URL, ["notification.delivered", "notification.read"])
    assert caught.value.faults[0].pointer == "/types/1"
    for _ in range(callbacks.MOST):
        await callbacks.register(rt, CALLER, URL, [])
    with pytest.raises(Conflict):
        await callbacks.register(rt, CALLER, URL, [])
    await callbacks.register(rt, OTHER, URL, [])


async def test_an_endpoint_is_its_clients_alone(rt: Runtime):
    """To another client it does not exist, whatever it asks for."""
    made = await callbacks.register(rt, CALLER, URL, [])
    for asked in (callbacks.one, callbacks.delete, callbacks.rotate, callbacks.ping):
        with pytest.raises(NotFound):
            await asked(rt, OTHER, made["id"])
    with pytest.raises(NotFound):
        await callbacks.replay(rt, OTHER, made["id"], after=0)
    assert await callbacks.listing(rt, OTHER) == []
    assert [one["client_id"] for one in await callbacks.overview(rt)] == [CALLER.client_id]


async def test_both_secrets_sign_for_a_day_after_a_rotation(inside: Runtime, receiver: Receiver, clock: ManualClock):
    """A receiver with either secret verifies each post for 24 hours, then only one with the new secret."""
    made = await callbacks.register(inside, CALLER, receiver.url, [])
    new = await callbacks.rotate(inside, CALLER, made["id"])
    assert new["secret"] != made["secret"]
    assert new["previous_until"] == clock.now() + timedelta(hours=24)
    for wait in (0, 86_399, 1):
        clock.advance(wait)
        await happen(inside)
        await posting.post_due(inside)
        assert signs(new["secret"], receiver.calls[-1], clock.now())
        assert signs(made["secret"], receiver.calls[-1], clock.now()) is (clock.now() < new["previous_until"])
    newest = await callbacks.rotate(inside, CALLER, made["id"])
    await happen(inside)
    await posting.post_due(inside)
    kept = [signs(one["secret"], receiver.calls[-1], clock.now()) for one in (newest, new, made)]
    assert kept == [True, True, False]


async def test_a_test_posts_a_signed_ping_that_is_no_event(inside: Runtime, receiver: Receiver):
    """It tells what came; the library's own check takes it; the feed does not know it."""
    made = await callbacks.register(inside, CALLER, receiver.url, [])
    assert await callbacks.ping(inside, CALLER, made["id"]) == {"ok": True, "status": 204, "failure": None}
    receiver.answer = lambda _: 500
    assert await callbacks.ping(inside, CALLER, made["id"]) == {"ok": False, "status": 500, "failure": None}
    assert signs(made["secret"], receiver.calls[0], inside.clock.now())
    assert receiver.types() == ["ping", "ping"]
    assert await posting.post_due(inside) == 0
    headers, body = receiver.calls[0]
    with pytest.raises(WebhookVerificationError):
        Webhook(made["secret"]).verify(body + b" ", headers)


async def test_a_test_says_why_nothing_came(inside: Runtime, receiver: Receiver):
    """An address that is not allowed and a closed port are told apart."""
    made = await callbacks.register(inside, CALLER, "http://127.0.0.1:9/", [])
    assert (await callbacks.ping(inside, CALLER, made["id"]))["failure"] == "not_reached"
    await inside.courier.close()
    inside.courier = Courier()
    assert (await callbacks.ping(inside, CALLER, made["id"]))["failure"] == "not_public"
    assert receiver.calls == []


@pytest.mark.parametrize("by", ["after", "since"])
async def test_a_replay_posts_again_from_a_number_or_a_time(
    inside: Runtime, receiver: Receiver, clock: ManualClock, by: str
):
    """What was taken comes again under its old id, in the endpoint's types only, from there on only."""
    made = await callbacks.register(inside, CALLER, receiver.url, ["answer.received"])
    for _ in range(3):
        clock.advance(60)
        await happen(inside)
        await happen(inside, kind="contact.stopped")
    await posting.post_due(inside)
    before = [one["id"] for one in sorted(receiver.events, key=lambda one: one["seq"])]
    receiver.calls.clear()
    start: dict[str, Any] = {"after": 2} if by == "after" else {"since": clock.now() - timedelta(seconds=60)}
    assert await callbacks.replay(inside, CALLER, made["id"], **start) == 2
    await posting.post_due(inside)
    assert [one["id"] for one in sorted(receiver.events, key=lambda one: one["seq"])] == before[1:]


async def test_what_waits_goes_with_its_endpoint(inside: Runtime, receiver: Receiver):
    """A deleted endpoint is not called any more."""
    made = await callbacks.register(inside, CALLER, receiver.url, [])
    receiver.answer = lambda _: 500
    await happen(inside, 3)
    await posting.post_due(inside)
    came = len(receiver.calls)
    await callbacks.delete(inside, CALLER, made["id"])
    assert await posting.post_due(inside) == 0
    assert (len(receiver.calls), await callbacks.listing(inside, CALLER)) == (came, [])


async def test_numbering_posting_and_changes_of_endpoints_do_not_trip_one_another(inside: Runtime, receiver: Receiver):
    """Events numbered and posted while endpoints come, are replayed and go: no deadlock, no broken reference."""
    stays = await callbacks.register(inside, CALLER, receiver.url, [])

    async def come_and_go() -> None:
        for _ in range(6):
            made = await callbacks.register(inside, CALLER, receiver.url, [])
            await callbacks.replay(inside, CALLER, made["id"], after=0)
            await callbacks.delete(inside, CALLER, made["id"])

    async def work() -> None:
        for _ in range(6):
            await happen(inside, 4)
            await posting.post_due(inside)
            await callbacks.replay(inside, CALLER, stays["id"], after=0)

    await asyncio.gather(come_and_go(), come_and_go(), work(), work())
    await posting.post_due(inside)
    seen = await callbacks.one(inside, CALLER, stays["id"])
    assert (seen["waiting"], seen["given_up"], len({one["id"] for one in receiver.events})) == (0, 0, 48)


async def test_an_endpoint_stays_while_posts_are_queued_for_it(rt: Runtime):
    """Deleting it waits for who is numbering, so that no post is made for an endpoint that is gone."""
    made = await callbacks.register(rt, CALLER, URL, [])
    async with rt.db.write() as conn:
        await stored.queue_numbered(conn, CALLER.client_id, above=0, up_to=0, now=rt.clock.now())
        deleting = asyncio.create_task(callbacks.delete(rt, CALLER, made["id"]))
        done, _ = await asyncio.wait({deleting}, timeout=0.2)
        assert not done
    await deleting
    assert await callbacks.listing(rt, CALLER) == []
