"""Runtimes that share one store, as processes do: one dies somewhere, the other finishes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from gateway.store.engine import Database
from gateway.store.vault import Vault
from gateway.usecases.runtime import Runtime
from tests.support import runtime
from tests.support.clock import ManualClock


@pytest_asyncio.fixture
async def rt(db: Database, vault: Vault, clock: ManualClock) -> AsyncIterator[Runtime]:
    """Lend an open Runtime; ``P-1`` takes SMS, else e-mail."""
    async with runtime.open_runtime(db, vault, clock) as opened:
        await runtime.publish(opened)
        await runtime.put(opened)
        yield opened


@pytest_asyncio.fixture
async def other(rt: Runtime, db: Database, vault: Vault, clock: ManualClock) -> AsyncIterator[Runtime]:
    """Lend a second process's Runtime: same store, same keys, same providers, a memory of its own."""
    async with runtime.open_runtime(db, vault, clock, accounts=rt.accounts) as opened:
        yield opened
