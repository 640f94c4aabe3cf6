"""A gateway to attack: a real Runtime, and a real server on a loopback port of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from gateway import processes
from gateway.store.engine import Database
from gateway.store.vault import Vault
from gateway.usecases.runtime import Runtime
from tests.support import databases
from tests.support.clock import ManualClock
from tests.support.runtime import open_runtime, publish


@pytest_asyncio.fixture
async def lite(sqlite_template: Path, tmp_path: Path, vault: Vault, clock: ManualClock) -> AsyncIterator[Runtime]:
    """Lend a Runtime with approved texts on SQLite, for attacks that do not care which database it is."""
    db = await Database.open(databases.sqlite_copy(sqlite_template, tmp_path))
    async with open_runtime(db, vault, clock) as rt:
        await publish(rt)
        yield rt
    await db.close()


@pytest_asyncio.fixture
async def port(lite: Runtime) -> AsyncIterator[int]:
    """Serve HTTP; return the port."""
    sock = processes.bind("127.0.0.1:0")
    number: int = sock.getsockname()[1]
    async with processes.serving(lite, sock):
        yield number
