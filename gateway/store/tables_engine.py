"""The schema around the walk: accounts' health, long windows, what clients are told; part of gateway.store.tables."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint, text

from gateway.store.columns import Document, Id, Instant, Name, Sealed, Serial
from gateway.store.schema import metadata

# --- accounts -------------------------------------------------------------------------------------------------------
account_states = Table(
    "account_states",  # what operators and the circuit say of an account; no row: all is well
    metadata,
    Column("name", Name, primary_key=True),
    Column("paused", Boolean, nullable=False),  # by an operator
    Column("circuit", String(10), nullable=False),  # closed, open, half_open
    Column("code", Name),  # why it is open
    Column("opened_at", Instant),
    Column("probe_at", Instant),  # when it is tried again
    Column("calls", Integer, nullable=False),  # since window_at
    Column("failures", Integer, nullable=False),
    Column("window_at", Instant, nullable=False),
    Column("share", Integer, nullable=False),  # per cent of its weight; creeps back after trouble
    Column("changed_at", Instant, nullable=False),
)
contacted = Table(
    "contacted",  # whom an account has written to, for limits on different people in a day
    metadata,
    Column("account", Name, primary_key=True),
    Column("contact_point", Id, primary_key=True),
    Column("last_at", Instant, nullable=False),
)
usage = Table(
    "usage",  # counts in buckets of an hour, for limits longer than a minute: a fixed number of rows to add up
    metadata,
    Column("account", Name, primary_key=True),
    Column("kind", Name, primary_key=True),
    Column("hour", Instant, primary_key=True),
    Column("count", Integer, nullable=False),
)

# --- telling the client ---------------------------------------------------------------------------------------------
events = Table(
    "events",  # what a client is told, by callback and by feed; holds ids and codes only
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("client_id", Id, nullable=False),
    Column("seq", Serial),  # given after the commit, so that the feed never skips a row that commits late
    Column("at", Instant, nullable=False),
    Column("type", Name, nullable=False),
    Column("body", Document, nullable=False),
    UniqueConstraint("client_id", "seq"),
    Index(
        "ix_events_unnumbered",
        "client_id",
        "id",
        sqlite_where=text("seq IS NULL"),
        postgresql_where=text("seq IS NULL"),
    ),
    Index("ix_events_at", "at"),
)
event_heads = Table(
    "event_heads",
    metadata,
    Column("client_id", Id, primary_key=True),
    Column("seq", Serial, nullable=False),  # the last number given
)
endpoints = Table(
    "endpoints",
    metadata,
    Column("id", Id, primary_key=True),
    Column("client_id", Id, nullable=False),
    Column("url", Text, nullable=False),
    Column("types", Document, nullable=False),
    Column("secret_sealed", Sealed, nullable=False),
    Column("previous_sealed", Sealed),
    Column("previous_until", Instant),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
    Index("ix_endpoints_client", "client_id"),
)
callback_posts = Table(
    "callback_posts",
    metadata,
    Column("endpoint_id", Id, ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True),
    Column("event_id", Serial, primary_key=True, autoincrement=False),
    Column("state", String(10), nullable=False),  # queued, done, given_up
    Column("due_at", Instant),
    Column("lease_until", Instant),
    Column("tries", Integer, nullable=False),
    Column("status", Integer),  # of the last answer; 0: none came
    Column("queued_at", Instant, nullable=False),  # retries end three days later; a replay begins anew
    Column("changed_at", Instant, nullable=False),
    Index(
        "ix_callback_posts_given_up",
        "endpoint_id",
        sqlite_where=text("state = 'given_up'"),
        postgresql_where=text("state = 'given_up'"),
    ),
    Index(
        "ix_callback_posts_due",
        "endpoint_id",
        "due_at",
        sqlite_where=text("state = 'queued'"),
        postgresql_where=text("state = 'queued'"),
    ),
)
raw_webhooks = Table(
    "raw_webhooks",  # authentic calls that we could not read: kept for a while, sealed
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", Name, nullable=False),
    Column("body_sealed", Sealed, nullable=False),
    Column("received_at", Instant, nullable=False),
    Index("ix_raw_webhooks_received", "received_at"),
)
