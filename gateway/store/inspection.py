"""Look at the database itself: version, size, clock, and whether what it commits survives a power cut.

It changes nothing and reads no row of ours. https://www.sqlite.org/pragma.html,
https://www.postgresql.org/docs/current/runtime-config-wal.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.engine import Database

_NORMAL = 1  # of SQLite's PRAGMA synchronous: the levels below FULL
_PG_WANTED = (
    ("fsync", ("on",)),
    ("full_page_writes", ("on",)),
    ("synchronous_commit", ("on", "local", "remote_write", "remote_apply")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """``weak``: settings with which a committed row may be lost. ``now``: the server's clock; None: it is ours."""

    version: str
    size_bytes: int
    weak: tuple[str, ...]
    now: datetime | None


async def inspect(db: Database) -> DatabaseFacts:
    """Return what there is to know. Raises StoreAway."""
    if db.dialect == "sqlite":
        async with db.write() as conn:  # the connection whose settings matter
            return await _sqlite(conn)
    async with db.write() as conn:
        return await _postgresql(conn)


async def _one(conn: AsyncConnection, statement: str) -> str:
    return str((await conn.execute(text(statement))).scalar_one())


async def _sqlite(conn: AsyncConnection) -> DatabaseFacts:
    weak = []
    if int(await _one(conn, "PRAGMA synchronous")) <= _NORMAL:
        weak.append("synchronous is below FULL")
    if await _one(conn, "PRAGMA journal_mode") != "wal":
        weak.append("journal_mode is not WAL")
    pages, page = await _one(conn, "PRAGMA page_count"), await _one(conn, "PRAGMA page_size")
    version = await _one(conn, "SELECT sqlite_version()")
    return DatabaseFacts(version=f"SQLite {version}", size_bytes=int(pages) * int(page), weak=tuple(weak), now=None)


async def _postgresql(conn: AsyncConnection) -> DatabaseFacts:
    weak = []
    for name, wanted in _PG_WANTED:
        value = await _one(conn, f"SHOW {name}")
        if value not in wanted:
            weak.append(f"{name} is {value}")
    now: datetime = (await conn.execute(text("SELECT clock_timestamp()"))).scalar_one()
    size = int(await _one(conn, "SELECT pg_database_size(current_database())"))
    version = (await _one(conn, "SHOW server_version")).split()[0]
    return DatabaseFacts(version=f"PostgreSQL {version}", size_bytes=size, weak=tuple(weak), now=now)
