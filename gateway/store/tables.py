"""The schema: one for both databases. Migrations are in ``migrations/``; a test compares the two.

What is sealed (``…_sealed``) is AES-GCM with the key id in front, bound to table, row and column (gateway.store.vault).
Rows about a person carry only the random ``subject``; the table ``subjects`` links it to the person and holds the
person's data key, so that deleting one row there erases everything sealed, and no ledger row is ever touched (A-12).
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from gateway.store.columns import Document, Id, Instant, Name, Sealed, Serial
from gateway.store.schema import metadata
from gateway.store.tables_engine import (
    account_states,
    callback_posts,
    contacted,
    endpoints,
    event_heads,
    events,
    raw_webhooks,
    usage,
)

__all__ = [
    "account_states",
    "api_keys",
    "attempts",
    "audit",
    "callback_posts",
    "clients",
    "consents",
    "contact_points",
    "contacted",
    "deliveries",
    "endpoints",
    "event_heads",
    "events",
    "idempotency_keys",
    "inbound",
    "metadata",
    "notifications",
    "raw_webhooks",
    "receipts",
    "recipients",
    "subjects",
    "suppressions",
    "template_versions",
    "timeline",
    "usage",
]

clients = Table(
    "clients",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Name, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
)
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),  # the public half of the key, for finding it
    Column("client_id", Id, ForeignKey("clients.id"), nullable=False),
    Column("secret_hash", String(200), nullable=False),
    Column("scopes", Document, nullable=False),
    Column("test", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

# --- people ---------------------------------------------------------------------------------------------------------
subjects = Table(
    "subjects",  # the deletable link: person <-> random subject, and the person's data key
    metadata,
    Column("subject", Id, primary_key=True),
    Column("recipient", Name, nullable=False, unique=True),  # the authority-wide id
    Column("data_key_sealed", Sealed, nullable=False),
    Column("created_at", Instant, nullable=False),
)
recipients = Table(
    "recipients",
    metadata,
    Column("subject", Id, ForeignKey("subjects.subject", ondelete="CASCADE"), primary_key=True),
    Column("language", String(35), nullable=False),
    Column("birth_year", Integer),
    Column("preferred", Document, nullable=False),
    Column("updated_at", Instant, nullable=False),
)
contact_points = Table(
    "contact_points",
    metadata,
    Column("id", Id, primary_key=True),
    Column("subject", Id, ForeignKey("subjects.subject", ondelete="CASCADE"), nullable=False),
    Column("channel", Name, nullable=False),
    Column("address_sealed", Sealed, nullable=False),
    Column("address_index", LargeBinary, nullable=False),  # HMAC with a key of its own version
    Column("verified_at", Instant),
    Column("verified_how", String(100)),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("subject", "channel", "address_index"),
    Index("ix_contact_points_address", "channel", "address_index"),
)
suppressions = Table(
    "suppressions",  # survives erasure: the HMAC of the address only
    metadata,
    Column("channel", Name, primary_key=True),
    Column("address_index", LargeBinary, primary_key=True),
    Column("reason", Name, nullable=False),
    Column("since", Instant, nullable=False),
)
consents = Table(
    "consents",  # append-only: triggers refuse update and delete on both databases
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("subject", Id, nullable=False),
    Column("channel", Name, nullable=False),
    Column("purpose", Name, nullable=False),
    Column("given", Boolean, nullable=False),
    Column("text_version", Name, nullable=False),
    Column("text_hash", String(128), nullable=False),
    Column("language", String(35), nullable=False),
    Column("source", Name, nullable=False),
    Column("actor", Name, nullable=False),
    Column("at", Instant, nullable=False),  # when the person said so
    Column("proof", Text),
    Column("recorded_at", Instant, nullable=False),
    Index("ix_consents_standing", "subject", "channel", "purpose", "id"),
)
audit = Table(
    "audit",  # append-only
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("actor", Name, nullable=False),
    Column("verb", Name, nullable=False),
    Column("object", Name, nullable=False),
    Column("subject", Id),
    Column("detail", Document, nullable=False),
)

# --- texts ----------------------------------------------------------------------------------------------------------
template_versions = Table(
    "template_versions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Name, nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String(20), nullable=False),  # draft, approved, replaced, withdrawn
    Column("content", Text, nullable=False),  # gateway.render.catalogue.to_source
    Column("content_hash", String(64), nullable=False),
    Column("author", Name, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("approver", Name),
    Column("approved_at", Instant),
    UniqueConstraint("key", "number"),
    CheckConstraint("approver IS NULL OR approver <> author", name="four_eyes"),
    CheckConstraint("state <> 'approved' OR approver IS NOT NULL", name="approved_by_somebody"),
    Index(
        "ix_template_versions_approved",
        "key",
        unique=True,
        sqlite_where=text("state = 'approved'"),
        postgresql_where=text("state = 'approved'"),
    ),
)

# --- the walk -------------------------------------------------------------------------------------------------------
notifications = Table(
    "notifications",
    metadata,
    Column("id", Id, primary_key=True),  # time-ordered (UUIDv7), so it is also the cursor
    Column("client_id", Id, nullable=False),
    Column("subject", Id, nullable=False),
    Column("template_version", Id, nullable=False),
    Column("template_key", Name, nullable=False),
    Column("purpose", Name, nullable=False),
    Column("language", String(35), nullable=False),
    Column("language_fell_back", Boolean, nullable=False),
    Column("lane", String(10), nullable=False),
    Column("reference", Name),
    Column("variables_sealed", Sealed),
    Column("skipped", Document, nullable=False),  # [{channel, reason}]
    Column("simulate", Name),  # test keys: the outcome to play instead of the provider call
    Column("send_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("cancelled_at", Instant),
    Column("outcome", String(12), nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("ix_notifications_client", "client_id", "id"),
    Index("ix_notifications_reference", "client_id", "reference"),
    Index("ix_notifications_subject", "subject", "id"),
    Index(
        "ix_notifications_unpurged",
        "id",
        sqlite_where=text("variables_sealed IS NOT NULL"),
        postgresql_where=text("variables_sealed IS NOT NULL"),
    ),
)
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("notification_id", Id, ForeignKey("notifications.id", ondelete="CASCADE"), nullable=False),
    Column("client_id", Id, nullable=False, server_default=text("''")),  # for fairness among clients
    Column("subject", Id, nullable=False),
    Column("position", Integer, nullable=False),
    Column("channel", Name, nullable=False),
    Column("account", Name, nullable=False),
    Column("contact_point", Id, nullable=False),
    Column("template_version", Id, nullable=False),
    Column("consent_id", Serial, nullable=False),
    Column("lane", String(10), nullable=False),
    Column("state", String(12), nullable=False),
    Column("due_at", Instant),  # null in state queued: a fall-back that waits for its turn
    Column("tries", Integer, nullable=False),
    Column("lease_until", Instant),
    Column("token", Integer, nullable=False),  # fencing: counts the claims
    Column("provider_id", String(200)),
    Column("code", Name),  # why it is where it is
    Column(
        "held", Boolean, nullable=False, server_default=false()
    ),  # queued, but its text was withdrawn: waits for staff
    Column("expires_at", Instant),  # of the notification, where the sweeper can find it
    Column("escalate_at", Instant),  # submitted: when the next channel takes over if nothing was reported
    Column("also", Boolean, nullable=False, server_default=false()),  # delivered after another channel had taken over
    Column("changed_at", Instant, nullable=False),
    UniqueConstraint("notification_id", "position"),
    Index(
        "ix_deliveries_due",
        "lane",
        "due_at",
        sqlite_where=text("state = 'queued'"),
        postgresql_where=text("state = 'queued'"),
    ),
    Index(
        "ix_deliveries_lease",
        "lease_until",
        sqlite_where=text("state IN ('claimed', 'sending', 'uncertain')"),
        postgresql_where=text("state IN ('claimed', 'sending', 'uncertain')"),
    ),
    Index(
        "ix_deliveries_escalate",
        "escalate_at",
        sqlite_where=text("escalate_at IS NOT NULL"),
        postgresql_where=text("escalate_at IS NOT NULL"),
    ),
    Index(
        "ix_deliveries_expiry",
        "expires_at",
        sqlite_where=text("state = 'queued'"),
        postgresql_where=text("state = 'queued'"),
    ),
    Index("ix_deliveries_held", "template_version", sqlite_where=text("held"), postgresql_where=text("held")),
    Index(
        "ix_deliveries_ended",
        "account",
        "changed_at",
        sqlite_where=text("state = 'failed'"),
        postgresql_where=text("state = 'failed'"),
    ),
    Index("ix_deliveries_provider", "account", "provider_id"),
    Index("ix_deliveries_contact_point", "contact_point"),
)
attempts = Table(
    "attempts",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("delivery_id", Id, ForeignKey("deliveries.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("began_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=False),
    Column("verdict", Name, nullable=False),  # submitted, or the code of the ChannelError
    Column("provider_code", String(100), nullable=False),
    Column("provider_id", String(200), nullable=False),
    Index("ix_attempts_delivery", "delivery_id"),
)
timeline = Table(
    "timeline",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("notification_id", Id, ForeignKey("notifications.id", ondelete="CASCADE"), nullable=False),
    Column("delivery_id", Id),
    Column("at", Instant, nullable=False),
    Column("event", Name, nullable=False),
    Column("code", Name),
    Index("ix_timeline_notification", "notification_id", "id"),
)
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("client_id", Id, primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("body_hash", LargeBinary, nullable=False),
    Column("notification_id", Id, nullable=False),
    Column("answer", Document, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("ix_idempotency_keys_expires", "expires_at"),
)
receipts = Table(
    "receipts",
    metadata,
    Column("account", Name, primary_key=True),
    Column("event_id", String(200), primary_key=True),
    Column("delivery_id", Id),  # null: kept until it matches something
    Column("key", Id, nullable=False),
    Column("provider_id", String(200), nullable=False),
    Column("fact", String(12), nullable=False),
    Column("error", Name),
    Column("error_class", Name),  # default code of the ChannelError class: what to do next
    Column("provider_code", String(100), nullable=False),
    Column("at", Instant),
    Column("received_at", Instant, nullable=False),
    Index("ix_receipts_received", "received_at"),
    Index(
        "ix_receipts_unmatched",
        "account",
        "provider_id",
        sqlite_where=text("delivery_id IS NULL"),
        postgresql_where=text("delivery_id IS NULL"),
    ),
)
inbound = Table(
    "inbound",
    metadata,
    Column("account", Name, primary_key=True),
    Column("event_id", String(200), primary_key=True),
    Column("channel", Name, nullable=False),
    Column("address_index", LargeBinary, nullable=False),
    Column("address_sealed", Sealed, nullable=False),
    Column("subject", Id),
    Column("delivery_id", Id),
    Column("kind", String(10), nullable=False),
    Column("text_sealed", Sealed, nullable=False),
    Column("payload_sealed", Sealed, nullable=False),
    Column("at", Instant),
    Column("received_at", Instant, nullable=False),
    Index("ix_inbound_sender", "channel", "address_index"),
    Index("ix_inbound_received", "received_at"),
)
