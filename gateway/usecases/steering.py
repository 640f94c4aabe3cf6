"""Steer claimed deliveries around accounts in trouble: another account, a single try, the next channel, or wait.

Comes after the claim and before rendering, because another account may need another text. Costs nothing while all
accounts are well. A message is never given up here: what cannot move on is kept until it expires.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from gateway.domain.circuit import Circuit
from gateway.domain.content import Content
from gateway.domain.planning import drawn
from gateway.domain.states import State
from gateway.store import accounts, deliveries, notifications
from gateway.store.rows import Change, Work
from gateway.usecases import record
from gateway.usecases.health import try_one
from gateway.usecases.runtime import Runtime

SOON_S = 2.0  # between two looks while the one message is under way that shows how an account is
SPREAD_S = 5.0  # what waited together shall not come back at one instant


async def steer(rt: Runtime, found: Sequence[Work], contents: Mapping[str, Content]) -> list[Work]:
    """Return those that go on now, some on another account; the others are put back or handed over."""
    await rt.health.look(rt)
    if all(_flows(rt, one) for one in found):
        return list(found)
    going: list[Work] = []
    moving: list[Work] = []
    stuck: list[Work] = []
    now = rt.clock.now()
    for one in found:
        if _flows(rt, one) or await _tries(rt, one.account):
            going.append(one)
        elif other := _other(rt, one, contents[one.version], now):
            moving.append(replace(one, account=other))
        else:
            stuck.append(one)
    going += await _move(rt, moving, now)
    late = [one for one in stuck if _waited_enough(rt, one.account, now)]
    kept = await hand_over(rt, late, code="account_down")
    waiting = [*kept, *(one for one in stuck if one not in late)]
    if waiting:
        await record.put_back(rt, [(one, _wait_s(rt, one.account, now)) for one in waiting], code="account_rests")
    return going


def _flows(rt: Runtime, work: Work) -> bool:
    """Tell whether nothing is in the way; an account that is gone is dealt with later, a played call needs none."""
    account = rt.accounts.get(work.account)
    if account is None or work.simulate is not None:
        return True
    return rt.health.flows(work.account) and not account.facts.paused


async def _tries(rt: Runtime, account: str) -> bool:
    """Tell whether this delivery is the one that shows how its account is; whoever loses once knows it for the next."""
    return not rt.accounts[account].facts.paused and await try_one(rt, account)


def _other(rt: Runtime, work: Work, content: Content, now: datetime) -> str:
    """Return another released account of the channel that works and may carry the text, "" if there is none."""
    others = [
        rt.health.facts(one.facts, now)
        for name, one in rt.accounts.items()
        if name != work.account and one.facts.channel == work.channel and rt.health.flows(name)
    ]
    able = [one for one in others if one.released and not one.paused and content.klass <= one.ceiling]
    if not able or able[0].bound:  # a bound address reaches its person over one account only
        return ""
    return drawn(able, rt.dice()).name


async def _move(rt: Runtime, moving: Sequence[Work], now: datetime) -> list[Work]:
    if not moving:
        return []
    async with rt.db.write() as conn:
        moved = await accounts.move(conn, [(one.id, one.token, one.account) for one in moving])
        done = [one for one in moving if one.id in moved]
        notes = [
            {
                "notification_id": one.notification_id, "delivery_id": one.id, "at": now, "event": "account_changed",
                "code": None,
            }
            for one in done
        ]  # fmt: skip
        await notifications.note(conn, notes)
    return done


def _waited_enough(rt: Runtime, account: str, now: datetime) -> bool:
    """Tell whether the account's trouble has lasted so long that the next channel takes over; a pause never does."""
    state = rt.health.state(account, now)
    down = state.circuit is not Circuit.CLOSED and not state.paused and not rt.accounts[account].facts.paused
    return down and state.opened_at is not None and now - state.opened_at >= rt.policy.failover_after


def _wait_s(rt: Runtime, account: str, now: datetime) -> float:
    """Return the seconds until it is worth looking again: at the next probe, or when the next channel may take over."""
    state = rt.health.state(account, now)
    if state.circuit is Circuit.CLOSED or state.paused or rt.accounts[account].facts.paused:
        return rt.policy.pause.total_seconds()
    wait = SOON_S
    if state.circuit is Circuit.OPEN and state.probe_at is not None:
        wait = max((state.probe_at - now).total_seconds(), SOON_S)
        if state.opened_at is not None and (handover := state.opened_at + rt.policy.failover_after) > now:
            wait = min(wait, (handover - now).total_seconds())
    return wait + SPREAD_S * rt.dice()


async def hand_over(rt: Runtime, works: Sequence[Work], *, code: str) -> list[Work]:
    """End claimed deliveries whose notification has another channel left, which takes over; return the others."""
    if not works:
        return []
    now = rt.clock.now()
    async with rt.db.read() as conn:
        family = await deliveries.siblings(conn, list({one.notification_id for one in works}))
    left = {key for key, group in family.items() if any(one.standby for one in group)}
    changes = [
        Change(
            id=one.id, notification_id=one.notification_id, old=State.CLAIMED, new=State.SKIPPED, code=code, at=now,
            token=one.token,
        )
        for one in works
        if one.notification_id in left
    ]  # fmt: skip
    if changes:
        await record.apply(rt, changes)
    return [one for one in works if one.notification_id not in left]


async def wait_until(rt: Runtime, works: Sequence[tuple[Work, datetime]], *, code: str) -> None:
    """Put claimed deliveries back until then, a little spread."""
    now = rt.clock.now()
    if works:
        spread = timedelta(seconds=SPREAD_S)
        waits = [(one, (at - now + spread * rt.dice()).total_seconds()) for one, at in works]
        await record.put_back(rt, waits, code=code)
