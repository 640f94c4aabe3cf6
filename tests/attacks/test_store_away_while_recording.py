"""The store goes away while a provider is called: what the provider answered is known, and must not be forgotten."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import structlog

from channels.memory import MemoryRequest
from gateway.store import sqlite
from gateway.store.engine import Database
from gateway.store.vault import Vault
from gateway.usecases import accept, deliver
from gateway.usecases.runtime import Runtime
from tests.support import databases
from tests.support.clock import ManualClock
from tests.support.runtime import CALLER, adapter, first, open_runtime, posted, publish, put, report, row
from tests.support.waiting import wait_until


@pytest.fixture
def store(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a database that gives up on a lock after 50 ms instead of 5 s."""
    monkeypatch.setattr(sqlite, "EVERY", ("PRAGMA busy_timeout = 50", *sqlite.EVERY[1:]))
    return databases.sqlite_copy(sqlite_template, tmp_path)


@pytest_asyncio.fixture
async def rt(store: str, vault: Vault, clock: ManualClock) -> AsyncIterator[Runtime]:
    """Lend a Runtime on it; ``P-1`` takes SMS, else e-mail."""
    db = await Database.open(store)
    async with open_runtime(db, vault, clock) as opened:
        await publish(opened)
        await put(opened)
        yield opened
    await db.close()


async def test_what_a_provider_answered_is_offered_again_until_it_is_written(rt: Runtime, store: str):
    """The store takes nothing from the call's begin on and comes back: submitted, one attempt, not uncertain."""
    blocker = sqlite3.connect(store.removeprefix("sqlite:///"), isolation_level=None)

    async def block(_: MemoryRequest) -> None:
        blocker.execute("BEGIN IMMEDIATE")

    adapter(rt, "sms").during = block
    done = await accept.accept(rt, CALLER, posted())
    with structlog.testing.capture_logs() as seen:
        working = asyncio.create_task(deliver.deliver(rt, [first(done)]))
        await wait_until(lambda: any(one["event"] == "recording.delayed" for one in seen))
        blocker.execute("ROLLBACK")
        assert await working == 1
    blocker.close()
    assert (await row(rt, first(done)))["state"] == "submitted"
    assert len((await report(rt, done))["deliveries"][0]["attempts"]) == 1
    assert len(adapter(rt, "sms").taken) == 1
