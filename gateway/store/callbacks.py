"""Endpoints of clients, and the posts that are due to them: made with an event's number, claimed with a lease.

A post is finished only by whoever holds its lease. Secrets arrive and leave sealed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store import dialect
from gateway.store.columns import Instant
from gateway.store.tables import callback_posts, clients, endpoints, events

_p = callback_posts.c
QUEUED, DONE, GIVEN_UP = "queued", "done", "given_up"
# Written out, not bound: only then does a partial index fit.
_QUEUED: ColumnElement[bool] = _p.state == literal_column(f"'{QUEUED}'")
_GIVEN_UP: ColumnElement[bool] = _p.state == literal_column(f"'{GIVEN_UP}'")
_COLUMNS = ["endpoint_id", "event_id", "state", "due_at", "tries", "queued_at", "changed_at"]


async def add_endpoint(conn: AsyncConnection, row: Mapping[str, Any]) -> None:
    """Insert an endpoint."""
    await conn.execute(insert(endpoints).values(dict(row)))


async def endpoint(conn: AsyncConnection, ident: str, *, lock: bool = False) -> Mapping[str, Any] | None:
    """Return one endpoint. ``lock``: nobody else changes it until the end of the transaction."""
    statement = select(endpoints).where(endpoints.c.id == ident)
    if lock:
        statement = statement.with_for_update(key_share=True)  # numbering goes on, which only needs it to stay
    row = (await conn.execute(statement)).mappings().one_or_none()
    return dict(row) if row else None


async def endpoints_of(conn: AsyncConnection, client_id: str | None = None) -> list[Mapping[str, Any]]:
    """Return a client's endpoints (None: everybody's) with the client's name, oldest first."""
    statement = select(endpoints, clients.c.name.label("client")).outerjoin(
        clients, clients.c.id == endpoints.c.client_id
    )
    if client_id is not None:
        statement = statement.where(endpoints.c.client_id == client_id)
    return [dict(row) for row in (await conn.execute(statement.order_by(endpoints.c.id))).mappings()]


async def tallies(conn: AsyncConnection, ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return (waiting, given up) posts of these endpoints."""
    found = dict.fromkeys(ids, (0, 0))
    for place, condition in enumerate((_QUEUED, _GIVEN_UP)):
        statement = (
            select(_p.endpoint_id, func.count()).where(condition, _p.endpoint_id.in_(ids)).group_by(_p.endpoint_id)
        )
        for ident, count in await conn.execute(statement):
            waiting, given_up = found[ident]
            found[ident] = (count, given_up) if place == 0 else (waiting, count)
    return found


async def change_endpoint(conn: AsyncConnection, ident: str, **columns: Any) -> None:
    """Write some columns of an endpoint."""
    await conn.execute(update(endpoints).where(endpoints.c.id == ident).values(**columns))


async def drop_endpoint(conn: AsyncConnection, ident: str) -> None:
    """Delete an endpoint with its posts."""
    await conn.execute(delete(endpoints).where(endpoints.c.id == ident))


def _posts(endpoint_id: str, types: Sequence[str], now: datetime, *which: ColumnElement[bool]) -> Select[Any]:
    moment = literal(now, Instant())
    chosen = select(
        literal(endpoint_id), events.c.id, literal(QUEUED), moment, literal(0), moment, moment
    ).where(events.c.seq.is_not(None), *which)  # fmt: skip
    return chosen.where(events.c.type.in_(types)) if types else chosen


async def queue_numbered(conn: AsyncConnection, client_id: str, *, above: int, up_to: int, now: datetime) -> None:
    """Queue posts of events that have just been numbered, for every endpoint of the client that wants them."""
    mine = (
        select(endpoints.c.id, endpoints.c.types)
        .where(endpoints.c.client_id == client_id, endpoints.c.disabled_at.is_(None))
        .order_by(endpoints.c.id)
        .with_for_update(read=True, key_share=True)  # so that none is deleted in between
    )
    for ident, types in (await conn.execute(mine)).all():
        chosen = _posts(ident, types, now, events.c.client_id == client_id, events.c.seq.between(above + 1, up_to))
        await conn.execute(insert(callback_posts).from_select(_COLUMNS, chosen))


async def replay(
    conn: AsyncConnection, row: Mapping[str, Any], *, after: int | None, since: datetime | None, now: datetime
) -> int:
    """Queue an endpoint's posts anew, whatever became of them, from a number or a moment on; return how many."""
    which = [events.c.client_id == row["client_id"]]
    if after is not None:
        which.append(events.c.seq > after)
    if since is not None:
        which.append(events.c.at >= since)
    chosen = _posts(row["id"], row["types"], now, *which)
    statement = dialect.insert(conn, callback_posts).from_select(_COLUMNS, chosen)
    again = {"state": QUEUED, "due_at": now, "lease_until": null(), "tries": 0, "queued_at": now, "changed_at": now}
    done = await conn.execute(statement.on_conflict_do_update(index_elements=[_p.endpoint_id, _p.event_id], set_=again))
    return done.rowcount


def _claimable(now: datetime) -> ColumnElement[bool]:
    return and_(_QUEUED, _p.due_at <= now, or_(_p.lease_until.is_(None), _p.lease_until <= now))


async def due_endpoints(conn: AsyncConnection, *, now: datetime) -> list[str]:
    """Return the endpoints that something is due to and nobody is posting, a few rows' work for each endpoint."""
    waiting = exists().where(_p.endpoint_id == endpoints.c.id, _claimable(now))
    statement = select(endpoints.c.id).where(endpoints.c.disabled_at.is_(None), waiting).order_by(endpoints.c.id)
    return list((await conn.execute(statement)).scalars())


async def claim(
    conn: AsyncConnection, endpoint_id: str, *, now: datetime, lease_until: datetime, limit: int
) -> list[Mapping[str, Any]]:
    """Take due posts of an endpoint for us, the longest due first: {event_id, tries, queued_at}. Others skip them."""
    chosen = (
        select(_p.endpoint_id, _p.event_id)
        .where(_p.endpoint_id == endpoint_id, _claimable(now))
        .order_by(_p.due_at, _p.event_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(callback_posts)
        .where(tuple_(_p.endpoint_id, _p.event_id).in_(chosen))
        .values(lease_until=lease_until)
        .returning(_p.event_id, _p.tries, _p.queued_at)
    )
    return [dict(row) for row in (await conn.execute(statement)).mappings()]


async def finish(
    conn: AsyncConnection, endpoint_id: str, rows: Sequence[Mapping[str, Any]], *, lease: datetime, now: datetime
) -> None:
    """Write what came of posts ({event_id, state, due_at, status}), where the lease is still the one we took."""
    if rows:
        await conn.execute(
            update(callback_posts)
            .where(_p.endpoint_id == endpoint_id, _p.event_id == bindparam("of"), _p.lease_until == lease)
            .values(
                state=bindparam("to"), due_at=bindparam("due"), status=bindparam("answer"), lease_until=None,
                tries=_p.tries + 1, changed_at=now,
            ),
            [{"of": row["event_id"], "to": row["state"], "due": row["due_at"], "answer": row["status"]}
             for row in rows],
        )  # fmt: skip


async def give_up(conn: AsyncConnection, endpoint_id: str, *, now: datetime) -> None:
    """End everything that waits for an endpoint."""
    await conn.execute(
        update(callback_posts)
        .where(_p.endpoint_id == endpoint_id, _QUEUED)
        .values(state=GIVEN_UP, due_at=None, lease_until=None, changed_at=now)
    )
