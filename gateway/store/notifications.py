"""Notifications, their idempotency keys and timelines: persisting a group at once, and reading one or many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.states import Outcome
from gateway.store.dialect import insert_new
from gateway.store.rows import Turned
from gateway.store.tables import attempts, deliveries, idempotency_keys, notifications, subjects, timeline

SLICE = 500  # rows a statement: below both databases' limit of bound values


async def earlier_answers(
    conn: AsyncConnection, keys: Sequence[tuple[str, str]], *, now: datetime
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return what was answered under these (client, idempotency key) and is not forgotten yet."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for start in range(0, len(keys), SLICE):
        statement = select(idempotency_keys).where(
            tuple_(idempotency_keys.c.client_id, idempotency_keys.c.key).in_(keys[start : start + SLICE]),
            idempotency_keys.c.expires_at > now,
        )
        for row in (await conn.execute(statement)).mappings():
            found[row["client_id"], row["key"]] = dict(row)
    return found


async def claim_keys(
    conn: AsyncConnection, rows: Sequence[Mapping[str, Any]], *, now: datetime
) -> set[tuple[str, str]]:
    """Insert idempotency keys; return those that are ours now. The others belong to a request that was faster.

    In order of keys: two processes that were given the same batch in another order must not wait for each other.
    """
    ours: set[tuple[str, str]] = set()
    ordered = sorted(rows, key=lambda row: (row["client_id"], row["key"]))
    for start in range(0, len(ordered), SLICE):
        part = ordered[start : start + SLICE]
        pairs = [(row["client_id"], row["key"]) for row in part]
        await conn.execute(
            delete(idempotency_keys).where(
                tuple_(idempotency_keys.c.client_id, idempotency_keys.c.key).in_(pairs),
                idempotency_keys.c.expires_at <= now,
            )
        )
        columns = [idempotency_keys.c.client_id, idempotency_keys.c.key]
        done = await conn.execute(insert_new(conn, idempotency_keys, part, columns).returning(*columns))
        ours.update((row.client_id, row.key) for row in done)
    return ours


async def insert_group(
    conn: AsyncConnection,
    rows: Sequence[Mapping[str, Any]],
    planned: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
) -> None:
    """Insert notifications with their deliveries and first timeline entries."""
    for table, group in ((notifications, rows), (deliveries, planned), (timeline, events)):
        if group:
            await conn.execute(insert(table), [dict(row) for row in group])


async def one(conn: AsyncConnection, notification: str) -> Mapping[str, Any] | None:
    """Return a notification with its recipient's id (None after erasure)."""
    statement = (
        select(notifications, subjects.c.recipient)
        .outerjoin(subjects, subjects.c.subject == notifications.c.subject)
        .where(notifications.c.id == notification)
    )
    row = (await conn.execute(statement)).mappings().one_or_none()
    return dict(row) if row else None


async def parts(
    conn: AsyncConnection, notification: str
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return the deliveries, attempts and timeline of one notification, each in order."""
    statements = (
        select(deliveries).where(deliveries.c.notification_id == notification).order_by(deliveries.c.position),
        select(attempts)
        .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
        .where(deliveries.c.notification_id == notification)
        .order_by(attempts.c.id),
        select(timeline).where(timeline.c.notification_id == notification).order_by(timeline.c.id),
    )
    rows: list[list[Mapping[str, Any]]] = [
        [dict(row) for row in (await conn.execute(statement)).mappings()] for statement in statements
    ]
    return rows[0], rows[1], rows[2]


async def listing(
    conn: AsyncConnection,
    client_id: str,
    *,
    reference: str | None,
    outcome: str | None,
    template: str | None,
    before: str | None,
    limit: int,
) -> list[Mapping[str, Any]]:
    """Return a client's notifications, newest first, older than the id ``before``."""
    table = notifications.c
    statement = select(table.id, table.outcome, table.template_key, table.reference, table.created_at).where(
        table.client_id == client_id
    )
    for column, value in ((table.reference, reference), (table.outcome, outcome), (table.template_key, template)):
        if value is not None:
            statement = statement.where(column == value)
    if before is not None:
        statement = statement.where(table.id < before)
    statement = statement.order_by(table.id.desc()).limit(limit)
    return [dict(row) for row in (await conn.execute(statement)).mappings()]


async def cancel(conn: AsyncConnection, notification: str, *, now: datetime) -> bool:
    """Mark a notification as cancelled; False if it was already."""
    statement = (
        update(notifications)
        .where(notifications.c.id == notification, notifications.c.cancelled_at.is_(None))
        .values(cancelled_at=now)
        .returning(notifications.c.id)
    )
    return (await conn.execute(statement)).first() is not None


async def set_outcomes(conn: AsyncConnection, outcomes: Mapping[str, Outcome]) -> list[Turned]:
    """Write the derived outcomes; return those that changed.

    Rows are locked in order of ids, so that two processes never wait for each other.
    """
    turned: list[Turned] = []
    table = notifications.c
    ids = sorted(outcomes)
    for start in range(0, len(ids), SLICE):
        statement = (
            select(table.id, table.client_id, table.reference, table.simulate, table.outcome)
            .where(table.id.in_(ids[start : start + SLICE]))
            .order_by(table.id)
            .with_for_update()
        )
        for row in await conn.execute(statement):
            old, new = Outcome(row.outcome), outcomes[row.id]
            if old is not new:
                turned.append(Turned(row.id, row.client_id, row.reference, row.simulate is not None, old, new))
    if turned:
        await conn.execute(
            update(notifications).where(table.id == bindparam("of")).values(outcome=bindparam("to")),
            [{"of": one.id, "to": one.new.value} for one in turned],
        )
    return turned


async def note(conn: AsyncConnection, events: Sequence[Mapping[str, Any]]) -> None:
    """Append timeline entries."""
    if events:
        await conn.execute(insert(timeline), [dict(event) for event in events])


async def forget_keys(conn: AsyncConnection, *, now: datetime) -> int:
    """Delete idempotency keys that are past their time; return how many."""
    done = await conn.execute(delete(idempotency_keys).where(idempotency_keys.c.expires_at <= now))
    return done.rowcount


async def lock(conn: AsyncConnection, ids: Sequence[str]) -> None:
    """Let nobody else derive these notifications' outcomes until we commit; their deliveries are read after this."""
    statement = select(notifications.c.id).where(notifications.c.id.in_(ids)).order_by(notifications.c.id)
    if ids and conn.dialect.name == "postgresql":
        await conn.execute(statement.with_for_update())
