"""What callers hand to the verbs and what they get back: plain frozen values, no HTTP and no SQL in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.domain.model import Lane

SCOPES = (
    "notifications:write",
    "notifications:read",
    "recipients:write",
    "recipients:read",
    "consents:write",
    "templates:read",
    "callbacks:write",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """A backend service that has shown a valid key."""

    client_id: str
    name: str
    scopes: frozenset[str]
    test: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedContactPoint:
    """An address as a client states it; unverified unless it says when and how it was verified."""

    channel: str
    address: str = field(repr=False)
    verified_at: datetime | None = None
    verified_how: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedConsent:
    """One ledger entry as a client states it."""

    channel: str
    purpose: str
    text_version: str
    text_hash: str
    language: str
    source: str
    actor: str
    given_at: datetime
    proof: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedRecipient:
    """A person as a client states it; None leaves a field as it is. ``contact_points`` are added or updated."""

    id: str
    language: str | None = None
    birth_year: int | None = None
    preferred_channels: tuple[str, ...] | None = None
    contact_points: tuple[PostedContactPoint, ...] | None = field(default=None, repr=False)
    consents: tuple[PostedConsent, ...] | None = None

    @property
    def bare(self) -> bool:
        """Tell whether only the id is given: the person must then be known."""
        rest = (self.language, self.birth_year, self.preferred_channels, self.contact_points, self.consents)
        return all(one is None for one in rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One notification request. ``body`` is its canonical JSON, for comparing repeated requests."""

    idempotency_key: str
    template: str
    recipient: PostedRecipient
    variables: Mapping[str, Any] = field(repr=False)
    reference: str | None = None
    send_at: datetime | None = None
    expires_at: datetime | None = None
    channels: tuple[str, ...] | None = None
    priority: Lane | None = None
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to a request. ``answer``: {id, state, deliveries: […], skipped: […]}; ``repeated``: seen before."""

    id: str
    answer: Mapping[str, Any]
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The plan as it would be, and what each channel would carry; nothing is stored."""

    deliveries: Sequence[Mapping[str, Any]]  # {channel, account, template, language, message: {...}}
    skipped: Sequence[Mapping[str, Any]]  # {channel, reason, explanation}


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A filter over a client's notifications; ``after`` is the id of the last one seen (newest first)."""

    reference: str | None = None
    state: str | None = None
    template: str | None = None
    after: str | None = None
    limit: int = 50
