"""Accounts' health, end to end: trouble stops the calls, a probe and one message bring them back, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_asyncio
import structlog
from sqlalchemy import event

from channels.kit.errors import Misconfigured, Unavailable
from gateway.domain.circuit import Allow, Circuit
from gateway.store.engine import Database
from gateway.store.vault import Vault
from gateway.telemetry import account_openings
from gateway.usecases import accept, deliver, health
from gateway.usecases.runtime import SIMULATOR, Runtime
from tests.support.clock import START, ManualClock
from tests.support.runtime import (
    TESTER,
    adapter,
    drain,
    open_accounts,
    open_runtime,
    posted,
    publish,
    put,
    row,
    states,
    taken,
)
from tests.usecases import troubled
from tests.usecases.troubled import Mute, Probed, accepted, ids


@pytest_asyncio.fixture
async def rt(db: Database, vault: Vault, clock: ManualClock) -> AsyncIterator[Runtime]:
    """Lend a Runtime whose SMS account can be probed and whose Telegram account cannot."""
    accounts = open_accounts(clock)
    accounts["sms"] = troubled.account(clock, accounts["sms"], Probed)
    accounts["telegram"] = troubled.account(clock, accounts["telegram"], Mute)
    async with open_runtime(db, vault, clock, accounts=accounts) as opened:
        await publish(opened)
        await put(opened)
        yield opened


@contextmanager
def statements(rt: Runtime) -> Iterator[list[str]]:
    """Collect what is said to the database."""
    said: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        said.append(statement)

    engines = [rt.db._reader.sync_engine, rt.db._writer.sync_engine]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield said
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


async def test_refused_credentials_stop_the_account_alert_once_and_come_back_by_themselves(
    rt: Runtime, clock: ManualClock
):
    """Misconfigured: pause, alert, keep the messages; then a probe, then one message, then all the others (issue 3)."""
    sms = adapter(rt, "sms")
    sms.fail_next(*[Misconfigured("20003", code="credentials")] * 3)
    counted = account_openings.labels("sms", "misconfigured")._value.get()
    done = await accepted(rt, 3)
    with structlog.testing.capture_logs() as logs:
        assert await deliver.deliver(rt, ids(done)) == 3
    alerts = [one for one in logs if one["event"] == "account.misconfigured"]
    assert [(one["account"], one["code"], one["provider_code"]) for one in alerts] == [("sms", "credentials", "20003")]
    assert await troubled.audited(rt) == [("system", "account.opened", "account:sms")]
    assert account_openings.labels("sms", "misconfigured")._value.get() == counted + 1
    more = await accepted(rt, 4)
    assert await drain(rt) == 0
    assert [(await states(rt, one))[0][1:] for one in more] == [("queued", "account_rests")] * 4
    clock.advance(29)
    assert await health.probe_due(rt) == 0
    clock.advance(1)
    assert await drain(rt) == 0  # not before the probe
    assert await health.probe_due(rt) == 1
    clock.advance(10)
    assert await drain(rt) == 1  # a single one, although four are due
    clock.advance(60)
    assert await drain(rt) == 6
    assert {(await states(rt, one))[0] for one in [*done, *more]} == {("sms", "submitted", None)}
    assert (await troubled.audited(rt))[1:] == [("system", "account.closed", "account:sms")]


async def test_a_probe_that_says_no_keeps_the_messages_and_asks_ever_more_rarely(rt: Runtime, clock: ManualClock):
    """Probes at 30 s, 1, 2, 4, 8 minutes; nothing is sent, nothing is told again."""
    sms = adapter(rt, "sms")
    assert isinstance(sms, Probed)
    sms.ok = False
    sms.fail_next(Misconfigured())
    (done,) = await accepted(rt, 1)
    await drain(rt)
    asked = []
    with structlog.testing.capture_logs() as logs:
        for _ in range(70):
            clock.advance(10)
            if await health.probe_due(rt):
                asked.append(int((clock.now() - START).total_seconds()))
            assert await drain(rt) == 0
    assert asked == [30, 60, 120, 240, 480]
    assert [one for one in logs if one["event"] == "account.misconfigured"] == []
    assert (await row(rt, ids([done])[0]))["tries"] == 0


async def test_where_nobody_can_be_asked_a_single_message_shows_how_it_is(rt: Runtime, clock: ManualClock):
    """An account without a probe: one message of many tries; while it fails the others stay at home."""
    telegram = adapter(rt, "telegram")
    telegram.fail_next(*[Unavailable("502")] * 26)
    done = await accepted(rt, 25, ("telegram",))
    assert await deliver.deliver(rt, ids(done)) == 25
    state = await troubled.health(rt, "telegram")
    assert state is not None
    assert (state.circuit, state.code) == (Circuit.OPEN, "unavailable")
    clock.advance(36)  # the first wait and the spread
    assert await drain(rt) == 1
    assert rt.health.state("telegram", clock.now()).circuit is Circuit.OPEN
    clock.advance(60)
    assert await drain(rt) == 1
    assert rt.health.allows("telegram", clock.now()) is Allow.YES
    clock.advance(60)
    assert await drain(rt) == 24
    assert len(taken(rt)) == 25


async def test_a_single_error_stops_nobody(rt: Runtime):
    """One time-out in a group, and the next group goes out as ever (traps 16)."""
    adapter(rt, "sms").fail_next(Unavailable("503"))
    assert await deliver.deliver(rt, ids(await accepted(rt, 3))) == 3
    assert await deliver.deliver(rt, ids(await accepted(rt, 3))) == 3
    assert rt.health.flows("sms")


async def test_an_error_that_concerns_one_person_stops_nobody(rt: Runtime):
    """A number in a country that is not enabled is Misconfigured, and every other number still goes."""
    adapter(rt, "sms").fail_next(Misconfigured("21408", code="country_not_enabled"))
    assert await deliver.deliver(rt, ids(await accepted(rt, 2))) == 2
    assert await troubled.health(rt, "sms") is None


async def test_a_healthy_account_costs_no_statement(rt: Runtime):
    """Delivering says nothing to the table of accounts, apart from one look a second in each process."""
    done = await accepted(rt, 30)
    with statements(rt) as said:
        assert await deliver.deliver(rt, ids(done)) == 30
    assert len(said) > 3
    assert [one for one in said if "account_states" in one or "usage" in one or "contacted" in one] == []


async def test_played_calls_say_nothing_of_an_account(rt: Runtime):
    """Test keys may play what they like, even where an operator's account has the simulator's name."""
    rt.accounts = {**rt.accounts, SIMULATOR: rt.accounts["sms"]}
    await accept.accept_batch(rt, TESTER, [posted("test-unavailable") for _ in range(25)])
    assert await drain(rt) >= 25
    assert await troubled.health(rt, SIMULATOR) is None


async def test_two_processes_count_together(rt: Runtime, vault: Vault, clock: ManualClock, database_url: str):
    """Failures one by one, in two processes at once: the twentieth opens it, because no count is lost between them."""
    second = await Database.open(database_url)
    async with open_runtime(second, vault, clock, accounts=rt.accounts) as other:

        async def fail(one: Runtime) -> None:
            async with one.db.write() as conn:
                await one.health.observe(one, conn, "sms", [Unavailable("503")])

        await fail(rt)
        await asyncio.gather(*(fail(one) for one in (rt, other) for _ in range(9)))
        state = await troubled.health(rt, "sms")
        assert state is not None
        assert (state.circuit, state.failures) == (Circuit.CLOSED, 19)
        await fail(other)
    await second.close()
    state = await troubled.health(rt, "sms")
    assert state is not None
    assert (state.circuit, state.code) == (Circuit.OPEN, "unavailable")


async def test_only_one_of_two_processes_wins_the_single_try(
    rt: Runtime, vault: Vault, clock: ManualClock, database_url: str
):
    """Both see that a try is due; one makes it, and after its patience has run out another may."""
    async with rt.db.write() as conn:
        await rt.health.observe(rt, conn, "telegram", [Misconfigured()])
    clock.advance(30)
    second = await Database.open(database_url)
    async with open_runtime(second, vault, clock, accounts=rt.accounts) as other:
        await other.health.look(other)
        await rt.health.look(rt)
        won = await asyncio.gather(health.try_one(rt, "telegram"), health.try_one(other, "telegram"))
        assert sorted(won) == [False, True]
        clock.advance(29)
        assert not await health.try_one(other, "telegram")
        clock.advance(1)
        assert await health.try_one(other, "telegram")
    await second.close()


async def test_what_one_process_sees_the_others_know_within_a_second(
    rt: Runtime, vault: Vault, clock: ManualClock, database_url: str
):
    """The other process looks once a second, and plans around the account that rests."""
    second = await Database.open(database_url)
    async with open_runtime(second, vault, clock, accounts=rt.accounts) as other:
        await other.health.look(other)
        async with rt.db.write() as conn:
            await rt.health.observe(rt, conn, "sms", [Misconfigured()])
        await other.health.look(other)
        assert other.health.flows("sms")
        clock.advance(1)
        await other.health.look(other)
        assert not other.health.flows("sms")
        assert [one.paused for one in other.facts if one.name == "sms"] == [True]
    await second.close()


@pytest.mark.parametrize("breaks", ["raises", "hangs"])
async def test_a_probe_that_breaks_its_word_is_no_sign_of_health(
    rt: Runtime, clock: ManualClock, breaks: str, monkeypatch: pytest.MonkeyPatch
):
    """A third party's probe that raises or never ends counts as no, and the schedule goes on."""

    class Broken(Probed):
        async def probe(self) -> Any:
            if breaks == "raises":
                raise RuntimeError("no")
            await asyncio.Event().wait()

    monkeypatch.setattr(health, "PROBE_S", 0.05)
    broken = troubled.account(clock, rt.accounts["sms"], Broken)
    rt.accounts = {**rt.accounts, "sms": broken}
    async with rt.db.write() as conn:
        await rt.health.observe(rt, conn, "sms", [Misconfigured()])
    clock.advance(30)
    assert await health.probe_due(rt) == 1
    assert rt.health.state("sms", clock.now()).circuit is Circuit.OPEN
