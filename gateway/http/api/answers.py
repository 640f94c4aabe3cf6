"""What the API answers: the shapes as the OpenAPI document shows them.

Answers are written by results.json from what the verbs return; tests/http hold every real answer against these models.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gateway.domain.states import Outcome, State


class Answer(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """An error after RFC 9457. It never quotes what was sent."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Stable; a page of this gateway that says more.", examples=["/problems/invalid"])
    title: str
    status: int
    detail: str = Field(description="What was wrong here, and what to do.")
    errors: list[FieldProblem] | None = Field(None, description="One entry per field.")
    instance: str | None = Field(None, description="Tell this to the operator when you ask about it.")


class FieldProblem(Answer):
    """One thing wrong with one field."""

    pointer: str | None = Field(None, description="JSON pointer into the body.", examples=["/recipient/id"])
    parameter: str | None = Field(None, description="Name of the path, query or header field.")
    code: str = Field(examples=["missing"])
    detail: str


class Skipped(Answer):
    """A channel that the plan leaves out."""

    channel: str
    reason: str = Field(description="Stable word.", examples=["no_consent"])
    explanation: str = Field(description="For a caseworker, in German.")


class Delivery(Answer):
    """One planned message over one channel."""

    id: str
    channel: str
    state: State


class Accepted(Answer):
    """A notification as it was accepted."""

    id: str
    state: Outcome
    deliveries: list[Delivery] = Field(description="In order: the first goes out, the others are its fall-backs.")
    skipped: list[Skipped]


class NotificationResult(Answer):
    """The result of one item: the facts, or the problem."""

    index: int
    status: int
    id: str | None = None
    state: Outcome | None = None
    repeated: bool | None = Field(None, description="The key was seen before; this is the first answer again.")
    problem: Problem | None = None


class BatchOfNotifications(Answer):
    """The results of a batch."""

    results: list[NotificationResult]


class PreviewMessage(Answer):
    """A message as it would be rendered."""

    subject: str
    looks: dict[str, str] = Field(description="By form: `html`, `chat_html`, `markup`, `text`.")
    buttons: list[str]
    direction: str = Field(description="`ltr` or `rtl`.")


class PreviewProblem(Answer):
    """Why no message can be made."""

    code: str
    explanation: str


class PreviewDelivery(Answer):
    """A delivery as it would be planned."""

    channel: str
    account: str
    template: str
    twin: bool = Field(description="The neutral text goes in place of the confidential one.")
    language: str
    language_fell_back: bool = Field(description="The wanted language does not exist; German goes instead.")
    message: PreviewMessage | None
    problem: PreviewProblem | None


class Preview(Answer):
    """The plan as it would be, and what each channel would carry."""

    deliveries: list[PreviewDelivery]
    skipped: list[Skipped]


class Attempt(Answer):
    """One provider call."""

    number: int
    began_at: datetime
    ended_at: datetime
    verdict: str = Field(description="`submitted`, or why not.")
    provider_code: str


class DeliveryInFull(Delivery):
    """A delivery with its attempts."""

    account: str
    template: str
    standby: bool = Field(description="A fall-back that waits for its turn.")
    held: bool = Field(description="Its text was withdrawn: it waits for staff to decide.")
    tries: int
    due_at: datetime | None
    code: str | None = Field(description="Why it is where it is.")
    explanation: str | None
    consent: int = Field(description="The row of the consent ledger that it relies on.")
    attempts: list[Attempt]


class Moment(Answer):
    """One entry of the timeline."""

    at: datetime
    event: str
    delivery: str | None
    code: str | None
    explanation: str | None


class OnlyId(Answer):
    """The person, by id."""

    id: str


class Notification(Answer):
    """A notification with everything that happened to it."""

    id: str
    state: Outcome
    template: str
    version: str = Field(description="The template's version, pinned at acceptance.")
    language: str
    language_fell_back: bool
    reference: str | None
    test: bool
    created_at: datetime
    send_at: datetime
    expires_at: datetime
    recipient: OnlyId
    deliveries: list[DeliveryInFull]
    skipped: list[Skipped]
    timeline: list[Moment]


class Found(Answer):
    """A notification on a page of a search."""

    id: str
    state: Outcome
    template: str
    reference: str | None
    created_at: datetime


class Page(Answer):
    """One page of a search."""

    notifications: list[Found]
    next: str | None = Field(description="Give it as `after` for the next page; null on the last.")


class DeadLetter(Answer):
    """A failed delivery of a notification that no channel has taken."""

    id: str
    notification: str
    template: str
    reference: str | None
    channel: str
    account: str
    code: str = Field(description="Why it failed.", examples=["mailbox_full"])
    klass: str = Field(alias="class", description="The class of error.", examples=["unavailable"])
    explanation: str = Field(description="What happened and what to do, for a caseworker, in German.")
    explanation_en: str
    tries: int
    failed_at: datetime
    expires_at: datetime
    requeue: str = Field(
        description="`possible`, or why not: `may_be_twice`, `expired`, `values_purged`.", examples=["possible"]
    )


class DeadLetters(Answer):
    """One page of dead letters."""

    dead_letters: list[DeadLetter]
    next: str | None = Field(description="Give it as `after` for the next page; null on the last.")


class NotDone(Answer):
    """Dead letters that were left as they are."""

    code: str = Field(examples=["expired"])
    explanation: str = Field(description="For a caseworker, in German.")
    ids: list[str]


class Decision(Answer):
    """What came of a decision on dead letters."""

    dry_run: bool
    deliveries: int = Field(description="How many deliveries it was done to.")
    notifications: int = Field(description="How many notifications they belong to.")
    refused: list[NotDone]
    more: bool = Field(description="There are more that were not looked at: repeat the request.")


class ContactPoint(Answer):
    """A stored address, only hinted at."""

    id: str
    channel: str
    address_hint: str = Field(examples=["+49 155 … 01"])
    verified_at: datetime | None
    verified_how: str | None
    suppressed: bool
    reason: str | None = Field(description="Why it is suppressed.")


class LedgerEntry(Answer):
    """One row of the consent ledger."""

    ledger_row: int
    channel: str
    purpose: str
    given: bool
    at: datetime
    text_version: str
    language: str
    source: str


class Recipient(Answer):
    """A person as known now."""

    id: str
    language: str
    birth_year: int | None
    preferred_channels: list[str]
    contact_points: list[ContactPoint]
    consents: list[LedgerEntry] = Field(description="The standing entry for each channel and purpose.")


class RecipientResult(Answer):
    """The result of one item: the id, or the problem."""

    index: int
    status: int
    id: str | None = None
    problem: Problem | None = None


class BatchOfRecipients(Answer):
    """The results of a batch."""

    results: list[RecipientResult]


class Template(Answer):
    """A published template."""

    key: str
    title: str
    version: int
    klass: str = Field(alias="class", description="Confidentiality class, K0 to K2.")
    purpose: str
    channels: list[str]
    languages: list[str]


class Templates(Answer):
    """Every published template."""

    templates: list[Template]


class TemplateInFull(Template):
    """A template with its variables."""

    variables: dict[str, Any] = Field(description="A JSON schema.")
    buttons: list[str]


class Alive(Answer):
    """The process answers."""

    ok: bool


class Ready(Alive):
    """The process can work."""

    checks: dict[str, str]
    oldest_due_s: dict[str, float] = Field(description="Age of the oldest due delivery of each lane, in seconds.")
