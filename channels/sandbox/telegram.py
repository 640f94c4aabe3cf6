"""The Bot API's stand-in: one bot, private chats only, errors in the server's own words.

Every numeric chat id is somebody's, unless a rule says otherwise. It parses HTML but not Markdown, takes webhooks on
loopback only (like a server run with ``--local``), and knows the methods below. Bot API 9; public server's source.
"""

from __future__ import annotations

import hmac
import itertools
import json
import re
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from channels.sandbox import wire
from channels.sandbox.callbacks import Courier
from channels.sandbox.facts import Credentials
from channels.sandbox.rules import Outcome, Rules
from channels.sandbox.state import KEPT_MESSAGES, Button, Entry, State
from channels.sandbox.telegram_entities import Parsed, Unparsable, parse_html, utf16_units
from channels.sandbox.telegram_updates import BotError, Updates

MAX_TEXT_UNITS = 4096
MAX_CALLBACK_BYTES = 64
_TOKEN = re.compile(r"bot([0-9]+:[A-Za-z0-9_-]+)")
_CHAT_ID = re.compile(r"-?[0-9]{1,19}")
_WEB_LINK = re.compile(r"(https?|tg)://[^\s/]+\S*", re.IGNORECASE)
_COMMAND = re.compile(r"/[A-Za-z0-9_]{1,32}(@\S+)?")
_LARGE = 300_000
_SERVER_ERROR = 500

Parameters = Mapping[str, Any]
Method = Callable[[Parameters, web.Request], Awaitable[Any]]


class TelegramBot:
    """One bot's server side."""

    def __init__(self, state: State, rules: Rules, courier: Courier, credentials: Credentials) -> None:
        self._state = state
        self._rules = rules
        self._token = credentials.telegram_token.encode()
        self.updates = Updates(courier, state.clock)
        self._bot = {
            "id": credentials.telegram_bot_id,
            "is_bot": True,
            "first_name": "Botengang",
            "username": credentials.telegram_bot,
        }
        self._message_ids = itertools.count(1)
        self._sent: OrderedDict[tuple[int, int], tuple[dict[str, Any], Entry]] = OrderedDict()
        self._queries: OrderedDict[str, int] = OrderedDict()
        self._methods: dict[str, Method] = {
            "sendmessage": self._send_message,
            "editmessagereplymarkup": self._edit_reply_markup,
            "answercallbackquery": self._answer_callback_query,
            "getme": self._get_me,
            "setwebhook": self._set_webhook,
            "deletewebhook": self._delete_webhook,
            "getwebhookinfo": self._get_webhook_info,
            "getupdates": self._get_updates,
        }

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; methods may be called by GET and POST, as with the real server."""
        return [web.route(verb, "/telegram/{bot}/{method}", self._called) for verb in ("GET", "POST")]

    async def _called(self, request: web.Request) -> web.StreamResponse:
        try:
            method = self._method(request.match_info["bot"], request.match_info["method"])
            result = await method(await _parameters(request), request)
        except BotError as exc:
            return _refusal(exc)
        if isinstance(result, web.StreamResponse):
            return result
        return web.json_response({"ok": True, **result})

    def _method(self, bot: str, name: str) -> Method:
        token = _TOKEN.fullmatch(bot)
        method = self._methods.get(name.lower())
        if token is None:
            raise BotError(404, "Not Found")
        if not hmac.compare_digest(token[1].encode(), self._token):
            raise BotError(401, "Unauthorized")
        if method is None:
            raise BotError(404, "Not Found")
        return method

    async def _get_me(self, _given: Parameters, _request: web.Request) -> dict[str, Any]:
        return {"result": {**self._bot, "can_join_groups": False, "can_read_all_group_messages": False}}

    async def _send_message(self, given: Parameters, request: web.Request) -> Any:
        chat_id = _chat_id(given)
        outcome = self._rules.take("telegram", str(chat_id))
        if outcome is not None and outcome.fault != "cut_after_accept":
            return await self._order(request, chat_id, given, outcome)
        try:
            parsed = _text(given)
            buttons, markup = _keyboard(given)
        except BotError as exc:
            self._record(chat_id, given, accepted=False, code=exc.code, reason=exc.description, status="failed")
            raise
        message = self._message(chat_id, parsed, markup)
        entry = self._record(
            chat_id,
            given,
            provider_id=str(message["message_id"]),
            text=parsed.text,
            runs=parsed.runs,
            buttons=buttons,
            status="arrived",
        )
        self._sent[chat_id, message["message_id"]] = (message, entry)
        if len(self._sent) > KEPT_MESSAGES:
            self._sent.popitem(last=False)
        if outcome is not None:
            await wire.break_request(request, outcome.fault)
        return {"result": message}

    async def _order(self, request: web.Request, chat_id: int, given: Parameters, outcome: Outcome) -> Any:
        reason = outcome.description or _usual_words(outcome)
        code: int | str = outcome.fault or outcome.http or 0
        self._record(
            chat_id, given, accepted=False, code=code, reason=reason, status="failed", text=str(given.get("text", ""))
        )
        if outcome.fault:
            await wire.break_request(request, outcome.fault)
        status = outcome.http or 400
        if status >= _SERVER_ERROR and not outcome.description:
            page = f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>"
            return web.Response(status=status, text=page, content_type="text/html")
        named = {"retry_after": outcome.retry_after, "migrate_to_chat_id": outcome.migrate_to_chat_id}
        raise BotError(status, reason, **{name: value for name, value in named.items() if value is not None})

    def _record(self, chat_id: int, given: Parameters, **facts: object) -> Entry:
        source = str(given.get("text", "")) if given.get("parse_mode") else ""
        return self._state.record("telegram", str(chat_id), source=source, **facts)

    def _message(self, chat_id: int, parsed: Parsed, markup: dict[str, Any] | None) -> dict[str, Any]:
        message: dict[str, Any] = {
            "message_id": next(self._message_ids),
            "from": self._bot,
            "chat": _chat(chat_id),
            "date": int(self._state.clock.now().timestamp()),
            "text": parsed.text,
        }
        if parsed.entities:
            message["entities"] = parsed.entities
        if markup is not None:
            message["reply_markup"] = markup
        return message

    async def _edit_reply_markup(self, given: Parameters, _request: web.Request) -> dict[str, Any]:
        chat_id = _chat_id(given)
        message, entry = self._sent.get((chat_id, _whole_number(given, "message_id")), (None, None))
        if message is None or entry is None:
            raise BotError(400, "Bad Request: message to edit not found")
        buttons, markup = _keyboard(given)
        if markup == message.get("reply_markup"):
            raise BotError(
                400,
                "Bad Request: message is not modified: specified new message content and reply markup are exactly "
                "the same as a current content and reply markup of the message",
            )
        message.pop("reply_markup", None)
        if markup is not None:
            message["reply_markup"] = markup
        entry.buttons = buttons
        self._state.changed(entry)
        return {"result": {**message, "edit_date": int(self._state.clock.now().timestamp())}}

    async def _answer_callback_query(self, given: Parameters, _request: web.Request) -> dict[str, Any]:
        chat_id = self._queries.pop(str(given.get("callback_query_id", "")), None)
        if chat_id is None:
            raise BotError(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
        self._state.notice("telegram", str(chat_id), str(given.get("text", "")))
        return {"result": True}

    async def _set_webhook(self, given: Parameters, _request: web.Request) -> dict[str, Any]:
        allowed, url = _names(given, "allowed_updates"), str(given.get("url", ""))
        secret = str(given.get("secret_token", ""))
        if _yes(given, "drop_pending_updates"):
            self.updates.delete_webhook(drop_pending=True)
        said = self.updates.set_webhook(
            url, secret, allowed, max_connections=_whole_number(given, "max_connections", 40)
        )
        return {"result": True, "description": said}

    async def _delete_webhook(self, given: Parameters, _request: web.Request) -> dict[str, Any]:
        said = self.updates.delete_webhook(drop_pending=_yes(given, "drop_pending_updates"))
        return {"result": True, "description": said}

    async def _get_webhook_info(self, _given: Parameters, _request: web.Request) -> dict[str, Any]:
        return {"result": self.updates.webhook_info()}

    async def _get_updates(self, given: Parameters, _request: web.Request) -> dict[str, Any]:
        waiting = await self.updates.get(
            offset=_whole_number(given, "offset", 0),
            limit=_whole_number(given, "limit", 100),
            timeout_s=_whole_number(given, "timeout", 0),
            allowed=_names(given, "allowed_updates"),
        )
        return {"result": waiting}

    def write(self, chat_id: int, text: str, language: str = "") -> None:
        """Let the person in this chat write ``text`` to the bot."""
        self._state.reply("telegram", str(chat_id), text)
        message: dict[str, Any] = {
            "message_id": next(self._message_ids),
            "from": _person(chat_id, language),
            "chat": _chat(chat_id),
            "date": int(self._state.clock.now().timestamp()),
            "text": text,
        }
        command = _COMMAND.match(text)
        if command:
            message["entities"] = [{"type": "bot_command", "offset": 0, "length": command.end()}]
        self.updates.add("message", message)

    def press(self, chat_id: int, button_id: str, language: str = "") -> bool:
        """Let the person press a button under the newest message that has it; False if none has."""
        for item in reversed(self._state.phone("telegram", str(chat_id)).items):
            if not isinstance(item, Entry) or not item.accepted:
                continue
            for button in item.buttons:
                if button_id in {button.id, button.label} and not button.url:
                    self._pressed(chat_id, int(item.provider_id), button, language)
                    return True
        return False

    def _pressed(self, chat_id: int, message_id: int, button: Button, language: str) -> None:
        self._state.reply("telegram", str(chat_id), button.label, pressed=True)
        query_id = str(secrets.randbits(62))
        self._queries[query_id] = chat_id
        if len(self._queries) > KEPT_MESSAGES:
            self._queries.popitem(last=False)
        query: dict[str, Any] = {
            "id": query_id,
            "from": _person(chat_id, language),
            "chat_instance": str(chat_id),
            "data": button.id,
        }
        message, _ = self._sent.get((chat_id, message_id), (None, None))
        if message is not None:
            query["message"] = message
        self.updates.add("callback_query", query)


async def _parameters(request: web.Request) -> Parameters:
    """Return the parameters from the query, a JSON body or a form; the real server takes all three."""
    given: dict[str, Any] = dict(request.query)
    if (request.content_length or 0) > _LARGE:
        raise BotError(413, "Request Entity Too Large")
    if request.content_type == "application/json":
        try:
            body = json.loads(await request.read() or b"{}")
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise BotError(400, "Bad Request: can't parse JSON body")
        return {**given, **body}
    form = await request.post()
    return {**given, **{name: value for name, value in form.items() if isinstance(value, str)}}


def _refusal(error: BotError) -> web.Response:
    body: dict[str, Any] = {"ok": False, "error_code": error.code, "description": error.description}
    headers = {}
    if error.parameters:
        body["parameters"] = error.parameters
    if "retry_after" in error.parameters:
        headers["Retry-After"] = str(error.parameters["retry_after"])
    return web.json_response(body, status=error.code, headers=headers)


def _usual_words(outcome: Outcome) -> str:
    if outcome.retry_after is not None:
        return f"Too Many Requests: retry after {outcome.retry_after}"
    usual = {401: "Unauthorized", 403: "Forbidden: bot was blocked by the user", 429: "Too Many Requests"}
    return usual.get(outcome.http or 0, outcome.fault or "Bad Request")


def _chat(chat_id: int) -> dict[str, Any]:
    return {"id": chat_id, "type": "private", "first_name": f"Telefon {str(chat_id)[-4:]}"}


def _person(chat_id: int, language: str) -> dict[str, Any]:
    person = {"id": chat_id, "is_bot": False, "first_name": f"Telefon {str(chat_id)[-4:]}"}
    return {**person, "language_code": language} if language else person


def _chat_id(given: Parameters) -> int:
    raw = str(given.get("chat_id", "")).strip()
    if not raw:
        raise BotError(400, "Bad Request: chat_id is empty")
    if not _CHAT_ID.fullmatch(raw) or int(raw) == 0:
        raise BotError(400, "Bad Request: chat not found")
    return int(raw)


def _whole_number(given: Parameters, name: str, usual: int | None = None) -> int:
    try:
        return int(given.get(name, usual))
    except (TypeError, ValueError):
        raise BotError(400, f"Bad Request: {name.replace('_', ' ')} is not specified") from None


def _yes(given: Parameters, name: str) -> bool:
    return str(given.get(name, "")).lower() in {"true", "1", "yes"}


def _names(given: Parameters, name: str) -> list[str] | None:
    raw = _decoded(given.get(name))
    return [str(one) for one in raw] if isinstance(raw, list) else None


def _decoded(raw: Any) -> Any:
    if not isinstance(raw, str):
        return raw
    try:
        return json.loads(raw)
    except ValueError:
        return None


def _text(given: Parameters) -> Parsed:
    source = str(given.get("text", ""))
    mode = str(given.get("parse_mode", "")).lower()
    if mode and mode != "html":
        raise BotError(400, "Bad Request: unsupported parse_mode (this stand-in speaks HTML only)")
    if given.get("entities"):
        raise BotError(400, "Bad Request: this stand-in takes parse_mode=HTML but no entities")
    try:
        parsed = parse_html(source) if mode else Parsed(source, [], ())
    except Unparsable as exc:
        raise BotError(400, f"Bad Request: can't parse entities: {exc}") from None
    if not parsed.text.strip():
        raise BotError(400, "Bad Request: message text is empty")
    if utf16_units(parsed.text) > MAX_TEXT_UNITS:
        raise BotError(400, "Bad Request: message is too long")
    return parsed


def _keyboard(given: Parameters) -> tuple[tuple[Button, ...], dict[str, Any] | None]:
    """Return the inline keyboard as buttons, and as it will be handed back; (), None if there is none."""
    if not given.get("reply_markup"):
        return (), None
    markup = _decoded(given.get("reply_markup"))
    rows = markup.get("inline_keyboard", []) if isinstance(markup, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise BotError(400, "Bad Request: can't parse reply keyboard markup JSON object")
    if not any(rows):
        return (), None
    return tuple(_button(one) for row in rows for one in row), {"inline_keyboard": rows}


def _button(one: Any) -> Button:
    if not isinstance(one, dict) or not isinstance(one.get("text"), str) or not one["text"]:
        raise BotError(400, "Bad Request: can't parse inline keyboard button: Button text must be non-empty")
    if isinstance(one.get("url"), str):
        if not _WEB_LINK.fullmatch(one["url"]):
            raise BotError(400, f"Bad Request: inline keyboard button URL '{one['url']}' is invalid: Wrong HTTP URL")
        return Button("", one["text"], one["url"])
    callback = one.get("callback_data")
    if not isinstance(callback, str):
        raise BotError(
            400,
            "Bad Request: can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard",
        )
    if not 1 <= len(callback.encode()) <= MAX_CALLBACK_BYTES:
        raise BotError(400, "Bad Request: BUTTON_DATA_INVALID")
    return Button(callback, one["text"])
