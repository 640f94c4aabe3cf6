"""A backup taken while notifications are being accepted holds everything that was committed before it began.

The ways of docs/operations.md: SQLite's online backup, pg_dump. What is restored is opened with the key ring's copy.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy import select

from gateway.store.engine import Database
from gateway.store.keyring import KeyRing
from gateway.store.migrate import Standing, standing
from gateway.store.tables import subjects
from gateway.store.vault import Vault
from gateway.usecases import accept
from gateway.usecases.runtime import Runtime
from tests.support import databases
from tests.support.clock import ManualClock
from tests.support.runtime import CALLER, drain, open_runtime, posted, publish, put, report
from tests.support.servers import PostgresServer, postgres_server
from tests.support.waiting import wait_until


@contextlib.asynccontextmanager
async def posting(rt: Runtime) -> AsyncIterator[list[str]]:
    """Accept one notification after the other while the block runs; lend the ids of those committed so far."""
    committed: list[str] = []
    stop = asyncio.Event()

    async def post() -> None:
        while not stop.is_set():
            committed.append((await accept.accept(rt, CALLER, posted())).id)

    task = asyncio.create_task(post())
    await wait_until(lambda: len(committed) >= 20, 20)
    try:
        yield committed
    finally:
        stop.set()
        await task


async def proved(db: Database, ring: Path, clock: ManualClock, before: list[str]) -> None:
    """Open what was restored with a copy of the ring: nothing of ``before`` is missing, and it can be delivered."""
    assert await standing(db) is Standing.CURRENT
    vault = Vault(KeyRing.load(ring))
    async with db.read() as conn:
        for person in await conn.execute(select(subjects.c.subject, subjects.c.data_key_sealed)):
            vault.open_data_key(person.subject, person.data_key_sealed)
    async with open_runtime(db, vault, clock) as rt:
        for ident in before:
            found = await report(rt, accept.Accepted(ident, {}, repeated=False))
            assert found["state"] == "pending"
        assert await drain(rt) >= len(before)


def copied(source: Path, target: Path) -> None:
    """Copy a live SQLite file the way the document says."""
    with contextlib.closing(sqlite3.connect(source)) as live, contextlib.closing(sqlite3.connect(target)) as copy:
        live.backup(copy, pages=16)


async def test_sqlite_is_backed_up_while_it_is_written(
    sqlite_template: Path, tmp_path: Path, ring: KeyRing, clock: ManualClock
):
    """SQLite's online backup, page by page beside the writer."""
    url = databases.sqlite_copy(sqlite_template, tmp_path)
    db = await Database.open(url)
    async with open_runtime(db, Vault(ring), clock) as rt:
        await publish(rt)
        await put(rt)
        async with posting(rt) as committed:
            before = list(committed)
            await asyncio.to_thread(copied, Path(url.removeprefix("sqlite:///")), tmp_path / "restored.db")
    await db.close()
    await _apart(tmp_path, clock, f"sqlite:///{tmp_path / 'restored.db'}", before)


async def _apart(tmp_path: Path, clock: ManualClock, url: str, before: list[str]) -> None:
    """Restore with nothing but the backup and the copy of the ring that lies apart from it."""
    apart = tmp_path / "apart.json"
    shutil.copy2(tmp_path / "ring.json", apart)
    (tmp_path / "ring.json").unlink()
    db = await Database.open(url)
    try:
        await proved(db, apart, clock, before)
    finally:
        await db.close()


def dumped(server: PostgresServer, file: Path) -> None:
    """Dump a live database the way the document says."""
    command = [server.program("pg_dump"), "--format=custom", f"--file={file}", f"--dbname={server.url}"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def restored(server: PostgresServer, file: Path) -> str:
    """Restore a dump into a new database the way the document says, and return its URL."""
    target = databases.named(server.url, "restored")
    subprocess.run([server.program("createdb"), f"--maintenance-db={server.url}", "restored"], check=True, timeout=60)
    command = [server.program("pg_restore"), "--exit-on-error", f"--dbname={target}", str(file)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return target


async def test_postgresql_is_dumped_while_it_is_written(tmp_path: Path, ring: KeyRing, clock: ManualClock):
    """pg_dump and pg_restore, beside the writers."""
    with postgres_server() as server:
        await asyncio.to_thread(databases.run, databases._migrated(server.url))
        db = await Database.open(server.url)
        async with open_runtime(db, Vault(ring), clock) as rt:
            await publish(rt)
            await put(rt)
            async with posting(rt) as committed:
                before = list(committed)
                await asyncio.to_thread(dumped, server, tmp_path / "botengang.dump")
        await db.close()
        await _apart(tmp_path, clock, await asyncio.to_thread(restored, server, tmp_path / "botengang.dump"), before)
