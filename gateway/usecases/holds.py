"""The emergency brake: withdraw a version and hold what waits on it; staff move it to another version or cancel it.

Withdrawing acts before the next provider call: the commit to sending reads the version's state again. Approving texts
is gateway.usecases.templates'.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway import telemetry
from gateway.domain.content import Content
from gateway.domain.errors import Conflict, Fault, NotFound
from gateway.domain.states import ENDS, State
from gateway.store import audit, deliveries, holds, locks, notifications, templates
from gateway.store.engine import Connection
from gateway.store.rows import Change
from gateway.store.templates import VersionRow
from gateway.usecases import record
from gateway.usecases.runtime import Runtime

BATCH = 200  # notifications a transaction
SENDABLE = frozenset({"approved", "replaced"})
_LONGEST_REASON = 200
log = telemetry.log()
Rung = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """What the brake did. ``others``: deliveries that wait on versions of the same key which may still go out."""

    versions: tuple[str, ...]  # "key/number"
    held: int
    others: Mapping[str, int]


@dataclass(slots=True)
class Moved:
    """How many deliveries went on (or were cancelled), and how many stay held, by reason."""

    count: int = 0
    refused: dict[str, int] = field(default_factory=dict)


async def withdraw(rt: Runtime, name: str, *, actor: str, reason: str, every: bool = False) -> Withdrawn:
    """Withdraw the approved version of a key (or ``key/number``, or with ``every`` all of the key) and hold its queue.

    actor: ``staff:<name>``.  reason: for the audit; no personal data. Raises NotFound, Conflict.
    """
    now = rt.clock.now()
    async with rt.db.write() as conn:
        rows = await _named(conn, name)
        chosen = _to_withdraw(rows, explicit="/" in name, every=every)
        for row in chosen:
            await templates.withdraw(conn, row.id)
        ids = [row.id for row in chosen]
        held = await holds.hold(conn, ids, now=now)
        for row in chosen:
            detail = {"reason": reason[:_LONGEST_REASON], "held": held}
            await audit.append(
                conn, at=now, actor=actor, verb="template.withdrawn", object=f"{row.key}/{row.number}", detail=detail
            )
        rest = {row.id: f"{row.key}/{row.number}" for row in await _named(conn, chosen[0].key) if row.state in SENDABLE}
        waiting = await holds.queued(conn, list(rest))
    log.warning("template.withdrawn", versions=len(chosen), held=held)
    return Withdrawn(
        versions=tuple(f"{row.key}/{row.number}" for row in chosen),
        held=held,
        others={rest[one]: count for one, count in waiting.items()},
    )


async def _named(conn: Connection, name: str) -> list[VersionRow]:
    """Return the versions of ``key``, or the one of ``key/number``. Raises NotFound."""
    key, _, number = name.partition("/")
    rows = [row for row in await templates.listing(conn) if row.key == key and number in {"", str(row.number)}]
    if not rows:
        raise NotFound("There is no such template or version. Name it as KEY or KEY/NUMBER.")
    return rows


def _to_withdraw(rows: Sequence[VersionRow], *, explicit: bool, every: bool) -> list[VersionRow]:
    chosen = [row for row in rows if row.state in SENDABLE] if every or explicit else []
    chosen = chosen or [row for row in rows if row.state == "approved"]
    if not chosen:
        raise Conflict("Nothing is sent from this: there is no approved version, or it is withdrawn already.")
    return chosen


async def held(rt: Runtime) -> list[Mapping[str, Any]]:
    """Return what is held, by version: {id, key, number, state, count, since, first_expires_at}."""
    async with rt.db.read() as conn:
        return await holds.by_version(conn)


async def release(rt: Runtime, name: str, *, to: str, actor: str) -> Moved:
    """Move held deliveries of ``key`` or ``key/number`` to another version of the key, and let them go on.

    to: a number, or "latest" for the approved one. It must take the same variables, for the same purpose, and be no
    more confidential. A delivery whose channel it is not written for stays held. Raises NotFound, Conflict.
    """
    async with rt.db.read() as conn:
        waiting = {row["id"] for row in await holds.by_version(conn)}
        sources = [row for row in await _named(conn, name) if row.id in waiting and row.state not in SENDABLE]
        target = _target(await _named(conn, name.partition("/")[0]), to)
        contents = await rt.contents.of(conn, [target.id, *(row.id for row in sources)])
    content = contents[target.id]
    for row in sources:
        _fits(contents[row.id], content, number=row.number)
    done = Moved()

    async def act(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> Rung:
        now = rt.clock.now()
        going = [row for row in rows if row["channel"] in content.channels]
        if len(going) < len(rows):
            done.refused["not_in_template"] = done.refused.get("not_in_template", 0) + len(rows) - len(going)
        await holds.move(conn, [row["id"] for row in going], version=target.id, now=now)
        event = {"at": now, "event": "released", "code": None}
        await notifications.note(
            conn, [event | {"notification_id": row["notification_id"], "delivery_id": row["id"]} for row in going]
        )
        done.count += len(going)
        return await record.settle(
            rt, conn, await deliveries.siblings(conn, list({row["notification_id"] for row in going}))
        )

    audited = {"verb": "template.released", "actor": actor, "object": f"{target.key}/{target.number}"}
    await _each(rt, [row.id for row in sources], act, audited)
    return done


def _target(rows: Sequence[VersionRow], to: str) -> VersionRow:
    for row in rows:
        if (to == "latest" and row.state == "approved") or to == str(row.number):
            if row.state not in SENDABLE:
                raise Conflict(f"Version {row.number} is {row.state}; nothing can be sent from it.")
            return row
    raise NotFound("There is no such version to move to; `latest` needs an approved one.")


def _fits(old: Content, new: Content, *, number: int) -> None:
    """Raise Conflict unless what was accepted for ``old`` may be said with ``new``."""
    faults = []
    names = sorted({*old.variables, *new.variables})
    for name in names:
        mine, other = old.variables.get(name), new.variables.get(name)
        if mine is None or other is None or mine.type != other.type or other.max_length < mine.max_length:
            detail = "the two versions differ in this variable's name, type or length"
            faults.append(Fault(f"/variables/{name}", "variables_differ", detail))
    if new.klass > old.klass:
        faults.append(
            Fault("/class", "class_not_allowed", f"{new.klass.name} is more confidential than {old.klass.name}")
        )
    if new.purpose != old.purpose:
        faults.append(Fault("/purpose", "purpose_unknown", "the consent was given for another purpose"))
    if faults:
        raise Conflict(f"What waits on version {number} cannot be said with that version.", faults=faults)


async def cancel(rt: Runtime, name: str, *, actor: str) -> Moved:
    """Cancel the messages held on ``key`` or ``key/number``; where nothing else is under way, their fall-backs too."""
    async with rt.db.read() as conn:
        versions = [row.id for row in await _named(conn, name)]
    done = Moved()

    async def act(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> Rung:
        now = rt.clock.now()
        mine = {row["id"] for row in rows}
        changes = []
        for group in (await deliveries.siblings(conn, list({row["notification_id"] for row in rows}))).values():
            over = all(one.standby or one.state in ENDS for one in group)
            changes += [
                Change(
                    id=one.id, notification_id=one.notification_id, old=State.QUEUED, new=State.CANCELLED, at=now,
                    code="cancelled_by_staff", account=one.account,
                )
                for one in group
                if one.id in mine or (over and one.standby)
            ]  # fmt: skip
        done.count += len(mine)
        return await record.apply_within(rt, conn, changes)

    await _each(rt, versions, act, {"verb": "template.held_cancelled", "actor": actor, "object": name})
    return done


async def _each(
    rt: Runtime,
    versions: Sequence[str],
    act: Callable[[Connection, Sequence[Mapping[str, Any]]], Awaitable[Rung]],
    audited: Mapping[str, str],
) -> None:
    """Act on everything held on these versions, each batch a transaction of its own with its audit entry."""
    after = ""
    while True:
        async with rt.db.read() as conn:
            found = await holds.notifications_of(conn, versions, after=after, limit=BATCH)
        if not found:
            return
        after = found[-1]
        async with rt.db.write() as conn:
            await locks.whole(conn, found)
            rows = await holds.of(conn, found, versions)
            rung = await act(conn, rows) if rows else []
            if rows:
                detail = {"deliveries": [row["id"] for row in rows]}
                await audit.append(conn, at=rt.clock.now(), **audited, detail=detail)
        await rt.doorbell.ring(rung)
