"""Deliveries on their walk: claim, commit to sending, change, sweep. Every change names the state it expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, exists, insert, literal, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.states import State
from gateway.store.rows import Change, Sibling, Work
from gateway.store.tables import (
    attempts,
    consents,
    contact_points,
    deliveries,
    notifications,
    subjects,
    suppressions,
    template_versions,
)

_d = deliveries.c
_RUNNING = or_(_d.state == State.SENDING.value, _d.state == State.UNCERTAIN.value)  # a call may be under way


async def claim(
    conn: AsyncConnection, ids: Sequence[str], *, now: datetime, lease_until: datetime
) -> list[tuple[str, int]]:
    """Take due deliveries for us: queued -> claimed, with a lease and a new fencing token. The loser gets nothing."""
    statement = (
        update(deliveries)
        .where(_d.id.in_(ids), _d.state == State.QUEUED.value, _d.due_at <= now)
        .values(state=State.CLAIMED.value, lease_until=lease_until, token=_d.token + 1, changed_at=now)
        .returning(_d.id, _d.token)
    )
    return [(row.id, row.token) for row in await conn.execute(statement)]


def _last() -> ColumnElement[bool]:
    """Return, in SQL, whether no fall-back comes after a delivery."""
    after = deliveries.alias("after")
    return ~exists().where(after.c.notification_id == _d.notification_id, after.c.position > _d.position).correlate(
        deliveries
    )


async def load(conn: AsyncConnection, claimed: Sequence[tuple[str, int]]) -> list[Work]:
    """Return what sending these claimed deliveries needs; erased or re-claimed ones are left out."""
    statement = (
        select(
            _d.id, _d.notification_id, _d.subject, subjects.c.recipient, _d.token, _d.tries, _d.position, _d.channel,
            _d.account, _d.lane, _d.due_at, _d.template_version.label("version"), _d.contact_point,
            notifications.c.language,
            notifications.c.purpose, notifications.c.simulate, notifications.c.expires_at,
            contact_points.c.address_sealed, contact_points.c.address_index, notifications.c.variables_sealed,
            subjects.c.data_key_sealed, _last().label("last"),
        )
        .join(notifications, notifications.c.id == _d.notification_id)
        .join(subjects, subjects.c.subject == _d.subject)
        .join(contact_points, contact_points.c.id == _d.contact_point)
        .where(tuple_(_d.id, _d.token).in_(claimed), _d.state == State.CLAIMED.value)
    )  # fmt: skip
    return [Work(**row) for row in (await conn.execute(statement)).mappings()]


async def claimed_rows(conn: AsyncConnection, claimed: Sequence[tuple[str, int]]) -> list[Mapping[str, Any]]:
    """Return id, notification and token of these claims, as far as they still hold."""
    statement = select(_d.id, _d.notification_id, _d.token).where(
        tuple_(_d.id, _d.token).in_(claimed), _d.state == State.CLAIMED.value
    )
    return [dict(row) for row in (await conn.execute(statement)).mappings()]


def _standing() -> ColumnElement[bool]:
    """Say in SQL whether the last ledger entry for the person, channel and purpose is a given consent."""
    entry = (
        select(consents.c.given)
        .where(
            consents.c.subject == _d.subject,
            consents.c.channel == _d.channel,
            consents.c.purpose == notifications.c.purpose,
        )
        .order_by(consents.c.id.desc())
        .limit(1)
        .correlate(deliveries, notifications)
        .scalar_subquery()
    )
    return entry.is_(True)


def _still_allowed(now: datetime) -> ColumnElement[bool]:
    """Say in SQL what must still hold at the last moment: consent, suppression, cancellation, expiry, text."""
    suppressed = exists().where(
        contact_points.c.id == _d.contact_point,
        suppressions.c.channel == contact_points.c.channel,
        suppressions.c.address_index == contact_points.c.address_index,
    )
    approved = exists().where(
        template_versions.c.id == _d.template_version, template_versions.c.state.in_(("approved", "replaced"))
    )
    kept = exists().where(
        notifications.c.id == _d.notification_id,
        notifications.c.cancelled_at.is_(None),
        notifications.c.expires_at > now,
        _standing(),
    )
    return and_(kept, ~suppressed.correlate(deliveries), approved.correlate(deliveries))


async def begin_sending(
    conn: AsyncConnection, claimed: Sequence[tuple[str, int]], *, now: datetime, lease_until: datetime
) -> set[str]:
    """Commit claimed deliveries to sending where the claim is still ours and everything still allows it.

    ``lease_until``: renews the lease beyond the call's deadline. Returns the ids that may be sent.
    """
    statement = (
        update(deliveries)
        .where(
            tuple_(_d.id, _d.token).in_(claimed),
            _d.state == State.CLAIMED.value,
            _d.lease_until > now,
            _still_allowed(now),
        )
        .values(state=State.SENDING.value, lease_until=lease_until, changed_at=now)
        .returning(_d.id)
    )
    return set((await conn.execute(statement)).scalars())


async def obstacles(conn: AsyncConnection, ids: Sequence[str], *, now: datetime) -> dict[str, str]:
    """Return the first rule that no longer holds for each of these deliveries; one that may go is not among them."""
    statement = (
        select(_d.id, notifications.c.cancelled_at, notifications.c.expires_at, template_versions.c.state,
               suppressions.c.reason, _standing().label("consented"))
        .join(notifications, notifications.c.id == _d.notification_id)
        .join(template_versions, template_versions.c.id == _d.template_version)
        .outerjoin(contact_points, contact_points.c.id == _d.contact_point)
        .outerjoin(suppressions, and_(suppressions.c.channel == contact_points.c.channel,
                                      suppressions.c.address_index == contact_points.c.address_index))
        .where(_d.id.in_(ids))
    )  # fmt: skip
    found: dict[str, str] = {}
    for row in await conn.execute(statement):
        if row.cancelled_at is not None:
            found[row.id] = "cancelled"
        elif row.expires_at <= now:
            found[row.id] = "expired"
        elif row.reason is not None:
            found[row.id] = "contact_point_suppressed"
        elif row.state not in {"approved", "replaced"}:
            found[row.id] = "template_withdrawn"
        elif not row.consented:
            found[row.id] = "consent_withdrawn"
    return found


async def siblings(conn: AsyncConnection, notification_ids: Sequence[str]) -> dict[str, list[Sibling]]:
    """Return all deliveries of these notifications, each list in order of position."""
    statement = (
        select(
            _d.id,
            _d.notification_id,
            _d.position,
            _d.channel,
            _d.lane,
            _d.state,
            _d.due_at,
            _d.held,
            _d.code,
            _d.account,
        )
        .where(_d.notification_id.in_(notification_ids))
        .order_by(_d.notification_id, _d.position)
    )
    found: dict[str, list[Sibling]] = {}
    for row in await conn.execute(statement):
        state = State(row.state)
        # A held one stands in line like a fall-back: nothing behind it is promoted, and promote() passes it over.
        standby = state is State.QUEUED and row.due_at is None
        one = Sibling(
            row.id, row.notification_id, row.position, row.channel, row.lane, state, standby, row.code, row.account
        )
        found.setdefault(row.notification_id, []).append(one)
    return found


async def change(conn: AsyncConnection, changes: Sequence[Change]) -> set[str]:
    """Apply changes, each only if the delivery is still in the state (and claim) it expects; return those applied.

    In order of ids, so that two processes never wait for each other; several changes of one delivery keep their order.
    """
    done: set[str] = set()
    for one in sorted(changes, key=lambda one: one.id):
        values: dict[str, Any] = {
            "state": one.new.value,
            "code": one.code,
            "due_at": one.due_at,
            "lease_until": one.lease_until,
            "changed_at": one.at,
            "tries": _d.tries + one.tried,
            "held": one.held,
            "escalate_at": one.escalate_at,
        }
        if one.provider_id is not None:
            values["provider_id"] = one.provider_id
        guard = [_d.id == one.id, _d.state == one.old.value]
        if one.token is not None:
            guard.append(_d.token == one.token)
        statement = update(deliveries).where(*guard).values(**values).returning(_d.id)
        done.update((await conn.execute(statement)).scalars())
    return done


async def lock_queued(conn: AsyncConnection, notification: str) -> None:
    """Take the queued deliveries of a notification before the notification itself, as recording does.

    Only the queued ones: a claimed one must not be held up just before its call.
    """
    waiting = select(_d.id).where(_d.notification_id == notification, _d.state == State.QUEUED.value)
    await conn.execute(waiting.order_by(_d.id).with_for_update())


async def submitted(conn: AsyncConnection, changes: Sequence[Change]) -> None:
    """Apply many submissions in one round, the common case; the caller reads back what held.

    From ``uncertain`` too: the sweeper gave the call up while it was still running, and now its outcome is known.
    """
    if changes:
        await conn.execute(
            update(deliveries)
            .where(_d.id == bindparam("of"), _d.token == bindparam("claim"), _RUNNING)
            .values(
                state=State.SUBMITTED.value,
                provider_id=bindparam("provider"),
                lease_until=None,
                code=None,
                escalate_at=bindparam("escalation", type_=_d.escalate_at.type),
                changed_at=bindparam("at"),
                tries=_d.tries + 1,
            ),
            [
                {"of": c.id, "claim": c.token, "provider": c.provider_id, "at": c.at, "escalation": c.escalate_at}
                for c in sorted(changes, key=lambda one: one.id)  # as in ``change``: the same order everywhere
            ],
        )


async def late_provider_ids(conn: AsyncConnection, changes: Sequence[Change]) -> None:
    """Count the attempt, and keep the provider's id, where a receipt was faster than our record of the submission."""
    for one in changes:
        await conn.execute(
            update(deliveries)
            .where(_d.id == one.id, _d.token == one.token)
            .values(provider_id=one.provider_id, tries=_d.tries + one.tried)
        )


async def promote(conn: AsyncConnection, ids: Sequence[str], *, now: datetime) -> list[tuple[str, str]]:
    """Make waiting fall-backs due; return (id, lane) of those that were still waiting."""
    if not ids:
        return []
    statement = (
        update(deliveries)
        .where(_d.id.in_(ids), _d.state == State.QUEUED.value, _d.due_at.is_(None), _d.held.is_(False))
        .values(due_at=_not_before_its_time(now), changed_at=now)
        .returning(_d.id, _d.lane)
    )
    return [(row.id, row.lane) for row in await conn.execute(statement)]


def _not_before_its_time(now: datetime) -> ColumnElement[datetime | None]:
    """Return, in SQL, ``now`` or the notification's ``send_at``, whichever is later."""
    send_at = select(notifications.c.send_at).where(notifications.c.id == _d.notification_id).scalar_subquery()
    return case((send_at > now, send_at), else_=literal(now, _d.due_at.type))


async def running(conn: AsyncConnection, claimed: Sequence[tuple[str, int]]) -> set[str]:
    """Return which of these claims are still without a recorded outcome."""
    return set((await conn.execute(select(_d.id).where(tuple_(_d.id, _d.token).in_(claimed), _RUNNING))).scalars())


async def insert_attempts(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append one row for each provider call."""
    if rows:
        await conn.execute(insert(attempts), [dict(row) for row in rows])


async def due(conn: AsyncConnection, lane: str, *, before: datetime, limit: int) -> list[tuple[str, str]]:
    """Return (id, client) of a lane's deliveries that have been due since ``before`` or longer, oldest first."""
    statement = (
        select(_d.id, _d.client_id)
        .where(_d.lane == lane, _d.state == State.QUEUED.value, _d.due_at <= before)
        .order_by(_d.due_at)
        .limit(limit)
    )
    return [(row.id, row.client_id) for row in await conn.execute(statement)]


async def lapsed(conn: AsyncConnection, state: State, *, now: datetime, limit: int) -> list[Mapping[str, Any]]:
    """Return deliveries whose lease (in ``uncertain``: whose deadline) has run out."""
    statement = (
        select(_d.id, _d.notification_id, _d.token, _d.lane, _d.template_version, _d.position, _d.account)
        .where(_d.state == state.value, _d.lease_until <= now)
        .limit(limit)
    )
    return [dict(row) for row in (await conn.execute(statement)).mappings()]


def _expired(now: datetime) -> ColumnElement[bool]:
    """Ask the notification: a process of the version before has left the delivery's own column empty."""
    over = exists().where(notifications.c.id == _d.notification_id, notifications.c.expires_at <= now)
    return over.correlate(deliveries)


async def outlived(conn: AsyncConnection, *, now: datetime, limit: int) -> list[Mapping[str, Any]]:
    """Return queued deliveries (waiting fall-backs too) whose notification has expired."""
    statement = (
        select(_d.id, _d.notification_id, _d.due_at, _d.held, _d.account)
        .where(_d.state == State.QUEUED.value, or_(_d.expires_at <= now, and_(_d.expires_at.is_(None), _expired(now))))
        .limit(limit)
    )
    return [dict(row) for row in (await conn.execute(statement)).mappings()]


async def escalating(conn: AsyncConnection, *, now: datetime, limit: int) -> list[Mapping[str, Any]]:
    """Return submitted deliveries that nothing was reported of in the time their text allows."""
    statement = (
        select(_d.id, _d.notification_id)
        .where(_d.state == State.SUBMITTED.value, _d.escalate_at <= now)
        .order_by(_d.escalate_at)
        .limit(limit)
    )
    return [dict(row) for row in (await conn.execute(statement)).mappings()]


async def escalated(conn: AsyncConnection, ids: Sequence[str], *, now: datetime) -> set[str]:
    """Note that these deliveries have handed over; return those that were still waiting (the loser gets none)."""
    statement = (
        update(deliveries)
        .where(_d.id.in_(ids), _d.state == State.SUBMITTED.value, _d.escalate_at <= now)
        .values(escalate_at=None)
        .returning(_d.id)
    )
    return set((await conn.execute(statement)).scalars())


async def mark_also(conn: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Mark those of these deliveries that arrived although a later channel had taken over already; return them."""
    after = deliveries.alias("after")
    took_over = exists().where(
        after.c.notification_id == _d.notification_id,
        after.c.position > _d.position,
        after.c.state.in_((State.SENDING.value, State.SUBMITTED.value, State.DELIVERED.value)),
    )
    statement = (
        update(deliveries).where(_d.id.in_(ids), took_over.correlate(deliveries)).values(also=True).returning(_d.id)
    )
    return set((await conn.execute(statement)).scalars())


async def match(
    conn: AsyncConnection, account: str, *, keys: Sequence[str], provider_ids: Sequence[str]
) -> list[Mapping[str, Any]]:
    """Return the deliveries of an account that receipts with these keys or provider ids speak of, and hold them.

    Held, in order of ids, because the worker may be recording the same submission at this moment: a receipt that was
    judged by the state before it would change nothing, and count as taken.
    """
    wanted = or_(_d.id.in_(keys), _d.provider_id.in_(provider_ids))
    statement = select(
        _d.id, _d.notification_id, _d.provider_id, _d.state, _d.subject, _d.contact_point, _d.channel, _d.account
    ).where(_d.account == account, wanted)
    statement = statement.order_by(_d.id).with_for_update()
    return [dict(row) for row in (await conn.execute(statement)).mappings()]


async def one(conn: AsyncConnection, delivery: str) -> Mapping[str, Any] | None:
    """Return one delivery."""
    row = (await conn.execute(select(deliveries).where(_d.id == delivery))).mappings().one_or_none()
    return dict(row) if row else None
