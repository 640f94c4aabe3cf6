"""Posting events to real endpoints: signed, retried, fair, and nothing lost when a process dies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
import structlog
from sqlalchemy import select, update
from standardwebhooks import Webhook

from gateway.domain.callbacks import TRY_FOR
from gateway.egress import Courier
from gateway.store import events as stored
from gateway.store.tables import callback_posts
from gateway.usecases import accept, callbacks, posting
from gateway.usecases.runtime import Runtime
from tests.support.clock import ManualClock
from tests.support.receivers import Receiver, receiving
from tests.support.runtime import CALLER, CANARIES, OTHER, drain, posted
from tests.support.waiting import wait_until

LEASE = posting.LEASE + timedelta(seconds=1)


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


async def registered(rt: Runtime, receiver: Receiver, *types: str, caller: Any = CALLER) -> dict[str, Any]:
    """Register the receiver and return the endpoint."""
    return dict(await callbacks.register(rt, caller, receiver.url, types))


async def happen(rt: Runtime, count: int = 1, *, client: str = CALLER.client_id, kind: str = "answer.received") -> None:
    """Write events, as verbs do."""
    at = rt.clock.now()
    rows = [{"client_id": client, "at": at, "type": kind, "body": {"id": rt.ids.new()}} for _ in range(count)]
    async with rt.db.write() as conn:
        await stored.append(conn, rows)


async def rows(rt: Runtime) -> list[tuple[str, int, int | None]]:
    """Return (state, tries, status) of every post, in order of events."""
    async with rt.db.read() as conn:
        found = await conn.execute(select(callback_posts).order_by(callback_posts.c.event_id))
        return [(one.state, one.tries, one.status) for one in found]


async def test_what_happens_is_posted_signed(inside: Runtime, receiver: Receiver):
    """From acceptance to the client's endpoint: one post for each event, signed with its secret, nothing personal."""
    made = await registered(inside, receiver)
    await accept.accept(inside, CALLER, posted(reference="R"))
    await drain(inside)
    assert await posting.post_due(inside) == 1
    headers, body = receiver.calls[0]
    key = Webhook(made["secret"])
    at = inside.clock.now()
    assert headers["webhook-signature"] == key.sign(headers["webhook-id"], at, body.decode())
    assert headers["webhook-timestamp"] == str(int(at.timestamp()))
    told = json.loads(body)
    assert (told["id"], told["seq"], told["type"]) == (headers["webhook-id"], 1, "notification.submitted")
    assert told["data"]["reference"] == "R"
    assert not [one for one in (*CANARIES, "P-1") if one in body.decode() + str(headers)]
    assert await rows(inside) == [("done", 1, 204)]
    assert await posting.post_due(inside) == 0


async def test_an_endpoint_gets_its_own_types_of_its_own_client(inside: Runtime, receiver: Receiver):
    """Other types and other clients' events are not posted, nor what was numbered before it was registered."""
    await happen(inside, kind="contact.stopped")
    await posting.post_due(inside)
    await registered(inside, receiver, "contact.stopped")
    for kind in ("contact.stopped", "answer.received"):
        await happen(inside, kind=kind)
        await happen(inside, kind=kind, client=OTHER.client_id)
    await posting.post_due(inside)
    assert receiver.types() == ["contact.stopped"]
    assert receiver.events[0]["seq"] == 2


async def test_a_failed_post_is_tried_again_later_under_its_id(inside: Runtime, receiver: Receiver, clock: ManualClock):
    """Every answer but 2xx is repeated with growing pauses and the same id, a redirect too, until it is taken."""
    answers = iter([500, 302, 400, 200])
    receiver.answer = lambda _: (next(answers), {"location": receiver.url})
    await registered(inside, receiver)
    await happen(inside)
    for tries in (1, 2, 3):
        assert await posting.post_due(inside) == 1
        assert (await rows(inside))[0][:2] == ("queued", tries)
        assert await posting.post_due(inside) == 0
        clock.advance(60)
    assert await posting.post_due(inside) == 1
    assert await rows(inside) == [("done", 4, 200)]
    assert len({headers["webhook-id"] for headers, _ in receiver.calls}) == 1
    assert len({headers["webhook-signature"] for headers, _ in receiver.calls}) == 4


async def test_after_three_days_a_post_is_given_up_and_seen(inside: Runtime, receiver: Receiver, clock: ManualClock):
    """Nobody there for three days: given up, counted at the endpoint, logged; a replay begins anew."""
    made = await registered(inside, receiver)
    receiver.answer = lambda _: 503
    await happen(inside)
    await posting.post_due(inside)
    clock.advance(TRY_FOR - timedelta(seconds=3))
    with structlog.testing.capture_logs() as logged:
        await posting.post_due(inside)
    assert [one["count"] for one in logged if one["event"] == "callbacks.abandoned"] == [1]
    assert await rows(inside) == [("given_up", 2, 503)]
    seen = await callbacks.one(inside, CALLER, made["id"])
    assert (seen["waiting"], seen["given_up"]) == (0, 1)
    receiver.answer = lambda _: 200
    assert await callbacks.replay(inside, CALLER, made["id"], after=0) == 1
    await posting.post_due(inside)
    assert await rows(inside) == [("done", 1, 200)]


async def test_the_receivers_wish_is_kept(inside: Runtime, receiver: Receiver, clock: ManualClock):
    """Retry-After, in seconds or as a date, is never undercut."""
    await registered(inside, receiver)
    receiver.answer = lambda _: (503, {"retry-after": "600"})
    await happen(inside)
    await posting.post_due(inside)
    clock.advance(599)
    assert await posting.post_due(inside) == 0
    clock.advance(10)
    assert await posting.post_due(inside) == 1


async def test_410_disables_an_endpoint(inside: Runtime, receiver: Receiver, clock: ManualClock):
    """Gone means gone: what waits is given up, nothing new is queued, until a test is answered with 2xx."""
    made = await registered(inside, receiver)
    receiver.answer = lambda _: 410
    await happen(inside, 12)
    await posting.post_due(inside)
    assert {state for state, *_ in await rows(inside)} == {"given_up"}
    came = len(receiver.calls)
    await happen(inside)
    clock.advance(3600)
    assert await posting.post_due(inside) == 0
    assert len(receiver.calls) == came
    receiver.answer = lambda _: 200
    assert (await callbacks.ping(inside, CALLER, made["id"]))["ok"]
    assert await callbacks.replay(inside, CALLER, made["id"], after=12) == 1
    assert await posting.post_due(inside) == 1


async def test_a_process_that_dies_loses_nothing(inside: Runtime, receiver: Receiver, clock: ManualClock):
    """Killed after the claim or after the post: the lease runs out and somebody else posts it, under the same id."""
    await registered(inside, receiver)
    await happen(inside, 3)
    receiver.gate = asyncio.Event()
    dying = asyncio.create_task(posting.post_due(inside))
    await receiver.reached.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    receiver.gate.set()
    assert await posting.post_due(inside) == 0
    clock.advance(LEASE)
    assert await posting.post_due(inside) == 3
    assert await rows(inside) == [("done", 1, 204)] * 3
    assert len({one["id"] for one in receiver.events}) == 3


async def test_who_lost_the_lease_records_nothing(inside: Runtime, receiver: Receiver, clock: ManualClock):
    """A slow process whose posts were taken over does not overwrite what the other one has recorded."""
    await registered(inside, receiver)
    await happen(inside)
    receiver.gate = asyncio.Event()
    receiver.answer = lambda _: 500
    slow = asyncio.create_task(posting.post_due(inside))
    await receiver.reached.wait()
    async with inside.db.write() as conn:
        await conn.execute(update(callback_posts).values(lease_until=clock.now() + LEASE, status=299))
    receiver.gate.set()
    await slow
    assert await rows(inside) == [("queued", 0, 299)]


async def test_two_processes_post_each_event_once(inside: Runtime, receiver: Receiver):
    """Claims exclude one another."""
    await registered(inside, receiver)
    await happen(inside, 40)
    made = await asyncio.gather(*(posting.post_due(inside) for _ in range(4)))
    assert sum(made) == 40
    assert len({one["id"] for one in receiver.events}) == len(receiver.calls) == 40


async def test_a_dead_endpoint_delays_nobody(inside: Runtime, receiver: Receiver):
    """While one endpoint hangs, whatever happens is posted to the other one; on stop, what is in flight ends."""
    stop = asyncio.Event()
    async with receiving() as dead:
        dead.gate = asyncio.Event()
        for one in (dead, receiver):
            await registered(inside, one)
        await happen(inside, 30)
        loop = asyncio.create_task(posting.Postman(inside).run(pause_s=0.01, stop=stop))
        await dead.reached.wait()
        await wait_until(lambda: len(receiver.calls) == 30)
        await happen(inside, 30)
        await wait_until(lambda: len(receiver.calls) == 60)
        assert 1 <= len(dead.calls) <= posting.AT_ONCE
        stop.set()
        dead.gate.set()
        await loop
    assert [state for state, *_ in await rows(inside)].count("done") == 60 + len(dead.calls)


async def test_an_endpoint_that_fails_is_left_alone_for_a_while(
    inside: Runtime, receiver: Receiver, clock: ManualClock
):
    """A backlog is not hurled at an endpoint that is down: single tries with growing pauses; then all at once."""
    await registered(inside, receiver)
    receiver.answer = lambda _: 503
    await happen(inside, 30)
    postman = posting.Postman(inside)
    tried = [await postman.round() for _ in range(3)]
    assert tried == [posting.AT_ONCE, 0, 0]
    clock.advance(2)
    assert [await postman.round() for _ in range(2)] == [1, 0]
    receiver.answer = lambda _: 200
    clock.advance(600)
    assert await postman.round() == 30
    assert {state for state, *_ in await rows(inside)} == {"done"}


@pytest.mark.parametrize("reason", ["gone", "private"])
async def test_no_answer_is_a_failed_try(inside: Runtime, receiver: Receiver, reason: str):
    """Nobody listening, or an address that is not allowed any more: status 0, and a later try."""
    await registered(inside, receiver)
    await happen(inside)
    if reason == "private":
        await inside.courier.close()
        inside.courier = Courier()
    else:
        async with inside.db.write() as conn:
            await callbacks.callbacks.change_endpoint(
                conn, (await callbacks.listing(inside, CALLER))[0]["id"], url="http://127.0.0.1:9/"
            )
    await posting.post_due(inside)
    assert await rows(inside) == [("queued", 1, 0)]
    assert receiver.calls == []
