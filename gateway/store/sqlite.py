"""The two SQLite engines: several reading connections and the one that writes.

It decides nothing about transactions beyond how they begin; gateway.store.engine lends the connections.
https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html
"""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

BUSY_MS = 5_000  # how long to wait for another process, such as a command line verb
EVERY = (
    f"PRAGMA busy_timeout = {BUSY_MS}",  # first: the next line may have to wait
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # what was accepted survives a power cut
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",  # nothing of ours in temporary files
    "PRAGMA cache_size = -16384",
    "PRAGMA journal_size_limit = 67108864",
)


logging.getLogger("aiosqlite").setLevel(logging.WARNING)  # at DEBUG it repeats every statement with its values


def engines(url: URL, *, pool: int, max_pages: int | None = None) -> tuple[AsyncEngine, AsyncEngine]:
    """Return (reader, writer). The reader's transactions are snapshots and refuse to write.

    max_pages: after which the file is full (https://www.sqlite.org/pragma.html#pragma_max_page_count).
    """
    limit = () if max_pages is None else (f"PRAGMA max_page_count = {max_pages}",)
    reader = _engine(url, pool=pool, begin="BEGIN", pragmas=(*EVERY, "PRAGMA query_only = ON"))
    writer = _engine(url, pool=1, begin="BEGIN IMMEDIATE", pragmas=(*EVERY, *limit))
    return reader, writer


def _engine(url: URL, *, pool: int, begin: str, pragmas: tuple[str, ...]) -> AsyncEngine:
    engine = create_async_engine(url, pool_size=pool, max_overflow=0, pool_timeout=30, hide_parameters=True)

    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", prepare)
    event.listen(engine.sync_engine, "begin", start)
    return engine
