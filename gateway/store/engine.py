"""Open the database and lend connections: ``read()`` for looking, ``write()`` for one transaction.

It knows nothing of tables. Both databases behave alike: a read never writes, a write commits at the end or not at all,
an unreachable database is ``StoreAway``, and no error text repeats a value that we sent.
SQLite: WAL, synchronous=FULL, one writing connection with BEGIN IMMEDIATE. PostgreSQL: READ COMMITTED, two pools.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import Any, Self

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.store import postgresql, sqlite
from gateway.store.unbroken import unbroken

Connection = AsyncConnection  # what the verbs hold and hand to store functions
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
_FULL_OR_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN})
_AWAY_STATES = (  # of PostgreSQL, https://www.postgresql.org/docs/current/errcodes-appendix.html
    "08",  # no connection
    "28",  # not let in
    "3D",  # no such database
    "40",  # two transactions stood in each other's way and ours was rolled back (deadlock)
    "53",  # no room, no memory, too many connections
    "57P",  # starting or shutting down
)
_READ_ONLY = "25006"  # for a writer: a fail-over left it on the replica; for a reader: our own mistake


class StoreAway(Exception):
    """The database cannot be reached or takes nothing now: answer 503 and come again.

    Nothing was stored, except when the connection broke during the commit itself: then nobody knows, and the caller's
    idempotency key settles it.
    """


class Database:
    """An open database. ``dialect`` is ``"sqlite"`` or ``"postgresql"``."""

    def __init__(self, dialect: str, reader: AsyncEngine, writer: AsyncEngine) -> None:
        self.dialect = dialect
        self._reader = reader
        self._writer = writer
        self._turn: AbstractAsyncContextManager[object] = asyncio.Lock() if dialect == "sqlite" else nullcontext()
        self._writing: set[asyncio.Task[Any] | None] = set()

    def __repr__(self) -> str:
        return f"Database({self.dialect})"

    @classmethod
    async def open(
        cls, url: str, *, pool: int = 8, timeout_s: float | None = 30.0, max_pages: int | None = None
    ) -> Self:
        """Connect to ``sqlite:///path`` or ``postgresql://…`` (with or without the driver's name) and try it once.

        pool: connections for reading, and on PostgreSQL as many again for writing.  timeout_s: for one statement on
        PostgreSQL; None for migrations.  max_pages: after which SQLite is full.  Raises ValueError for another kind of
        URL, StoreAway when nobody answers.
        """
        parsed = _parse(url)
        dialect = parsed.get_backend_name()
        if dialect == "sqlite":
            _touch(str(parsed.database))
            reader, writer = sqlite.engines(parsed, pool=pool, max_pages=max_pages)
        else:
            reader, writer = postgresql.engines(parsed, pool=pool, timeout_s=timeout_s)
        database = cls(dialect, reader, writer)
        try:
            await database.ping()
        except (TypeError, InterfaceError):  # the driver does not know an option in the query of the URL
            await database.close()
            raise ValueError("the database URL has an option that the driver does not take") from None
        except BaseException:
            await database.close()
            raise
        return database

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """Lend a connection that refuses to write.

        SQLite shows one snapshot for the whole block; PostgreSQL one for each statement, as READ COMMITTED does.
        Raises StoreAway.
        """
        with _away(_AWAY_STATES):
            async with self._reader.connect() as conn:
                yield conn

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Connection]:
        """Lend a connection for one transaction: committed at the end of the block, rolled back on any error.

        Raises StoreAway; RuntimeError when this task has a transaction open already (it would wait for itself).
        """
        task = asyncio.current_task()
        if task in self._writing:
            raise RuntimeError("this task already has a transaction open")
        self._writing.add(task)
        try:
            async with self._turn:
                with _away((*_AWAY_STATES, _READ_ONLY)):
                    begin = self._writer.begin()
                    async with unbroken(begin) if self.dialect == "sqlite" else begin as conn:
                        yield conn
        finally:
            self._writing.discard(task)

    def in_transaction(self) -> bool:
        """Tell whether this task has a transaction open: nothing may call a provider or render then."""
        return asyncio.current_task() in self._writing

    async def ping(self) -> None:
        """Ask the database for a sign of life. Raises StoreAway."""
        async with self.read() as conn:
            await conn.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Give all connections back; closing twice is harmless."""
        await self._reader.dispose()
        await self._writer.dispose()


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # without a cause: it quotes the URL, and the URL holds a password
        raise ValueError("the database URL cannot be read; write sqlite:///path or postgresql://…") from None
    backend = parsed.get_backend_name()
    if backend not in _DRIVERS:
        raise ValueError("the database is sqlite:///path or postgresql://…")
    if backend == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise ValueError("the database needs a file: sqlite:///path")
    return parsed.set(drivername=_DRIVERS[backend])


def _touch(path: str) -> None:
    """Make the file if need be: it tells who gets what, so nobody else on the machine may read it."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreAway(f"the database file cannot be opened: {error.strerror}") from None


@contextmanager
def _away(states: tuple[str, ...]) -> Iterator[None]:
    """Turn every way in which a database can be absent into StoreAway; pass everything else on."""
    try:
        yield
    except DBAPIError as error:
        if not error.connection_invalidated and not _is_away(error.orig, states):
            raise
        cause = error.orig.__cause__ if error.orig is not None else None  # the driver's own, more telling class
        raise StoreAway(f"the database is away: {type(cause or error.orig).__name__}") from error
    except PoolTimeout:
        raise StoreAway("the database is away: no connection is free") from None
    except OSError as error:  # while connecting, or a time-out: the driver does not translate these
        raise StoreAway(f"the database is away: {type(error).__name__}") from None


def _is_away(error: BaseException | None, states: tuple[str, ...]) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _FULL_OR_BUSY
    state = getattr(error, "sqlstate", None)
    return bool(state) and str(state).startswith(states)
