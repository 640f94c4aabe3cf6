"""What has outlived its retention: count it, and delete a batch of it.

Periods are gateway.usecases.retention's. A batch locks its rows and passes over those that somebody else holds, so any
number of processes may purge at once. Ledgers (consents, audit, suppressions) are never touched here. A-14.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Table, and_, delete, exists, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.states import OPEN, Outcome
from gateway.store.tables import (
    contacted,
    deliveries,
    events,
    idempotency_keys,
    inbound,
    notifications,
    raw_webhooks,
    receipts,
    usage,
)

_n = notifications.c
_TICK = timedelta(milliseconds=1)  # ids tell moments to the millisecond
_ENDED = tuple(one.value for one in Outcome if one not in {Outcome.PENDING, Outcome.UNCERTAIN})
# Rows that go as a whole when their time has come: by which column, and by what they are told apart.
ROWS: dict[str, tuple[Table, Column[Any]]] = {
    "raw_webhooks": (raw_webhooks, raw_webhooks.c.received_at),
    "inbound": (inbound, inbound.c.received_at),
    "receipts": (receipts, receipts.c.received_at),
    "idempotency_keys": (idempotency_keys, idempotency_keys.c.expires_at),
    "contacted": (contacted, contacted.c.last_at),
    "usage": (usage, usage.c.hour),
}


def first_id(at: datetime) -> str:
    """Return the smallest time-ordered id (UUIDv7) of this moment: ids of earlier moments sort before it."""
    return str(uuid.UUID(int=int(at.timestamp() * 1000) << 80))


def _over(before: datetime) -> ColumnElement[bool]:
    """Say in SQL whether a notification ended by ``before``: nothing of it is open, nothing changed since.

    The notification's own columns alone already exclude one that somebody requeues while we wait for its lock.
    """
    alive = exists().where(
        deliveries.c.notification_id == _n.id,
        or_(deliveries.c.state.in_(sorted(OPEN)), deliveries.c.changed_at > before),
    )
    return and_(
        _n.id < first_id(before + _TICK),
        _n.created_at <= before,
        _n.outcome.in_(_ENDED),
        ~alive.correlate(notifications),
    )


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions that a period is for: ``among`` the ids, or all but them."""

    ids: Sequence[str]
    among: bool


def _with_values(before: datetime, versions: Versions) -> ColumnElement[bool]:
    mine = _n.template_version.in_(versions.ids) if versions.among else _n.template_version.not_in(versions.ids)
    return and_(_n.variables_sealed.is_not(None), mine, _over(before))


async def count_variables(conn: AsyncConnection, *, before: datetime, versions: Versions) -> int:
    """Count notifications of these versions that ended by ``before`` and still have their variables."""
    return await _count(conn, select(func.count()).select_from(notifications).where(_with_values(before, versions)))


async def forget_variables(
    conn: AsyncConnection, *, before: datetime, versions: Versions, after: str, limit: int
) -> tuple[int, str | None]:
    """Take the variables of a batch of notifications beyond ``after`` away; return how many, and the last id.

    None: there are no more.
    """
    ids = await _batch(conn, _with_values(before, versions), after=after, limit=limit)
    if ids:
        await conn.execute(update(notifications).where(_n.id.in_(ids)).values(variables_sealed=None))
    return len(ids), ids[-1] if ids else None


async def count_notifications(conn: AsyncConnection, *, before: datetime) -> int:
    """Count notifications that ended by ``before``."""
    return await _count(conn, select(func.count()).select_from(notifications).where(_over(before)))


async def delete_notifications(
    conn: AsyncConnection, *, before: datetime, after: str, limit: int
) -> tuple[int, str | None]:
    """Delete a batch of notifications beyond ``after`` with deliveries, attempts and timeline; return as above."""
    ids = await _batch(conn, _over(before), after=after, limit=limit)
    if ids:
        await conn.execute(delete(notifications).where(_n.id.in_(ids)))
    return len(ids), ids[-1] if ids else None


async def _batch(conn: AsyncConnection, condition: ColumnElement[bool], *, after: str, limit: int) -> list[str]:
    statement = select(_n.id).where(condition, _n.id > after).order_by(_n.id).limit(limit)
    return list((await conn.execute(statement.with_for_update(skip_locked=True))).scalars())


async def count_rows(conn: AsyncConnection, kind: str, *, before: datetime) -> int:
    """Count rows of a kind (a key of ROWS) from ``before`` or earlier."""
    table, at = ROWS[kind]
    return await _count(conn, select(func.count()).select_from(table).where(at <= before))


async def count_events(conn: AsyncConnection, *, before: datetime) -> int:
    """Count what gateway.store.events.forget deletes."""
    old = select(func.count()).select_from(events).where(events.c.at < before, events.c.seq.is_not(None))
    return await _count(conn, old)


async def delete_rows(conn: AsyncConnection, kind: str, *, before: datetime, limit: int) -> int:
    """Delete a batch of rows of a kind (a key of ROWS), oldest first; return how many."""
    table, at = ROWS[kind]
    keys = list(table.primary_key.columns)
    old = select(*keys).where(at <= before).order_by(at).limit(limit).with_for_update(skip_locked=True)
    found = [tuple(row) for row in await conn.execute(old)]
    if found:
        await conn.execute(delete(table).where(tuple_(*keys).in_(found)))
    return len(found)


async def _count(conn: AsyncConnection, statement: Select[Any]) -> int:
    rows: int = (await conn.execute(statement)).scalar_one()
    return rows
