"""Accounts' health, long windows, events and callbacks, held and escalating deliveries.

Expand only: processes of the version before keep working while this runs, because what they do not know has defaults.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gateway.store.columns import Document, Instant, Serial

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.String(36)
NAME = sa.String(100)


def upgrade() -> None:
    """Add everything; nothing is taken away."""
    _deliveries()
    _accounts()
    _events()
    _callbacks()
    _retention()


def downgrade() -> None:
    """Refuse: what was counted and promised since would be forgotten."""
    raise NotImplementedError("there is no way back behind the delivery engine")


def _deliveries() -> None:
    with op.batch_alter_table("deliveries") as table:
        table.add_column(sa.Column("client_id", ID, nullable=False, server_default=sa.text("''")))
        table.add_column(sa.Column("held", sa.Boolean, nullable=False, server_default=sa.false()))
        table.add_column(sa.Column("expires_at", Instant))
        table.add_column(sa.Column("escalate_at", Instant))
        table.add_column(sa.Column("also", sa.Boolean, nullable=False, server_default=sa.false()))
    owner = "FROM notifications WHERE id = deliveries.notification_id"
    op.execute(
        f"UPDATE deliveries SET client_id = (SELECT client_id {owner}), expires_at = (SELECT expires_at {owner})"  # noqa: S608 - our own words
    )
    _partial("ix_deliveries_escalate", "deliveries", ["escalate_at"], "escalate_at IS NOT NULL")
    _partial("ix_deliveries_expiry", "deliveries", ["expires_at"], "state = 'queued'")
    _partial("ix_deliveries_held", "deliveries", ["template_version"], "held")
    _partial("ix_deliveries_ended", "deliveries", ["account", "changed_at"], "state = 'failed'")


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _accounts() -> None:
    op.create_table(
        "account_states",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("circuit", sa.String(10), nullable=False),
        sa.Column("code", NAME),
        sa.Column("opened_at", Instant),
        sa.Column("probe_at", Instant),
        sa.Column("calls", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("window_at", Instant, nullable=False),
        sa.Column("share", sa.Integer, nullable=False),
        sa.Column("changed_at", Instant, nullable=False),
    )
    op.create_table(
        "contacted",
        sa.Column("account", NAME, primary_key=True),
        sa.Column("contact_point", ID, primary_key=True),
        sa.Column("last_at", Instant, nullable=False),
    )
    op.create_table(
        "usage",
        sa.Column("account", NAME, primary_key=True),
        sa.Column("kind", NAME, primary_key=True),
        sa.Column("hour", Instant, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
    )


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", Serial, primary_key=True, autoincrement=True),
        sa.Column("client_id", ID, nullable=False),
        sa.Column("seq", Serial),
        sa.Column("at", Instant, nullable=False),
        sa.Column("type", NAME, nullable=False),
        sa.Column("body", Document, nullable=False),
        sa.UniqueConstraint("client_id", "seq", name="uq_events_client_id_seq"),
    )
    _partial("ix_events_unnumbered", "events", ["client_id", "id"], "seq IS NULL")
    op.create_index("ix_events_at", "events", ["at"])
    op.create_table(
        "event_heads",
        sa.Column("client_id", ID, primary_key=True),
        sa.Column("seq", Serial, nullable=False),
    )


def _callbacks() -> None:
    op.create_table(
        "endpoints",
        sa.Column("id", ID, primary_key=True),
        sa.Column("client_id", ID, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("types", Document, nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary, nullable=False),
        sa.Column("previous_sealed", sa.LargeBinary),
        sa.Column("previous_until", Instant),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("disabled_at", Instant),
    )
    op.create_index("ix_endpoints_client", "endpoints", ["client_id"])
    op.create_table(
        "callback_posts",
        sa.Column("endpoint_id", ID, sa.ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("event_id", Serial, primary_key=True, autoincrement=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("due_at", Instant),
        sa.Column("lease_until", Instant),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("queued_at", Instant, nullable=False),
        sa.Column("changed_at", Instant, nullable=False),
    )
    _partial("ix_callback_posts_due", "callback_posts", ["endpoint_id", "due_at"], "state = 'queued'")
    _partial("ix_callback_posts_given_up", "callback_posts", ["endpoint_id"], "state = 'given_up'")
    op.create_table(
        "raw_webhooks",
        sa.Column("id", ID, primary_key=True),
        sa.Column("account", NAME, nullable=False),
        sa.Column("body_sealed", sa.LargeBinary, nullable=False),
        sa.Column("received_at", Instant, nullable=False),
    )
    op.create_index("ix_raw_webhooks_received", "raw_webhooks", ["received_at"])


def _retention() -> None:
    _partial("ix_notifications_unpurged", "notifications", ["id"], "variables_sealed IS NOT NULL")
    op.create_index("ix_receipts_received", "receipts", ["received_at"])
    op.create_index("ix_inbound_received", "inbound", ["received_at"])
