"""Dead letters: failed deliveries of notifications that no channel has taken and nobody has closed.

Finding and locking them; what becomes of them is gateway.usecases.deadletters'.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.deadletters import Letter, Wanted
from gateway.domain.states import Outcome, State
from gateway.store.tables import clients, deliveries, notifications

_d, _n = deliveries.c, notifications.c
_UNTAKEN = (Outcome.FAILED.value, Outcome.EXPIRED.value)  # nothing is open, and nothing was taken


def _is_dead() -> ColumnElement[bool]:
    return (_d.state == State.FAILED.value) & _n.outcome.in_(_UNTAKEN) & _n.cancelled_at.is_(None)


def _matching(statement: Select[Any], wanted: Wanted) -> Select[Any]:
    """Join the notification and leave what is wanted."""
    statement = statement.join(notifications, _n.id == _d.notification_id).where(_is_dead())
    pairs = ((_d.client_id, wanted.client), (_d.account, wanted.account), (_d.channel, wanted.channel))
    for column, value in (*pairs, (_n.template_key, wanted.template)):
        if value is not None:
            statement = statement.where(column == value)
    for column, values in ((_d.id, wanted.ids), (_d.code, wanted.codes)):
        if values is not None:
            statement = statement.where(column.in_(sorted(values)))
    if wanted.since is not None:
        statement = statement.where(_d.changed_at >= wanted.since)
    return statement if wanted.until is None else statement.where(_d.changed_at < wanted.until)


async def listing(conn: AsyncConnection, wanted: Wanted, *, before: str | None, limit: int) -> list[Mapping[str, Any]]:
    """Return dead letters, newest first, older than the delivery id ``before``."""
    columns = (
        _d.id, _d.notification_id, _d.channel, _d.account, _d.code, _d.tries, _d.changed_at, _d.template_version,
        _n.template_key, _n.reference, _n.expires_at, _n.variables_sealed.is_(None).label("purged"),
        clients.c.name.label("client"),
    )  # fmt: skip
    statement = _matching(select(*columns).select_from(deliveries), wanted)
    statement = statement.outerjoin(clients, clients.c.id == _d.client_id)
    if before is not None:
        statement = statement.where(_d.id < before)
    statement = statement.order_by(_d.id.desc()).limit(limit)
    return [dict(row) for row in (await conn.execute(statement)).mappings()]


async def counts(conn: AsyncConnection, wanted: Wanted) -> dict[tuple[str, str], int]:
    """Return how many dead letters there are, by (account, code)."""
    statement = _matching(select(_d.account, _d.code, func.count()).select_from(deliveries), wanted)
    return {(row[0], row[1]): row[2] for row in await conn.execute(statement.group_by(_d.account, _d.code))}


async def notifications_of(conn: AsyncConnection, wanted: Wanted, *, after: str, limit: int) -> list[str]:
    """Return the notifications that have dead letters of this kind, in order of ids beyond ``after``."""
    statement = _matching(select(_d.notification_id).select_from(deliveries), wanted).where(_d.notification_id > after)
    statement = statement.distinct().order_by(_d.notification_id).limit(limit)
    return list((await conn.execute(statement)).scalars())


async def letters(conn: AsyncConnection, found: Collection[str], wanted: Wanted) -> dict[str, list[Letter]]:
    """Return the failed deliveries of these notifications as they are now, by notification and in order."""
    chosen = _matching(select(_d.id).select_from(deliveries), wanted).where(_d.notification_id.in_(found))
    mine = set((await conn.execute(chosen)).scalars())
    statement = (
        select(
            _d.id, _d.notification_id, _d.account, _d.lane, _d.code, _d.template_version, _n.expires_at,
            _is_dead().label("dead"), _n.variables_sealed.is_(None).label("purged"),
        )
        .join(notifications, _n.id == _d.notification_id)
        .where(_d.notification_id.in_(found), _d.state == State.FAILED.value)
        .order_by(_d.notification_id, _d.position)
    )  # fmt: skip
    by_notification: dict[str, list[Letter]] = {}
    for row in await conn.execute(statement):
        one = Letter(
            row.id, row.notification_id, row.account, row.lane, row.code or "", row.template_version, row.id in mine,
            row.dead, row.expires_at, row.purged,
        )  # fmt: skip
        by_notification.setdefault(one.notification_id, []).append(one)
    return by_notification


async def close(conn: AsyncConnection, found: Sequence[str], *, now: datetime) -> None:
    """Close these notifications: nothing of them is sent or shown as a dead letter any more. What failed stays so."""
    await conn.execute(update(notifications).where(_n.id.in_(found)).values(cancelled_at=now))
