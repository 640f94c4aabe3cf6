"""What backend services may send: the bodies, their limits, and their way into gateway.usecases.shapes.

Unknown fields are refused (A-03). Whether a template, channel or recipient exists is the verbs' to say.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from gateway.domain.errors import Invalid
from gateway.domain.model import Lane
from gateway.http.api.fields import (
    ChannelName,
    Channels,
    CodeName,
    DeliveryId,
    IdempotencyKey,
    Language,
    Line,
    Moment,
    Purpose,
    RecipientId,
    TemplateKey,
    Value,
    VariableName,
)
from gateway.http.bodies import FieldFault, canonical
from gateway.usecases.shapes import Posted, PostedConsent, PostedContactPoint, PostedRecipient

_KEY_CHARACTERS = range(0x21, 0x7F)
_MAX_KEY = 255


class Body(BaseModel):
    """Base of every body: unknown fields are refused, nothing is guessed, no repr shows what was sent."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    def __repr__(self) -> str:
        """Name the class only: bodies hold addresses and variables."""
        return f"{type(self).__name__}(…)"

    __str__ = __repr__


class ContactPointBody(Body):
    """An address on one channel. Without `verified_at` and `verified_how` it gets nothing but its verification."""

    channel: ChannelName
    address: Annotated[str, StringConstraints(min_length=1, max_length=320, pattern=r"^[^\x00-\x1f\x7f]+$")] = Field(
        description="Mailbox, E.164 number or chat id.", examples=["+4915550100001"]
    )
    verified_at: Moment | None = Field(None, description="When the person proved that the address is theirs.")
    verified_how: Line | None = Field(None, description="How, for example `double-opt-in`.")

    def shaped(self) -> PostedContactPoint:
        """Return the verb's shape."""
        return PostedContactPoint(
            channel=self.channel,
            address=self.address,
            verified_at=self.verified_at,
            verified_how=self.verified_how,
        )


class ConsentGiven(Body):
    """Who said yes to which text, where and when (A-04)."""

    text_version: Line = Field(examples=["sms-dienst-2026-10"])
    text_hash: Annotated[str, StringConstraints(max_length=128, pattern=r"^[!-~]+$")] = Field(
        description="Hash of the text that the person saw.", examples=["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf"]
    )
    language: Language
    source: Line = Field(description="Where it was said: `portal`, `desk`, `keyword`, …", examples=["portal"])
    actor: Line = Field(description="Who recorded it; a role or a service, not a name.", examples=["portal"])
    given_at: Moment
    proof: Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")] | None = Field(
        None, description="Reference to the evidence, such as a file number; no personal data."
    )

    def shaped(self, channel: str, purpose: str) -> PostedConsent:
        """Return the verb's shape for this channel and purpose."""
        return PostedConsent(
            channel=channel, purpose=purpose, **self.model_dump(include=set(ConsentGiven.model_fields))
        )


class ConsentBody(ConsentGiven):
    """A consent together with its channel and purpose, as it stands in a recipient's body."""

    channel: ChannelName
    purpose: Purpose


class Withdrawal(Body):
    """A withdrawal's circumstances; all may be left out, because withdrawing is as easy as giving (A-07)."""

    source: Line | None = Field(None, examples=["portal"])
    actor: Line | None = Field(None, examples=["portal"])
    withdrawn_at: Moment | None = Field(None, description="When the person said so; now, if left out.")


class Person(Body):
    """The fields that a notification may bring along for its recipient; a field left out stays as it is."""

    language: Language | None = None
    birth_year: int | None = Field(None, ge=1900, le=2100)
    preferred_channels: Channels | None = Field(None, description="Best first.", examples=[["telegram", "sms"]])
    contact_points: tuple[ContactPointBody, ...] | None = Field(None, max_length=20)

    def shaped(self, recipient_id: str, consents: tuple[PostedConsent, ...] | None = None) -> PostedRecipient:
        """Return the verb's shape."""
        points = self.contact_points
        return PostedRecipient(
            id=recipient_id,
            language=self.language,
            birth_year=self.birth_year,
            preferred_channels=self.preferred_channels,
            contact_points=None if points is None else tuple(point.shaped() for point in points),
            consents=consents,
        )


class RecipientOfNotification(Person):
    """The recipient: the `id` alone if the person is known, else with what is new about them."""

    id: RecipientId


class RecipientBody(Person):
    """A person's language, preferences, addresses and consents; a field left out stays as it is."""

    consents: tuple[ConsentBody, ...] | None = Field(None, max_length=50)

    def posted(self, recipient_id: str) -> PostedRecipient:
        """Return the verb's shape."""
        consents = self.consents
        return self.shaped(
            recipient_id, None if consents is None else tuple(one.shaped(one.channel, one.purpose) for one in consents)
        )


class RecipientItem(RecipientBody):
    """A recipient in a batch."""

    id: RecipientId


class NotificationBody(Body):
    """A request to tell one recipient one thing."""

    template: TemplateKey = Field(description="What to say; `GET /v1/templates` lists them.")
    recipient: RecipientOfNotification = Field(description="The `id` alone, or with what is new about the person.")
    variables: dict[VariableName, Value] = Field(
        default_factory=dict,
        max_length=50,
        description="By the JSON schema of `GET /v1/templates/{key}`.",
        examples=[{"link": "https://info.mtk.example/n/k3Vq8ZtA"}],
    )
    reference: Line | None = Field(None, description="Yours, for searching; no personal data.", examples=["Vorgang-77"])
    send_at: Moment | None = Field(None, description="Not before this time; at once, if left out.")
    expires_at: Moment | None = Field(
        None, description="Of no use after this time; the gateway's own limit holds if left out."
    )
    channels: Channels | None = Field(None, description="Use only these channels.")
    priority: Annotated[Lane, Field(strict=False)] | None = Field(
        None, description="How urgent it is; the template's own urgency holds if left out."
    )

    def posted(self, idempotency_key: str = "") -> Posted:
        """Return the verb's shape; the key itself is no part of the compared body."""
        members: dict[str, Any] = self.model_dump(exclude_none=True, exclude={"idempotency_key"})
        return Posted(
            idempotency_key=idempotency_key,
            template=self.template,
            recipient=self.recipient.shaped(self.recipient.id),
            variables=self.variables,
            reference=self.reference,
            send_at=self.send_at,
            expires_at=self.expires_at,
            channels=self.channels,
            priority=self.priority,
            body=canonical(members),
        )


class NotificationItem(NotificationBody):
    """A notification in a batch, with its own idempotency key."""

    idempotency_key: IdempotencyKey = Field(examples=["2f1c7a52-7e0f-4b43-9d1f-0a6f5a2b7c11"])


class CallbackBody(Body):
    """An endpoint to post events to."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[!-~]+$")] = Field(
        description="Absolute; https unless the operator allows others.",
        examples=["https://fachverfahren.example/botengang"],
    )
    types: Annotated[tuple[Line, ...], Field(max_length=20)] = Field(
        default=(), description="Only these types of events; all, if left out.", examples=[["notification.failed"]]
    )


class ReplayBody(Body):
    """From where on: exactly one of both."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"after": 4711}]})

    after: int | None = Field(None, ge=0, le=2**53 - 1, description="Events with a `seq` above this.")
    since: Moment | None = Field(None, description="Events from this time on.")

    @model_validator(mode="after")
    def _one_of_both(self) -> ReplayBody:
        if (self.after is None) == (self.since is None):
            raise FieldFault("missing", "Give `after` or `since`, one of both.")
        return self


class DeadLetterFilter(Body):
    """Which dead letters; a field left out leaves it open."""

    code: CodeName | None = Field(None, description="Why it failed.")
    klass: CodeName | None = Field(None, alias="class", description="The class of error that it failed with.")
    account: Line | None = Field(None, description="The account it was to go out on.", examples=["sms"])
    channel: ChannelName | None = None
    template: TemplateKey | None = None
    since: Moment | None = Field(None, description="Failed at this time or later.")
    until: Moment | None = Field(None, description="Failed before this time.")


class DeadLetterChoice(Body):
    """Dead letters by id or by filter."""

    ids: tuple[DeliveryId, ...] | None = Field(
        None, min_length=1, max_length=1000, description="Their `id`s. Give these or a filter, one of both."
    )
    filter: DeadLetterFilter | None = Field(None, description="All that fit; an empty filter means all of yours.")
    dry_run: bool = Field(default=False, description="Only count what would be done.")


class DeadLetterRequeue(DeadLetterChoice):
    """Dead letters to be sent once more."""

    even_if_it_may_be_twice: bool = Field(
        default=False,
        description="Also those that may have arrived already although their template allows no second message.",
    )


def idempotency_key(shown: str | None) -> str:
    """Return the header's key. Raises Invalid with a code of its own: the remedy differs from a field's."""
    if not shown:
        detail = "Send the header `Idempotency-Key`, for example a new UUID; repeat it when you repeat the request."
        raise Invalid(detail, code="idempotency_key_missing")
    if len(shown) > _MAX_KEY or any(ord(character) not in _KEY_CHARACTERS for character in shown):
        detail = "The header `Idempotency-Key` takes 1 to 255 visible ASCII characters."
        raise Invalid(detail, code="idempotency_key_invalid")
    return shown
