"""Fixtures for every test: real servers, fresh databases on both, keys, a clock that stands still, no task left behind.

Each pytest-xdist worker has its own servers.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.store.engine import Database
from gateway.store.keyring import KeyRing
from gateway.store.vault import Vault
from tests.support import databases, servers
from tests.support.clock import ManualClock
from tests.support.waiting import tasks_left


def pytest_configure() -> None:
    """Let a SIGTERM end a run as Ctrl-C does: with the servers stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.pop("COLUMNS", None)  # a worker of xdist has one, and consoles keep what they saw when they were made


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Yield the URL of a PostgreSQL that writes durably; its database ``postgres`` is empty."""
    with servers.postgres() as url:
        databases.check_durable(url)
        yield url


@pytest.fixture(scope="session")
def redis_server() -> Iterator[servers.RedisServer]:
    """Run a Redis that a test may stop and start again."""
    try:
        with servers.redis() as server:
            yield server
    except servers.NoServer as missing:
        pytest.exit(str(missing), returncode=3)


@pytest.fixture
def redis_url(redis_server: servers.RedisServer) -> str:
    """Return the URL of a running Redis that is empty at the start of the test."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a migrated SQLite file to copy from."""
    return databases.sqlite_template(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres_migrated(postgres_url: str) -> str:
    """Return the URL of a migrated PostgreSQL database; ``database_url`` empties it for each test."""
    return databases.postgres_migrated(postgres_url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a migrated database without rows; the test runs once on each of the two kinds."""
    if request.param == "sqlite":
        return databases.sqlite_copy(request.getfixturevalue("sqlite_template"), tmp_path)
    return databases.postgres_emptied(request.getfixturevalue("postgres_migrated"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of a database without any table; the test runs once on each of the two kinds."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    with databases.postgres_created(request.getfixturevalue("postgres_url")) as url:
        yield url


@pytest_asyncio.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """Open a fresh migrated database; the test runs once on each of the two kinds."""
    database = await Database.open(database_url)
    yield database
    await database.close()


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    """Make a key ring in a file of its own."""
    return KeyRing.create(tmp_path / "ring.json")


@pytest.fixture
def vault(ring: KeyRing) -> Vault:
    """Make a vault with a fresh key ring."""
    return Vault(ring)


@pytest.fixture
def clock() -> ManualClock:
    """Make a clock that moves only by ``advance``."""
    return ManualClock()


@pytest_asyncio.fixture
async def _no_task_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = await tasks_left(before)
    if left:
        names = sorted(repr(task.get_coro()) for task in left)
        pytest.fail(f"the test left tasks running: {', '.join(names)}")


@pytest.fixture(autouse=True)
def no_task_left(request: pytest.FixtureRequest) -> None:
    """Fail an async test that leaves a task behind; set up first, so that it looks after everything is closed."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_no_task_left")
