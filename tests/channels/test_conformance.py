"""The conformance suite, run against the four channels and ``memory``.

What is special about a channel has tests of its own beside this file.
"""

from __future__ import annotations

import dataclasses
import email
import email.policy
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar
from urllib.parse import urlencode

from twilio.request_validator import RequestValidator

from channels.conformance import Act, AdapterConformance, Tape
from channels.conformance.bench import CALLBACK, KEY, NOW
from channels.email_smtp import EmailSmtp
from channels.kit.contract import Fact, Kind, WebhookRequest
from channels.kit.errors import ChannelError, Refused, Throttled, Unavailable
from channels.memory import Memory
from channels.sms_twilio import SmsTwilio
from channels.telegram_bot import TelegramBot
from channels.whatsapp_twilio import WhatsappTwilio
from gateway.egress import Http
from tests.channels.providers import ACCOUNT, BOT_SECRET, TOKEN, TelegramStandin, TwilioStandin, update
from tests.channels.smtp_standin import SmtpStandin

MOBILES = {
    "0151 23456789": "+4915123456789",
    "+49 (0)176 12345678": "+4917612345678",
    "0049/171/3920012": "+491713920012",
}
NO_MOBILES = (
    "15123456789",  # which country?
    "4915123456789",
    "069 1234567",  # landline, free, premium, shared cost, personal, service
    "0800 1234567",
    "0900 1234567",
    "0137 1234567",
    "0700 12345678",
    "11833",
    "+43 664 1234567",  # not enabled
    "+1 202 555 0123",
    "0151 23456789 ext. 5",
    "0151-CALL-ME",
    "0151 2345",
    "٠١٥١٢٣٤٥٦٧٨٩",
    "@anna",
)


def posted(fields: Mapping[str, str], *, url: str = CALLBACK, token: str = TOKEN) -> WebhookRequest:
    """Return a call as Twilio signs it, with its own SDK's signer."""
    signature = RequestValidator(token).compute_signature(url, dict(fields))
    headers = {"x-twilio-signature": signature, "content-type": "application/x-www-form-urlencoded"}
    return WebhookRequest(method="POST", url=url, headers=headers, body=urlencode(fields).encode(), received_at=NOW)


class TwilioCases(AdapterConformance):
    """What SMS and WhatsApp have in common."""

    http = Http
    standin = TwilioStandin
    bad_addresses = NO_MOBILES
    good_addresses = MOBILES
    proof = "x-twilio-signature"
    covers = frozenset({"body", "url"})
    stranger: ClassVar[dict[str, Any]] = {"auth_token": "somebody-else"}
    rotated: ClassVar[dict[str, Any]] = {"auth_token": "new-token", "previous_auth_token": TOKEN}
    prefix = ""

    def said(self, request: Any) -> str:
        """Return the body."""
        return request.form["body"]

    def status(self, status: str, **more: str) -> WebhookRequest:
        """Return a status callback for our key."""
        to = f"{self.prefix}+4915123456789"
        base = {"MessageSid": "SM" + "a" * 32, "MessageStatus": status, "AccountSid": ACCOUNT, "To": to, "FromCity": ""}
        return posted({**base, **more}, url=f"{CALLBACK}?mid={KEY}")

    def text_hook(self, text: str, **more: str) -> WebhookRequest:
        """Return a message of Anna."""
        sender = f"{self.prefix}+4915123456789"
        base = {"MessageSid": "SM" + "b" * 32, "AccountSid": ACCOUNT, "From": sender, "Body": text, "NumMedia": "0"}
        return posted({**base, **more})

    def tapes(self) -> Sequence[Tape]:
        """Return what both channels say."""
        return (
            Tape("sent", self.status("sent"), (Fact.SUBMITTED,)),
            Tape("delivered", self.status("delivered"), (Fact.DELIVERED,)),
            Tape("undelivered", self.status("undelivered", ErrorCode="30005"), (Fact.FAILED,)),
            Tape("a text", self.text_hook("Hallo, Zoë ☂ "), (Kind.TEXT,)),
            Tape("a picture", self.text_hook("", NumMedia="1", MessageSid="SM" + "c" * 32), (Kind.MEDIA,)),
            Tape("stop", self.text_hook("STOP", OptOutType="STOP", MessageSid="SM" + "d" * 32), (Kind.STOP,)),
        )


class TestSms(TwilioCases):
    """SMS by Twilio."""

    adapter = SmsTwilio


class TestWhatsapp(TwilioCases):
    """WhatsApp by Twilio."""

    adapter = WhatsappTwilio
    prefix = "whatsapp:"

    def tapes(self) -> Sequence[Tape]:
        """Return the common ones, a read receipt and a pressed button."""
        pressed = {"ButtonPayload": "ja", "ButtonText": "Ich komme", "MessageSid": "SM" + "e" * 32}
        return (
            *super().tapes(),
            Tape("read", self.status("read", EventType="READ", ChannelPrefix="whatsapp"), (Fact.READ,)),
            Tape("a button", self.text_hook("Ich komme", **pressed), (Kind.BUTTON,)),
        )


class TestTelegram(AdapterConformance):
    """Telegram's Bot API."""

    adapter = TelegramBot
    http = Http
    standin = TelegramStandin
    good_addresses: ClassVar[dict[str, str]] = {"5151515151": "5151515151", "1": "1"}
    bad_addresses = ("@anna", "-1001234567890", "007", "5.0", "+4915123456789", "\u0665\u0665", str(2**52), "0")
    proof = "x-telegram-bot-api-secret-token"
    stranger: ClassVar[dict[str, Any]] = {"webhook_secret": "somebody-else"}
    rotated: ClassVar[dict[str, Any]] = {"webhook_secret": "new-secret", "previous_webhook_secret": BOT_SECRET}
    anna: ClassVar[dict[str, Any]] = {"id": 5151515151, "is_bot": False, "first_name": "Anna"}
    chat: ClassVar[dict[str, Any]] = {"id": 5151515151, "type": "private", "first_name": "Anna"}

    def said(self, request: Any) -> str:
        """Return the text after entity parsing."""
        return unescaped(request.text)

    def trace(self, standin: TelegramStandin) -> object:
        """Return the address that updates are posted to."""
        return standin.webhook.get("url")

    def hook(self, body: bytes) -> WebhookRequest:
        """Return a call with the right secret."""
        headers = {self.proof: BOT_SECRET, "content-type": "application/json"}
        return WebhookRequest(method="POST", url=CALLBACK, headers=headers, body=body, received_at=NOW)

    def text_hook(self, text: str, **more: Any) -> WebhookRequest:
        """Return a message of Anna."""
        said = {"message_id": 5, "date": 1800000000, "chat": self.chat, "from": self.anna, "text": text}
        return self.hook(update(message={**said, **more}))

    def tapes(self) -> Sequence[Tape]:
        """Return one update of each kind."""
        shown = {"message_id": 1, "date": 0, "chat": self.chat}
        pressed = {"id": "9", "from": self.anna, "chat_instance": "1", "data": "ack:9", "message": shown}
        change = {"chat": self.chat, "from": self.anna, "date": 1800000000, "new_chat_member": {"status": "kicked"}}
        photo = {"message_id": 6, "date": 1800000000, "chat": self.chat, "from": self.anna, "photo": [{"file_id": "x"}]}
        tapes = (
            Tape("a text", self.text_hook("Hallo ☂"), (Kind.TEXT,)),
            Tape("a deep link", self.text_hook("/start ref42"), (Kind.JOIN,)),
            Tape("a button", self.hook(update(callback_query=pressed)), (Kind.BUTTON,)),
            Tape("blocked", self.hook(update(my_chat_member=change)), (Kind.STOP,)),
            Tape("a photo", self.hook(update(message=photo)), (Kind.MEDIA,)),
        )
        return [numbered(tape, number) for number, tape in enumerate(tapes)]


def numbered(tape: Tape, number: int) -> Tape:
    """Give each update an id of its own, as Telegram does."""
    body = {**json.loads(tape.hook.body), "update_id": 900 + number}
    return dataclasses.replace(tape, hook=dataclasses.replace(tape.hook, body=json.dumps(body).encode()))


def unescaped(markup: str) -> str:
    """Return what Telegram shows of plain text that was escaped for its HTML."""
    return markup.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


class TestEmail(AdapterConformance):
    """E-mail by SMTP."""

    adapter = EmailSmtp
    http = Http
    standin = SmtpStandin
    good_addresses: ClassVar[dict[str, str]] = {
        "Anna.Muster@Post.Example": "Anna.Muster@post.example",
        "anna@müller.de": "anna@xn--mller-kva.de",
        " anna+amt@post.example ": "anna+amt@post.example",
    }
    bad_addresses = (
        "anna",
        "anna@localhost",
        "anna@",
        "Anna <anna@post.example>",
        "anna@post.example>\r\nDATA",
        "anna@post.example, otto@post.example",
        "änna@post.example",
        "anna@[127.0.0.1]",
        '"anna muster"@post.example',
        "anna\x00@post.example",
        "a" * 65 + "@post.example",
    )

    def said(self, request: Any) -> str:
        """Return the plain text part, as a mail program reads it."""
        mail = email.message_from_bytes(request.content, policy=email.policy.default)
        return mail.get_body(("plain",)).get_content()


class Nobody:
    """The stand-in of a channel without a wire: plays by telling the adapter how to fail."""

    acts = frozenset({Act.ACCEPT, Act.THROTTLE_BARE, Act.DOWN, Act.UNKNOWN})
    errors: ClassVar[dict[Act, ChannelError]] = {
        Act.THROTTLE_BARE: Throttled(),
        Act.DOWN: Unavailable(),
        Act.UNKNOWN: Refused(),
    }

    def __init__(self, adapter: Memory | None = None) -> None:
        self.adapter = adapter

    @property
    def texts(self) -> list[str]:
        """Return what the adapter keeps."""
        return [one.text for one in self.adapter.taken]

    @property
    def sends(self) -> int:
        """Return how often it kept something."""
        return len(self.texts)

    def options(self) -> dict[str, Any]:
        """Return options with a canary for a secret."""
        return {"secret": "Kanarien-Secret"}


class TestMemory(AdapterConformance):
    """The channel that keeps messages in memory."""

    adapter = Memory
    http = Http
    standin = Nobody
    good_addresses: ClassVar[dict[str, str]] = {"kanarien.anna": "kanarien.anna", "otto_2": "otto_2"}
    bad_addresses = ("Anna", "-anna", "änna")
    proof = "x-memory-secret"
    stranger: ClassVar[dict[str, Any]] = {"secret": "somebody-else"}
    rotated: ClassVar[dict[str, Any]] = {"secret": "new-secret", "previous_secret": "Kanarien-Secret"}

    @asynccontextmanager
    async def playing(self, act: Act, **changed: Any) -> AsyncIterator[tuple[Any, Any]]:
        """Yield the adapter, told how to fail, and a view on what it keeps."""
        adapter = self.built(**changed)
        if act in Nobody.errors:
            adapter.fail_next(Nobody.errors[act])
        yield adapter, Nobody(adapter)

    def hook(self, *events: dict[str, str]) -> WebhookRequest:
        """Return a call with the right secret."""
        headers = {self.proof: "Kanarien-Secret", "content-type": "application/json"}
        body = json.dumps(events).encode()
        return WebhookRequest(method="POST", url=CALLBACK, headers=headers, body=body, received_at=NOW)

    def text_hook(self, text: str) -> WebhookRequest:
        """Return a message of Anna."""
        return self.hook({"id": "t", "kind": "text", "from": "anna", "text": text, "at": "2027-01-15T12:00:00+02:00"})

    def tapes(self) -> Sequence[Tape]:
        """Return one call with every fact, and one with every kind."""
        facts = [{"id": f"r-{one}", "fact": str(one), "provider_id": "memory-1", "key": KEY} for one in Fact]
        kinds = [{"id": f"i-{one}", "kind": str(one), "from": "anna", "payload": "x"} for one in Kind]
        return (
            Tape("facts", self.hook(*facts), tuple(Fact)),
            Tape("kinds", self.hook(*kinds), tuple(Kind)),
            Tape("a text", self.text_hook("Hallo"), (Kind.TEXT,)),
        )

    def test_14_probe_says_what_is_wrong(self) -> None:
        """14: there is nobody to be in trouble."""
