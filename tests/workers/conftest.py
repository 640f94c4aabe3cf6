"""A Runtime as each mode runs it: SQLite with the doorbell inside the process, PostgreSQL with a Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.queue.jobs import ArqDoorbell, embedded_pool, server_pool
from gateway.store.engine import Database
from gateway.store.vault import Vault
from gateway.usecases.runtime import Ids, Runtime
from tests.support import runtime
from tests.support.clock import ManualClock


@pytest_asyncio.fixture
async def rt(db: Database, vault: Vault, clock: ManualClock, request: pytest.FixtureRequest) -> AsyncIterator[Runtime]:
    """Lend an open Runtime; ``P-1`` takes SMS, else e-mail."""
    local = db.dialect == "sqlite"
    pool = embedded_pool() if local else server_pool(request.getfixturevalue("redis_url"))
    bell = ArqDoorbell(pool, new_id=Ids(clock).new, local=local)
    async with runtime.open_runtime(db, vault, clock, doorbell=bell) as opened:
        await runtime.publish(opened)
        await runtime.put(opened)
        yield opened
    await bell.close()
