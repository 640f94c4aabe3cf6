"""Recipients, their contact points, consents and suppressions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.model import Consent, ContactPoint, Recipient
from gateway.store.dialect import insert_new
from gateway.store.rows import AddressRow, Person
from gateway.store.tables import consents, contact_points, recipients, subjects, suppressions

_SLICE = 500  # rows a statement: below both databases' limit of bound values


async def persons(conn: AsyncConnection, ids: Sequence[str]) -> dict[str, Person]:
    """Return the known persons among these authority-wide ids, with contact points and standing consents."""
    if not ids:
        return {}
    rows = (
        await conn.execute(
            select(subjects, recipients.c.language, recipients.c.birth_year, recipients.c.preferred)
            .join(recipients, recipients.c.subject == subjects.c.subject)
            .where(subjects.c.recipient.in_(ids))
        )
    ).all()
    known = [row.subject for row in rows]
    points = await _points(conn, known)
    ledger = await standing(conn, known)
    return {
        row.recipient: Person(
            row.recipient,
            Recipient(
                subject=row.subject,
                language=row.language,
                birth_year=row.birth_year,
                preferred=tuple(row.preferred),
                contact_points=tuple(points.get(row.subject, ())),
                consents=tuple(ledger.get(row.subject, ())),
            ),
            row.data_key_sealed,
        )
        for row in rows
    }


async def _points(conn: AsyncConnection, known: Sequence[str]) -> dict[str, list[ContactPoint]]:
    statement = (
        select(
            contact_points.c.subject,
            contact_points.c.id,
            contact_points.c.channel,
            contact_points.c.verified_at,
            suppressions.c.reason,
        )
        .outerjoin(
            suppressions,
            and_(
                suppressions.c.channel == contact_points.c.channel,
                suppressions.c.address_index == contact_points.c.address_index,
            ),
        )
        .where(contact_points.c.subject.in_(known))
        .order_by(contact_points.c.id)
    )
    found: dict[str, list[ContactPoint]] = {}
    for row in await conn.execute(statement):
        point = ContactPoint(row.id, row.channel, row.verified_at is not None, row.reason is not None, row.reason or "")
        found.setdefault(row.subject, []).append(point)
    return found


async def standing(conn: AsyncConnection, known: Sequence[str]) -> dict[str, list[Consent]]:
    """Return, for each subject, the last ledger row of every channel and purpose."""
    last = (
        select(func.max(consents.c.id))
        .where(consents.c.subject.in_(known))
        .group_by(consents.c.subject, consents.c.channel, consents.c.purpose)
    )
    statement = select(
        consents.c.id, consents.c.subject, consents.c.channel, consents.c.purpose, consents.c.given, consents.c.at
    ).where(consents.c.id.in_(last))
    found: dict[str, list[Consent]] = {}
    for row in await conn.execute(statement):
        found.setdefault(row.subject, []).append(Consent(row.id, row.channel, row.purpose, row.given, row.at))
    return found


async def insert_subjects(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Insert links and data keys; return the recipients that were new (someone else may have been faster)."""
    if not rows:
        return set()
    ordered = sorted(rows, key=lambda row: str(row["recipient"]))  # so that two processes never wait for each other
    done = await conn.execute(
        insert_new(conn, subjects, ordered, [subjects.c.recipient]).returning(subjects.c.recipient)
    )
    return set(done.scalars())


async def save_recipients(
    conn: AsyncConnection, new: Sequence[Mapping[str, Any]], changed: Sequence[tuple[str, Mapping[str, Any]]]
) -> None:
    """Insert new recipients and change the given columns of known ones."""
    if new:
        await conn.execute(insert(recipients), list(new))
    for subject, columns in sorted(changed, key=lambda one: one[0]):  # so that two processes never wait for each other
        await conn.execute(update(recipients).where(recipients.c.subject == subject).values(**columns))


async def addresses(conn: AsyncConnection, known: Sequence[str]) -> dict[str, list[AddressRow]]:
    """Return the sealed addresses of these subjects."""
    statement = select(contact_points).where(contact_points.c.subject.in_(known)).order_by(contact_points.c.id)
    found: dict[str, list[AddressRow]] = {}
    for row in await conn.execute(statement):
        found.setdefault(row.subject, []).append(
            AddressRow(
                row.id,
                row.subject,
                row.channel,
                row.address_sealed,
                row.address_index,
                row.verified_at,
                row.verified_how,
            )
        )
    return found


async def known_ids(conn: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Return which of these authority-wide ids are known."""
    return set((await conn.execute(select(subjects.c.recipient).where(subjects.c.recipient.in_(ids)))).scalars())


async def save_contact_points(
    conn: AsyncConnection,
    new: Sequence[Mapping[str, Any]],
    verified: Iterable[tuple[str, datetime, str | None]],
    gone: Sequence[str] = (),
) -> None:
    """Insert contact points that are not there yet, note verifications of known ones, delete those that are gone."""
    keys = [contact_points.c.subject, contact_points.c.channel, contact_points.c.address_index]
    for start in range(0, len(new), _SLICE):
        await conn.execute(insert_new(conn, contact_points, new[start : start + _SLICE], keys))
    for point, at, how in verified:
        await conn.execute(
            update(contact_points).where(contact_points.c.id == point).values(verified_at=at, verified_how=how)
        )
    if gone:
        await conn.execute(delete(contact_points).where(contact_points.c.id.in_(gone)))


async def append_consents(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Append ledger rows; return their ids in order."""
    ids: list[int] = []
    for start in range(0, len(rows), 500):
        part = [dict(row) for row in rows[start : start + 500]]
        done = await conn.execute(insert(consents).returning(consents.c.id, sort_by_parameter_order=True), part)
        ids.extend(done.scalars())
    return ids


async def ledger(conn: AsyncConnection, subject: str) -> list[Mapping[str, Any]]:
    """Return every ledger row of one subject, oldest first."""
    statement = select(consents).where(consents.c.subject == subject).order_by(consents.c.id)
    return [dict(row) for row in (await conn.execute(statement)).mappings()]


async def suppress(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Keep addresses from being used; the first reason stays. Return how many were not suppressed before."""
    if not rows:
        return 0
    ordered = sorted(rows, key=lambda row: (row["channel"], row["address_index"]))  # the same everywhere
    keys = [suppressions.c.channel, suppressions.c.address_index]
    done = await conn.execute(insert_new(conn, suppressions, ordered, keys).returning(suppressions.c.channel))
    return len(done.all())


async def release(conn: AsyncConnection, channel: str, indexes: Sequence[bytes]) -> None:
    """Allow an address again."""
    await conn.execute(
        delete(suppressions).where(suppressions.c.channel == channel, suppressions.c.address_index.in_(indexes))
    )


async def owners(conn: AsyncConnection, channel: str, indexes: Sequence[bytes]) -> list[tuple[str, str]]:
    """Return (subject, contact point) of everyone who has this address."""
    statement = select(contact_points.c.subject, contact_points.c.id).where(
        contact_points.c.channel == channel, contact_points.c.address_index.in_(indexes)
    )
    return [(row.subject, row.id) for row in await conn.execute(statement)]


async def subject_keys(conn: AsyncConnection, known: Sequence[str]) -> dict[str, bytes]:
    """Return the sealed data keys of these subjects."""
    statement = select(subjects.c.subject, subjects.c.data_key_sealed).where(subjects.c.subject.in_(known))
    return {row.subject: row.data_key_sealed for row in await conn.execute(statement)}


async def indexes_of(conn: AsyncConnection, points: Sequence[str]) -> list[bytes]:
    """Return the address indexes of these contact points."""
    statement = select(contact_points.c.address_index).where(contact_points.c.id.in_(points))
    return list((await conn.execute(statement)).scalars())
