"""Record what came of provider calls: attempts, new states, fall-backs, suppression, the notification's outcome.

Every group is one transaction. Changes are guarded by state and fencing token, so that a receipt which was faster, or
another process that took over, is never overwritten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from channels.kit.errors import ChannelError
from gateway import telemetry
from gateway.domain.retrying import Step, next_try, verdict
from gateway.domain.states import ENDS, State, derive
from gateway.store import deliveries, notifications, people
from gateway.store.engine import Connection, StoreAway
from gateway.store.rows import Change, Sibling, Work
from gateway.usecases import events, health, recipients
from gateway.usecases.runtime import Runtime

if TYPE_CHECKING:
    from gateway.usecases.deliver import Called

SOON_S = 5.0
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # before offering a record again: a restarted database is back by then
log = telemetry.log()


async def called(rt: Runtime, calls: Sequence[Called]) -> None:
    """Write a group of finished calls, and ring for the fall-backs that it made due. Raises StoreAway.

    An absent store is waited for: what is known now would otherwise be called uncertain for ever.
    """
    rung: list[tuple[str, str]] = []
    for pause_s in (*PAUSES_S, None):
        try:
            rung = await _write(rt, calls)
            break
        except StoreAway:
            if pause_s is None:
                raise
            log.warning("recording.delayed", count=len(calls))
        await asyncio.sleep(pause_s)
        calls = await _unwritten(rt, calls)
    _count(calls)
    await rt.faults.at("after_record_before_ring")
    await rt.doorbell.ring(rung)


async def _unwritten(rt: Runtime, calls: Sequence[Called]) -> Sequence[Called]:
    """Leave out what was written after all, where the connection broke at the commit."""
    try:
        async with rt.db.read() as conn:
            running = await deliveries.running(conn, [(one.work.id, one.work.token) for one in calls])
    except StoreAway:
        return calls
    return [one for one in calls if one.work.id in running]


async def _write(rt: Runtime, calls: Sequence[Called]) -> list[tuple[str, str]]:
    """Write the group in one transaction; return what to ring for."""
    if not calls:
        return []
    changes = [_after(rt, one) for one in calls]
    taken = [one for one in changes if one.new is State.SUBMITTED]
    others = [one for one in changes if one.new is not State.SUBMITTED]
    async with rt.db.write() as conn:
        await deliveries.insert_attempts(conn, [_attempt(one) for one in calls])
        await deliveries.submitted(conn, taken)
        applied = await deliveries.change(conn, others)
        await _consequences(rt, conn, [one for one in calls if one.work.id in applied])
        concerned = list({one.work.notification_id for one in calls})
        await notifications.lock(conn, concerned)
        family = await deliveries.siblings(conn, concerned)
        now_at = {one.id: one.state for group in family.values() for one in group}
        held = [one for one in taken if now_at.get(one.id) is State.SUBMITTED]
        await deliveries.late_provider_ids(conn, [one for one in taken if now_at.get(one.id) is not State.SUBMITTED])
        await _note(conn, [*held, *(one for one in others if one.id in applied)])
        rung = await settle(rt, conn, family, stop=_stopping(calls))
        await _simulated_receipts(rt, conn, calls)
        await health.observed(rt, conn, calls)
        await rt.faults.at("before_record_commit")
    return rung


def _stopping(calls: Iterable[Called]) -> set[str]:
    """Return the deliveries after which no fall-back may say the same."""
    return {one.work.id for one in calls if one.error is not None and stops(one.error)}


def stops(error: ChannelError) -> bool:
    """Tell whether ``error`` is about the text itself, so that no other channel shall carry it either."""
    return verdict(error).step is Step.STOP


def _after(rt: Runtime, one: Called) -> Change:
    """Return the change that an outcome means, by the verdict table."""
    work, now = one.work, one.ended_at
    base: dict[str, Any] = {
        "id": work.id,
        "notification_id": work.notification_id,
        "old": State.SENDING,
        "at": now,
        "token": work.token,
        "account": work.account,
    }
    if one.error is None:
        provider_id = one.submission.provider_id if one.submission else ""
        escalate_at = _escalation(rt, work, now)
        return Change(**base, new=State.SUBMITTED, provider_id=provider_id, tried=1, escalate_at=escalate_at)
    ruling = verdict(one.error)
    tried = int(ruling.counts_as_attempt)
    if ruling.step in {Step.RETRY, Step.WAIT}:
        due = next_try(one.error, work.tries + tried, now=now, expires_at=work.expires_at, jitter=rt.dice())
        if due is None:
            return Change(**base, new=State.FAILED, code="gave_up", tried=tried)
        return Change(
            **base, new=State.QUEUED, code=one.error.code, due_at=due, tried=tried, event=f"retry_{ruling.step.value}"
        )
    if ruling.step is Step.ASK:
        return Change(
            **base, new=State.UNCERTAIN, code=one.error.code, lease_until=now + rt.policy.uncertain, tried=tried
        )
    return Change(**base, new=State.FAILED, code=one.error.code, tried=tried)


def _escalation(rt: Runtime, work: Work, now: datetime) -> datetime | None:
    """Return when the next channel takes over if nothing is reported, None where the text or the plan has no such."""
    content = rt.contents.known(work.version)
    if work.last or content is None or not content.escalate_after_s:
        return None
    return now + timedelta(seconds=content.escalate_after_s)


def _attempt(one: Called) -> dict[str, Any]:
    return {
        "delivery_id": one.work.id,
        "number": one.work.tries + 1,
        "began_at": one.began_at,
        "ended_at": one.ended_at,
        "verdict": one.error.code if one.error else "submitted",
        "provider_code": one.error.provider_code if one.error else "",
        "provider_id": one.submission.provider_id if one.submission else "",
    }


async def _consequences(rt: Runtime, conn: Connection, calls: Iterable[Called]) -> None:
    """Suppress addresses and withdraw consents where the verdict says so."""
    for one in calls:
        if one.error is not None and one.work.simulate is None:
            await consequences(
                rt, conn, one.error, subject=one.work.subject, channel=one.work.channel,
                indexes=[one.work.address_index], actor=f"account:{one.work.account}",
            )  # fmt: skip


async def consequences(
    rt: Runtime,
    conn: Connection,
    error: ChannelError,
    *,
    subject: str,
    channel: str,
    indexes: Sequence[bytes],
    actor: str,
) -> None:
    """Suppress the address and withdraw every standing consent of the channel, as the verdict on ``error`` says."""
    ruling = verdict(error)
    now = rt.clock.now()
    if ruling.suppress:
        rows = [{"channel": channel, "address_index": one, "reason": error.code, "since": now} for one in indexes]
        if await people.suppress(conn, rows):
            owners = {subject, *(one for one, _ in await people.owners(conn, channel, indexes))}
            await events.contact_lost(rt, conn, owners, channel, code=error.code, stopped=ruling.withdraw)
    if ruling.withdraw:
        standing = (await people.standing(conn, [subject])).get(subject, [])
        purposes = [one.purpose for one in standing if one.channel == channel and one.given]
        await recipients.withdraw(rt, conn, subject, channel, purposes, source=error.code, actor=actor, at=now)


async def settle(
    rt: Runtime,
    conn: Connection,
    family: Mapping[str, Sequence[Sibling]],
    *,
    stop: Iterable[str] = (),
    stop_code: str = "stopped_content",
) -> list[tuple[str, str]]:
    """Promote the next fall-back where a delivery ended without success, end the ones not needed, derive outcomes.

    ``stop``: deliveries after which no fall-back may say the same, ``stop_code``: why. Returns (id, lane) of what is
    due now.
    """
    now = rt.clock.now()
    stopped = set(stop)
    next_up: list[str] = []
    ended: list[Change] = []
    for group in family.values():
        waiting = [one for one in group if one.standby]
        active = [one for one in group if not one.standby]
        if any(one.state is State.DELIVERED for one in active):
            due = [one for one in active if one.state is State.QUEUED]
            ended += [_skip(one, "not_needed", now) for one in [*due, *waiting]]
        elif not waiting:
            continue
        elif any(one.id in stopped for one in active):
            ended += [_skip(one, stop_code, now) for one in waiting]
        elif all(one.state in ENDS for one in active):
            next_up.append(waiting[0].id)
        elif any(_final(rt, one) for one in active):
            ended += [_skip(one, "not_needed", now) for one in waiting]
    applied = await deliveries.change(conn, ended)
    await _note(conn, [one for one in ended if one.id in applied])
    rung = await deliveries.promote(conn, next_up, now=now)
    after = await deliveries.siblings(conn, list(family)) if ended or next_up else family
    outcomes = {key: derive((one.state, one.standby) for one in group) for key, group in after.items()}
    turned = await notifications.set_outcomes(conn, outcomes)
    await events.outcome_changed(rt, conn, turned, after)
    return rung


def _final(rt: Runtime, one: Sibling) -> bool:
    """Tell whether it is submitted on a channel that reports nothing more, so that its fall-backs are not needed."""
    kind = rt.kinds.get(one.channel)
    return one.state is State.SUBMITTED and kind is not None and not kind.receipts


def _skip(one: Sibling, code: str, now: datetime) -> Change:
    return Change(
        id=one.id, notification_id=one.notification_id, old=State.QUEUED, new=State.SKIPPED, code=code, at=now,
        account=one.account,
    )  # fmt: skip


async def _note(conn: Connection, changes: Sequence[Change]) -> None:
    for one in changes:
        telemetry.moved.labels(one.new.value, one.account, telemetry.class_of(one.code)).inc()
        if one.code == "lease_lapsed":
            telemetry.lapsed.labels(one.old.value).inc()
    await notifications.note(
        conn,
        [
            {
                "notification_id": one.notification_id,
                "delivery_id": one.id,
                "at": one.at,
                "event": one.event or one.new.value,
                "code": one.code,
            }
            for one in changes
        ],
    )


async def apply(
    rt: Runtime, changes: Sequence[Change], *, stop: Iterable[str] = (), stop_code: str = "stopped_content"
) -> None:
    """Apply changes that are no provider's answer, in a transaction of their own, with all that follows from them."""
    async with rt.db.write() as conn:
        rung = await apply_within(rt, conn, changes, stop=stop, stop_code=stop_code)
    await rt.doorbell.ring(rung)


async def apply_within(
    rt: Runtime,
    conn: Connection,
    changes: Sequence[Change],
    *,
    stop: Iterable[str] = (),
    stop_code: str = "stopped_content",
) -> list[tuple[str, str]]:
    """Apply changes within the caller's transaction; return what to ring for after its commit."""
    applied = await deliveries.change(conn, changes)
    done = [one for one in changes if one.id in applied]
    await _note(conn, done)
    concerned = list({one.notification_id for one in done})
    await notifications.lock(conn, concerned)
    family = await deliveries.siblings(conn, concerned)
    return await settle(rt, conn, family, stop=stop, stop_code=stop_code)


async def refuse(rt: Runtime, refused: Sequence[tuple[Work, str]]) -> None:
    """End deliveries that cannot be said or must not be sent; nothing has left the house."""
    now = rt.clock.now()
    await apply(rt, [_claimed(work, State.FAILED, code, now) for work, code in refused])


async def put_back(rt: Runtime, waiting: Sequence[tuple[Work, float]], *, code: str = "throttled") -> None:
    """Return deliveries to the queue for these seconds each; no attempt is spent and nothing is noted."""
    now = rt.clock.now()
    changes = [_claimed(work, State.QUEUED, code, now, due_at=now + timedelta(seconds=wait)) for work, wait in waiting]
    async with rt.db.write() as conn:
        await deliveries.change(conn, changes)
    soon = [(work, wait) for work, wait in waiting if wait <= SOON_S]
    if soon:  # the sweeper rings for the others; these shall not wait for its grace
        await rt.doorbell.ring(((work.id, work.lane) for work, _ in soon), in_s=max(wait for _, wait in soon))


async def stopped(rt: Runtime, works: Sequence[Work]) -> None:
    """End deliveries that were not let through at the last moment, each with the rule that no longer holds.

    Where every rule holds, the lease had lapsed: back to the queue, if the claim is still ours.
    """
    now = rt.clock.now()
    async with rt.db.read() as conn:
        why = await deliveries.obstacles(conn, [one.id for one in works], now=now)
    ends = {"cancelled": State.CANCELLED, "expired": State.EXPIRED}
    changes = [_claimed(one, ends.get(why[one.id], State.SKIPPED), why[one.id], now) for one in works if one.id in why]
    late = [_claimed(one, State.QUEUED, "lease_lapsed", now, due_at=now) for one in works if one.id not in why]
    await apply(rt, [*(_held(one) for one in changes), *late])


def _held(change: Change) -> Change:
    """Turn the end that a withdrawn text would mean into a wait for staff (the emergency brake)."""
    if change.code != "template_withdrawn":
        return change
    return replace(change, new=State.QUEUED, held=True, event="held")


async def close_gone(rt: Runtime, gone: Iterable[tuple[str, int]]) -> None:
    """End claimed deliveries whose contact point or person is no longer there."""
    now = rt.clock.now()
    async with rt.db.read() as conn:
        rows = await deliveries.claimed_rows(conn, list(gone))
    changes = [
        Change(
            id=row["id"], notification_id=row["notification_id"], old=State.CLAIMED, new=State.SKIPPED,
            code="contact_point_gone", at=now, token=row["token"],
        )
        for row in rows
    ]  # fmt: skip
    await apply(rt, changes)


def _claimed(work: Work, new: State, code: str, now: datetime, *, due_at: datetime | None = None) -> Change:
    return Change(
        id=work.id, notification_id=work.notification_id, old=State.CLAIMED, new=new, code=code, at=now,
        due_at=due_at, token=work.token, account=work.account,
    )  # fmt: skip


async def _simulated_receipts(rt: Runtime, conn: Connection, calls: Iterable[Called]) -> None:
    """Give magic recipients that are to be delivered their receipt at once."""
    now = rt.clock.now()
    changes = [
        Change(
            id=one.work.id, notification_id=one.work.notification_id, old=State.SUBMITTED, new=State.DELIVERED, at=now,
            account=one.work.account,
        )
        for one in calls
        if one.work.simulate == "delivered" and one.error is None
    ]  # fmt: skip
    if changes:
        await apply_within(rt, conn, changes)


def _count(calls: Sequence[Called]) -> None:
    telemetry.group_size.labels("record").observe(len(calls))
    log.info("deliveries.recorded", count=len(calls))
