"""Read the gateway's tables from outside, for watching and for the audit; writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, func, select

from gateway.store.engine import Database
from gateway.store.tables import clients, deliveries, notifications, timeline

_d = deliveries.c
Claim = tuple[str, str, int]  # delivery, state, fencing token


@dataclass(slots=True)
class Row:
    """One notification with its deliveries and its timeline, oldest first."""

    id: str
    reference: str
    outcome: str
    deliveries: list[Mapping[str, Any]] = field(default_factory=list)
    events: list[Mapping[str, Any]] = field(default_factory=list)


async def claims(db: Database) -> set[Claim]:
    """Return what is claimed or being sent. Raises StoreAway."""
    wanted = deliveries.c.state.in_(("claimed", "sending"))
    async with db.read() as conn:
        rows = await conn.execute(select(deliveries.c.id, deliveries.c.state, deliveries.c.token).where(wanted))
        return {(row.id, row.state, row.token) for row in rows}


async def waiting(db: Database) -> int:
    """Return how many deliveries are due or in somebody's hands. Raises StoreAway."""
    return await _count(db, _d.state.in_(("queued", "claimed", "sending")) & _d.due_at.is_not(None))


async def unended(db: Database, reporting: frozenset[str]) -> int:
    """Return how many deliveries have not ended; on ``reporting`` channels a receipt is the end. Raises StoreAway."""
    open_ = _d.state.in_(("claimed", "sending", "uncertain")) | ((_d.state == "queued") & _d.due_at.is_not(None))
    return await _count(db, open_ | ((_d.state == "submitted") & _d.channel.in_(reporting)))


async def _count(db: Database, wanted: ColumnElement[bool]) -> int:
    async with db.read() as conn:
        return int((await conn.execute(select(func.count()).select_from(deliveries).where(wanted))).scalar_one())


async def pages(db: Database) -> int:
    """Return the pages of a SQLite file. Raises StoreAway."""
    async with db.read() as conn:
        return int((await conn.exec_driver_sql("PRAGMA page_count")).scalar_one())


async def all_rows(db: Database, client: str) -> dict[str, Row]:
    """Return all notifications of a client by id. Raises StoreAway."""
    async with db.read() as conn:
        owner = (await conn.execute(select(clients.c.id).where(clients.c.name == client))).scalar_one()
        mine = select(notifications.c.id, notifications.c.reference, notifications.c.outcome)
        heads = await conn.execute(mine.where(notifications.c.client_id == owner))
        found = {row.id: Row(row.id, row.reference or "", row.outcome) for row in heads}
        columns = (_d.id, _d.notification_id, _d.position, _d.channel, _d.state, _d.code, _d.tries)
        for row in (await conn.execute(select(*columns).order_by(_d.position))).mappings():
            if row["notification_id"] in found:
                found[row["notification_id"]].deliveries.append(dict(row))
        for row in (await conn.execute(select(timeline).order_by(timeline.c.id))).mappings():
            if row["notification_id"] in found:
                found[row["notification_id"]].events.append(dict(row))
    return found
