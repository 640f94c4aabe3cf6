"""Tell clients what has happened: write events with the change they tell of, number them afterwards, read the feed.

An event holds ids, states, codes and the client's own reference; never an address, a variable or a text, and nothing
about reading (A-23). A person stands in it by subject, so that erasure takes the id away; it is looked up when told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.domain.callbacks import ANSWER_RECEIVED, CONTACT_STOPPED, CONTACT_UNREACHABLE, KEPT, type_of
from gateway.domain.errors import CallerError
from gateway.domain.states import Outcome
from gateway.store import callbacks as posts
from gateway.store import events, notifications
from gateway.store.engine import Connection
from gateway.store.rows import Sibling, Turned
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import Caller

SLICE = 500  # events numbered in one transaction
FACTS = ("notification", "delivery", "recipient", "reference", "state", "channel", "code", "test")


def _row(rt: Runtime, client_id: str, kind: str, **facts: Any) -> dict[str, Any]:
    """Return one event to write; ``facts`` are among FACTS, but for ``subject`` in place of ``recipient``."""
    body = {"id": rt.ids.new()} | {name: value for name, value in facts.items() if value is not None}
    return {"client_id": client_id, "at": rt.clock.now(), "type": kind, "body": body}


async def outcome_changed(
    rt: Runtime, conn: Connection, turned: Iterable[Turned], family: Mapping[str, Sequence[Sibling]]
) -> None:
    """Write what changed outcomes mean to their clients; ``family``: its deliveries as they are now."""
    rows = []
    for one in turned:
        kind = type_of(one.new)
        if kind is not None:
            said = _telling(one.new, family.get(one.id, ()))
            rows.append(
                _row(
                    rt, one.client_id, kind, notification=one.id, reference=one.reference, state=one.new.value,
                    test=one.test, delivery=said and said.id, channel=said and said.channel, code=said and said.code,
                )
            )  # fmt: skip
    await events.append(conn, rows)


def _telling(outcome: Outcome, group: Sequence[Sibling]) -> Sibling | None:
    """Return the delivery that the outcome comes from: the last one tried that is in this state."""
    alike = [one for one in group if one.state.value == outcome.value and not one.standby]
    return max(alike, key=lambda one: one.position, default=None)


async def skipped_at_once(rt: Runtime, conn: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write that accepted notifications (rows of the table) go nowhere, for the first reason that planning found."""
    told = [
        _row(
            rt, row["client_id"], "notification.skipped", notification=row["id"], reference=row["reference"],
            state=Outcome.SKIPPED.value, test=row["simulate"] is not None,
            channel=row["skipped"][0]["channel"] if row["skipped"] else None,
            code=row["skipped"][0]["reason"] if row["skipped"] else None,
        )
        for row in rows
        if row["outcome"] == Outcome.SKIPPED.value
    ]  # fmt: skip
    await events.append(conn, told)


async def answered(rt: Runtime, conn: Connection, delivery: Mapping[str, Any], code: str) -> None:
    """Write that the person a delivery went to pressed one of its buttons."""
    row = await notifications.one(conn, delivery["notification_id"])
    if row is not None:
        fact = _row(
            rt, row["client_id"], ANSWER_RECEIVED, notification=row["id"], reference=row["reference"],
            delivery=delivery["id"], channel=delivery["channel"], code=code, test=row["simulate"] is not None,
        )  # fmt: skip
        await events.append(conn, [fact])


async def contact_lost(
    rt: Runtime, conn: Connection, subjects: Iterable[str], channel: str, *, code: str, stopped: bool
) -> None:
    """Write to every client that has notifications for these people that a channel reaches them no more.

    stopped: they said so themselves; otherwise their address does not exist or takes nothing.
    """
    known = sorted(set(subjects))
    if known:
        kind = CONTACT_STOPPED if stopped else CONTACT_UNREACHABLE
        pairs = await events.clients_of(conn, known)
        await events.append(
            conn, [_row(rt, client, kind, subject=subject, channel=channel, code=code) for client, subject in pairs]
        )


async def number_new(rt: Runtime) -> int:
    """Give every client's new events their numbers, and queue their posts in the same transaction; return how many."""
    async with rt.db.read() as conn:
        waiting = await events.unnumbered(conn)
    return sum([await _number(rt, client) for client in waiting])


async def _number(rt: Runtime, client_id: str) -> int:
    numbered = 0
    while True:
        async with rt.db.write() as conn:
            before, last = await events.number(conn, client_id, limit=SLICE)
            if last > before:
                await posts.queue_numbered(conn, client_id, above=before, up_to=last, now=rt.clock.now())
        numbered += last - before
        if last - before < SLICE:
            return numbered


async def feed(rt: Runtime, caller: Caller, *, after: int, limit: int) -> Mapping[str, Any]:
    """Return the caller's events above ``after`` in order: {events, next}; ``next`` is the cursor to go on with.

    Raises CallerError ``cursor_unknown`` for a cursor behind what is kept, or ahead of what was ever given.
    """
    async with rt.db.read() as conn:
        waiting = await events.has_unnumbered(conn, caller.client_id)
    if waiting:
        await _number(rt, caller.client_id)
    async with rt.db.read() as conn:
        oldest, head = await events.bounds(conn, caller.client_id)
        if after > head or 0 < after < oldest - 1:
            raise CallerError(
                f"Events are kept for {KEPT.days} days, and this cursor lies outside them. Begin again with after=0, "
                "and look up with GET /v1/notifications what you may have missed.",
                code="cursor_unknown",
            )
        rows = await events.after(conn, caller.client_id, after, limit=limit)
        people = await recipients(conn, rows)
    return {"events": [told(row, people) for row in rows], "next": rows[-1]["seq"] if rows else after}


async def recipients(conn: Connection, rows: Iterable[Mapping[str, Any]]) -> Mapping[str, str]:
    """Return the authority-wide ids of the people in these events."""
    return await events.recipients(conn, sorted({row["body"]["subject"] for row in rows if "subject" in row["body"]}))


def told(row: Mapping[str, Any], people: Mapping[str, str]) -> Mapping[str, Any]:
    """Return an event as feed and callbacks tell it: {id, seq, type, timestamp, data}, every fact of FACTS in data."""
    body = row["body"] | {"recipient": people.get(row["body"].get("subject", ""))}
    facts = {name: body.get(name) for name in FACTS} | {"test": body.get("test", False)}
    return {"id": body["id"], "seq": row["seq"], "type": row["type"], "timestamp": row["at"], "data": facts}
