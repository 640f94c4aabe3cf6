"""The stand-ins of the HTTP providers: what Twilio and Telegram answer when all is well, and when it is not.

The wire and its faults are :mod:`channels.conformance.http_standin`'s.
"""

from __future__ import annotations

import html
import itertools
import json
from typing import Any

from channels.conformance import Act, Call, HttpStandin, Reply

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "kanarien-auth-token"
BOT_TOKEN = "123456:Kanarien-Bot-Token"
BOT_SECRET = "Kanarien-Webhook-Secret"


class TwilioStandin(HttpStandin):
    """The Messages and the account resource of one account."""

    sender = "+4915199999999"

    def is_send(self, call: Call) -> bool:
        """Tell whether a message shall be created."""
        return call.method == "POST" and call.path.endswith("/Messages.json")

    def text_of(self, call: Call) -> str:
        """Return the body."""
        return call.form["Body"]

    def success(self, call: Call) -> Reply:
        """Return the message, or the account."""
        if not self.is_send(call):
            return Reply(200, {"sid": ACCOUNT, "status": "active"})
        sid = f"SM{self.sends:032x}"
        return Reply(201, {"sid": sid, "status": "queued", "to": call.form["To"], "body": call.form.get("Body")})

    def refusal(self, act: Act, call: Call) -> Reply:
        """Return the errors in Twilio's own shape where it is Twilio that speaks; they quote the number, as there."""
        to = call.form.get("To", "")
        if act is Act.CREDENTIALS:
            return Reply(401, {"code": 20003, "message": f"Authenticate {TOKEN}", "status": 401})
        if act is Act.UNKNOWN:
            return Reply(400, {"code": 21999, "message": f"The 'To' number {to} is odd", "status": 400})
        if act is Act.THROTTLE_SECONDS:
            usual = super().refusal(act, call)
            return Reply(429, {"code": 20429, "message": "Too Many Requests", "status": 429}, usual.headers)
        return super().refusal(act, call)

    def options(self) -> dict[str, Any]:
        """Return options of an adapter for this account."""
        return {"account_sid": ACCOUNT, "auth_token": TOKEN, "sender": self.sender, "base_url": self.base_url}


class TelegramStandin(HttpStandin):
    """One bot's API."""

    def __init__(self) -> None:
        super().__init__()
        self.webhook: dict[str, str] = {}
        self._ids = itertools.count(1)

    def is_send(self, call: Call) -> bool:
        """Tell whether a message shall be sent."""
        return call.path.endswith("/sendMessage")

    def text_of(self, call: Call) -> str:
        """Return the text as shown."""
        text = call.form["text"]
        return html.unescape(text) if call.form.get("parse_mode") == "HTML" else text

    def success(self, call: Call) -> Reply:
        """Return what the method returns."""
        method = call.path.rpartition("/")[2]
        result: Any = True
        if method == "sendMessage":
            chat = {"id": int(call.form["chat_id"]), "type": "private", "first_name": "Anna"}
            result = {"message_id": next(self._ids), "date": 1800000000, "chat": chat, "text": call.form["text"]}
        elif method == "getMe":
            result = {"id": 123456, "is_bot": True, "first_name": "MTK", "username": "mtk_bot"}
        elif method == "setWebhook":
            self.webhook = call.form
        elif method == "deleteWebhook":
            self.webhook = {}
        return Reply(200, {"ok": True, "result": result})

    def refusal(self, act: Act, call: Call) -> Reply:
        """Return the errors in Telegram's own shape; the wait is in the body, never a date."""
        usual = super().refusal(act, call)
        words = {
            Act.THROTTLE_SECONDS: "Too Many Requests: retry after 7",
            Act.CREDENTIALS: "Unauthorized",
            Act.FAULT: f"Internal Server Error {call.form.get('text', '')}",
            Act.UNKNOWN: "Bad Request: the moon is wrong",
        }
        if act not in words:
            return usual
        status = 400 if act is Act.UNKNOWN else usual.status
        body: dict[str, Any] = {"ok": False, "error_code": status, "description": words[act]}
        if act is Act.THROTTLE_SECONDS:
            body["parameters"] = {"retry_after": 7}
        return Reply(status, body)

    def options(self) -> dict[str, Any]:
        """Return options of an adapter for this bot."""
        return {"token": BOT_TOKEN, "webhook_secret": BOT_SECRET, "base_url": f"{self.base_url}/bot"}


TelegramStandin.acts = HttpStandin.acts - {Act.THROTTLE_DATE}


def update(**what: Any) -> bytes:
    """Return a Telegram update from Anna's private chat."""
    return json.dumps({"update_id": 901, **what}).encode()
