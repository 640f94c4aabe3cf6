"""Deliver a chunk: claim, render, commit to sending, send, record. Lines 7 to 11 of the walk.

No transaction is open while a provider is called or a text is rendered. What a provider's answer means is decided by
gateway.domain.retrying; what it does to the rows is gateway.usecases.record's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from channels.kit.contract import Address, Capabilities, Request, Submission
from channels.kit.errors import ChannelError, Uncertain, Unsupported
from gateway import telemetry
from gateway.domain.confidentiality import BlockedByLint
from gateway.domain.content import Content, choose_language
from gateway.queue.limits import Rate
from gateway.render.render import Links
from gateway.store import deliveries
from gateway.store.rows import Work
from gateway.usecases import receipts, record, simulation, steering, windows
from gateway.usecases.runtime import SIMULATOR, OpenAccount, Runtime
from gateway.usecases.stopping import stop_url

GROUP = 25  # deliveries that are committed to sending together, just before their calls
MARGIN = timedelta(seconds=10)  # for recording what came of the calls
log = telemetry.log()


@dataclass(frozen=True, slots=True)
class Ready:
    """A claimed delivery with its finished provider call (None: a simulated one)."""

    work: Work
    request: Request | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Called:
    """What came of one provider call."""

    work: Work
    began_at: datetime
    ended_at: datetime
    submission: Submission | None
    error: ChannelError | None


async def deliver(rt: Runtime, ids: Sequence[str]) -> int:
    """Work on these deliveries as far as they are due and nobody else's; return how many calls were made."""
    now = rt.clock.now()
    async with rt.db.write() as conn:
        claimed = await deliveries.claim(conn, ids, now=now, lease_until=now + rt.policy.lease)
    if not claimed:
        return 0
    await rt.faults.at("after_claim")
    async with rt.db.read() as conn:
        found = await deliveries.load(conn, claimed)
        contents = await rt.contents.of(conn, {one.version for one in found})
    gone = set(claimed) - {(one.id, one.token) for one in found}
    if gone:
        await record.close_gone(rt, gone)
    found = await steering.steer(rt, found, contents)
    ready: list[Ready] = []
    refused: list[tuple[Work, str]] = []
    for one in found:
        outcome = _prepare(rt, one, contents[one.version])
        if isinstance(outcome, Ready):
            ready.append(outcome)
        else:
            refused.append((one, outcome))
    if refused:
        await record.refuse(rt, refused)
    await rt.faults.at("after_render")
    groups = (ready[start : start + GROUP] for start in range(0, len(ready), GROUP))
    done = await asyncio.gather(*(_send_group(rt, group) for group in groups), return_exceptions=True)
    failed = [one for one in done if isinstance(one, BaseException)]
    if failed:
        raise failed[0]  # after all groups have ended: nothing may go on behind the caller's back
    return sum(one for one in done if isinstance(one, int))


def _prepare(rt: Runtime, work: Work, content: Content) -> Ready | str:
    """Render and encode one delivery; return the reason instead if it cannot be said on this account."""
    account = rt.accounts.get(work.account)
    if work.account == SIMULATOR:
        capabilities = rt.kinds.get(work.channel)
    else:
        capabilities = account.adapter.capabilities if account else None
    if capabilities is None:
        return "account_gone"
    if work.variables_sealed is None:
        return "values_purged"
    try:
        return _barred(account, content, rt.clock.now()) or _rendered(rt, work, content, account, capabilities)
    except (BlockedByLint, Unsupported) as exc:
        return exc.code
    except Exception as exc:  # noqa: BLE001 - whatever is wrong with one row must not hold up its neighbours
        log.warning("delivery.unexpected", account=work.account, delivery=work.id, error=type(exc).__name__)
        return "internal"


def _barred(account: OpenAccount | None, content: Content, now: datetime) -> str:
    """Ask the last gate (A-01, A-15): the ceiling may have been lowered, or the release have ended, since planning."""
    if account is None:
        return ""
    if content.klass > account.facts.ceiling:
        return "class_not_allowed"
    return "" if account.facts_at(now).released else "account_not_released"


def _rendered(
    rt: Runtime, work: Work, content: Content, account: OpenAccount | None, capabilities: Capabilities
) -> Ready:
    data_key = rt.vault.open_data_key(work.subject, work.data_key_sealed)
    now = rt.clock.now()
    language, _ = choose_language(content, work.language)
    message = rt.renderer.render(
        version_id=work.version,
        content=content,
        capabilities=capabilities,
        language=language,
        variables=_variables(rt, work, content, data_key),
        delivery_id=work.id,
        links=Links(stop_url=stop_url(rt, work.id)),
        sent_at=now,
        valid_s=_valid_s(work, content, now),
        approved_id=account.approved.get(f"{content.key}.{language}", "") if account else "",
    )
    if account is None:
        return Ready(work, None)
    plain = rt.vault.open(
        work.address_sealed,
        table="contact_points",
        row=work.contact_point,
        column="address_sealed",
        data_key=data_key,
    )
    to = Address(work.channel, plain.decode())
    return Ready(work, account.adapter.encode(message, to, key=work.id, callback_url=rt.callback_url(work.account)))


def _valid_s(work: Work, content: Content, now: datetime) -> int:
    """Return how long the message is of use: until it expires, or until the next channel takes over."""
    left = (work.expires_at - now).total_seconds()
    if content.escalate_after_s and not work.last:
        left = min(left, float(content.escalate_after_s))
    return max(int(left), 1)


def _variables(rt: Runtime, work: Work, content: Content, data_key: bytes) -> dict[str, str]:
    """Return the values that this version declares; a twin's link comes from the settings where there was none."""
    values: dict[str, str] = {}
    if work.variables_sealed is not None:
        plain = rt.vault.open(
            work.variables_sealed,
            table="notifications",
            row=work.notification_id,
            column="variables_sealed",
            data_key=data_key,
        )
        values = msgspec.json.decode(plain, type=dict[str, str])
    return {name: values.get(name, rt.policy.portal_url) for name in content.variables}


async def _send_group(rt: Runtime, group: Sequence[Ready]) -> int:
    """Take tokens, commit to sending, call, record: the group shares both transactions."""
    allowed, waiting = await _admitted(rt, group)
    if waiting:
        await record.put_back(rt, waiting)
    if not allowed:
        return 0
    now = rt.clock.now()
    async with rt.db.write() as conn:
        full = await windows.reserve(rt, conn, [one.work for one in allowed])
        claimed = [(one.work.id, one.work.token) for one in allowed if one.work.id not in full]
        going = await deliveries.begin_sending(conn, claimed, now=now, lease_until=now + _deadline(rt, allowed))
    if full:
        await windows.no_room(rt, [one.work for one in allowed if one.work.id in full], full)
    stopped = [one.work for one in allowed if one.work.id not in going and one.work.id not in full]
    if stopped:
        await record.stopped(rt, stopped)
    await rt.faults.at("after_begin_sending")
    calls = [_call(rt, one) for one in allowed if one.work.id in going]
    called = await asyncio.gather(*calls)
    await rt.faults.at("after_call_before_record")
    await record.called(rt, called)
    await receipts.match_late(rt, [(one.work.account, one.submission.provider_id) for one in called if one.submission])
    return len(called)


async def _admitted(rt: Runtime, group: Sequence[Ready]) -> tuple[list[Ready], list[tuple[Work, float]]]:
    """Ask the shared buckets for each delivery; without a token it goes back to the queue, no attempt spent.

    Behind the first one that an account has no token for, the others line up at the account's pace.
    """
    allowed: list[Ready] = []
    waiting: list[tuple[Work, float]] = []
    behind: dict[str, float] = {}
    for one in group:
        account = rt.accounts.get(one.work.account)
        if account is None:
            allowed.append(one)
        elif rt.health.rests(account.facts.name):  # since a moment ago; what to do about it is steering's
            waiting.append((one.work, steering.SOON_S))
        elif account.facts.name in behind:
            behind[account.facts.name] += _pace_s(account)
            waiting.append((one.work, behind[account.facts.name]))
        elif (wait := await rt.buckets.take(list(account.rates))) > 0:
            behind[account.facts.name] = wait
            waiting.append((one.work, wait))
        elif (wait := await rt.buckets.take(_own_rates(account, one.work))) > 0:
            waiting.append((one.work, wait))
        else:
            allowed.append(one)
    return allowed, waiting


def _pace_s(account: OpenAccount) -> float:
    """Return the seconds between two calls at the account's slowest rate."""
    return max((1.0 / rate.per_s for rate in account.rates), default=0.0)


def _own_rates(account: OpenAccount, work: Work) -> list[Rate]:
    """Return the buckets of the person's own."""
    return [Rate(f"{rate.key}:{work.contact_point}", rate.per_s, rate.burst) for rate in account.recipient_rates]


def _deadline(rt: Runtime, group: Iterable[Ready]) -> timedelta:
    """Return the longest that the calls of this group and their recording may take: the lease while sending."""
    accounts = (rt.accounts.get(one.work.account) for one in group)
    margin = min(MARGIN, rt.policy.lease / 2)
    return margin + timedelta(seconds=max((one.deadline_s for one in accounts if one is not None), default=1.0))


async def _call(rt: Runtime, one: Ready) -> Called:
    """Make exactly one provider call. Nothing but an outcome leaves this function, cancellation aside."""
    work = one.work
    began = rt.clock.now()
    if work.due_at is not None:
        telemetry.lateness_seconds.labels(work.lane).observe(max((began - work.due_at).total_seconds(), 0.0))
    submission: Submission | None = None
    error: ChannelError | None = None
    try:
        if work.simulate is not None or one.request is None:
            submission = simulation.play(work.simulate or "delivered", work.id)
        else:
            adapter: Any = rt.accounts[work.account].adapter
            with telemetry.send_seconds.labels(work.account).time():
                submission = await adapter.send(one.request)
    except ChannelError as exc:
        error = exc
    except Exception as exc:  # noqa: BLE001 - an adapter's mistake: it may have gone out, so never blindly again
        log.warning("delivery.unexpected", account=work.account, delivery=work.id, error=type(exc).__name__)
        error = Uncertain("unexpected")
    return Called(work, began, rt.clock.now(), submission, error)
