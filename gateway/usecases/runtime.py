"""The Runtime: everything a verb may use, built once by gateway.bootstrap and carried to every verb."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from channels.kit.contract import Adapter, Capabilities, Clock, Inbound, Receipt
from gateway.domain.content import Content
from gateway.domain.errors import CallerError
from gateway.domain.model import Account
from gateway.domain.windows import Window
from gateway.egress import Courier
from gateway.queue.jobs import Doorbell
from gateway.queue.limits import Buckets, Rate
from gateway.render.catalogue import from_stored
from gateway.render.render import Letterhead, Renderer
from gateway.store import templates
from gateway.store.engine import Connection, Database
from gateway.store.vault import Vault
from gateway.usecases.faults import Faults
from gateway.usecases.grouping import Group
from gateway.usecases.health import Health
from gateway.usecases.shapes import Accepted, Caller, Posted

SIMULATOR = "simulator"  # the account that test keys are planned on


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long things are kept (A-14); variables from the notification's end on, everything else from its beginning."""

    variables: timedelta = timedelta(days=30)
    variables_k2: timedelta = timedelta(days=7)
    raw_webhooks: timedelta = timedelta(days=7)
    inbound: timedelta = timedelta(days=30)
    metadata: timedelta = timedelta(days=365)
    hour: int = 3  # of the night, local time


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The part of the settings that the verbs act on."""

    public_url: str
    portal_url: str
    default_expiry: timedelta = timedelta(hours=72)
    idempotency: timedelta = timedelta(days=7)
    retention: Retention = Retention()
    lease: timedelta = timedelta(seconds=30)
    uncertain: timedelta = timedelta(hours=1)
    ring_grace: timedelta = timedelta(seconds=2)
    ring_again: timedelta = timedelta(seconds=20)  # the same while jobs wait in the lane
    client_per_s: float = 200.0
    max_body_bytes: int = 1_000_000
    max_batch_bytes: int = 32_000_000
    metrics_token: str = field(default="", repr=False)
    pause: timedelta = timedelta(seconds=60)  # between two looks at a message whose account is paused
    failover_after: timedelta = timedelta(minutes=5)  # how long an account is down before the next channel takes over


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAccount:
    """A configured account with its adapter, ready to send."""

    facts: Account
    adapter: Adapter
    approved: Mapping[str, str] = field(default_factory=dict)  # "<template>.<language>" -> provider's id
    rates: tuple[Rate, ...] = ()  # for the account; keys are complete
    recipient_rates: tuple[Rate, ...] = ()  # for a person; the contact point's id is appended to the key
    windows: tuple[Window, ...] = ()  # what it may do in a day
    deadline_s: float = 20.0  # the longest that one call may take
    review_by: date | None = None  # the last day of the release; None: without end

    def facts_at(self, now: datetime) -> Account:
        """Return the facts as they are at this instant: a release ends while the process runs."""
        ended = self.review_by is not None and now.date() > self.review_by
        return replace(self.facts, released=False) if ended else self.facts


class Ids:
    """Where ids come from: time-ordered (UUIDv7, RFC 9562), so that they serve as cursors and keep indexes compact."""

    def __init__(self, clock: Clock) -> None:
        """Take the time from ``clock``; the rest is from the operating system's randomness."""
        self._clock = clock
        self._last = 0

    def new(self) -> str:
        """Return a new id: 36 characters; later ids of this process sort after earlier ones."""
        micros = max(int(self._clock.now().timestamp() * 1_000_000), self._last + 1)
        self._last = micros
        millis, rest = divmod(micros, 1000)
        high = (millis << 16) | (7 << 12) | (rest << 2)
        low = (0b10 << 62) | (int.from_bytes(os.urandom(8), "big") >> 2)
        return str(uuid.UUID(int=(high << 64) | low))


class Contents:
    """Parsed contents by version id; versions never change, so they are kept."""

    def __init__(self) -> None:
        """Start empty."""
        self._known: dict[str, Content] = {}

    def known(self, version: str) -> Content | None:
        """Return a content that was read before."""
        return self._known.get(version)

    async def of(self, conn: Connection, ids: Iterable[str]) -> Mapping[str, Content]:
        """Return the contents of these versions, reading those not seen yet."""
        missing = [one for one in set(ids) if one not in self._known]
        if missing:
            for version, row in (await templates.by_ids(conn, missing)).items():
                self._known[version] = from_stored(row.content)
        return self._known


@dataclass(kw_only=True)
class Runtime:
    """What every verb gets. Nothing here is global; tests build their own."""

    db: Database
    vault: Vault
    doorbell: Doorbell
    buckets: Buckets
    renderer: Renderer
    clock: Clock
    ids: Ids
    dice: Callable[[], float]
    policy: Policy
    pages: Letterhead  # who speaks, and the links below every page and mail
    accounts: Mapping[str, OpenAccount]
    kinds: Mapping[str, Capabilities]  # what the installed adapters can do, by channel
    contents: Contents = field(default_factory=Contents)
    courier: Courier = field(default_factory=Courier)  # posts callbacks
    health: Health = field(default_factory=Health)
    faults: Faults = field(default_factory=Faults)  # none; tests arm them
    swept_at: float | None = None  # when this process last began to sweep, by the monotonic clock; None: it does not
    rung: dict[str, float] = field(default_factory=dict)  # deliveries the sweeper rang for, by monotonic seconds
    group: Group[tuple[Caller, Posted], Accepted | CallerError] = field(
        init=False
    )  # single requests of this process, sharing commits
    reports: Group[tuple[str, Sequence[Receipt | Inbound]], None] = field(init=False)  # webhook calls, the same

    @property
    def facts(self) -> Sequence[Account]:
        """Return what planning needs to know of the accounts, as healthy as they were at the last look."""
        now = self.clock.now()
        return [self.health.facts(account.facts_at(now), now) for account in self.accounts.values()]

    def callback_url(self, account: str) -> str:
        """Return where the provider of ``account`` reaches us."""
        return f"{self.policy.public_url}/webhooks/{account}"
