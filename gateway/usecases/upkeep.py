"""Upkeep: the sweeper that makes sure no row is forgotten, and what readiness says.

Safe with any number of processes: every change is guarded by the state it expects, and the loser changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway import telemetry
from gateway.domain.model import Lane
from gateway.domain.retrying import Step, at_deadline
from gateway.domain.states import State
from gateway.store import deliveries, notifications
from gateway.store.engine import StoreAway
from gateway.store.rows import Change
from gateway.usecases import receipts, record
from gateway.usecases.runtime import Runtime

LIMIT = 500  # rows of one kind in one sweep
log = telemetry.log()


async def sweep(rt: Runtime) -> int:
    """Heal lapsed leases, end what has outlived its time, match kept receipts, ring for what is due; return rows."""
    now = rt.clock.now()
    healed = await _claims(rt, now) + await _sendings(rt, now) + await _uncertain(rt, now)
    ended = await _outlived(rt, now)
    matched = await receipts.match_kept(rt)
    rung = await ring_due(rt, now)
    if healed or ended or matched:
        log.info("sweep.done", healed=healed, ended=ended, matched=matched, rung=rung)
    return healed + ended + matched + rung


async def _lapsed(rt: Runtime, state: State, now: datetime) -> list[Mapping[str, Any]]:
    async with rt.db.read() as conn:
        return await deliveries.lapsed(conn, state, now=now, limit=LIMIT)


async def _claims(rt: Runtime, now: datetime) -> int:
    """Return lapsed claims to the queue: nothing was sent."""
    rows = await _lapsed(rt, State.CLAIMED, now)
    changes = [
        _change(row, State.CLAIMED, State.QUEUED, now, code="lease_lapsed", due_at=now, event="requeued")
        for row in rows
    ]
    await _apply(rt, changes)
    return len(rows)


async def _sendings(rt: Runtime, now: datetime) -> int:
    """Call lapsed sendings uncertain: the call may have been made, and nobody was left to record it."""
    rows = await _lapsed(rt, State.SENDING, now)
    deadline = now + rt.policy.uncertain
    changes = [
        _change(row, State.SENDING, State.UNCERTAIN, now, code="lease_lapsed", lease_until=deadline) for row in rows
    ]
    await _apply(rt, changes)
    return len(rows)


async def _uncertain(rt: Runtime, now: datetime) -> int:
    """End uncertain deliveries at their deadline, by the policy of their text."""
    rows = await _lapsed(rt, State.UNCERTAIN, now)
    if not rows:
        return 0
    async with rt.db.read() as conn:
        contents = await rt.contents.of(conn, {row["template_version"] for row in rows})
    changes = []
    for row in rows:
        if at_deadline(contents[row["template_version"]].policy, fallback=False) is Step.RETRY:
            changes.append(_change(row, State.UNCERTAIN, State.QUEUED, now, code="uncertain", due_at=now))
        else:
            changes.append(_change(row, State.UNCERTAIN, State.FAILED, now, code="unconfirmed"))
    await record.apply(
        rt, changes, stop=[one.id for one in changes if one.new is State.FAILED], stop_code="unconfirmed"
    )
    return len(rows)


async def _outlived(rt: Runtime, now: datetime) -> int:
    """End what waits in the queue beyond its notification's expiry (B-S7); fall-backs nobody needed end as such."""
    async with rt.db.read() as conn:
        rows = await deliveries.outlived(conn, now=now, limit=LIMIT)
    due = [_change(row, State.QUEUED, State.EXPIRED, now, code="expired") for row in rows if row["due_at"] is not None]
    waiting = [_change(row, State.QUEUED, State.SKIPPED, now, code="not_needed") for row in rows if not row["due_at"]]
    await _apply(rt, [*waiting, *due])
    return len(rows)


def _change(
    row: Mapping[str, Any],
    old: State,
    new: State,
    at: datetime,
    *,
    code: str,
    due_at: datetime | None = None,
    lease_until: datetime | None = None,
    event: str = "",
) -> Change:
    return Change(
        id=row["id"],
        notification_id=row["notification_id"],
        old=old,
        new=new,
        at=at,
        code=code,
        due_at=due_at,
        lease_until=lease_until,
        token=row.get("token"),
        event=event,
    )


async def _apply(rt: Runtime, changes: Sequence[Change]) -> None:
    if changes:
        await record.apply(rt, changes)


async def ring_due(rt: Runtime, now: datetime) -> int:
    """Ring for rows that have been due for a while and that no waiting job will find; return how many.

    While jobs wait in a lane its rows are being worked on, and ringing again would only make the queue longer: rows
    get more time then. Not for ever: the job of a killed worker waits there for minutes, and retries have no job.
    """
    rung = 0
    for lane in Lane:
        grace = rt.policy.ring_again if await rt.doorbell.depth(lane) else rt.policy.ring_grace
        async with rt.db.read() as conn:
            ids = await deliveries.due(conn, lane.value, before=now - grace, limit=LIMIT)
        await rt.doorbell.ring((one, lane.value) for one in ids)
        rung += len(ids)
    return rung


async def due_now(rt: Runtime, lane: Lane, *, limit: int) -> list[str]:
    """Return due deliveries of a lane: what a worker polls while there is no doorbell."""
    async with rt.db.read() as conn:
        return await deliveries.due(conn, lane.value, before=rt.clock.now(), limit=limit)


async def forget(rt: Runtime) -> int:
    """Delete idempotency keys that are past their time."""
    async with rt.db.write() as conn:
        return await notifications.forget_keys(conn, now=rt.clock.now())


async def readiness(rt: Runtime) -> Mapping[str, Any]:
    """Tell whether this process can do its work: {"ok", "checks": {"database", "queue"}}."""
    checks = {"database": "ok", "queue": "ok"}
    try:
        await rt.db.ping()
    except StoreAway:
        checks["database"] = "away; requests are answered 503 until it is back"
    if not await rt.doorbell.ping():
        checks["queue"] = "away; deliveries are found by polling, slower"
    return {"ok": checks["database"] == "ok", "checks": checks}
