"""The revisions make exactly the schema that the code speaks, on both databases."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from gateway.store.engine import Database
from gateway.store.migrate import current, head, migrate
from gateway.store.tables import metadata


def _differences(connection: sa.Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_server_default": True})
    return list(compare_metadata(context, metadata))


def _checks(connection: sa.Connection) -> set[str]:
    inspector = sa.inspect(connection)
    return {str(check["name"]) for table in metadata.tables for check in inspector.get_check_constraints(table)}


def _promised_checks() -> set[str]:
    return {
        str(constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, sa.CheckConstraint)
    }


async def test_the_migrated_schema_is_the_schema_of_the_code(db: Database):
    """No table, column, index or key differs between migrations and tables.py."""
    async with db.read() as conn:
        assert await conn.run_sync(_differences) == []


async def test_the_migrated_schema_has_every_check(db: Database):
    """Check constraints, which alembic does not compare, are there too."""
    async with db.read() as conn:
        assert await conn.run_sync(_checks) == _promised_checks()
    assert "ck_template_versions_four_eyes" in _promised_checks()


async def test_a_fresh_database_gets_to_the_head(empty_url: str):
    """An empty database has no revision; migrating twice is migrating once."""
    db = await Database.open(empty_url)
    try:
        assert await current(db) is None
        await migrate(db)
        await migrate(db)
        assert await current(db) == head()
    finally:
        await db.close()


async def test_two_processes_may_migrate_at_once(empty_url: str):
    """Two connections of their own migrate the same empty database: both succeed."""
    one, two = await Database.open(empty_url), await Database.open(empty_url)
    try:
        await asyncio.gather(migrate(one), migrate(two))
        assert await current(one) == await current(two) == head()
    finally:
        await one.close()
        await two.close()


async def test_a_failed_migration_leaves_nothing(empty_url: str):
    """A revision that breaks half-way takes back everything it made."""
    db = await Database.open(empty_url)
    try:
        async with db.write() as conn:
            await conn.execute(sa.text("CREATE TABLE inbound (id INTEGER)"))  # the last table to be made is taken
        with pytest.raises(sa.exc.DBAPIError):
            await migrate(db)
        async with db.read() as conn:
            assert await conn.run_sync(lambda sync: sa.inspect(sync).get_table_names()) == ["inbound"]
    finally:
        await db.close()
