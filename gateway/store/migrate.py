"""Bring a database's schema to what this version needs, and tell which revision it has.

No alembic.ini and no command line of alembic's: the revisions travel with the package. Each run is one transaction.
"""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from gateway.store.engine import Database

_LOCK = 0x626F74656E67  # "boteng": one migration at a time on PostgreSQL; SQLite has one writer anyway


async def migrate(db: Database) -> None:
    """Run all missing revisions; nothing to do is fine. Open the database with ``timeout_s=None`` for large tables.

    Several processes may call it at once: the others wait and then find nothing to do. Raises StoreAway.
    """
    async with db.write() as conn:
        if db.dialect == "postgresql":
            await conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        await conn.run_sync(_upgrade)


async def current(db: Database) -> str | None:
    """Return the database's revision, or None when it is empty. Raises StoreAway."""
    async with db.read() as conn:
        return await conn.run_sync(_revision)


def head() -> str:
    """Return the revision that this version of the program needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise RuntimeError("the package holds no revisions: it is not installed completely")
    return revision


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "gateway.store:migrations")
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
