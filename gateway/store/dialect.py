"""The few statements that the two databases spell differently. Nothing is run here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

Insert = postgresql.Insert | sqlite.Insert


def insert(conn: AsyncConnection, table: Table) -> Insert:
    """Begin an INSERT that can say ``on_conflict_do_nothing`` and ``on_conflict_do_update`` on this database."""
    return postgresql.insert(table) if conn.dialect.name == "postgresql" else sqlite.insert(table)


def insert_new(
    conn: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]], keys: Sequence[Column[Any]]
) -> Insert:
    """Return one INSERT of all ``rows`` that leaves out those whose ``keys`` are there already.

    Add ``.returning(…)`` to learn which were new. At most 32,766 values in one statement, on both databases.
    """
    return insert(conn, table).values(list(rows)).on_conflict_do_nothing(index_elements=list(keys))
