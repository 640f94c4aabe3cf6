"""Upkeep: the sweeper that makes sure no row is forgotten.

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
from gateway.store.rows import Change
from gateway.usecases import receipts, record
from gateway.usecases.runtime import Runtime

RING_AGAIN_S = 10.0
LIMIT = 500  # rows of one kind in one sweep
CROWDED = 40  # jobs waiting or running in a lane: more than all that dead workers can have left
log = telemetry.log()


async def sweep(rt: Runtime) -> int:
    """Heal lapsed leases, end what has outlived its time, match kept receipts, ring for what is due; return rows."""
    now = rt.clock.now()
    rt.swept_at = rt.clock.monotonic()
    healed = await _claims(rt, now) + await _sendings(rt, now) + await _uncertain(rt, now)
    ended = await _outlived(rt, now) + await _escalate(rt, now)
    matched = await receipts.match_kept(rt)
    rung = await ring_due(rt, now)
    telemetry.sweeps.labels("done").inc()
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
    if rows:
        await rt.faults.at("after_heal_before_ring")
    await rt.doorbell.ring((row["id"], row["lane"]) for row in rows)
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
    alone = []  # where no second channel may say it too: only a text with escalate_after_s allows that
    for row in rows:
        content = contents[row["template_version"]]
        step = at_deadline(content.policy, fallback=content.escalate_after_s > 0)
        if step is Step.RETRY:
            changes.append(_change(row, State.UNCERTAIN, State.QUEUED, now, code="uncertain", due_at=now))
            continue
        changes.append(_change(row, State.UNCERTAIN, State.FAILED, now, code="unconfirmed"))
        alone += [row["id"]] if step is Step.STOP else []
    await record.apply(rt, changes, stop=alone, stop_code="unconfirmed")
    return len(rows)


async def _outlived(rt: Runtime, now: datetime) -> int:
    """End what waits in the queue beyond its notification's expiry (B-S7); fall-backs nobody needed end as such."""
    async with rt.db.read() as conn:
        rows = await deliveries.outlived(conn, now=now, limit=LIMIT)
    due = [
        _change(row, State.QUEUED, State.EXPIRED, now, code="expired") for row in rows if row["due_at"] or row["held"]
    ]
    waiting = [
        _change(row, State.QUEUED, State.SKIPPED, now, code="not_needed")
        for row in rows
        if not row["due_at"] and not row["held"]
    ]
    await _apply(rt, [*waiting, *due])
    return len(rows)


async def _escalate(rt: Runtime, now: datetime) -> int:
    """Let the next channel take over where nothing was reported in the time that the text allows."""
    async with rt.db.read() as conn:
        rows = await deliveries.escalating(conn, now=now, limit=LIMIT)
    if not rows:
        return 0
    async with rt.db.write() as conn:
        ours = await deliveries.escalated(conn, [row["id"] for row in rows], now=now)
        mine = [row for row in rows if row["id"] in ours]
        concerned = list({row["notification_id"] for row in mine})
        await notifications.lock(conn, concerned)
        family = await deliveries.siblings(conn, concerned)
        next_up = [next((one.id for one in group if one.standby), None) for group in family.values()]
        rung = await deliveries.promote(conn, [one for one in next_up if one is not None], now=now)
        await notifications.note(
            conn,
            [
                {"notification_id": row["notification_id"], "delivery_id": row["id"], "at": now}
                | {"event": "escalated", "code": None}
                for row in mine
            ],
        )
        await record.settle(rt, conn, family)
    await rt.doorbell.ring(rung)
    return len(mine)


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
        account=row.get("account", ""),
        event=event,
    )


async def _apply(rt: Runtime, changes: Sequence[Change]) -> None:
    if changes:
        await record.apply(rt, changes)


async def ring_due(rt: Runtime, now: datetime) -> int:
    """Ring for rows that have been due for a while and that no waiting job will find; return how many.

    While many jobs wait in a lane its rows are being worked on; ringing again would only make the queue longer. A few
    may be those of a worker that died: nothing waits for them.
    """
    rung = 0
    for lane in Lane:
        if (await rt.doorbell.depth(lane) or 0) > CROWDED:
            continue
        async with rt.db.read() as conn:
            rows = await deliveries.due(conn, lane.value, before=now - rt.policy.ring_grace, limit=LIMIT)
        rows = _not_lately(rt, rows)
        for client in dict.fromkeys(owner for _, owner in rows):
            await rt.doorbell.ring(((one, lane.value) for one, owner in rows if owner == client), client=client)
        rung += len(rows)
    return rung


def _not_lately(rt: Runtime, rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out what was rung for a moment ago: its job waits somewhere; and remember the others."""
    now = rt.clock.monotonic()
    for one in [one for one, at in rt.rung.items() if now - at > RING_AGAIN_S]:
        del rt.rung[one]
    fresh = [row for row in rows if row[0] not in rt.rung]
    rt.rung |= dict.fromkeys((row[0] for row in fresh), now)
    return fresh


async def due_now(rt: Runtime, lane: Lane, *, limit: int) -> list[str]:
    """Return due deliveries of a lane: what a worker polls while there is no doorbell."""
    async with rt.db.read() as conn:
        return [one for one, _ in await deliveries.due(conn, lane.value, before=rt.clock.now(), limit=limit)]


async def forget(rt: Runtime) -> int:
    """Delete idempotency keys that are past their time."""
    async with rt.db.write() as conn:
        return await notifications.forget_keys(conn, now=rt.clock.now())
