"""The Bot API's words without its SDK: what its error texts mean, and what its updates say.

Pure; calls nobody. Texts as in the public Bot API server's source, matched as parts in lower case because the SDK and
the server rewrite them. Updates: core.telegram.org/bots/api#update.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from channels.kit.contract import Address, Inbound, Kind
from channels.kit.errors import (
    AddressRefused,
    ChannelError,
    ContentRefused,
    Malformed,
    Misconfigured,
    OptedOut,
    Refused,
)

CHANNEL = "telegram"
UPDATES = ("message", "callback_query", "my_chat_member")  # what a webhook has to ask for

# part of the text, class, our word; the first row that fits wins
TEXTS: tuple[tuple[str, type[ChannelError], str], ...] = (
    ("bot was blocked by the user", OptedOut, "blocked"),
    ("user_is_blocked", OptedOut, "blocked"),
    ("bot was kicked", OptedOut, "kicked"),
    ("user is deactivated", AddressRefused, "deactivated"),
    ("input_user_deactivated", AddressRefused, "deactivated"),
    ("group chat was deleted", AddressRefused, "no_such_chat"),
    ("group chat was upgraded", AddressRefused, "no_such_chat"),
    ("bot is not a member", AddressRefused, "no_such_chat"),
    ("can't initiate conversation", AddressRefused, "never_started"),
    ("can't send messages to bots", AddressRefused, "is_bot"),
    ("chat not found", AddressRefused, "no_such_chat"),
    ("peer_id_invalid", AddressRefused, "no_such_chat"),
    ("message is too long", ContentRefused, "too_long"),
    ("message_too_long", ContentRefused, "too_long"),
    ("can't parse entities", ContentRefused, "markup"),
    ("message text is empty", ContentRefused, "empty"),
    ("text must be non-empty", ContentRefused, "empty"),
    ("button_data_invalid", ContentRefused, "buttons"),
    ("button_url_invalid", ContentRefused, "buttons"),
    ("reply markup is too long", ContentRefused, "buttons"),
    ("reply_markup_too_long", ContentRefused, "buttons"),
    ("wrong http url", ContentRefused, "link"),
    ("file is too big", ContentRefused, "too_large"),
    ("bad webhook", Misconfigured, "webhook"),
)
HARMLESS = ("message is not modified", "query is too old")

_START = re.compile(r"/start(?:@\w+)?(?: +([A-Za-z0-9_-]{1,64}))?\s*")
_STOP = re.compile(r"/stop(?:@\w+)?\s*")


def of_text(text: str, status: int) -> ChannelError:
    """Return the class of a 400 or 403 by its description; an unknown one touches no address."""
    lower = text.lower()
    for part, error, word in TEXTS:
        if part in lower:
            return error(str(status), code=word)
    return Refused(str(status), code="unknown_text")


def wait_s(body: bytes) -> float | None:
    """Return ``parameters.retry_after`` of a 429 in seconds, None where it states none."""
    try:
        seconds = json.loads(body)["parameters"]["retry_after"]
    except (ValueError, TypeError, LookupError):
        return None
    return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None


def read(body: bytes) -> Inbound | None:
    """Return what an update says; None for groups, bots and kinds that we did not ask for. Raises Malformed."""
    try:
        return _update(json.loads(body))
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, OSError, RecursionError):
        raise Malformed("not an update as we know it") from None  # the cause quotes the body


def _update(update: Mapping[str, Any]) -> Inbound | None:
    """Look at the one thing an update carries."""
    event_id = str(_whole(update["update_id"]))
    if message := update.get("message"):
        return _message(message, event_id)
    if press := update.get("callback_query"):
        return _press(press, event_id)
    if change := update.get("my_chat_member"):
        return _change(change, event_id)
    return None


def _message(message: Mapping[str, Any], event_id: str) -> Inbound | None:
    """Read text, command or media of a private chat."""
    sender = _private(message["chat"], message.get("from"))
    if sender is None:
        return None
    text = _text(message, "text")
    kind, payload = (Kind.TEXT if text else Kind.MEDIA), ""
    if start := _START.fullmatch(text):
        kind, payload = Kind.JOIN, start[1] or ""
    elif _STOP.fullmatch(text):
        kind = Kind.STOP
    answered = message.get("reply_to_message")
    return Inbound(
        event_id=event_id,
        sender=sender,
        kind=kind,
        at=_instant(message["date"]),
        text=text or _text(message, "caption"),
        payload=payload,
        reply_to=str(_whole(answered["message_id"])) if answered else "",
    )


def _press(press: Mapping[str, Any], event_id: str) -> Inbound | None:
    """Read a pressed button. The event id carries the query's id, which the answer to it needs."""
    query, data = str(press["id"]), _text(press, "data")
    message = press.get("message") or {}
    sender = _private(message["chat"] if message else {**press["from"], "type": "private"}, press["from"])
    if sender is None or not data:
        return None
    return Inbound(
        event_id=f"{event_id}:{query}",
        sender=sender,
        kind=Kind.BUTTON,
        at=None,
        payload=data,
        reply_to=str(_whole(message["message_id"])) if message else "",
    )


def _change(change: Mapping[str, Any], event_id: str) -> Inbound | None:
    """Read that the person blocked us. Unblocking is no consent, so it says nothing."""
    sender = _private(change["chat"], change.get("from"))
    if sender is None or change["new_chat_member"]["status"] != "kicked":
        return None
    return Inbound(event_id=event_id, sender=sender, kind=Kind.STOP, at=_instant(change["date"]))


def _private(chat: Mapping[str, Any], sender: Mapping[str, Any] | None) -> Address | None:
    """Return the person's address; None for groups, bots and a sender who is not the chat's owner."""
    if chat["type"] != "private" or sender is None or sender.get("is_bot") or sender["id"] != chat["id"]:
        return None
    return Address(CHANNEL, str(_whole(chat["id"])))


def _text(holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name, "")
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _instant(seconds: object) -> datetime:
    return datetime.fromtimestamp(_whole(seconds), UTC)
