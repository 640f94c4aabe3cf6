"""Add to the audit log: who did what to which object, and about whom. The database refuses to change or delete rows.

Reading and verifying it belong elsewhere. ``detail`` never holds an address, a name, a variable or a body.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.tables import audit

_NOTHING: Mapping[str, Any] = MappingProxyType({})


async def append(
    conn: AsyncConnection,
    *,
    at: datetime,
    actor: str,
    verb: str,
    object: str,  # noqa: A002 - the column's name
    subject: str | None = None,
    detail: Mapping[str, Any] = _NOTHING,
) -> int:
    """Append one entry in the caller's transaction and return its number.

    actor: ``client:<name>``, ``staff:<id>`` or a part of the system.  subject: the random id, never the person's.
    """
    row = {"at": at, "actor": actor, "verb": verb, "object": object, "subject": subject, "detail": dict(detail)}
    number: int = (await conn.execute(insert(audit).values(row).returning(audit.c.id))).scalar_one()
    return number
