"""WhatsApp through Twilio.

Free text within 24 hours of the person's last word, else a text that Meta has approved: which of the two is the core's
to decide, by ``message.approved``. Twilio Messages API 2010-04-01 with ContentSid/ContentVariables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from pydantic import field_validator

from channels.kit import twilio
from channels.kit.addresses import mobile
from channels.kit.contract import (
    AdapterOptions,
    Address,
    ApprovedTemplate,
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

PREFIX = "whatsapp:"
_MAX_CHARACTERS = 1024  # of a template with its values (63021); free text keeps it too, so that either form fits
_MAX_BUTTONS, _MAX_LABEL = 3, 20
_MAX_VALUES, _MAX_VALUE = 100, 255
_CONTENT = re.compile(r"HX[0-9a-f]{32}")
_POSITION = re.compile(r"[1-9][0-9]?|100")
_UNSAYABLE = re.compile(r"[\n\r\t]| {5}")  # refused in values (B-W6)
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")


class WhatsappOptions(twilio.TwilioOptions):
    """One WhatsApp sender at Twilio. ``sender``: its number in E.164, without ``whatsapp:``."""

    @field_validator("sender")
    @classmethod
    def _number(cls, sender: str) -> str:
        if sender and not _NUMBER.fullmatch(sender):
            raise ValueError("sender must be a number such as +49…")
        return sender


class WhatsappTwilio:
    """WhatsApp by Twilio's Messages API."""

    Options: ClassVar[type[AdapterOptions]] = WhatsappOptions
    capabilities: ClassVar[Capabilities] = Capabilities(
        channel="whatsapp",
        formats=(Format.MARKUP, Format.TEXT),
        measure=Measure.CHARACTERS,
        max_units=_MAX_CHARACTERS,
        receipts=frozenset({Fact.SUBMITTED, Fact.DELIVERED, Fact.READ, Fact.FAILED}),
        inbound=frozenset({Kind.TEXT, Kind.BUTTON, Kind.STOP, Kind.MEDIA}),
        max_buttons=_MAX_BUTTONS,
        max_button_characters=_MAX_LABEL,
        window=timedelta(hours=24),
        preapproved=True,
        # B-W8: the provider's first step; a higher one is a setting (people_per_day)
        limits=(Limit("account", 10, per_s=1), Limit("recipient", 1, per_s=6), Limit("people", 250, per_s=86_400)),
        ceiling=Confidentiality.K2,
        default_ceiling=Confidentiality.K1,
        dataflow=Dataflow("Twilio, Meta", "US/IE", ("phone number", "text", "profile name")),
    )

    def __init__(self, options: WhatsappOptions, *, http: HttpClient, clock: Clock) -> None:
        self._options = options
        self._account = twilio.Account(options, http=http, clock=clock, channel="whatsapp", prefix=PREFIX)

    def address_of(self, raw: str) -> Address:
        """Return the mobile number in E.164, without prefix. Raises AddressInvalid."""
        return mobile(raw, channel="whatsapp", countries=self._options.countries)

    def encode(self, message: Message, to: Address, *, key: str, callback_url: str = "") -> twilio.TwilioRequest:
        """Return the call: the approved template if the message has one, else free text.

        Raises Unsupported("text" | "buttons" | "approved" | "valid_s"). Buttons are part of an approved template; free
        text cannot carry any.
        """
        _, body = message.look(self.capabilities.formats)
        if not 0 < units(body, Measure.CHARACTERS) <= _MAX_CHARACTERS:
            raise Unsupported("text")
        form: dict[str, str | int] = {**twilio.validity(message.valid_s)}
        if message.approved is not None:
            form.update(_approved(message.approved))
            if len(message.buttons) > _MAX_BUTTONS or any(len(one.label) > _MAX_LABEL for one in message.buttons):
                raise Unsupported("buttons")
        elif message.buttons:
            raise Unsupported("buttons")
        else:
            form["body"] = body
        if callback_url:
            form["status_callback"] = twilio.callback_with_key(callback_url, key)
        return twilio.TwilioRequest(key=key, to=PREFIX + to.value, form=form)

    async def send(self, request: twilio.TwilioRequest) -> Submission:
        """Create one message. Raises one ChannelError."""
        return await self._account.send(request)

    def verify(self, hook: WebhookRequest) -> None:
        """Raise Forged unless the call carries the account's signature."""
        self._account.verify(hook)

    def decode(self, hook: WebhookRequest) -> Sequence[Receipt | Inbound]:
        """Return what a status callback, a text or a button press says. Stop words come as text."""
        return self._account.decode(hook, facts=self.capabilities.receipts)

    async def probe(self) -> Health:
        """Fetch the account resource."""
        return await self._account.probe()

    async def close(self) -> None:
        """Nothing of its own to give back: the HTTP client is the core's."""


def _approved(template: ApprovedTemplate) -> Mapping[str, str]:
    """Return the form fields of an approved template. Raises Unsupported("approved") for what Meta would refuse."""
    values = template.values
    if (
        not _CONTENT.fullmatch(template.provider_id)
        or len(values) > _MAX_VALUES
        or not all(_POSITION.fullmatch(one) for one in values)
        or any(not 0 < units(one, Measure.CHARACTERS, field="approved") <= _MAX_VALUE for one in values.values())
        or any(_UNSAYABLE.search(one) for one in values.values())
    ):
        raise Unsupported("approved")
    fields = {"content_sid": template.provider_id}
    if values:
        fields["content_variables"] = json.dumps(dict(values), ensure_ascii=False, separators=(",", ":"))
    return fields


# The translation table is shared with SMS: channels.kit.twilio_codes.
