"""What the API answers about callbacks and events: a part of gateway.http.api.answers; tests hold it to the truth."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from gateway.domain.states import Outcome
from gateway.http.api.answers import Answer


class EventFacts(Answer):
    """What an event is about; what does not apply is null. Never an address, a text or a variable."""

    notification: str | None
    delivery: str | None = Field(description="The delivery that it comes from.")
    recipient: str | None = Field(description="For `contact.…`: the person; null after erasure.")
    reference: str | None = Field(description="Yours, as posted.")
    state: Outcome | None
    channel: str | None
    code: str | None = Field(description="Why; the notification's timeline explains it.")
    test: bool = Field(description="Of a test key: nothing was sent.")


class Event(Answer):
    """Something that happened; the same object in the feed and in a callback."""

    id: str = Field(description="In a callback also the header `webhook-id`.")
    seq: int | None = Field(description="Counts from 1 without gaps, per client; null in a test.")
    type: str = Field(examples=["notification.delivered"])
    timestamp: datetime
    data: EventFacts


class Events(Answer):
    """A page of the feed."""

    events: list[Event]
    next: int = Field(description="Give it as `after` the next time.")


class Endpoint(Answer):
    """Where a client is called back."""

    id: str
    url: str
    types: list[str]
    created_at: datetime
    disabled_at: datetime | None = Field(description="When it answered 410; a test that it answers 2xx enables it.")
    previous_until: datetime | None = Field(description="Until when the secret before the last rotation signs too.")
    waiting: int = Field(description="Posts that are still tried.")
    given_up: int = Field(description="Posts that were tried for three days; `:replay` begins anew.")


class NewEndpoint(Endpoint):
    """An endpoint with its secret."""

    secret: str = Field(description="Shown this once.", examples=["whsec_…"])


class Endpoints(Answer):
    """Every endpoint of a client."""

    callbacks: list[Endpoint]


class Replayed(Answer):
    """What a replay does."""

    queued: int


class Pinged(Answer):
    """What came of a test."""

    ok: bool
    status: int | None = Field(description="Of the answer; null if none came.")
    failure: str | None = Field(description="`not_reached`, `no_answer`, `certificate` or `not_public`.")
