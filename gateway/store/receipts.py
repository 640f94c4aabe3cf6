"""Receipts and inbound messages as they came in: deduplicated, kept even if they match nothing yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.dialect import insert_new
from gateway.store.tables import deliveries, inbound, receipts


async def keep(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Insert receipts of one account; return the event ids that were new."""
    if not rows:
        return set()
    keys = [receipts.c.account, receipts.c.event_id]
    done = await conn.execute(insert_new(conn, receipts, rows, keys).returning(receipts.c.event_id))
    return set(done.scalars())


async def unmatched(conn: AsyncConnection, pairs: Sequence[tuple[str, str]]) -> list[Mapping[str, Any]]:
    """Return kept receipts that match nothing yet and speak of these (account, provider id)."""
    statement = (
        select(receipts)
        .where(receipts.c.delivery_id.is_(None), tuple_(receipts.c.account, receipts.c.provider_id).in_(pairs))
        .order_by(receipts.c.received_at)
    )
    return [dict(row) for row in (await conn.execute(statement)).mappings()]


async def assign(conn: AsyncConnection, account: str, matches: Mapping[str, str]) -> None:
    """Note which delivery each event (key) belongs to (value)."""
    for event, delivery in matches.items():
        await conn.execute(
            update(receipts)
            .where(receipts.c.account == account, receipts.c.event_id == event)
            .values(delivery_id=delivery)
        )


async def keep_inbound(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Insert what people wrote; return the event ids that were new."""
    if not rows:
        return set()
    keys = [inbound.c.account, inbound.c.event_id]
    done = await conn.execute(insert_new(conn, inbound, rows, keys).returning(inbound.c.event_id))
    return set(done.scalars())


async def matchable(conn: AsyncConnection, *, limit: int) -> list[Mapping[str, Any]]:
    """Return kept receipts that matched nothing when they came and would match a delivery now."""
    statement = (
        select(receipts)
        .join(
            deliveries,
            and_(deliveries.c.account == receipts.c.account, deliveries.c.provider_id == receipts.c.provider_id),
        )
        .where(receipts.c.delivery_id.is_(None), receipts.c.provider_id != "")
        .order_by(receipts.c.received_at)
        .limit(limit)
    )
    return [dict(row) for row in (await conn.execute(statement)).mappings()]
