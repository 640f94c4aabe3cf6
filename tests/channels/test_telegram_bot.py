"""Telegram: what is special about it beyond the conformance suite (B-T1 to B-T7)."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
import telegram.error
from pydantic import ValidationError
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    EndPointNotFound,
    Forbidden,
    InvalidToken,
    NetworkError,
    PassportDecryptionError,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from channels.conformance import Act
from channels.conformance.bench import CALLBACK, KEY, NOW, Bench
from channels.conformance.http_standin import Call, Reply
from channels.kit.contract import Button, Format, Inbound, Kind, Message, WebhookRequest
from channels.kit.errors import (
    AddressRefused,
    ChannelError,
    ContentRefused,
    Misconfigured,
    OptedOut,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
    Unsupported,
)
from channels.kit.http import Head
from channels.telegram_bot import TelegramBot, translate
from gateway.egress import Http
from tests.channels.providers import BOT_SECRET, TelegramStandin, update

ANNA = {"id": 7, "is_bot": False, "first_name": "Ana"}
CHAT = {"id": 7, "type": "private", "first_name": "Ana"}


class Scripted(TelegramStandin):
    """A bot API that answers sends with one scripted reply."""

    reply: Reply | None = None

    def success(self, call: Call) -> Reply:
        """Return the scripted reply, if there is one."""
        return self.reply or super().success(call)


class Telegram(Bench):
    """The adapter against the scripted API."""

    adapter = TelegramBot
    http = Http
    standin = Scripted
    good_addresses = {"7": "7"}  # noqa: RUF012  # read only


BENCH = Telegram()


def hook(body: bytes) -> WebhookRequest:
    """Return an authentic call."""
    headers = {"x-telegram-bot-api-secret-token": BOT_SECRET}
    return WebhookRequest(method="POST", url=CALLBACK, headers=headers, body=body, received_at=NOW)


def decoded(**what: Any) -> tuple[Inbound, ...]:
    """Return what an update says."""
    return tuple(BENCH.built().decode(hook(update(**what))))


def message(text: str, **more: Any) -> dict[str, Any]:
    """Return a message of Anna's private chat."""
    return {"message": {"message_id": 5, "date": 1800000000, "chat": CHAT, "from": ANNA, "text": text, **more}}


ANSWERS = [
    (403, "Forbidden: bot was blocked by the user", OptedOut),
    (403, "Forbidden: bot was kicked from the group chat", OptedOut),
    (403, "Forbidden: user is deactivated", AddressRefused),
    (403, "Forbidden: the group chat was deleted", AddressRefused),
    (403, "Forbidden: bot is not a member of the channel chat", AddressRefused),
    (403, "Forbidden: bot can't initiate conversation with a user", AddressRefused),
    (403, "Forbidden: something new", Refused),
    (400, "Bad Request: chat not found", AddressRefused),
    (400, "Bad Request: private chat not found", AddressRefused),
    (400, "Bad Request: PEER_ID_INVALID", AddressRefused),
    (400, "Bad Request: USER_IS_BLOCKED", OptedOut),
    (400, "Bad Request: message is too long", ContentRefused),
    (400, "Bad Request: can't parse entities: Unsupported start tag", ContentRefused),
    (400, "Bad Request: message text is empty", ContentRefused),
    (400, "Bad Request: BUTTON_DATA_INVALID", ContentRefused),
    (400, "Bad Request: reply markup is too long", ContentRefused),
    (400, "Bad Request: Wrong HTTP URL specified", ContentRefused),
    (400, "Bad Request: something new", Refused),
    (401, "Unauthorized", Misconfigured),
    (404, "Not Found", Misconfigured),
    (409, "Conflict: terminated by other getUpdates request", Misconfigured),
    (413, "Request Entity Too Large", ContentRefused),
    (429, "Too Many Requests", Throttled),
    (500, "Internal Server Error", Unavailable),
    (503, "Service Unavailable", Unavailable),
]


@pytest.mark.parametrize(("status", "description", "expected"), ANSWERS)
async def test_answers(status: int, description: str, expected: type[ChannelError]):
    """B-T3: each documented refusal, over the wire and through the SDK, becomes its class; 403 is about the person."""
    async with BENCH.playing(Act.ACCEPT) as (adapter, standin):
        standin.reply = Reply(status, {"ok": False, "error_code": status, "description": description})
        with pytest.raises(ChannelError) as caught:
            await adapter.send(BENCH.request(adapter))
    assert type(caught.value) is expected
    assert caught.value.provider_code == str(status)


@pytest.mark.parametrize(
    "body",
    [
        {"ok": False},
        {"ok": True, "result": {"message_id": 1}},
        {"ok": True, "result": {"message_id": 1, "date": 1.8e12, "chat": CHAT}},
        {"ok": True, "result": True},
        [],
        b"<html>ok</html>",
        b"",
    ],
)
async def test_an_unreadable_success_is_uncertain(body: Any):
    """A 200 that the SDK cannot read was sent, most likely: it is never tried again blindly."""
    async with BENCH.playing(Act.ACCEPT) as (adapter, standin):
        standin.reply = Reply(200, body)
        with pytest.raises(Uncertain):
            await adapter.send(BENCH.request(adapter))
        assert standin.sends == 1


async def test_a_group_that_moved_is_no_address():
    """B-T3: a migrated chat is a group; we write to people only."""
    async with BENCH.playing(Act.ACCEPT) as (adapter, standin):
        body = {"ok": False, "description": "x", "parameters": {"migrate_to_chat_id": -1001}}
        standin.reply = Reply(400, body)
        with pytest.raises(AddressRefused):
            await adapter.send(BENCH.request(adapter))


SDK: dict[type[TelegramError], tuple[tuple[Any, ...], int, type[ChannelError]]] = {
    TelegramError: (("Invalid server response",), 200, Uncertain),
    Forbidden: (("Forbidden: new",), 403, Refused),
    InvalidToken: ((), 401, Misconfigured),
    EndPointNotFound: (("x",), 404, Misconfigured),
    NetworkError: (("Bad Gateway",), 502, Uncertain),
    BadRequest: (("Bad Request: new",), 400, Refused),
    TimedOut: ((), 0, Uncertain),
    ChatMigrated: ((-1001,), 400, AddressRefused),
    RetryAfter: ((3,), 429, Throttled),
    Conflict: (("x",), 409, Misconfigured),
    PassportDecryptionError: (("x",), 200, Uncertain),
}


@pytest.mark.filterwarnings("ignore:.*retry_after")
def test_every_exception_of_the_sdk_is_known():
    """A new exception class of the SDK must get a row here, and each row becomes exactly its class."""
    classes = {one for _, one in inspect.getmembers(telegram.error, inspect.isclass)}
    assert {one for one in classes if issubclass(one, TelegramError)} == set(SDK)
    for cls, (arguments, status, expected) in SDK.items():
        head = Head(status, {}) if status else None
        assert type(translate(cls(*arguments), head, now=NOW)) is expected, cls


async def test_what_goes_over_the_wire():
    """B-T5: HTML, no link preview unless asked for, one button a row, and no other field."""
    async with BENCH.playing(Act.ACCEPT) as (adapter, standin):
        buttons = (Button("ack:ß", "Ich komme"), Button("x", "Zum Portal", url="https://info.mtk.example/n/1"))
        await adapter.send(BENCH.request(adapter, "Maß & <Regel>", buttons=buttons))
        await adapter.send(BENCH.request(adapter, "mit Vorschau", link_preview=True))
    first, second = (call.form for call in standin.calls)
    assert json.loads(first["reply_markup"]) == {
        "inline_keyboard": [
            [{"text": "Ich komme", "callback_data": "ack:ß"}],
            [{"text": "Zum Portal", "url": "https://info.mtk.example/n/1"}],
        ]
    }
    assert (first["text"], first["parse_mode"]) == ("Maß &amp; &lt;Regel&gt;", "HTML")
    assert json.loads(first["link_preview_options"]) == {"is_disabled": True}
    assert set(first) == {"chat_id", "text", "parse_mode", "link_preview_options", "reply_markup"}
    assert json.loads(second["link_preview_options"]) == {"is_disabled": False}


@pytest.mark.parametrize(
    ("identifier", "label", "fits"),
    [
        ("a" * 64, "Ja", True),
        ("a" * 65, "Ja", False),
        ("ß" * 32, "Ja", True),
        ("ß" * 33, "Ja", False),
        ("", "Ja", False),
        ("a", "", False),
    ],
)
def test_callback_data_is_counted_in_bytes(identifier: str, label: str, *, fits: bool):
    """B-T4: 1 to 64 bytes of UTF-8, not characters."""
    adapter, buttons = BENCH.built(), (Button(identifier, label),)
    if fits:
        assert BENCH.request(adapter, buttons=buttons).buttons == buttons
        return
    with pytest.raises(Unsupported, match="buttons"):
        BENCH.request(adapter, buttons=buttons)


@pytest.mark.parametrize(
    ("markup", "fits"),
    [
        ("<b>" + "a" * 4096 + "</b>", True),
        ("<b>" + "a" * 4097 + "</b>", False),
        ("&amp;" * 4096, True),
        ("&nbsp;" * 700, False),  # no entity of Telegram's: six characters each
        ("😀" * 2048, True),
        ("😀" * 2049, False),
        ('<a href="https://a.example/' + "x" * 5000 + '">hier</a>', True),
        ("<b></b>", False),
        (" \n ", False),
    ],
)
def test_length_counts_after_entity_parsing(markup: str, *, fits: bool):
    """B-T4: 1 to 4096 UTF-16 units of what is shown; tags and entities cost nothing or one."""
    adapter = BENCH.built()
    said = Message(looks={Format.TEXT: "x", Format.CHAT_HTML: markup}, sent_at=NOW)
    if fits:
        assert adapter.encode(said, adapter.address_of("7"), key=KEY).text == markup
        return
    with pytest.raises(Unsupported, match="text"):
        adapter.encode(said, adapter.address_of("7"), key=KEY)


def test_text_without_markup_is_sent_as_text():
    """Where the core made no chat look, angle brackets are just characters."""
    adapter = BENCH.built()
    request = adapter.encode(Message(looks={Format.TEXT: "1 < 2"}, sent_at=NOW), adapter.address_of("7"), key=KEY)
    assert (request.text, request.parse_mode) == ("1 < 2", None)


@pytest.mark.parametrize(
    ("text", "kind", "payload"),
    [
        ("/start " + "a" * 64, Kind.JOIN, "a" * 64),
        ("/start " + "a" * 65, Kind.TEXT, ""),
        ("/start", Kind.JOIN, ""),
        ("/start@mtk_bot ref42", Kind.JOIN, "ref42"),
        ("/start ref 42", Kind.TEXT, ""),
        ("/start x;y", Kind.TEXT, ""),
        ("/stop", Kind.STOP, ""),
        ("stop", Kind.TEXT, ""),
        ("/started", Kind.TEXT, ""),
    ],
)
def test_commands(text: str, kind: Kind, payload: str):
    """B-T1: a start with a well-formed token of up to 64 characters joins; everything else is text for the core."""
    (event,) = decoded(**message(text))
    assert (event.kind, event.payload, event.text) == (kind, payload, text)


@pytest.mark.parametrize(
    "what",
    [
        message("x", chat={"id": -5, "type": "group"}),
        message("x", chat={"id": 8, "type": "private"}),  # not the chat of the one who writes
        message("x", **{"from": {**ANNA, "is_bot": True}}),
        {"message": {"message_id": 5, "date": 1, "chat": {"id": -7, "type": "channel"}, "text": "x"}},
        {"my_chat_member": {"chat": CHAT, "from": ANNA, "date": 1, "new_chat_member": {"status": "member"}}},
        {"edited_message": message("x")["message"]},
        {"message": None},
        {},
    ],
)
def test_what_says_nothing(what: dict[str, Any]):
    """B-T3: groups, bots, other people's chats, edits and unblocking: no event, and no consent by unblocking."""
    assert decoded(**what) == ()


def test_a_press_names_its_message_and_is_acknowledged_by_its_query():
    """B-T4: the press carries the button's id, the message it belongs to, and what the answer needs."""
    press = {"id": "99", "from": ANNA, "data": "ack:9", "message": {"message_id": 3, "date": 0, "chat": CHAT}}
    (event,) = decoded(callback_query=press)
    assert (event.kind, event.payload, event.reply_to, event.event_id) == (Kind.BUTTON, "ack:9", "3", "901:99")
    (alone,) = decoded(callback_query={key: value for key, value in press.items() if key != "message"})
    assert (alone.sender.value, alone.reply_to) == ("7", "")


async def test_acknowledging_answers_and_takes_the_buttons_away():
    """B-T4: the waiting sign ends, the keyboard goes; being late or doing it twice is no error."""
    shown = {"message_id": 3, "chat": CHAT}
    (press,) = decoded(callback_query={"id": "99", "from": ANNA, "data": "a", "message": shown})
    async with BENCH.playing(Act.ACCEPT) as (adapter, standin):
        await adapter.acknowledge(press)
        answered, edited = standin.calls
        assert (answered.path.rpartition("/")[2], answered.form["callback_query_id"]) == ("answerCallbackQuery", "99")
        assert (edited.path.rpartition("/")[2], edited.form) == (
            "editMessageReplyMarkup",
            {"chat_id": "7", "message_id": "3"},
        )
        for text in (
            "Bad Request: query is too old and response timeout expired",
            "Bad Request: message is not modified",
        ):
            standin.reply = Reply(400, {"ok": False, "error_code": 400, "description": f"Bad Request: {text}"})
            await adapter.acknowledge(press)
        standin.reply = Reply(401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
        with pytest.raises(Misconfigured):
            await adapter.acknowledge(press)
        (text,) = decoded(**message("hallo"))
        await adapter.acknowledge(text)


async def test_install_asks_for_exactly_what_we_read():
    """B-T6: the webhook is set with our secret and the three kinds of update."""
    async with BENCH.playing(Act.ACCEPT) as (adapter, standin):
        await adapter.install(CALLBACK)
    assert standin.webhook["secret_token"] == BOT_SECRET
    assert json.loads(standin.webhook["allowed_updates"]) == ["message", "callback_query", "my_chat_member"]


@pytest.mark.parametrize("secret", ["", " ", "ä", "a b", "a" * 257])
def test_a_weak_secret_stops_the_start(secret: str):
    """B-T6: '' == '' would accept everybody, so an empty or odd secret is refused with the settings."""
    options = TelegramStandin().options()
    for name in ("webhook_secret", "previous_webhook_secret"):
        with pytest.raises(ValidationError, match=name):
            TelegramBot.Options(**{**options, name: secret})


def test_telegram_never_says_delivered():
    """B-T7: there are no receipts, and the capabilities say so."""
    assert TelegramBot.capabilities.receipts == frozenset()
