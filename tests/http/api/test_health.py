"""Health, and what callers are told while the store is away: come again, and nothing else."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from gateway.usecases import upkeep
from gateway.usecases.runtime import Runtime
from tests.http.conftest import BASE, MakeClient, notification, person, problem
from tests.support import databases
from tests.support.clock import ManualClock
from tests.support.waiting import wait_until

EVENT = b'[{"id": "e1", "fact": "delivered", "provider_id": "memory-1"}]'


class Cable:
    """The way to PostgreSQL: a link to its socket's folder that can be taken away."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._folder = Path(tempfile.mkdtemp(prefix="bg-"))
        self._socket = Path(url.partition("host=")[2])
        self._link = self._folder / "s"
        self._link.symlink_to(self._socket)
        self.url = url.replace(str(self._socket), str(self._link))

    async def cut(self) -> None:
        """End every connection that goes over it, and let none be made."""
        self._link.unlink()
        connection = await asyncpg.connect(self._url)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )
        await connection.close()

    def mend(self) -> None:
        """Let connections be made again."""
        self._link.symlink_to(self._socket)

    def remove(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self._folder)


@pytest.fixture
def cable(postgres_migrated: str) -> Iterator[Cable]:
    """Lend a way to a migrated PostgreSQL database without rows."""
    made = Cable(databases.postgres_emptied(postgres_migrated))
    yield made
    made.remove()


@pytest.fixture
def database_url(cable: Cable) -> str:
    """Return the database at the end of the cable, in place of the fixture for both kinds."""
    return cable.url


async def test_a_process_is_alive_and_ready(app: FastAPI):
    """Both routes answer 200 without a key."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as anybody:
        assert (await anybody.get("/livez")).json() == {"ok": True}
        ready = await anybody.get("/readyz")
        assert [(await anybody.head(path)).status_code for path in ("/livez", "/readyz")] == [200, 200]
        assert ready.status_code == 200
        checks = dict.fromkeys(("database", "schema", "queue", "backlog"), "ok")
        lanes = dict.fromkeys(("urgent", "normal", "bulk"), 0.0)
        assert ready.json() == {"ok": True, "checks": checks, "oldest_due_s": lanes}


async def test_a_hanging_sweeper_makes_a_process_dead(app: FastAPI, rt: Runtime, clock: ManualClock):
    """Trap 17: a process whose sweeper has not come round for minutes is not alive, whatever else still answers."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as anybody:
        await upkeep.sweep(rt)
        clock.advance(299)
        assert (await anybody.get("/livez")).status_code == 200
        clock.advance(2)
        problem(await anybody.get("/livez"), 503, "wedged")
        await upkeep.sweep(rt)
        assert (await anybody.get("/livez")).status_code == 200


async def test_while_the_store_is_away(make_client: MakeClient, cable: Cable, rt: Runtime):
    """503 with Retry-After everywhere, alive but not ready, and everything works again once the store is back."""
    client = await make_client()
    await client.put("/v1/recipients/P-1", json=person())
    await cable.cut()
    key = {"Idempotency-Key": "k1"}
    answers = [
        await client.post("/v1/notifications", json=notification(), headers=key),
        await client.get("/v1/notifications"),
        await client.post("/webhooks/memory", content=EVENT, headers={"X-Memory-Secret": "memory"}),
    ]
    for answer in answers:
        problem(answer, 503, "busy")
        assert int(answer.headers["retry-after"]) >= 1
    told = problem(await client.get("/readyz"), 503, "not_ready")
    assert told["checks"]["database"] != "ok"
    assert (await client.get("/livez")).status_code == 200
    cable.mend()

    async def accepted() -> bool:
        return (await client.post("/v1/notifications", json=notification(), headers=key)).status_code == 202

    assert await wait_until(accepted)
    assert rt.db.dialect == "postgresql"
