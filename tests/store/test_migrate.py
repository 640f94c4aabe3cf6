"""The revisions make exactly the schema that the code speaks, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from gateway.store.engine import Database
from gateway.store.migrate import Standing, _config, current, head, migrate, standing
from gateway.store.tables import deliveries, metadata
from tests.support.clock import START


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


async def test_a_schema_stands_to_the_program_in_one_of_four_ways(empty_url: str):
    """Empty, behind, current, or ahead: a newer version has migrated, and this one leaves that alone (expand first)."""
    db = await Database.open(empty_url)
    try:
        assert await standing(db) is Standing.EMPTY
        await migrate(db)
        assert await standing(db) is Standing.CURRENT
        for revision, expected in (("0001", Standing.BEHIND), ("9999", Standing.AHEAD)):
            async with db.write() as conn:
                await conn.execute(sa.text("UPDATE alembic_version SET version_num = :to"), {"to": revision})
            assert await standing(db) is expected
        await migrate(db)
        assert await current(db) == "9999"
    finally:
        await db.close()


def _to(revision: str) -> Callable[[sa.Connection], None]:
    """Return what migrates up to ``revision`` only."""

    def upgrade(connection: sa.Connection) -> None:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    return upgrade


def _columns(connection: sa.Connection) -> sa.MetaData:
    found = sa.MetaData()
    found.reflect(connection, only=["notifications", "deliveries"])
    return found


def _filled(table: sa.Table) -> dict[str, Any]:
    """Return a row with a value in every column that must have one and that the database does not fill itself."""
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.nullable or column.server_default is not None:
            continue
        kind = column.type.python_type
        row[column.name] = {int: 0, str: "n1", bool: False, dict: [], list: [], datetime: START}.get(kind, [])
    return row


async def test_the_version_before_goes_on_writing_after_the_migration(empty_url: str):
    """Expand only: rows in the shape of 0001, without the new columns, are taken by the migrated schema and walk on."""
    db = await Database.open(empty_url)
    try:
        async with db.write() as conn:
            await conn.run_sync(_to("0001"))
            old = await conn.run_sync(_columns)
        await migrate(db)
        note, delivery = old.tables["notifications"], old.tables["deliveries"]
        assert "held" not in delivery.columns
        async with db.write() as conn:
            await conn.execute(note.insert().values(_filled(note)))
            await conn.execute(delivery.insert().values(_filled(delivery) | {"state": "queued", "lane": "normal"}))
            claimed = delivery.update().values(state="claimed", token=1).returning(delivery.c.token)
            assert (await conn.execute(claimed)).scalar_one() == 1
        async with db.read() as conn:
            row = (await conn.execute(sa.select(deliveries.c.held, deliveries.c.also, deliveries.c.escalate_at))).one()
        assert tuple(row) == (False, False, None)
    finally:
        await db.close()
