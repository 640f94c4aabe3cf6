"""Alembic's entry: run the revisions over the connection that gateway.store.migrate hands in.

It opens nothing and reads no settings; there is no offline mode.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from gateway.store.tables import metadata


def run(connection: Connection) -> None:
    """Run the asked-for revisions inside the caller's transaction."""
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
