"""What is known of accounts: their circuits and pauses, what they have used of long windows, whom they wrote to.

Rows only: what a circuit or a window means is gateway.domain's. A function that reads in order to write locks what it
reads, so that processes take turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.circuit import Circuit, State, well
from gateway.domain.states import State as DeliveryState
from gateway.store.dialect import insert
from gateway.store.tables import account_states, contacted, deliveries, usage

_s, _u, _c, _d = account_states.c, usage.c, contacted.c, deliveries.c
_WAKE = 5_000  # rows in one statement


async def states(conn: AsyncConnection) -> dict[str, State]:
    """Return the state of every account that something is known of, by name."""
    return {row["name"]: _state(row) for row in (await conn.execute(select(account_states))).mappings()}


def _state(row: RowMapping) -> State:
    facts = {name: row[name] for name in State.__dataclass_fields__}
    return State(**(facts | {"circuit": Circuit(row["circuit"]), "code": row["code"] or ""}))


def _row(name: str, state: State) -> dict[str, Any]:
    return asdict(state) | {"name": name, "circuit": state.circuit.value, "code": state.code or None}


async def locked(conn: AsyncConnection, name: str, *, now: datetime) -> State:
    """Return the state of one account and keep others from changing it until the transaction ends."""
    fresh = insert(conn, account_states).values(_row(name, well(now)))
    statement = fresh.on_conflict_do_update(index_elements=[_s.name], set_={"name": fresh.excluded.name})
    return _state((await conn.execute(statement.returning(account_states))).mappings().one())


async def write(conn: AsyncConnection, name: str, state: State) -> None:
    """Write the state of an account that ``locked`` returned."""
    await conn.execute(update(account_states).where(_s.name == name).values(_row(name, state)))


async def counts(
    conn: AsyncConnection, account: str, kind: str, *, oldest: datetime, hour: datetime
) -> dict[datetime, int]:
    """Return what is counted by hour since ``oldest``, and keep others from counting until the transaction ends.

    At most as many rows as the window has hours, locked in order of hours, so that processes whose clocks differ wait
    for each other and never for ever.
    """
    found = await _counts(conn, account, kind, oldest=oldest, lock=True)
    if hour in found:
        return found
    row = {"account": account, "kind": kind, "hour": hour, "count": 0}
    fresh = insert(conn, usage).values(row)
    await conn.execute(
        fresh.on_conflict_do_update(index_elements=[_u.account, _u.kind, _u.hour], set_={"kind": fresh.excluded.kind})
    )
    return await _counts(conn, account, kind, oldest=oldest, lock=False)


async def peek(conn: AsyncConnection, account: str, kind: str, *, oldest: datetime) -> dict[datetime, int]:
    """Return what is counted by hour since ``oldest``, for looking only."""
    return await _counts(conn, account, kind, oldest=oldest, lock=False)


async def _counts(
    conn: AsyncConnection, account: str, kind: str, *, oldest: datetime, lock: bool
) -> dict[datetime, int]:
    statement = (
        select(_u.hour, _u.count).where(_u.account == account, _u.kind == kind, _u.hour >= oldest).order_by(_u.hour)
    )
    rows = await conn.execute(statement.with_for_update() if lock else statement)
    return {row[0]: row[1] for row in rows}


async def add(conn: AsyncConnection, account: str, kind: str, changes: Mapping[datetime, int]) -> None:
    """Add to the counts of these hours; a negative number takes away."""
    rows = [
        {"account": account, "kind": kind, "hour": hour, "count": count}
        for hour, count in sorted(changes.items())
        if count
    ]
    if rows:
        fresh = insert(conn, usage).values(rows)
        keys = [_u.account, _u.kind, _u.hour]
        await conn.execute(
            fresh.on_conflict_do_update(index_elements=keys, set_={"count": _u.count + fresh.excluded.count})
        )


async def last_contacts(conn: AsyncConnection, account: str, points: Sequence[str]) -> dict[str, datetime]:
    """Return when the account last wrote to these contact points, for those it has written to."""
    statement = select(_c.contact_point, _c.last_at).where(_c.account == account, _c.contact_point.in_(points))
    return {row[0]: row[1] for row in await conn.execute(statement)}


async def contact(conn: AsyncConnection, account: str, points: Sequence[str], *, at: datetime) -> None:
    """Note that the account writes to these contact points now."""
    if points:
        rows = [{"account": account, "contact_point": one, "last_at": at} for one in sorted(set(points))]
        fresh = insert(conn, contacted).values(rows)
        await conn.execute(
            fresh.on_conflict_do_update(
                index_elements=[_c.account, _c.contact_point], set_={"last_at": fresh.excluded.last_at}
            )
        )


async def forget(conn: AsyncConnection, *, before: datetime) -> int:
    """Delete contacts and counts that no window reaches any more; return how many."""
    done = [
        await conn.execute(delete(contacted).where(_c.last_at < before)),
        await conn.execute(delete(usage).where(_u.hour < before)),
    ]
    return sum(one.rowcount for one in done)


async def move(conn: AsyncConnection, moves: Sequence[tuple[str, int, str]]) -> set[str]:
    """Give claimed deliveries, as (id, token, account), to other accounts; return those whose claim still held."""
    moved: set[str] = set()
    for account in sorted({one[2] for one in moves}):
        mine = sorted((ident, token) for ident, token, to in moves if to == account)
        for ident, token in mine:
            statement = (
                update(deliveries)
                .where(_d.id == ident, _d.token == token, _d.state == DeliveryState.CLAIMED.value)
                .values(account=account)
                .returning(_d.id)
            )
            moved.update((await conn.execute(statement)).scalars())
    return moved


async def wake(conn: AsyncConnection, account: str, *, codes: Sequence[str], now: datetime) -> int:
    """Make due what waits in the queue for this account, for one of these reasons; return how many, at most 5,000."""
    waiting = (
        select(_d.id)
        .where(_d.state == DeliveryState.QUEUED.value, _d.account == account, _d.due_at > now, _d.code.in_(codes))
        .limit(_WAKE)
        .with_for_update(skip_locked=True)
    )
    done = await conn.execute(update(deliveries).where(_d.id.in_(waiting)).values(due_at=now))
    return done.rowcount
