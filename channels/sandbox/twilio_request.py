"""Check what a client asks of the Messages resource, with the provider's documented error codes.

Pure: form values in, an order or one TwilioError out. Codes and texts: the provider's error dictionary; where one
mistake has several documented codes, the one that the API gives at once is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from channels.sandbox.facts import Credentials
from channels.sandbox.loopback import is_loopback_url
from channels.sandbox.state import Button

MAX_BODY = 1600
MAX_TEMPLATE_TEXT = 1024
MAX_VARIABLE = 255
MAX_VALIDITY_S = 36_000
WHATSAPP = "whatsapp:"
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_SENDER_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")
_CONTENT_SID = re.compile(r"HX[0-9a-f]{32}")
_SERVICE_SID = re.compile(r"MG[0-9a-f]{32}")
_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z0-9_]{1,16})\s*\}\}")


class TwilioError(Exception):
    """What the API answers instead of a message. ``code``: of the error dictionary, 0 where there is none."""

    def __init__(self, status: int, code: int, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Content:
    """A text that the provider knows beforehand, with its placeholders ``{{1}}``, and quick replies."""

    sid: str
    language: str
    body: str
    buttons: tuple[Button, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One message that passed the checks. ``fails``: the code with which it will fail later, or None."""

    channel: str
    to: str = field(repr=False)
    sender: str
    service_sid: str
    text: str = field(repr=False)
    buttons: tuple[Button, ...] = field(repr=False)
    callback_url: str
    from_content: bool
    fails: int | None


def read_order(form: Mapping[str, str], owned: Credentials, contents: Mapping[str, Content]) -> Order:
    """Return what ``form`` orders. Raises TwilioError in the order in which the API checks."""
    to = _recipient(form)
    channel = "whatsapp" if to.startswith(WHATSAPP) else "sms"
    service_sid = form.get("MessagingServiceSid", "")
    sender = _pooled(service_sid, channel, owned) if service_sid else _sender(form.get("From", ""), channel, owned)
    if sender == to:
        raise TwilioError(400, 21266, "'To' and 'From' number cannot be the same")
    _check_options(form)
    content_sid = form.get("ContentSid", "")
    text, buttons, fails = _content(form, contents) if content_sid else (_body(form), (), None)
    return Order(
        channel=channel,
        to=to,
        sender=sender,
        service_sid=service_sid,
        text=text,
        buttons=buttons,
        callback_url=form.get("StatusCallback", ""),
        from_content=bool(content_sid),
        fails=fails,
    )


def _recipient(form: Mapping[str, str]) -> str:
    to = form.get("To", "")
    if not to:
        raise TwilioError(400, 21604, "A 'To' phone number is required.")
    if not _E164.fullmatch(to.removeprefix(WHATSAPP)):
        raise TwilioError(400, 21211, f"Invalid 'To' Phone Number: {to[:-4]}XXXX")
    return to


def _sender(sender: str, channel: str, owned: Credentials) -> str:
    if not sender:
        raise TwilioError(400, 21603, "A 'From' phone number is required.")
    if (channel == "whatsapp") is not sender.startswith(WHATSAPP):
        raise TwilioError(400, 21910, "Invalid 'From' and 'To' pair. 'From' and 'To' should be of the same channel")
    if channel == "whatsapp":
        if sender != WHATSAPP + owned.whatsapp_number:
            raise TwilioError(400, 63007, "Twilio could not find a Channel with the specified From address")
        return sender
    if sender == owned.sms_number or _SENDER_NAME.fullmatch(sender):
        return sender
    if _E164.fullmatch(sender):
        raise TwilioError(
            400,
            21606,
            "The 'From' phone number provided is not a valid message-capable Twilio phone number for this destination.",
        )
    raise TwilioError(400, 21212, f"Invalid From Number (caller ID): {sender}")


def _pooled(service_sid: str, channel: str, owned: Credentials) -> str:
    if not _SERVICE_SID.fullmatch(service_sid):
        raise TwilioError(400, 21705, f"The Messaging Service Sid {service_sid} is invalid.")
    if service_sid != owned.twilio_messaging_service_sid:
        raise TwilioError(404, 21701, f"The Messaging Service {service_sid} does not exist")
    return WHATSAPP + owned.whatsapp_number if channel == "whatsapp" else owned.sms_number


def _check_options(form: Mapping[str, str]) -> None:
    callback_url = form.get("StatusCallback", "")
    if callback_url and not is_loopback_url(callback_url):
        raise TwilioError(400, 21609, "The StatusCallback URL is not a valid loopback URL")
    validity = form.get("ValidityPeriod", "")
    if validity and not (validity.isascii() and validity.isdigit() and 1 <= int(validity) <= MAX_VALIDITY_S):
        raise TwilioError(400, 21624, f"ValidityPeriod must be between 1 and {MAX_VALIDITY_S}")


def _body(form: Mapping[str, str]) -> str:
    text = form.get("Body", "")
    if not text:
        raise TwilioError(400, 21602, "Message body is required.")
    if len(text) > MAX_BODY:
        raise TwilioError(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
    return text


def _content(form: Mapping[str, str], contents: Mapping[str, Content]) -> tuple[str, tuple[Button, ...], int | None]:
    sid = form["ContentSid"]
    content = contents.get(sid)
    if content is None or not _CONTENT_SID.fullmatch(sid):
        raise TwilioError(400, 21655, f"The ContentSid {sid} is Invalid")
    values = _variables(form.get("ContentVariables", ""))
    if any(name not in values for name in _PLACEHOLDER.findall(content.body)):
        return content.body, (), 63028
    text = _filled(content.body, values)
    buttons = tuple(Button(_filled(one.id, values), _filled(one.label, values), one.url) for one in content.buttons)
    return text, buttons, 63021 if len(text) > MAX_TEMPLATE_TEXT else None


def _variables(raw: str) -> dict[str, str]:
    try:
        values = json.loads(raw) if raw else {}
    except ValueError:
        values = None
    if not isinstance(values, dict) or not all(_is_value(one) for one in values.values()):
        raise TwilioError(400, 21656, "The ContentVariables Parameter is invalid")
    return values


def _is_value(one: object) -> bool:
    return isinstance(one, str) and 0 < len(one) <= MAX_VARIABLE and "\n" not in one and "\t" not in one


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)
