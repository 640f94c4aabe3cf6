"""Take what people write: keep it sealed, and act at once on a stop. Everything else waits in the inbox table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from channels.kit.contract import Inbound, Kind
from gateway.domain.consent import is_stop
from gateway.store import audit, deliveries, notifications, people
from gateway.store import receipts as kept
from gateway.store.engine import Connection
from gateway.store.vault import inbound_row
from gateway.usecases import events, recipients
from gateway.usecases.runtime import Runtime


async def take(rt: Runtime, conn: Connection, account: str, words: Sequence[Inbound]) -> None:
    """Keep what was written and act on it, within the caller's transaction; repeated events do nothing (B-T6)."""
    distinct = {one.event_id: one for one in words}.values()
    new = await kept.keep_inbound(conn, [await _row(rt, conn, account, one) for one in distinct])
    for one in distinct:
        if one.event_id not in new:
            continue
        if one.kind is Kind.STOP or (one.kind is Kind.TEXT and is_stop(one.text)):
            indexes = rt.vault.indexes(one.sender.channel, one.sender.value)
            await stop(rt, conn, one.sender.channel, indexes, source=one.kind.value, actor=f"account:{account}")
        elif one.kind is Kind.BUTTON:
            await _answered(rt, conn, one)


async def _row(rt: Runtime, conn: Connection, account: str, one: Inbound) -> dict[str, Any]:
    channel, address = one.sender.channel, one.sender.value
    owners = await people.owners(conn, channel, rt.vault.indexes(channel, address))
    row = inbound_row(account, one.event_id)

    def sealed(column: str, text: str) -> bytes:
        return rt.vault.seal(text.encode(), table="inbound", row=row, column=column)

    return {
        "account": account,
        "event_id": one.event_id,
        "channel": channel,
        "address_index": rt.vault.index(channel, address),
        "address_sealed": sealed("address_sealed", address),
        "subject": owners[0][0] if len(owners) == 1 else None,  # a shared telephone speaks for nobody alone
        "delivery_id": None,
        "kind": one.kind.value,
        "text_sealed": sealed("text_sealed", one.text),
        "payload_sealed": sealed("payload_sealed", one.payload),
        "at": one.at,
        "received_at": rt.clock.now(),
    }


async def stop(
    rt: Runtime, conn: Connection, channel: str, indexes: Sequence[bytes], *, source: str, actor: str
) -> None:
    """Withdraw every consent of the channel for whoever has this address, and suppress the address (A-07).

    indexes: of the address, newest key first.
    """
    now = rt.clock.now()
    owners = await people.owners(conn, channel, indexes)
    stored = await people.indexes_of(conn, [point for _, point in owners])
    marks = sorted({*stored, *indexes[:1]})  # the newest index, for whoever brings this address again
    new = await people.suppress(
        conn, [{"channel": channel, "address_index": one, "reason": "opted_out", "since": now} for one in marks]
    )
    news = {subject for subject, _ in owners} if new else set()
    for subject in sorted({subject for subject, _ in owners}):
        standing = (await people.standing(conn, [subject])).get(subject, [])
        purposes = [one.purpose for one in standing if one.channel == channel and one.given]
        await recipients.withdraw(rt, conn, subject, channel, purposes, source=source, actor=actor, at=now)
        news |= {subject} if purposes else set()
        await audit.append(conn, at=now, actor=actor, verb="stop", object=channel, subject=subject)
    await events.contact_lost(rt, conn, news, channel, code="opted_out", stopped=True)


async def _answered(rt: Runtime, conn: Connection, one: Inbound) -> None:
    """Note a button press in the timeline, if the delivery it names went to the person who pressed (B-T4)."""
    delivery, _, number = one.payload.rpartition(":")
    owners = {point for _, point in await people.owners(
        conn, one.sender.channel, rt.vault.indexes(one.sender.channel, one.sender.value))}  # fmt: skip
    row = await deliveries.one(conn, delivery)
    if row is not None and row["contact_point"] in owners and number.isdigit():
        event = {"notification_id": row["notification_id"], "delivery_id": delivery, "at": rt.clock.now()}
        await notifications.note(conn, [event | {"event": "answered", "code": f"button_{number}"}])
        await events.answered(rt, conn, row, f"button_{number}")


async def stop_by_token(rt: Runtime, delivery: str) -> bool:
    """Stop the channel that a delivery went over, for the person it went to; False if it is not known any more."""
    async with rt.db.write() as conn:
        row = await deliveries.one(conn, delivery)
        indexes = await people.indexes_of(conn, [row["contact_point"]]) if row else []
        if row is None or not indexes:
            return False
        await stop(rt, conn, row["channel"], indexes, source="link", actor="recipient")
    return True
