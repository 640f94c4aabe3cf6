"""Clients and their API keys. Secrets arrive hashed; checking them is gateway.usecases.access's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.tables import api_keys, clients


@dataclass(frozen=True, slots=True)
class ClientRow:
    """A backend service."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """One API key with its client's name. ``id`` is the public half."""

    id: str
    client_id: str
    client: str
    secret_hash: str = field(repr=False)
    scopes: tuple[str, ...]
    test: bool
    created_at: datetime
    revoked_at: datetime | None


async def create_client(
    conn: AsyncConnection,
    *,
    id: str,  # noqa: A002 - the column's name
    name: str,
    now: datetime,
) -> ClientRow:
    """Add a client. Raises sqlalchemy's IntegrityError when the name is taken: look with ``client_by_name`` first."""
    await conn.execute(insert(clients).values(id=id, name=name, created_at=now))
    return ClientRow(id, name, now)


async def client_by_name(conn: AsyncConnection, name: str) -> ClientRow | None:
    """Return the client of this name, or None."""
    statement = select(clients.c.id, clients.c.name, clients.c.created_at).where(clients.c.name == name)
    row = (await conn.execute(statement)).one_or_none()
    return None if row is None else ClientRow(row.id, row.name, row.created_at)


async def insert_key(
    conn: AsyncConnection,
    *,
    id: str,  # noqa: A002 - the column's name
    client_id: str,
    secret_hash: str,
    scopes: Iterable[str],
    test: bool,
    now: datetime,
) -> None:
    """Add a key to a client."""
    await conn.execute(
        insert(api_keys).values(
            id=id, client_id=client_id, secret_hash=secret_hash, scopes=sorted(scopes), test=test, created_at=now
        )
    )


async def find_key(conn: AsyncConnection, key_id: str) -> KeyRow | None:
    """Return the key of this public half, or None when there is none or it is revoked."""
    statement = _keys().where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
    row = (await conn.execute(statement)).one_or_none()
    return None if row is None else _key(row)


async def revoke_key(conn: AsyncConnection, key_id: str, now: datetime) -> bool:
    """Revoke a key for good; False when there is none or it was revoked before."""
    statement = update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None)).values(revoked_at=now)
    return (await conn.execute(statement)).rowcount == 1


async def list_keys(conn: AsyncConnection) -> list[KeyRow]:
    """Return all keys, revoked ones too, by client and age."""
    statement = _keys().order_by(clients.c.name, api_keys.c.created_at, api_keys.c.id)
    return [_key(row) for row in await conn.execute(statement)]


def _keys() -> Select[tuple[str, str, str, str, list[str], bool, datetime, datetime | None]]:
    return select(
        api_keys.c.id,
        api_keys.c.client_id,
        clients.c.name.label("client"),
        api_keys.c.secret_hash,
        api_keys.c.scopes,
        api_keys.c.test,
        api_keys.c.created_at,
        api_keys.c.revoked_at,
    ).join(clients, clients.c.id == api_keys.c.client_id)


def _key(row: Row[tuple[str, str, str, str, list[str], bool, datetime, datetime | None]]) -> KeyRow:
    return KeyRow(
        id=row.id,
        client_id=row.client_id,
        client=row.client,
        secret_hash=row.secret_hash,
        scopes=tuple(row.scopes),
        test=row.test,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
