"""The Bot API's stand-in, spoken to by python-telegram-bot and over bare HTTP."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup
from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, NetworkError, RetryAfter, TimedOut

from channels.sandbox.server import Sandbox

CHAT = 712345678
KEYS = InlineKeyboardMarkup([[InlineKeyboardButton("Ich komme", callback_data="ack:1")]])


async def call(session: aiohttp.ClientSession, sandbox: Sandbox, method: str, **body: Any) -> tuple[int, Any]:
    """Call a method of the Bot API with a JSON body."""
    url = f"{sandbox.facts.telegram_base_url}{sandbox.facts.telegram_token}/{method}"
    async with session.post(url, json=body) as answer:
        return answer.status, await answer.json()


async def test_a_message_arrives_formatted_and_with_buttons(bot: Bot, control: Any) -> None:
    """A call of sendMessage answers a Message with entities and keyboard; text, source and buttons are in the log."""
    source = "Termin: <b>16.03.</b> &amp; <a href='https://kreis.example/t'>mehr</a>"
    sent = await bot.send_message(CHAT, source, parse_mode="HTML", reply_markup=KEYS)
    assert (sent.text, sent.chat.id) == ("Termin: 16.03. & mehr", CHAT)
    assert [(one.type, one.offset, one.length, one.url) for one in sent.entities] == [
        ("bold", 8, 6, None),
        ("text_link", 17, 4, "https://kreis.example/t"),
    ]
    assert sent.reply_markup == KEYS
    (line,) = await control.get("log?after=0")
    assert (line["to"], line["provider_id"], line["text"]) == (str(CHAT), str(sent.message_id), sent.text)
    assert (line["html"], line["buttons"]) == (source, [{"id": "ack:1", "label": "Ich komme", "url": ""}])


async def test_every_message_has_an_id_of_its_own(bot: Bot) -> None:
    """Two messages never share a message id, not even in different chats."""
    ids = {(await bot.send_message(chat, "Hallo")).message_id for chat in (CHAT, CHAT, CHAT + 1)}
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"text": "   "}, "message text is empty"),
        ({"text": "x" * 4097}, "message is too long"),
        ({"text": "\U0001f600" * 2049}, "message is too long"),
        ({"text": "<b>offen", "parse_mode": "HTML"}, "can't parse entities: can't find end tag"),
        ({"text": "<p>x</p>", "parse_mode": "HTML"}, "can't parse entities: unsupported start tag"),
        ({"text": "x", "parse_mode": "MarkdownV2"}, "unsupported parse_mode"),
        ({"chat_id": "@kanal"}, "chat not found"),
        ({"chat_id": ""}, "chat_id is empty"),
        ({"reply_markup": "{"}, "can't parse reply keyboard markup"),
        ({"reply_markup": {"inline_keyboard": [[{"text": "x"}]]}}, "text buttons are unallowed"),
        ({"reply_markup": {"inline_keyboard": [[{"text": "x", "url": "nicht"}]]}}, "wrong http url"),
        ({"reply_markup": {"inline_keyboard": [[{"text": "x", "callback_data": "ü" * 33}]]}}, "button_data_invalid"),
        ({"reply_markup": {"inline_keyboard": [[{"text": "x", "callback_data": ""}]]}}, "button_data_invalid"),
    ],
)
async def test_bad_requests_in_the_servers_words(
    client: aiohttp.ClientSession, sandbox: Sandbox, control: Any, changes: dict[str, Any], said: str
) -> None:
    """Each documented mistake is a 400 with the server's description, and nothing is accepted (B-T4)."""
    status, body = await call(client, sandbox, "sendMessage", **{"chat_id": CHAT, "text": "Hallo", **changes})
    assert (status, body["ok"], body["error_code"]) == (400, False, 400)
    assert said in body["description"].lower()
    assert (await control.get("summary"))["telegram"]["accepted"] == 0


async def test_64_bytes_of_callback_data_and_4096_characters_are_fine(bot: Bot) -> None:
    """The limits themselves are allowed; the text is counted after its markup is gone (B-T4)."""
    keys = InlineKeyboardMarkup([[InlineKeyboardButton("x", callback_data="ü" * 32)]])
    sent = await bot.send_message(CHAT, f"<b>{'x' * 4096}</b>", parse_mode="HTML", reply_markup=keys)
    assert len(sent.text or "") == 4096


async def test_forms_and_queries_work_like_json(client: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    """Parameters may come as a form, in the query of a GET, and method names in any case."""
    root = f"{sandbox.facts.telegram_base_url}{sandbox.facts.telegram_token}"
    async with client.post(f"{root}/SENDMESSAGE", data={"chat_id": str(CHAT), "text": "a"}) as answer:
        assert (await answer.json())["result"]["text"] == "a"
    async with client.get(f"{root}/sendMessage", params={"chat_id": str(CHAT), "text": "b"}) as answer:
        assert (await answer.json())["result"]["text"] == "b"
    async with client.post(f"{root}/sendMessage", data=b"{", headers={"Content-Type": "application/json"}) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    ("token", "method", "status"),
    [
        ("123456:" + "x" * 35, "getMe", 401),
        ("nonsense", "getMe", 404),
        (None, "sendRocket", 404),
    ],
)
async def test_wrong_tokens_and_methods(
    client: aiohttp.ClientSession, sandbox: Sandbox, token: str | None, method: str, status: int
) -> None:
    """A wrong token is 401, a malformed one 404, an unknown method 404."""
    url = f"{sandbox.facts.telegram_base_url}{token or sandbox.facts.telegram_token}/{method}"
    async with client.post(url) as answer:
        assert answer.status == status
        body = await answer.json()
        assert (body["ok"], body["error_code"]) == (False, status)


async def test_get_me_and_the_wrong_token_through_the_sdk(bot: Bot, sandbox: Sandbox) -> None:
    """The bot of the ready line answers getMe; the SDK sees a wrong token as InvalidToken."""
    me = await bot.get_me()
    assert (me.username, me.is_bot) == (sandbox.facts.telegram_bot, True)
    with pytest.raises(InvalidToken):
        async with Bot("123456:" + "x" * 35, base_url=sandbox.facts.telegram_base_url):
            pass


# The SDK announces a change of RetryAfter.retry_after each time it makes one.
@pytest.mark.filterwarnings("ignore:Deprecated since version v22.2")
@pytest.mark.parametrize(
    ("outcome", "error", "fact"),
    [
        ({"http": 403, "description": "Forbidden: bot was blocked by the user"}, Forbidden, "blocked by the user"),
        ({"http": 429, "retry_after": 3}, RetryAfter, "retry in 3 seconds"),
        ({"http": 429}, NetworkError, "too many requests"),
        ({"http": 400, "description": "Bad Request: chat not found"}, BadRequest, "chat not found"),
        ({"http": 400, "description": "Bad Request: upgraded", "migrate_to_chat_id": -5}, ChatMigrated, "-5"),
        ({"http": 401}, InvalidToken, "unauthorized"),
        ({"http": 502}, NetworkError, "bad gateway"),
    ],
)
async def test_refusals_on_order(
    bot: Bot, control: Any, outcome: dict[str, Any], error: type[Exception], fact: str
) -> None:
    """Each ordered refusal reaches the SDK as its own exception, for that chat alone, as often as ordered (B-T3)."""
    await control.rule("telegram", str(CHAT), outcome, times=1)
    with pytest.raises(error) as refused:
        await bot.send_message(CHAT, "Hallo")
    assert fact in str(refused.value).lower()
    await bot.send_message(CHAT, "Hallo")
    refusal, accepted = await control.get("log?after=0")
    assert (refusal["accepted"], refusal["code"]) == (False, outcome["http"])
    assert accepted["accepted"] is True


@pytest.mark.parametrize(
    ("fault", "error", "accepted"),
    [("reset", NetworkError, 0), ("hang", TimedOut, 0), ("cut_after_accept", NetworkError, 1)],
)
async def test_faults_on_the_wire(bot: Bot, control: Any, fault: str, error: type[Exception], accepted: int) -> None:
    """The caller of a broken call cannot tell what happened; the log can."""
    await control.rule("telegram", "*", {"fault": fault})
    with pytest.raises(error):
        await bot.send_message(CHAT, "Hallo", read_timeout=0.4)
    assert (await control.get("summary"))["telegram"]["accepted"] == accepted


async def test_the_keyboard_goes_after_the_answer(bot: Bot, control: Any) -> None:
    """Buttons are removed once; doing it again is "not modified", an unknown message "not found"."""
    sent = await bot.send_message(CHAT, "Kommen Sie?", reply_markup=KEYS)
    await bot.edit_message_reply_markup(CHAT, sent.message_id)
    (line,) = await control.get("log?after=0")
    assert line["buttons"] == []
    with pytest.raises(BadRequest, match="not modified"):
        await bot.edit_message_reply_markup(CHAT, sent.message_id)
    with pytest.raises(BadRequest, match="not found"):
        await bot.edit_message_reply_markup(CHAT, sent.message_id + 1)


async def test_a_pressed_button_is_answered_once(bot: Bot, control: Any) -> None:
    """A press becomes a callback_query with its message; answerCallbackQuery works once and never for strangers."""
    sent = await bot.send_message(CHAT, "Kommen Sie?", reply_markup=KEYS)
    assert (await control.post("reply", {"channel": "telegram", "to": str(CHAT), "button": "ack:1"}))[0] == 200
    (update,) = await bot.get_updates()
    query = update.callback_query
    assert query is not None
    assert (query.data, query.from_user.id, query.message.message_id) == ("ack:1", CHAT, sent.message_id)  # type: ignore[union-attr] # present
    assert await bot.answer_callback_query(query.id, text="Danke")
    with pytest.raises(BadRequest, match="too old"):
        await bot.answer_callback_query(query.id)


async def test_a_button_that_nobody_has_cannot_be_pressed(bot: Bot, control: Any) -> None:
    """Pressing an unknown button is refused with the reason and makes no update."""
    await bot.send_message(CHAT, "Hallo")
    status, body = await control.post("reply", {"channel": "telegram", "to": str(CHAT), "button": "ack:1"})
    assert (status, body["detail"]) == (409, "no message on this phone has such a button")
    assert await bot.get_updates() == ()


async def test_what_a_person_writes_comes_as_a_message(bot: Bot, control: Any) -> None:
    """Text becomes a message of a private chat; a command carries its entity, as the deep link does (B-T1)."""
    await control.post("people", [{"name": "P", "addresses": {"telegram": str(CHAT)}, "language": "ar"}])
    await control.post("reply", {"channel": "telegram", "to": str(CHAT), "text": "/start ref42"})
    (update,) = await bot.get_updates()
    message = update.message
    assert message is not None
    assert message.from_user is not None
    assert (message.text, message.chat.type, message.from_user.language_code) == ("/start ref42", "private", "ar")
    assert [(one.type, one.offset, one.length) for one in message.entities] == [("bot_command", 0, 6)]
