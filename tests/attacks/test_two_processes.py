"""Two processes on one PostgreSQL: they touch the same rows in the same order, so that none is rolled back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio
from sqlalchemy import text

from gateway.domain.errors import CallerError
from gateway.domain.states import Outcome
from gateway.store import deliveries, notifications
from gateway.store.engine import Database, StoreAway
from gateway.store.vault import Vault
from gateway.usecases import accept, previews, recipients, templates
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import Accepted
from tests.support import databases
from tests.support.clock import ManualClock
from tests.support.runtime import CALLER, OTHER, catalogue, first, open_runtime, person, posted, publish, put
from tests.support.waiting import wait_until

Pair = tuple[Runtime, Runtime]
MANY = 120


@pytest_asyncio.fixture
async def pair(postgres_migrated: str, vault: Vault, clock: ManualClock) -> AsyncIterator[Pair]:
    """Lend two Runtimes with connections of their own on one database."""
    url = databases.postgres_emptied(postgres_migrated)
    one, two = await Database.open(url), await Database.open(url)
    async with open_runtime(one, vault, clock) as left, open_runtime(two, vault, clock) as right:
        await publish(left)
        yield left, right
    await one.close()
    await two.close()


async def test_the_same_people_in_opposite_orders_are_put_by_both(pair: Pair):
    """Two services send the same file, one of them from the end: both are told that it is stored."""
    people = [person(f"P-{number:03}") for number in range(MANY)]
    await put(pair[0], *people)
    batches = [recipients.put_batch(rt, CALLER, order) for rt in pair for order in (people, people[::-1])]
    for results in await asyncio.gather(*batches):
        assert all(isinstance(one, Mapping) for one in results)


async def test_people_of_several_clients_are_saved_by_both(pair: Pair):
    """A group commit that brings people of two clients does not lock them in the order of the clients."""
    people = [person(f"P-{number:03}") for number in range(MANY)]
    await put(pair[0], *people)
    halves = [(CALLER, people[: MANY // 2]), (OTHER, people[MANY // 2 :])]
    crossed = [(OTHER, people[: MANY // 2]), (CALLER, people[MANY // 2 :])]
    groups = [[(who, posted(one)) for who, part in parts for one in part] for parts in (halves, crossed)]
    done = await asyncio.gather(*(accept.accept_group(rt, group) for rt, group in zip(pair, groups, strict=True)))
    assert not [one for results in done for one in results if isinstance(one, CallerError)]


async def test_cancelling_and_recording_do_not_lock_each_other_out(pair: Pair):
    """Recording takes deliveries, then the notification; cancelling the same: it waits, and neither is rolled back."""
    recording, cancelling = pair
    await put(recording, person("P-1"))
    done = await accept.accept(recording, CALLER, posted("P-1"))
    blocked = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")

    async def is_waiting() -> bool:
        async with recording.db.read() as conn:
            return bool((await conn.execute(blocked)).scalar_one())

    async with recording.db.write() as conn:  # as gateway.usecases.record does, with a cancellation in the middle
        await deliveries.promote(conn, [first(done, 1)], now=recording.clock.now())
        cancel = asyncio.create_task(previews.cancel(cancelling, CALLER, done.id))
        reader = asyncio.create_task(wait_until(is_waiting))
        await reader
        await notifications.set_outcomes(conn, {done.id: Outcome.PENDING})
    assert (await cancel)["state"] == "cancelled"


async def test_a_deadlock_is_told_as_come_again(pair: Pair):
    """Where two transactions stand in each other's way all the same, the loser is 503, nothing is stored, no 500."""
    await put(pair[0], person("P-1"), person("P-2"))
    update = "UPDATE subjects SET created_at = created_at WHERE recipient = '{}'"
    met = asyncio.Barrier(2)

    async def both(rt: Runtime, order: tuple[str, str]) -> None:
        async with rt.db.write() as conn:
            await conn.exec_driver_sql(update.format(order[0]))
            await met.wait()
            await conn.exec_driver_sql(update.format(order[1]))

    ended = await asyncio.gather(both(pair[0], ("P-1", "P-2")), both(pair[1], ("P-2", "P-1")), return_exceptions=True)
    assert [type(one) for one in ended if one is not None] == [StoreAway]


async def test_two_approvals_of_one_draft_are_one(pair: Pair):
    """Two approvers press at the same moment: one approves, the other is told so, and one version is approved."""
    fresh = catalogue()["postfach_neu"]
    await templates.push(pair[0], [fresh], author="author")
    both = (templates.approve(rt, fresh.key, approver=f"approver-{n}") for n, rt in enumerate(pair))
    ended = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(one).__name__ for one in ended) == ["Conflict", "dict"]
    assert [one["key"] for one in await templates.published(pair[0])].count(fresh.key) == 1


async def test_one_key_at_two_processes_is_one_notification(pair: Pair):
    """The same request at both at once, for a person nobody knew: one notification, the same first answer."""
    new = person("P-new")
    groups = [[(CALLER, posted(new, key=f"k-{number}", body=b"same")) for number in range(20)] for _ in pair]
    left, right = await asyncio.gather(
        *(accept.accept_group(rt, group) for rt, group in zip(pair, groups, strict=True))
    )
    for one, two in zip(left, right, strict=True):
        if not isinstance(one, Accepted) or not isinstance(two, Accepted):
            pytest.fail("both must be accepted")
        assert one.id == two.id
        assert one.answer == two.answer
