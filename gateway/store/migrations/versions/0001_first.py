"""All tables of the first release; the ledgers are append-only by triggers of the database itself (A-04, A-19).

Frozen: it does not read gateway.store.tables, which moves on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gateway.store.columns import Document, Instant, Serial

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.String(36)
NAME = sa.String(100)
LANGUAGE = sa.String(35)
PROVIDER_ID = sa.String(200)
SEALED = sa.LargeBinary
LEDGERS = ("consents", "audit")


def upgrade() -> None:
    """Make everything."""
    _clients()
    _people()
    _addresses()
    _ledgers()
    _texts()
    _notifications()
    _deliveries()
    _history()
    _incoming()
    for ledger in LEDGERS:
        _append_only(ledger)


def downgrade() -> None:
    """Refuse: there is nothing before the first release, and dropping the ledgers would be their end."""
    raise NotImplementedError("there is no way back behind the first release")


def _clients() -> None:
    op.create_table(
        "clients",
        sa.Column("id", ID, primary_key=True),
        sa.Column("name", NAME, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("client_id", ID, sa.ForeignKey("clients.id"), nullable=False),
        sa.Column("secret_hash", sa.String(200), nullable=False),
        sa.Column("scopes", Document, nullable=False),
        sa.Column("test", sa.Boolean, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("revoked_at", Instant),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("client_id", ID, primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("body_hash", sa.LargeBinary, nullable=False),
        sa.Column("notification_id", ID, nullable=False),
        sa.Column("answer", Document, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
    )
    op.create_index("ix_idempotency_keys_expires", "idempotency_keys", ["expires_at"])


def _people() -> None:
    op.create_table(
        "subjects",
        sa.Column("subject", ID, primary_key=True),
        sa.Column("recipient", NAME, nullable=False),
        sa.Column("data_key_sealed", SEALED, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.UniqueConstraint("recipient"),
    )
    op.create_table(
        "recipients",
        sa.Column("subject", ID, sa.ForeignKey("subjects.subject", ondelete="CASCADE"), primary_key=True),
        sa.Column("language", LANGUAGE, nullable=False),
        sa.Column("birth_year", sa.Integer),
        sa.Column("preferred", Document, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
    )


def _addresses() -> None:
    op.create_table(
        "contact_points",
        sa.Column("id", ID, primary_key=True),
        sa.Column("subject", ID, sa.ForeignKey("subjects.subject", ondelete="CASCADE"), nullable=False),
        sa.Column("channel", NAME, nullable=False),
        sa.Column("address_sealed", SEALED, nullable=False),
        sa.Column("address_index", sa.LargeBinary, nullable=False),
        sa.Column("verified_at", Instant),
        sa.Column("verified_how", sa.String(100)),
        sa.Column("created_at", Instant, nullable=False),
        sa.UniqueConstraint("subject", "channel", "address_index"),
    )
    op.create_index("ix_contact_points_address", "contact_points", ["channel", "address_index"])
    op.create_table(
        "suppressions",
        sa.Column("channel", NAME, primary_key=True),
        sa.Column("address_index", sa.LargeBinary, primary_key=True),
        sa.Column("reason", NAME, nullable=False),
        sa.Column("since", Instant, nullable=False),
    )


def _ledgers() -> None:
    op.create_table(
        "consents",
        sa.Column("id", Serial, primary_key=True, autoincrement=True),
        sa.Column("subject", ID, nullable=False),
        sa.Column("channel", NAME, nullable=False),
        sa.Column("purpose", NAME, nullable=False),
        sa.Column("given", sa.Boolean, nullable=False),
        sa.Column("text_version", NAME, nullable=False),
        sa.Column("text_hash", sa.String(128), nullable=False),
        sa.Column("language", LANGUAGE, nullable=False),
        sa.Column("source", NAME, nullable=False),
        sa.Column("actor", NAME, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("proof", sa.Text),
        sa.Column("recorded_at", Instant, nullable=False),
    )
    op.create_index("ix_consents_standing", "consents", ["subject", "channel", "purpose", "id"])
    op.create_table(
        "audit",
        sa.Column("id", Serial, primary_key=True, autoincrement=True),
        sa.Column("at", Instant, nullable=False),
        sa.Column("actor", NAME, nullable=False),
        sa.Column("verb", NAME, nullable=False),
        sa.Column("object", NAME, nullable=False),
        sa.Column("subject", ID),
        sa.Column("detail", Document, nullable=False),
    )


def _texts() -> None:
    op.create_table(
        "template_versions",
        sa.Column("id", ID, primary_key=True),
        sa.Column("key", NAME, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("author", NAME, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("approver", NAME),
        sa.Column("approved_at", Instant),
        sa.UniqueConstraint("key", "number"),
        sa.CheckConstraint("approver IS NULL OR approver <> author", name="four_eyes"),
        sa.CheckConstraint("state <> 'approved' OR approver IS NOT NULL", name="approved_by_somebody"),
    )
    _partial_index("ix_template_versions_approved", "template_versions", ["key"], "state = 'approved'", unique=True)


def _notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", ID, primary_key=True),
        sa.Column("client_id", ID, nullable=False),
        sa.Column("subject", ID, nullable=False),
        sa.Column("template_version", ID, nullable=False),
        sa.Column("template_key", NAME, nullable=False),
        sa.Column("purpose", NAME, nullable=False),
        sa.Column("language", LANGUAGE, nullable=False),
        sa.Column("language_fell_back", sa.Boolean, nullable=False),
        sa.Column("lane", sa.String(10), nullable=False),
        sa.Column("reference", NAME),
        sa.Column("variables_sealed", SEALED),
        sa.Column("skipped", Document, nullable=False),
        sa.Column("simulate", NAME),
        sa.Column("send_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.Column("cancelled_at", Instant),
        sa.Column("outcome", sa.String(12), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
    )
    op.create_index("ix_notifications_client", "notifications", ["client_id", "id"])
    op.create_index("ix_notifications_reference", "notifications", ["client_id", "reference"])
    op.create_index("ix_notifications_subject", "notifications", ["subject", "id"])


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", ID, primary_key=True),
        sa.Column("notification_id", ID, sa.ForeignKey("notifications.id", ondelete="CASCADE"), nullable=False),
        sa.Column("subject", ID, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("channel", NAME, nullable=False),
        sa.Column("account", NAME, nullable=False),
        sa.Column("contact_point", ID, nullable=False),
        sa.Column("template_version", ID, nullable=False),
        sa.Column("consent_id", Serial, nullable=False),
        sa.Column("lane", sa.String(10), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("due_at", Instant),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("lease_until", Instant),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("provider_id", PROVIDER_ID),
        sa.Column("code", NAME),
        sa.Column("changed_at", Instant, nullable=False),
        sa.UniqueConstraint("notification_id", "position"),
    )
    held = "state IN ('claimed', 'sending', 'uncertain')"
    _partial_index("ix_deliveries_due", "deliveries", ["lane", "due_at"], "state = 'queued'")
    _partial_index("ix_deliveries_lease", "deliveries", ["lease_until"], held)
    op.create_index("ix_deliveries_provider", "deliveries", ["account", "provider_id"])
    op.create_index("ix_deliveries_contact_point", "deliveries", ["contact_point"])


def _history() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", Serial, primary_key=True, autoincrement=True),
        sa.Column("delivery_id", ID, sa.ForeignKey("deliveries.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("began_at", Instant, nullable=False),
        sa.Column("ended_at", Instant, nullable=False),
        sa.Column("verdict", NAME, nullable=False),
        sa.Column("provider_code", sa.String(100), nullable=False),
        sa.Column("provider_id", PROVIDER_ID, nullable=False),
    )
    op.create_index("ix_attempts_delivery", "attempts", ["delivery_id"])
    op.create_table(
        "timeline",
        sa.Column("id", Serial, primary_key=True, autoincrement=True),
        sa.Column("notification_id", ID, sa.ForeignKey("notifications.id", ondelete="CASCADE"), nullable=False),
        sa.Column("delivery_id", ID),
        sa.Column("at", Instant, nullable=False),
        sa.Column("event", NAME, nullable=False),
        sa.Column("code", NAME),
    )
    op.create_index("ix_timeline_notification", "timeline", ["notification_id", "id"])


def _incoming() -> None:
    op.create_table(
        "receipts",
        sa.Column("account", NAME, primary_key=True),
        sa.Column("event_id", PROVIDER_ID, primary_key=True),
        sa.Column("delivery_id", ID),
        sa.Column("key", ID, nullable=False),
        sa.Column("provider_id", PROVIDER_ID, nullable=False),
        sa.Column("fact", sa.String(12), nullable=False),
        sa.Column("error", NAME),
        sa.Column("error_class", NAME),
        sa.Column("provider_code", sa.String(100), nullable=False),
        sa.Column("at", Instant),
        sa.Column("received_at", Instant, nullable=False),
    )
    _partial_index("ix_receipts_unmatched", "receipts", ["account", "provider_id"], "delivery_id IS NULL")
    op.create_table(
        "inbound",
        sa.Column("account", NAME, primary_key=True),
        sa.Column("event_id", PROVIDER_ID, primary_key=True),
        sa.Column("channel", NAME, nullable=False),
        sa.Column("address_index", sa.LargeBinary, nullable=False),
        sa.Column("address_sealed", SEALED, nullable=False),
        sa.Column("subject", ID),
        sa.Column("delivery_id", ID),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("text_sealed", SEALED, nullable=False),
        sa.Column("payload_sealed", SEALED, nullable=False),
        sa.Column("at", Instant),
        sa.Column("received_at", Instant, nullable=False),
    )
    op.create_index("ix_inbound_sender", "inbound", ["channel", "address_index"])


def _partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _append_only(ledger: str) -> None:
    """Let the database refuse to change or delete a row: an update by anybody, our own mistakes included."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"""CREATE OR REPLACE FUNCTION {ledger}_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION '{ledger} is append-only' USING ERRCODE = 'restrict_violation'; END $$"""
        )
        op.execute(  # for each statement: one that would hit no row, and TRUNCATE, are refused as well
            f"""CREATE TRIGGER {ledger}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {ledger}
            FOR EACH STATEMENT EXECUTE FUNCTION {ledger}_refuse()"""
        )
        return
    refusal = f"BEGIN SELECT RAISE(ABORT, '{ledger} is append-only'); END"
    op.execute(f"CREATE TRIGGER {ledger}_no_update BEFORE UPDATE ON {ledger} {refusal}")
    op.execute(f"CREATE TRIGGER {ledger}_no_delete BEFORE DELETE ON {ledger} {refusal}")
    replaces = f"EXISTS (SELECT 1 FROM {ledger} WHERE id = NEW.id)"  # noqa: S608 - the name is one of LEDGERS
    # INSERT OR REPLACE deletes without firing a delete trigger.
    op.execute(f"CREATE TRIGGER {ledger}_no_replace BEFORE INSERT ON {ledger} WHEN {replaces} {refusal}")
