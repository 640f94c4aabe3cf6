"""Counts over notifications and deliveries of one client: for progress displays and accounts of a whole run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.states import State
from gateway.store.tables import clients, deliveries, metadata, notifications


async def outcomes(conn: AsyncConnection, client_id: str) -> dict[str, int]:
    """Return how many notifications are in which outcome."""
    statement = (
        select(notifications.c.outcome, func.count())
        .where(notifications.c.client_id == client_id)
        .group_by(notifications.c.outcome)
    )
    return {row[0]: row[1] for row in await conn.execute(statement)}


async def by_channel(conn: AsyncConnection, client_id: str) -> list[tuple[str, str, str | None, int]]:
    """Return (channel, state, code, count) of a client's deliveries; a waiting fall-back's state is "standby"."""
    standby: ColumnElement[Any] = case(
        (and_(deliveries.c.state == State.QUEUED.value, deliveries.c.due_at.is_(None), ~deliveries.c.held), "standby"),
        else_=deliveries.c.state,
    )
    statement = (
        select(deliveries.c.channel, standby, deliveries.c.code, func.count())
        .join(notifications, notifications.c.id == deliveries.c.notification_id)
        .where(notifications.c.client_id == client_id)
        .group_by(deliveries.c.channel, standby, deliveries.c.code)
    )
    return [(row[0], row[1], row[2], row[3]) for row in await conn.execute(statement)]


async def skips(conn: AsyncConnection, client_id: str) -> dict[tuple[str, str], int]:
    """Return how often which channel was left out at planning, by (channel, reason)."""
    statement = select(notifications.c.skipped).where(notifications.c.client_id == client_id)
    found: dict[tuple[str, str], int] = {}
    for (skipped,) in await conn.execute(statement):
        for one in skipped:
            key = (one["channel"], one["reason"])
            found[key] = found.get(key, 0) + 1
    return found


async def provider_calls(conn: AsyncConnection, client_id: str) -> Mapping[str, int]:
    """Return, by channel, how many deliveries the provider took."""
    statement = (
        select(deliveries.c.channel, func.count())
        .join(notifications, notifications.c.id == deliveries.c.notification_id)
        .where(notifications.c.client_id == client_id, deliveries.c.provider_id.is_not(None))
        .group_by(deliveries.c.channel)
    )
    return {row[0]: row[1] for row in await conn.execute(statement)}


async def client_names(conn: AsyncConnection) -> set[str]:
    """Return the names of all clients."""
    return set((await conn.execute(select(clients.c.name))).scalars())


async def empty(conn: AsyncConnection) -> None:
    """Drop every table of ours: only for a database that belongs to the demonstration."""
    await conn.run_sync(metadata.drop_all)
    await conn.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")


async def is_empty(conn: AsyncConnection) -> bool:
    """Tell whether the database holds no table of ours."""
    return not await conn.run_sync(lambda sync: inspect(sync).has_table(clients.name))
