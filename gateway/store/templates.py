"""Template versions: drafts come in, one of each key is approved, and a version never changes its content.

What the content means is gateway.render.catalogue's. The database itself refuses an approval by the author and a
second approved version.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.errors import Conflict, Forbidden, NotFound
from gateway.store.dialect import insert_new
from gateway.store.tables import template_versions as versions

_TRIES = 20  # how often another draft of the same key may be faster


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """One version of one template. ``state``: draft, approved, replaced or withdrawn."""

    id: str
    key: str
    number: int
    state: str
    content: str
    content_hash: str
    author: str
    created_at: datetime
    approver: str | None
    approved_at: datetime | None


async def insert_version(
    conn: AsyncConnection,
    *,
    id: str,  # noqa: A002 - the column's name
    key: str,
    content: str,
    content_hash: str,
    author: str,
    now: datetime,
    number: int | None = None,
) -> VersionRow:
    """Add a draft. ``number`` None: the next one of this key. Raises Conflict when the given number is taken."""
    for _ in range(_TRIES if number is None else 1):
        row = {
            "id": id,
            "key": key,
            "number": number or await _highest(conn, key) + 1,
            "state": "draft",
            "content": content,
            "content_hash": content_hash,
            "author": author,
            "created_at": now,
        }
        fresh = insert_new(conn, versions, [row], [versions.c.key, versions.c.number]).returning(*versions.c)
        found = (await conn.execute(fresh)).one_or_none()
        if found is not None:
            return _version(found)
    raise Conflict(f"version {number or 'next'} of template {key} is there already", code="version_exists")


async def approve(conn: AsyncConnection, version_id: str, *, approver: str, now: datetime) -> VersionRow:
    """Approve a draft; the version approved until now becomes ``replaced`` in the same transaction.

    Raises NotFound, Conflict (``not_a_draft``), Forbidden (``four_eyes``: authors do not approve their own drafts).
    """
    version = await _locked(conn, version_id)
    if version.state != "draft":
        raise Conflict(f"only a draft can be approved, and this version is {version.state}", code="not_a_draft")
    if version.author == approver:
        raise Forbidden("somebody else than its author approves a version", code="four_eyes")
    await conn.execute(
        update(versions).where(versions.c.key == version.key, versions.c.state == "approved").values(state="replaced")
    )
    return await _changed(conn, version_id, state="approved", approver=approver, approved_at=now)


async def withdraw(conn: AsyncConnection, version_id: str) -> VersionRow:
    """Withdraw a version: nothing is planned with it any more, and what waits is not sent.

    Raises NotFound, Conflict (``already_withdrawn``).
    """
    version = await _locked(conn, version_id)
    if version.state == "withdrawn":
        raise Conflict("this version is withdrawn already", code="already_withdrawn")
    return await _changed(conn, version_id, state="withdrawn")


async def approved(conn: AsyncConnection, keys: Sequence[str] | None = None) -> list[VersionRow]:
    """Return the approved version of each key (of all keys: None), by key."""
    statement = select(*versions.c).where(versions.c.state == "approved").order_by(versions.c.key)
    if keys is not None:
        statement = statement.where(versions.c.key.in_(keys))
    return [_version(row) for row in await conn.execute(statement)]


async def approved_ids(conn: AsyncConnection) -> dict[str, str]:
    """Return key -> id of the approved version, for all keys."""
    statement = select(versions.c.key, versions.c.id).where(versions.c.state == "approved")
    return {row.key: row.id for row in await conn.execute(statement)}


async def by_ids(conn: AsyncConnection, ids: Iterable[str]) -> dict[str, VersionRow]:
    """Return the versions with these ids, by id; unknown ids are left out."""
    statement = select(*versions.c).where(versions.c.id.in_(list(ids)))
    return {row.id: _version(row) for row in await conn.execute(statement)}


async def latest(conn: AsyncConnection, key: str) -> VersionRow | None:
    """Return the version with the highest number, whatever its state, or None."""
    statement = select(*versions.c).where(versions.c.key == key).order_by(versions.c.number.desc()).limit(1)
    row = (await conn.execute(statement)).one_or_none()
    return None if row is None else _version(row)


async def listing(conn: AsyncConnection) -> list[VersionRow]:
    """Return all versions, by key and number."""
    statement = select(*versions.c).order_by(versions.c.key, versions.c.number)
    return [_version(row) for row in await conn.execute(statement)]


async def _highest(conn: AsyncConnection, key: str) -> int:
    highest: int = (
        await conn.execute(select(func.coalesce(func.max(versions.c.number), 0)).where(versions.c.key == key))
    ).scalar_one()
    return highest


async def _locked(conn: AsyncConnection, version_id: str) -> VersionRow:
    """Return the version after locking all of its key, so that two decisions about one key come one after the other."""
    key = select(versions.c.key).where(versions.c.id == version_id).scalar_subquery()
    await conn.execute(select(versions.c.id).where(versions.c.key == key).order_by(versions.c.id).with_for_update())
    found = (await by_ids(conn, [version_id])).get(version_id)
    if found is None:
        raise NotFound("there is no such template version")
    return found


async def _changed(conn: AsyncConnection, version_id: str, **columns: Any) -> VersionRow:
    statement = update(versions).where(versions.c.id == version_id).values(**columns).returning(*versions.c)
    return _version((await conn.execute(statement)).one())


def _version(row: Row[Any]) -> VersionRow:
    return VersionRow(
        id=row.id,
        key=row.key,
        number=row.number,
        state=row.state,
        content=row.content,
        content_hash=row.content_hash,
        author=row.author,
        created_at=row.created_at,
        approver=row.approver,
        approved_at=row.approved_at,
    )
