"""Take what providers report: verify, decode, deduplicate, keep, and advance what it speaks of.

Out-of-order and repeated receipts are harmless; one that matches nothing yet is kept and matched later. That somebody
has read a message is not kept (A-23), not even as one more event: it proves delivery, and is forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from channels.kit.contract import (
    Acknowledges,
    Fact,
    Inbound,
    Kind,
    Receipt,
    Receives,
    ReceivesMail,
    WebhookRequest,
)
from channels.kit.errors import ChannelError, Forged, Malformed, Refused
from gateway import telemetry
from gateway.domain.errors import NotFound
from gateway.domain.retrying import VERDICTS
from gateway.domain.states import State, advance
from gateway.store import deliveries, notifications, people
from gateway.store import receipts as kept
from gateway.store.engine import Connection
from gateway.store.rows import Change
from gateway.usecases import inbound, record
from gateway.usecases.grouping import Group
from gateway.usecases.runtime import Runtime

_CLASSES = {kind.default_code: kind for kind in VERDICTS}
log = telemetry.log()


async def take_webhook(rt: Runtime, account: str, hook: WebhookRequest) -> None:
    """Act on one webhook call of a provider. Raises NotFound (no such account) and Forged."""
    found = rt.accounts.get(account)
    if found is None or not isinstance(found.adapter, Receives):
        raise NotFound("No account of this name receives webhooks.")
    try:
        found.adapter.verify(hook)
    except Forged:
        log.warning("webhook.forged", account=account)
        raise
    try:
        facts = found.adapter.decode(hook)
    except Malformed:
        log.warning("webhook.malformed", account=account)
        return
    if facts:
        await rt.reports.join((account, facts))


def owner_of(rt: Runtime, envelope_to: str) -> str:
    """Return the account that made the return address ``envelope_to``. Raises NotFound, and Forged for imitations."""
    forged = ""
    for name, account in rt.accounts.items():
        try:
            if isinstance(account.adapter, ReceivesMail) and account.adapter.key_of(envelope_to):
                return name
        except Forged:
            forged = forged or name
    if forged:
        log.warning("bounce.forged", account=forged)
        telemetry.bounces.labels(forged, "forged").inc()
        raise Forged
    raise NotFound("No account has made this return address.")


async def take_mail(rt: Runtime, account: str, envelope_to: str, raw: bytes) -> None:
    """Act on one mail that came to a return address of an account; of the mail nothing is kept but what it reports.

    ``envelope_to``: the recipient of the envelope; what the mail's own headers claim is not looked at. Returns after
    the commit. Raises NotFound (no such account), Forged and StoreAway.
    """
    found = rt.accounts.get(account)
    if found is None or not isinstance(found.adapter, ReceivesMail):
        raise NotFound("No account of this name receives mail.")
    try:
        facts = found.adapter.decode_mail(raw, envelope_to)
    except Forged:
        log.warning("bounce.forged", account=account)
        telemetry.bounces.labels(account, "forged").inc()
        raise
    except Malformed:
        log.warning("bounce.malformed", account=account)
        telemetry.bounces.labels(account, "malformed").inc()
        return
    if facts:
        await rt.reports.join((account, facts))
    kind = facts[0].fact.value if facts else "ignored"
    log.info("bounce.taken", account=account, kind=kind)
    telemetry.bounces.labels(account, kind).inc()


def open_reports(rt: Runtime) -> Group[tuple[str, Sequence[Receipt | Inbound]], None]:
    """Return the group that webhook calls of this process join: those that come together share one commit."""

    async def work(calls: Sequence[tuple[str, Sequence[Receipt | Inbound]]]) -> Sequence[None]:
        accounts: dict[str, list[Receipt | Inbound]] = {}
        for account, facts in calls:
            accounts.setdefault(account, []).extend(facts)
        for account, facts in accounts.items():
            await take(rt, account, facts)
        return [None] * len(calls)

    return Group(work)


async def take(rt: Runtime, account: str, facts: Sequence[Receipt | Inbound]) -> None:
    """Keep and apply what an account's provider reported, in one transaction."""
    reports = _distinct([one for one in facts if isinstance(one, Receipt)])
    words = [one for one in facts if isinstance(one, Inbound)]
    rung: list[tuple[str, str]] = []
    async with rt.db.write() as conn:
        new = await kept.keep(conn, [_row(rt, account, one) for one in reports if one.fact is not Fact.READ])
        news = [one for one in reports if one.event_id in new or one.fact is Fact.READ]
        if news:
            rung = await _apply(rt, conn, account, news)
        if words:
            await inbound.take(rt, conn, account, words)
    await rt.faults.at("after_receipt_before_ring")
    await rt.doorbell.ring(rung)
    await _acknowledge(rt, account, words)


async def _acknowledge(rt: Runtime, account: str, words: Sequence[Inbound]) -> None:
    """Tell a person's app that the pressed button has arrived (B-T4). It is kept by now: a failure costs nothing."""
    adapter = rt.accounts[account].adapter
    pressed = [one for one in words if one.kind is Kind.BUTTON]
    if pressed and isinstance(adapter, Acknowledges):
        await asyncio.gather(*(adapter.acknowledge(one) for one in pressed), return_exceptions=True)


def _distinct(reports: Sequence[Receipt]) -> list[Receipt]:
    return list({one.event_id: one for one in reports}.values())


def _row(rt: Runtime, account: str, one: Receipt) -> dict[str, Any]:
    return {
        "account": account,
        "event_id": one.event_id,
        "delivery_id": None,
        "key": one.key,
        "provider_id": one.provider_id,
        "fact": one.fact.value,
        "error": one.error.code if one.error else None,
        "error_class": nearest(one.error).default_code if one.error else None,
        "provider_code": one.error.provider_code if one.error else "",
        "at": one.at,
        "received_at": rt.clock.now(),
    }


async def _apply(rt: Runtime, conn: Connection, account: str, reports: Sequence[Receipt]) -> list[tuple[str, str]]:
    """Advance the deliveries that these receipts speak of; return what to ring for."""
    keys = [one.key for one in reports if one.key]
    provider_ids = [one.provider_id for one in reports if one.provider_id]
    rows = await deliveries.match(conn, account, keys=keys, provider_ids=provider_ids)
    by_key = {row["id"]: row for row in rows}
    by_provider = {row["provider_id"]: row for row in rows if row["provider_id"]}
    states = {row["id"]: State(row["state"]) for row in rows}
    matches: dict[str, str] = {}
    changes: list[Change] = []
    stopping: list[str] = []
    for one in reports:
        row = by_key.get(one.key) or by_provider.get(one.provider_id)
        if row is None:
            continue
        matches[one.event_id] = row["id"]
        old = states[row["id"]]
        new = advance(old, one.fact)
        if new is old:
            continue
        states[row["id"]] = new
        changes.append(_change(rt, row, old, new, one))
        if one.error is not None:
            stopping += [row["id"]] if record.stops(one.error) else []
            await _consequences(rt, conn, row, one.error, account)
    await kept.assign(conn, account, matches)
    if changes:
        log.info("callback.matched", account=account, count=len(changes))
    rung = await record.apply_within(rt, conn, changes, stop=stopping)
    await _also(conn, [one for one in changes if one.new is State.DELIVERED])
    return rung


async def _also(conn: Connection, arrived: Sequence[Change]) -> None:
    """Say of a late receipt that the message has also come on this channel; it is counted apart."""
    late = await deliveries.mark_also(conn, [one.id for one in arrived]) if arrived else set()
    events = [one for one in arrived if one.id in late]
    await notifications.note(
        conn,
        [
            {"notification_id": one.notification_id, "delivery_id": one.id, "at": one.at}
            | {"event": "also_delivered", "code": None}
            for one in events
        ],
    )


def _change(rt: Runtime, row: Mapping[str, Any], old: State, new: State, one: Receipt) -> Change:
    return Change(
        id=row["id"],
        notification_id=row["notification_id"],
        old=old,
        new=new,
        at=rt.clock.now(),
        code=one.error.code if one.error else None,
        provider_id=one.provider_id or None,
        account=row.get("account", ""),
    )


async def _consequences(
    rt: Runtime, conn: Connection, row: Mapping[str, Any], error: ChannelError, account: str
) -> None:
    indexes = await people.indexes_of(conn, [row["contact_point"]])
    await record.consequences(
        rt, conn, error, subject=row["subject"], channel=row["channel"], indexes=indexes, actor=f"account:{account}"
    )


def nearest(error: ChannelError) -> type[ChannelError]:
    """Return the class of ours that ``error`` is one of: a third party's own subclass means what its base means."""
    return next(kind for kind in type(error).__mro__ if kind in VERDICTS)


async def match_late(rt: Runtime, pairs: Sequence[tuple[str, str]]) -> None:
    """Apply kept receipts that were faster than our own record of the submission. ``pairs``: (account, provider id)."""
    if not pairs:
        return
    async with rt.db.read() as conn:
        rows = await kept.unmatched(conn, pairs)
    if rows:
        await _apply_rows(rt, rows)


async def match_kept(rt: Runtime) -> int:
    """Apply kept receipts whose delivery is known by now (the sweeper's part); return how many."""
    async with rt.db.read() as conn:
        rows = await kept.matchable(conn, limit=500)
    await _apply_rows(rt, rows)
    return len(rows)


async def _apply_rows(rt: Runtime, rows: Sequence[Mapping[str, Any]]) -> None:
    rung: list[tuple[str, str]] = []
    for account in {row["account"] for row in rows}:
        reports = [_from_row(row) for row in rows if row["account"] == account]
        async with rt.db.write() as conn:
            rung += await _apply(rt, conn, account, reports)
    await rt.doorbell.ring(rung)


def _from_row(row: Mapping[str, Any]) -> Receipt:
    error: ChannelError | None = None
    if row["error_class"]:
        error = _CLASSES.get(row["error_class"], Refused)(row["provider_code"], code=row["error"])
    return Receipt(
        event_id=row["event_id"],
        provider_id=row["provider_id"],
        fact=Fact(row["fact"]),
        at=row["at"],
        key=row["key"],
        error=error,
    )
