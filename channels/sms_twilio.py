"""SMS through Twilio.

Text only, mobile numbers only, at most three parts (four in UCS-2): which words are said is the core's.
Twilio Messages API 2010-04-01; numbers E.164; parts 3GPP TS 23.038.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from pydantic import field_validator

from channels.kit import twilio
from channels.kit.addresses import mobile
from channels.kit.contract import (
    AdapterOptions,
    Address,
    Capabilities,
    Clock,
    Confidentiality,
    Dataflow,
    Fact,
    Format,
    Health,
    HttpClient,
    Inbound,
    Kind,
    Limit,
    Measure,
    Message,
    Receipt,
    Submission,
    WebhookRequest,
)
from channels.kit.errors import Unsupported
from channels.kit.measure import units
from channels.kit.segments import MAX_PARTS, count

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")  # alphanumeric sender: one-way (B-S2)


class SmsOptions(twilio.TwilioOptions):
    """One Twilio account for SMS. ``sender``: a number in E.164, or a name of up to 11 letters, digits and spaces."""

    @field_validator("sender")
    @classmethod
    def _known_form(cls, sender: str) -> str:
        if sender and not (_NUMBER.fullmatch(sender) or _NAME.fullmatch(sender)):
            raise ValueError("sender must be +49… or a name of 1 to 11 letters, digits and spaces, one letter at least")
        return sender


class SmsTwilio:
    """SMS by Twilio's Messages API."""

    Options: ClassVar[type[AdapterOptions]] = SmsOptions
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="sms",
        formats=(Format.TEXT,),
        measure=Measure.SEGMENTS,
        max_units=max(MAX_PARTS.values()),
        receipts=frozenset({Fact.SUBMITTED, Fact.DELIVERED, Fact.FAILED}),
        inbound=frozenset({Kind.TEXT, Kind.STOP, Kind.MEDIA}),
        limits=(Limit("account", 10, per_s=1),),
        ceiling=Confidentiality.K2,
        default_ceiling=Confidentiality.K2,
        dataflow=Dataflow("Twilio", "US/IE", ("phone number", "text")),
    )

    def __init__(self, options: SmsOptions, *, http: HttpClient, clock: Clock) -> None:
        self._options = options
        self._account = twilio.Account(options, http=http, clock=clock, channel="sms", prefix="")

    def address_of(self, raw: str) -> Address:
        """Return the mobile number in E.164. Raises AddressInvalid."""
        return mobile(raw, channel="sms", countries=self._options.countries)

    def encode(self, message: Message, to: Address, *, key: str, callback_url: str = "") -> twilio.TwilioRequest:
        """Return the call. Raises Unsupported("text" | "buttons" | "approved" | "valid_s"); cuts nothing."""
        if message.buttons:
            raise Unsupported("buttons")  # the core says them as links, or not at all
        if message.approved is not None:
            raise Unsupported("approved")
        body = message.looks[Format.TEXT]
        units(body, Measure.BYTES)
        if not body or len(body) > twilio.MAX_BODY_CHARACTERS or not count(body).fits:
            raise Unsupported("text")
        form: dict[str, str | int] = {"body": body, **twilio.validity(message.valid_s)}
        if callback_url:
            form["status_callback"] = twilio.callback_with_key(callback_url, key)
        return twilio.TwilioRequest(key=key, to=to.value, form=form)

    async def send(self, request: twilio.TwilioRequest) -> Submission:
        """Create one message. Raises one ChannelError."""
        return await self._account.send(request)

    def verify(self, hook: WebhookRequest) -> None:
        """Raise Forged unless the call carries the account's signature."""
        self._account.verify(hook)

    def decode(self, hook: WebhookRequest) -> Sequence[Receipt | Inbound]:
        """Return what a status callback or an incoming text says. Stop words come as text; the core knows them."""
        return self._account.decode(hook, facts=self.capabilities.receipts)

    async def probe(self) -> Health:
        """Fetch the account resource."""
        return await self._account.probe()

    async def close(self) -> None:
        """Nothing of its own to give back: the HTTP client is the core's."""


# The translation table is shared with WhatsApp: channels.kit.twilio_codes.
