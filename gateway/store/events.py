"""What clients are told: rows written with the change they tell of, numbered after its commit, read in that order.

Numbers are given under a lock per client, from 1, without gaps: whoever has read up to a number has missed nothing,
because a row that commits late gets a later one. Posting them is gateway.store.callbacks'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.dialect import insert_new
from gateway.store.tables import callback_posts, endpoints, event_heads, events, notifications, subjects

_e = events.c
SLICE = 500  # rows a statement: below both databases' limit of bound values


async def append(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert events ({client_id, at, type, body}) in the caller's transaction; they are numbered later."""
    if rows:
        await conn.execute(insert(events), [dict(row) for row in rows])


async def unnumbered(conn: AsyncConnection) -> list[str]:
    """Return the clients that have events without a number."""
    return list((await conn.execute(select(_e.client_id).where(_e.seq.is_(None)).distinct())).scalars())


async def has_unnumbered(conn: AsyncConnection, client_id: str) -> bool:
    """Tell whether a client has events without a number."""
    statement = select(_e.id).where(_e.client_id == client_id, _e.seq.is_(None)).limit(1)
    return (await conn.execute(statement)).first() is not None


async def number(conn: AsyncConnection, client_id: str, *, limit: int) -> tuple[int, int]:
    """Give numbers to what this client's committed transactions have left; return (last before, last now).

    The lock is held until the caller commits, so numbers appear in their order.
    """
    await conn.execute(insert_new(conn, event_heads, [{"client_id": client_id, "seq": 0}], [event_heads.c.client_id]))
    mine = event_heads.c.client_id == client_id
    head: int = (await conn.execute(select(event_heads.c.seq).where(mine).with_for_update())).scalar_one()
    # A statement of its own, so that PostgreSQL looks again now that the lock is ours.
    waiting = (
        select(_e.id, func.row_number().over(order_by=_e.id).label("place"))
        .where(_e.client_id == client_id, _e.seq.is_(None))
        .order_by(_e.id)
        .limit(limit)
        .subquery()
    )
    given = update(events).where(_e.id == waiting.c.id).values(seq=head + waiting.c.place)
    last = head + (await conn.execute(given)).rowcount
    if last > head:
        await conn.execute(update(event_heads).where(mine).values(seq=last))
    return head, last


async def bounds(conn: AsyncConnection, client_id: str) -> tuple[int, int]:
    """Return (number of the oldest event kept, last number given); without any event the oldest is the next one."""
    head = (await conn.execute(select(event_heads.c.seq).where(event_heads.c.client_id == client_id))).scalar() or 0
    oldest = (await conn.execute(select(func.min(_e.seq)).where(_e.client_id == client_id))).scalar()
    return (head + 1 if oldest is None else oldest), head


async def after(conn: AsyncConnection, client_id: str, seq: int, *, limit: int) -> list[Mapping[str, Any]]:
    """Return a client's events with a number above ``seq``, in order."""
    statement = select(events).where(_e.client_id == client_id, _e.seq > seq).order_by(_e.seq).limit(limit)
    return [dict(row) for row in (await conn.execute(statement)).mappings()]


async def by_ids(conn: AsyncConnection, ids: Sequence[int]) -> list[Mapping[str, Any]]:
    """Return these events."""
    return [dict(row) for row in (await conn.execute(select(events).where(_e.id.in_(ids)))).mappings()]


async def recipients(conn: AsyncConnection, known: Sequence[str]) -> dict[str, str]:
    """Return the authority-wide ids of these subjects; erased ones are not among them."""
    if not known:
        return {}
    statement = select(subjects.c.subject, subjects.c.recipient).where(subjects.c.subject.in_(known))
    return {row.subject: row.recipient for row in await conn.execute(statement)}


async def clients_of(conn: AsyncConnection, known: Sequence[str]) -> list[tuple[str, str]]:
    """Return (client, subject) for every client that has notifications for these people."""
    statement = (
        select(notifications.c.client_id, notifications.c.subject)
        .where(notifications.c.subject.in_(known))
        .distinct()
        .order_by(notifications.c.client_id, notifications.c.subject)
    )
    return [(row.client_id, row.subject) for row in await conn.execute(statement)]


async def forget(conn: AsyncConnection, *, before: datetime, limit: int = SLICE) -> int:
    """Delete numbered events from before a moment, with their posts; return how many. The heads stay."""
    old = select(_e.id).where(_e.at < before, _e.seq.is_not(None)).order_by(_e.at).limit(limit)
    ids = list((await conn.execute(old)).scalars())
    if ids:
        places = select(endpoints.c.id)  # first in the key, so that the table is not read through for every batch
        await conn.execute(
            delete(callback_posts).where(callback_posts.c.endpoint_id.in_(places), callback_posts.c.event_id.in_(ids))
        )
        await conn.execute(delete(events).where(_e.id.in_(ids)))
    return len(ids)
