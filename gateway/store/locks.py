"""Lock whole notifications for a decision that looks at all their deliveries at once. SQLite has one writer anyway."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.tables import deliveries, notifications


async def whole(conn: AsyncConnection, found: Collection[str]) -> None:
    """Lock these notifications with their deliveries until the end of the transaction.

    In the engine's own order (deliveries, then notifications, each by id), so that two processes never wait for each
    other.
    """
    own, table = deliveries.c, notifications.c
    await conn.execute(select(own.id).where(own.notification_id.in_(found)).order_by(own.id).with_for_update())
    await conn.execute(select(table.id).where(table.id.in_(found)).order_by(table.id).with_for_update())
