"""The adapter contract: what a channel declares, receives and answers.

Pure data and protocols. The core owns rendering, limits, retries, fall-back, consent and persistence; an adapter owns
address syntax, one provider call, the classification of the answer, and webhooks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from channels.kit.errors import ChannelError


class Confidentiality(IntEnum):
    """Confidentiality class of a text: the higher, the fewer channels may carry it."""

    K0 = 0
    K1 = 1
    K2 = 2
    K3 = 3
    K4 = 4


class Format(StrEnum):
    """The four looks of one message."""

    HTML = "html"  # a whole e-mail document
    CHAT_HTML = "chat_html"  # b, i, u, s, a, code, pre, blockquote
    MARKUP = "markup"  # *bold*, _italic_, ~struck~ of a messenger
    TEXT = "text"


class Measure(StrEnum):
    """The unit in which a channel counts text."""

    SEGMENTS = "segments"  # SMS parts, see channels.kit.segments
    UTF16 = "utf16"  # UTF-16 code units, after entity parsing
    CHARACTERS = "characters"
    BYTES = "bytes"


class Fact(StrEnum):
    """What a receipt can report about a submission."""

    SUBMITTED = "submitted"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


class Kind(StrEnum):
    """What a person can send us."""

    TEXT = "text"
    BUTTON = "button"
    STOP = "stop"
    JOIN = "join"
    MEDIA = "media"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``count`` calls in ``per_s`` seconds, counted for each "account" or each "recipient".

    Scope "people": at most ``count`` different recipients of an account in any ``per_s`` seconds. Beyond a minute only
    "account" and "people" are counted, in hours, so that the count outlives every process.
    """

    scope: str
    count: int
    per_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Dataflow:
    """What leaves the house through this adapter; feeds the records of processing (Art. 30 DSGVO)."""

    processor: str
    country: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a channel can do. Pure data, read by the planner, the linter, the editor and the documentation."""

    channel: str
    formats: tuple[Format, ...]  # best first; the core renders and escapes
    measure: Measure
    max_units: int
    receipts: frozenset[Fact] = frozenset()  # facts that can ever arrive
    inbound: frozenset[Kind] = frozenset()
    max_buttons: int = 0
    max_button_characters: int = 0
    window: timedelta | None = None  # free text only within this time after their last word
    preapproved: bool = False  # outside the window only provider-approved templates
    limits: tuple[Limit, ...] = ()
    dedupes: bool = False  # the provider honours our key
    bound: bool = False  # an address is good for one account only, such as a chat that the person opened with one bot
    ceiling: Confidentiality = Confidentiality.K1  # highest class that the operator may raise it to
    default_ceiling: Confidentiality = Confidentiality.K1  # what holds until the operator raises it
    dataflow: Dataflow


@dataclass(frozen=True, slots=True)
class Address:
    """A channel's value object: mailbox, E.164 number, chat id. Its ``repr`` does not show the value."""

    channel: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Button:
    """One answer a person can give with a tap. ``id`` comes back in the inbound; ``url`` makes it a link instead."""

    id: str
    label: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class ApprovedTemplate:
    """A text that the provider has approved beforehand, with its positional values ("1", "2", …)."""

    provider_id: str
    values: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Rendered content in the looks that the channel asked for; the core made it, the adapter encodes it.

    ``looks`` always holds ``Format.TEXT``. ``stop_url`` is the one-click unsubscribe address (RFC 8058) or "".
    ``valid_s``: seconds after which the message is useless, or None. ``sent_at``: the instant of sending (UTC).
    """

    looks: Mapping[Format, str] = field(repr=False)
    subject: str = field(default="", repr=False)
    language: str = "de"  # BCP 47
    direction: str = "ltr"
    buttons: tuple[Button, ...] = field(default=(), repr=False)
    stop_url: str = field(default="", repr=False)
    link_preview: bool = False
    valid_s: int | None = None
    sent_at: datetime
    approved: ApprovedTemplate | None = None

    def look(self, formats: Sequence[Format]) -> tuple[Format, str]:
        """Return the first of ``formats`` that this message has, with its text."""
        for one in formats:
            if one in self.looks:
                return one, self.looks[one]
        return Format.TEXT, self.looks[Format.TEXT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One provider call, ready to go; adapters subclass it with their own fields. ``key`` is the delivery's id."""

    key: str
    to: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Submission:
    """The provider took it. ``provider_id`` is unique within the account, "" if it gave none."""

    provider_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the provider reports later about one submission. ``key`` is ours, if the provider handed it back."""

    event_id: str  # unique within the account: for deduplication
    provider_id: str
    fact: Fact
    at: datetime | None  # UTC; None where the provider states no time
    key: str = ""
    error: ChannelError | None = None  # with FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """What a person sent us. ``payload`` is the button's id or the deep link's token."""

    event_id: str
    sender: Address
    kind: Kind
    at: datetime | None
    text: str = field(default="", repr=False)
    payload: str = field(default="", repr=False)
    reply_to: str = ""  # provider id of the message that it answers, if known


@dataclass(frozen=True, slots=True)
class Health:
    """Answer of a probe: ``ok``, and otherwise what to do, without any secret or address."""

    ok: bool
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRequest:
    """One raw HTTP call of a provider. ``url`` is the configured public address plus the raw path and query."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)  # lower-case names
    body: bytes = field(repr=False)
    received_at: datetime


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP answer, read to its end. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class HttpClient(Protocol):
    """The one outgoing HTTP client, given by the core. Exactly one request per call, no redirects, no retries."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        connect_s: float = 5.0,
        total_s: float = 10.0,
    ) -> HttpAnswer:
        """Return the answer, whatever its status.

        Raises :class:`~channels.kit.errors.NotSent`, ``CertificateRefused`` or ``MaybeSent``; never anything else.
        """
        ...


class Clock(Protocol):
    """Time, as the core sees it."""

    def now(self) -> datetime:
        """Return the current instant, timezone-aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only move forward."""
        ...


class AdapterOptions(BaseModel):
    """Base of every adapter's options: unknown keys are refused, secrets are ``SecretStr``."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    deadline_s: float = Field(20.0, description="seconds that one send may take, connection included")


@runtime_checkable
class Adapter(Protocol):
    """One provider on one channel. The constructor does no I/O and may be called outside an event loop."""

    capabilities: ClassVar[Capabilities]
    Options: ClassVar[type[AdapterOptions]]

    def __init__(self, options: Any, *, http: HttpClient, clock: Clock) -> None:
        """Keep what is given; connect to nothing."""
        ...

    def address_of(self, raw: str) -> Address:
        """Return the canonical address. Raises AddressInvalid; never guesses."""
        ...

    def encode(self, message: Message, to: Address, *, key: str, callback_url: str = "") -> Request:
        """Return the provider call for ``message``: pure, deterministic. Raises Unsupported(field), cuts nothing.

        ``key``: the delivery's id, the same for every attempt. ``callback_url``: where receipts for it shall go.
        """
        ...

    async def send(self, request: Any) -> Submission:
        """Make exactly one provider call within ``deadline_s``. Raises one ChannelError."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


@runtime_checkable
class Receives(Protocol):
    """The provider calls us."""

    def verify(self, hook: WebhookRequest) -> None:
        """Raise Forged unless the call is authentic. Reads the raw request; comes first, always."""
        ...

    def decode(self, hook: WebhookRequest) -> Sequence[Receipt | Inbound]:
        """Return what the call reports: pure, order-free. Raises Malformed, nothing else."""
        ...


@runtime_checkable
class ReceivesMail(Protocol):
    """Reports come as mails, to return addresses that the adapter made. The core has no say in their form."""

    def key_of(self, recipient: str) -> str:
        """Return the key of the message that ``recipient`` is the return address of, "" if it is not ours at all.

        Pure. Raises Forged where it looks like one of ours and was not made by us.
        """
        ...

    def decode_mail(self, raw: bytes, recipient: str) -> Sequence[Receipt]:
        """Return what a mail to ``recipient`` reports, nothing for answers and other mail: pure, order-free.

        Raises Forged as ``key_of`` does and for every address that is not ours, and Malformed.
        """
        ...


@runtime_checkable
class Probes(Protocol):
    """The account can be checked without sending anything."""

    async def probe(self) -> Health:
        """Ask the provider something free and read-only. Raises nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Domain:
    """The internet domains that an account's mails stand on; ``doctor`` looks at their DNS records."""

    sender: str  # of the From address: DMARC, DKIM and the MX for answers
    envelope: str  # of the return address: SPF and the MX for bounces
    dkim_selector: str = ""  # "" = not known to us: the relay signs


@runtime_checkable
class SendsFromDomain(Protocol):
    """Whether the messages are believed is decided by DNS records of a domain."""

    @property
    def domain(self) -> Domain:
        """Return the domains, in ASCII."""
        ...


@runtime_checkable
class Installs(Protocol):
    """The provider has to be told where to call us."""

    async def install(self, url: str) -> None:
        """Register ``url``; may be repeated. Raises ChannelError."""
        ...

    async def remove(self) -> None:
        """Undo ``install``; may be repeated. Raises ChannelError."""
        ...


@runtime_checkable
class Acknowledges(Protocol):
    """The person's app waits for a sign that a pressed button has arrived."""

    async def acknowledge(self, inbound: Inbound) -> None:
        """End the waiting and take used buttons away; may be repeated, does nothing for other kinds.

        Raises ChannelError.
        """
        ...
