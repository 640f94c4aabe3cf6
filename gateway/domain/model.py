"""The nouns of a notification's walk, as frozen values. Where they are stored is gateway.store's business."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from channels.kit.contract import Confidentiality


class Lane(StrEnum):
    """How urgent a delivery is; workers serve the lanes in this order."""

    URGENT = "urgent"
    NORMAL = "normal"
    BULK = "bulk"


@dataclass(frozen=True, slots=True)
class ContactPoint:
    """A recipient's stored address on one channel, without the address itself."""

    id: str
    channel: str
    verified: bool
    suppressed: bool = False
    reason: str = ""  # why it is suppressed


@dataclass(frozen=True, slots=True)
class Consent:
    """The standing entry of the ledger for one channel and purpose."""

    id: int
    channel: str
    purpose: str
    given: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """One configured way to send on a channel. ``released``: its provider record is complete (A-15)."""

    name: str
    channel: str
    ceiling: Confidentiality
    released: bool = True
    paused: bool = False  # by settings or an operator, or its circuit is open
    weight: int = 1
    share: int = 100  # per cent of the weight that holds now; less after trouble
    bound: bool = False  # an address is good for one account only


@dataclass(frozen=True, slots=True)
class Recipient:
    """A person, known by an authority-wide id; the rest of the program knows the random ``subject``."""

    subject: str
    language: str = "de"
    birth_year: int | None = None
    preferred: tuple[str, ...] = ()  # channels, best first
    contact_points: tuple[ContactPoint, ...] = ()
    consents: tuple[Consent, ...] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """What planning needs to know of a pinned template version."""

    id: str
    key: str
    klass: Confidentiality
    purpose: str
    channels: tuple[str, ...]
    languages: tuple[str, ...]
    policy: str = "at_most_once"
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Skip:
    """A channel that the plan leaves out. ``reason`` is stable; the explanation is gateway.domain.reasons'."""

    channel: str
    reason: str


@dataclass(frozen=True, slots=True)
class Planned:
    """One delivery of the plan: ``position`` 0 goes first, the others are its fall-backs in order."""

    position: int
    channel: str
    account: str
    contact_point: str
    version: str  # id of the template version: the twin's where the class does not fit
    twin: bool
    consent: int  # ledger row relied on


@dataclass(frozen=True, slots=True)
class Plan:
    """Deliveries in order, and the channels left out with their reasons."""

    deliveries: tuple[Planned, ...] = ()
    skipped: tuple[Skip, ...] = field(default=())
