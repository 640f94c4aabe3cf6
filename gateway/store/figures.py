"""What is waiting, stuck or resting right now, read at a cost that does not grow with the tables.

Every statement goes over a partial index and counts no further than its cap. What the figures mean is for
gateway.usecases.seeing and docs/operations.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.tables import account_states, callback_posts, deliveries, notifications, subjects, template_versions

_d = deliveries.c
# Written out, not bound: a partial index is used only where the database sees that its condition holds.
_QUEUED = text("state = 'queued'")
_RUNNING = text("state IN ('claimed', 'sending', 'uncertain')")
_FAILED = text("state = 'failed'")


async def oldest_due(conn: AsyncConnection, lane: str, *, now: datetime) -> datetime | None:
    """Return since when a lane's oldest due delivery waits to be claimed, None if none does."""
    statement = select(_d.due_at).where(_d.lane == lane, _QUEUED, _d.due_at <= now).order_by(_d.due_at).limit(1)
    found: datetime | None = (await conn.execute(statement)).scalar_one_or_none()
    return found


async def count_due(conn: AsyncConnection, lane: str, *, now: datetime, cap: int) -> int:
    """Count a lane's due deliveries, up to ``cap``."""
    return await _count(conn, _d.lane == lane, _QUEUED, _d.due_at <= now, cap=cap)


async def running(conn: AsyncConnection, *, cap: int) -> dict[str, int]:
    """Return how many deliveries are claimed, sending or uncertain, looking at ``cap`` rows at most."""
    part = select(_d.state).where(_RUNNING).limit(cap).subquery()
    statement = select(part.c.state, func.count()).group_by(part.c.state)
    return {row[0]: row[1] for row in await conn.execute(statement)}


async def lapsed(conn: AsyncConnection, *, before: datetime, cap: int) -> int:
    """Count claims and sendings whose lease ran out before that and that nobody has healed."""
    return await _count(conn, _RUNNING, _d.state != "uncertain", _d.lease_until < before, cap=cap)


async def held(conn: AsyncConnection, *, cap: int) -> int:
    """Count deliveries that wait for staff."""
    return await _count(conn, text("held"), cap=cap)


async def failed(conn: AsyncConnection, account: str, *, since: datetime, cap: int) -> int:
    """Count an account's dead letters since then, as gateway.store.deadletters has them, among ``cap`` failures."""
    part = (
        select(_d.notification_id).where(_d.account == account, _FAILED, _d.changed_at >= since).limit(cap).subquery()
    )
    statement = (
        select(func.count())
        .select_from(part.join(notifications, notifications.c.id == part.c.notification_id))
        .where(notifications.c.outcome.in_(("failed", "expired")), notifications.c.cancelled_at.is_(None))
    )
    counted: int = (await conn.execute(statement)).scalar_one()
    return counted


async def _count(conn: AsyncConnection, *conditions: ColumnElement[bool] | Any, cap: int) -> int:
    part = select(_d.id).where(*conditions).limit(cap).subquery()
    counted: int = (await conn.execute(select(func.count()).select_from(part))).scalar_one()
    return counted


async def circuits(conn: AsyncConnection) -> dict[str, Mapping[str, Any]]:
    """Return circuit, code, paused and probe_at of the accounts that have a row; the others are well."""
    columns = ("circuit", "code", "paused", "probe_at")
    statement = select(account_states.c.name, *(account_states.c[name] for name in columns))
    return {row.name: {name: getattr(row, name) for name in columns} for row in await conn.execute(statement)}


async def oldest_callback(conn: AsyncConnection, *, now: datetime) -> datetime | None:
    """Return since when the oldest due callback waits, None if none does."""
    posts = callback_posts.c
    statement = select(posts.due_at).where(_QUEUED, posts.due_at <= now).order_by(posts.due_at).limit(1)
    found: datetime | None = (await conn.execute(statement)).scalar_one_or_none()
    return found


async def a_sealed_row(conn: AsyncConnection) -> tuple[str, bytes] | None:
    """Return (subject, sealed data key) of one person, to see whether the key ring fits; None where nobody is known."""
    statement = select(subjects.c.subject, subjects.c.data_key_sealed).order_by(subjects.c.subject.desc()).limit(1)
    row = (await conn.execute(statement)).one_or_none()
    return None if row is None else (row.subject, row.data_key_sealed)


async def texts_by_state(conn: AsyncConnection) -> dict[str, int]:
    """Return how many template versions are in which state; there are few of them."""
    statement = select(template_versions.c.state, func.count()).group_by(template_versions.c.state)
    return {row[0]: row[1] for row in await conn.execute(statement)}
