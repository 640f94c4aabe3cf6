"""Bring a database's schema to what this version needs, and tell which revision it has.

No alembic.ini and no command line of alembic's: the revisions travel with the package. Each run is one transaction.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from gateway.store.engine import Database

_LOCK = 0x626F74656E67  # "boteng": one migration at a time on PostgreSQL; SQLite has one writer anyway


class Standing(StrEnum):
    """How a database's schema stands to this version of the program."""

    CURRENT = "current"
    BEHIND = "behind"
    AHEAD = "ahead"  # a newer version has migrated it: expand first, so this one goes on working
    EMPTY = "empty"


async def migrate(db: Database) -> None:
    """Run all missing revisions; nothing to do is fine. Open the database with ``timeout_s=None`` for large tables.

    A database that a newer version has migrated is left as it is. Several processes may call it at once: the others
    wait and then find nothing to do. Raises StoreAway.
    """
    async with db.write() as conn:
        if db.dialect == "postgresql":
            await conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        await conn.run_sync(_upgrade)


async def standing(db: Database) -> Standing:
    """Compare the database's revision with ours. Raises StoreAway."""
    found = await current(db)
    if found is None:
        return Standing.EMPTY
    if found == head():
        return Standing.CURRENT
    return Standing.BEHIND if found in _known() else Standing.AHEAD


async def current(db: Database) -> str | None:
    """Return the database's revision, or None when it is empty. Raises StoreAway."""
    async with db.read() as conn:
        return await conn.run_sync(_revision)


@cache
def head() -> str:
    """Return the revision that this version of the program needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise RuntimeError("the package holds no revisions: it is not installed completely")
    return revision


@cache
def _known() -> frozenset[str]:
    return frozenset(one.revision for one in ScriptDirectory.from_config(_config()).walk_revisions())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "gateway.store:migrations")
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: Connection) -> None:
    found = _revision(connection)
    if found is not None and (found == head() or found not in _known()):
        return
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
