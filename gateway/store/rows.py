"""Rows as the verbs see them: frozen values between SQL and the walk."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.domain.model import Recipient
from gateway.domain.states import Outcome, State


@dataclass(frozen=True, slots=True)
class Person:
    """A recipient with what is needed to read what is sealed about them."""

    recipient_id: str
    recipient: Recipient
    data_key_sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AddressRow:
    """One contact point with its sealed address."""

    id: str
    subject: str
    channel: str
    address_sealed: bytes = field(repr=False)
    address_index: bytes = field(repr=False)
    verified_at: datetime | None = None
    verified_how: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One claimed delivery with all that sending it needs."""

    id: str
    notification_id: str
    subject: str
    recipient: str  # authority-wide id; only simulated outcomes look at it
    token: int
    tries: int
    position: int
    last: bool  # no fall-back comes after it
    channel: str
    account: str
    lane: str
    version: str
    contact_point: str
    language: str
    purpose: str
    simulate: str | None
    due_at: datetime | None  # since when it is due
    expires_at: datetime
    address_sealed: bytes = field(repr=False)
    address_index: bytes = field(repr=False)
    variables_sealed: bytes | None = field(repr=False)
    data_key_sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sibling:
    """One delivery among those of its notification, as the outcome and the fall-backs need it."""

    id: str
    notification_id: str
    position: int
    channel: str
    lane: str
    state: State
    standby: bool
    code: str | None = None
    account: str = ""


@dataclass(frozen=True, slots=True)
class Turned:
    """A notification whose outcome has changed, with what its client is told about it."""

    id: str
    client_id: str
    reference: str | None
    test: bool
    old: Outcome
    new: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A new state of one delivery. ``token``: only if the claim is still this one; None: whoever holds it."""

    id: str
    notification_id: str
    old: State
    new: State
    at: datetime
    code: str | None = None
    due_at: datetime | None = None
    lease_until: datetime | None = None
    token: int | None = None
    provider_id: str | None = None
    tried: int = 0  # attempts to add
    held: bool = False  # queued, and waiting for staff
    escalate_at: datetime | None = None
    account: str = ""  # for the metrics only
    event: str = ""  # timeline event; "" = the new state


Mapped = dict[str, Any]
