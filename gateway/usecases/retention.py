"""Retention: delete what has outlived its period, in small batches, so that serving goes on.

Every batch is a transaction of its own: killed in the middle, the next run goes on where it stopped. Any number of
processes may purge at the same time. Bodies are never stored, so there are none to delete. Consents, audit, addresses
and suppressions have rules of their own and stay. A-14, Art. 5 (1) e DSGVO.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from channels.kit.contract import Confidentiality
from gateway import telemetry
from gateway.domain.callbacks import KEPT
from gateway.store import audit, events, retention, templates
from gateway.store.engine import Connection
from gateway.store.retention import Versions
from gateway.usecases.runtime import Runtime

BATCH = 200  # rows a transaction
PAUSE_S = 0.01  # between two batches: others get their turn at the one writer of SQLite
COUNTED = timedelta(days=32)  # longer than every window that limits are counted over
_HERE = ZoneInfo("Europe/Berlin")
log = telemetry.log()


async def purge(
    rt: Runtime,
    *,
    dry_run: bool = False,
    actor: str = "system:purge",
    batch: int = BATCH,
    stopping: Callable[[], bool] = lambda: False,
) -> Mapping[str, int]:
    """Delete what has outlived its period (``dry_run``: count it); return the rows by kind.

    stopping: asked between two batches; True ends the run early, and the next one goes on.
    """
    run = _Run(rt, rt.clock.now(), dry_run, batch, stopping)
    await run.all()
    if not dry_run and any(run.rows.values()):
        async with rt.db.write() as conn:
            await audit.append(
                conn, at=rt.clock.now(), actor=actor, verb="retention.purged", object="store", detail=run.rows
            )
        log.info("purge.done", **run.rows)
    return run.rows


@dataclass(slots=True)
class _Run:
    """One run at one moment: all periods are counted from ``now``."""

    rt: Runtime
    now: datetime
    dry_run: bool
    batch: int
    stopping: Callable[[], bool]
    rows: dict[str, int] = field(default_factory=dict)

    async def all(self) -> None:
        """Go through every kind; variables before the notifications that they belong to."""
        keep = self.rt.policy.retention
        early = await self._most_confidential()
        await self._variables("variables_k2", keep.variables_k2, Versions(early, among=True))
        await self._variables("variables", keep.variables, Versions(early, among=False))
        await self._rows("raw_webhooks", keep.raw_webhooks)
        await self._rows("inbound", keep.inbound)
        await self._rows("idempotency_keys", timedelta(0))  # each carries its own end
        await self._events(KEPT)
        await self._notifications(keep.metadata)
        await self._rows("receipts", keep.metadata)
        await self._rows("contacted", COUNTED)
        await self._rows("usage", COUNTED)

    async def _most_confidential(self) -> list[str]:
        """Return the versions whose variables go early."""
        async with self.rt.db.read() as conn:
            ids = [row.id for row in await templates.listing(conn)]
            contents = await self.rt.contents.of(conn, ids)
        return [one for one in ids if contents[one].klass >= Confidentiality.K2]

    async def _variables(self, kind: str, keep: timedelta, versions: Versions) -> None:
        before = self.now - keep

        async def step(conn: Connection, after: str) -> tuple[int, str | None]:
            return await retention.forget_variables(
                conn, before=before, versions=versions, after=after, limit=self.batch
            )

        async def count(conn: Connection) -> int:
            return await retention.count_variables(conn, before=before, versions=versions)

        await self._walk(kind, step, count)

    async def _notifications(self, keep: timedelta) -> None:
        before = self.now - keep

        async def step(conn: Connection, after: str) -> tuple[int, str | None]:
            return await retention.delete_notifications(conn, before=before, after=after, limit=self.batch)

        async def count(conn: Connection) -> int:
            return await retention.count_notifications(conn, before=before)

        await self._walk("notifications", step, count)

    async def _rows(self, kind: str, keep: timedelta) -> None:
        before = self.now - keep

        async def step(conn: Connection, _: str) -> tuple[int, str | None]:
            done = await retention.delete_rows(conn, kind, before=before, limit=self.batch)
            return done, "" if done else None

        async def count(conn: Connection) -> int:
            return await retention.count_rows(conn, kind, before=before)

        await self._walk(kind, step, count)

    async def _events(self, keep: timedelta) -> None:
        before = self.now - keep

        async def step(conn: Connection, _: str) -> tuple[int, str | None]:
            done = await events.forget(conn, before=before, limit=self.batch)
            return done, "" if done else None

        async def count(conn: Connection) -> int:
            return await retention.count_events(conn, before=before)

        await self._walk("events", step, count)

    async def _walk(
        self,
        kind: str,
        step: Callable[[Connection, str], Awaitable[tuple[int, str | None]]],
        count: Callable[[Connection], Awaitable[int]],
    ) -> None:
        """Count a kind, or take step after step until there is nothing left."""
        if self.dry_run:
            async with self.rt.db.read() as conn:
                self.rows[kind] = await count(conn)
            return
        self.rows[kind] = 0
        after: str | None = ""
        while after is not None and not self.stopping():
            async with self.rt.db.write() as conn:
                done, after = await step(conn, after)
            self.rows[kind] += done
            if after is not None:
                await asyncio.sleep(PAUSE_S)


def nightly(*, stopping: Callable[[], bool] = lambda: False) -> Callable[[Runtime], Awaitable[bool]]:
    """Return a verb that purges once a day, at the first look after the hour of the settings; call it now and then.

    A process that was down at night does it when it is up again. What it remembers is its own: a second process, or a
    restart, finds nothing left to delete. The verb returns whether it purged.
    """
    last: date | None = None

    async def look(rt: Runtime) -> bool:
        nonlocal last
        here = rt.clock.now().astimezone(_HERE)
        today = here.date() if here.hour >= rt.policy.retention.hour else here.date() - timedelta(days=1)
        if last is not None and last >= today:
            return False
        await purge(rt, stopping=stopping)
        last = today
        return True

    return look
