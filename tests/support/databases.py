"""Make fresh, migrated databases cheaply: a copied file on SQLite, an emptied database on PostgreSQL.

Copying a PostgreSQL database costs half a second with fsync on, emptying one 20 ms; only ``empty_url`` makes new ones.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from gateway.store.engine import Database
from gateway.store.migrate import migrate
from gateway.store.tables import metadata

_counter = itertools.count(1)
_SHARED = "store"


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end on a loop of its own, whether or not this thread has one."""
    outcome: list[Any] = []

    def target() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits
            outcome.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


async def _migrated(url: str) -> None:
    database = await Database.open(url, pool=1)
    try:
        await migrate(database)
    finally:
        await database.close()


async def _tell(url: str, *statements: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [await connection.fetchval(statement) for statement in statements]
    finally:
        await connection.close()


def sqlite_template(folder: Path) -> Path:
    """Migrate one SQLite file to copy from."""
    path = folder / "template.db"
    run(_migrated(f"sqlite:///{path}"))
    return path


def sqlite_copy(template: Path, folder: Path) -> str:
    """Return the URL of a fresh copy."""
    path = folder / f"store-{next(_counter)}.db"
    shutil.copyfile(template, path)
    return f"sqlite:///{path}"


def check_durable(url: str) -> None:
    """Fail when this PostgreSQL would lose commits in a power cut: then our tests would prove nothing."""
    fsync, full, commit = run(_tell(url, "SHOW fsync", "SHOW full_page_writes", "SHOW synchronous_commit"))
    assert (fsync, full, commit) == ("on", "on", "on"), "the PostgreSQL of the tests does not write durably"


def postgres_migrated(url: str) -> str:
    """Migrate one database on this server for tests to share, and return its URL."""
    run(_tell(url, f"CREATE DATABASE {_SHARED}"))
    run(_migrated(named(url, _SHARED)))
    return named(url, _SHARED)


def postgres_emptied(url: str) -> str:
    """Take every row and every other connection away, ledgers included, start counting at 1, and return the URL."""
    run(_empty(url))
    return url


async def _empty(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        await connection.execute(f"SELECT pg_terminate_backend(pid, 5000) {others}")
        owned = "SELECT format('%I', sequencename) FROM pg_sequences WHERE schemaname = 'public'"
        restarts = [f"ALTER SEQUENCE {row[0]} RESTART" for row in await connection.fetch(owned)]
        deletes = [f"DELETE FROM {table}" for table in metadata.tables]  # noqa: S608 - our own names
        # "replica" keeps the triggers of the ledgers still: a superuser's way, which the program never has
        await connection.execute(";".join(["SET session_replication_role = replica", *deletes, *restarts]))
    finally:
        await connection.close()


@contextmanager
def postgres_created(url: str) -> Iterator[str]:
    """Yield the URL of a new database without tables; drop it afterwards."""
    name = f"test_{next(_counter)}"
    run(_tell(url, f"CREATE DATABASE {name} TEMPLATE template0"))
    try:
        yield named(url, name)
    finally:
        run(_tell(url, f"DROP DATABASE {name} WITH (FORCE)"))


def named(url: str, name: str) -> str:
    """Return the URL of another database on the same server."""
    return url.replace("/postgres?", f"/{name}?")
