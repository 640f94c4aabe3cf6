"""Held deliveries: queued, but their text was withdrawn; they wait for staff, and nothing behind them goes first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.states import State
from gateway.store.tables import deliveries, template_versions, timeline

_d, _v = deliveries.c, template_versions.c
CODE = "template_withdrawn"


async def hold(conn: AsyncConnection, versions: Sequence[str], *, now: datetime) -> int:
    """Hold every queued delivery of these versions, waiting fall-backs too, and note it; return how many.

    Locked in order of ids. A claimed one is held at the commit to sending, which reads the version's state again.
    """
    queued = (
        select(_d.id)
        .where(_d.template_version.in_(versions), _d.state == State.QUEUED.value, _d.held.is_(False))
        .order_by(_d.id)
        .with_for_update()
    )
    done = await conn.execute(
        update(deliveries)
        .where(_d.id.in_(queued), _d.state == State.QUEUED.value)
        .values(held=True, due_at=None, code=CODE, changed_at=now)
    )
    held = select(
        _d.notification_id, _d.id, literal(now, timeline.c.at.type), literal("held"), literal(CODE)
    ).where(_d.held, _d.template_version.in_(versions), _d.changed_at == now)  # fmt: skip
    columns = ["notification_id", "delivery_id", "at", "event", "code"]
    await conn.execute(insert(timeline).from_select(columns, held.order_by(_d.id)))
    return done.rowcount


async def by_version(conn: AsyncConnection) -> list[Mapping[str, Any]]:
    """Return what is held: version with its key, number and state, how many, since when, and when the first expires."""
    statement = (
        select(
            _v.id, _v.key, _v.number, _v.state, func.count().label("count"), func.min(_d.changed_at).label("since"),
            func.min(_d.expires_at).label("first_expires_at"),
        )
        .join(template_versions, _v.id == _d.template_version)
        .where(_d.held)
        .group_by(_v.id, _v.key, _v.number, _v.state)
        .order_by(_v.key, _v.number)
    )  # fmt: skip
    return [dict(row) for row in (await conn.execute(statement)).mappings()]


async def queued(conn: AsyncConnection, versions: Collection[str]) -> dict[str, int]:
    """Return how many deliveries wait in the queue, not held, by version."""
    statement = select(_d.template_version, func.count()).where(
        _d.template_version.in_(versions), _d.state == State.QUEUED.value, _d.held.is_(False)
    )
    return {row[0]: row[1] for row in await conn.execute(statement.group_by(_d.template_version))}


async def notifications_of(conn: AsyncConnection, versions: Sequence[str], *, after: str, limit: int) -> list[str]:
    """Return notifications with held deliveries of these versions, in order of ids beyond ``after``."""
    statement = (
        select(_d.notification_id)
        .where(_d.held, _d.template_version.in_(versions), _d.notification_id > after)
        .distinct()
        .order_by(_d.notification_id)
        .limit(limit)
    )
    return list((await conn.execute(statement)).scalars())


async def of(conn: AsyncConnection, found: Collection[str], versions: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the held deliveries of these notifications on these versions: id, notification_id, channel."""
    statement = (
        select(_d.id, _d.notification_id, _d.channel)
        .where(_d.notification_id.in_(found), _d.held, _d.template_version.in_(versions))
        .order_by(_d.id)
    )
    return [dict(row) for row in (await conn.execute(statement)).mappings()]


async def move(conn: AsyncConnection, ids: Sequence[str], *, version: str, now: datetime) -> None:
    """Put held deliveries on another version and let them wait for their turn again."""
    await conn.execute(
        update(deliveries)
        .where(_d.id.in_(ids), _d.held)
        .values(template_version=version, held=False, due_at=None, code=None, changed_at=now)
    )
