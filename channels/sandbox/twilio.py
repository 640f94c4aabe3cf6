"""The Twilio API's stand-in: the Messages resource for SMS and WhatsApp, and the account resource.

Every message gets its own sid, is "sent" and "delivered" at once unless something else was ordered, and reports that by
signed callbacks. WhatsApp takes free text only within 24 hours of the person's last word. API version 2010-04-01.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from channels.sandbox import wire
from channels.sandbox.callbacks import Courier
from channels.sandbox.facts import Credentials
from channels.sandbox.rules import Outcome, Rules
from channels.sandbox.segments import count_parts
from channels.sandbox.state import KEPT_MESSAGES, Entry, State
from channels.sandbox.twilio_posts import API_VERSION, WHATSAPP, Posts
from channels.sandbox.twilio_request import Content, Order, TwilioError, read_order

WINDOW = timedelta(hours=24)
OUTSIDE_WINDOW = 63016
OPTED_OUT = 21610
_FORM = "application/x-www-form-urlencoded"
_SERVER_ERROR = 500
_STOP_WORDS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"})
_START_WORDS = frozenset({"START", "YES", "UNSTOP"})


@dataclass(slots=True)
class Sent:
    """One message that was created."""

    sid: str
    order: Order = field(repr=False)
    entry: Entry = field(repr=False)
    created_at: datetime
    updated_at: datetime
    status: str
    code: int | None = None


class Twilio:
    """One account's server side. ``contents`` and ``inbound_urls`` are set by the control interface."""

    def __init__(self, state: State, rules: Rules, courier: Courier, credentials: Credentials) -> None:
        self._state = state
        self._rules = rules
        self._owned = credentials
        self._posts = Posts(courier, credentials)
        self._messages: OrderedDict[str, Sent] = OrderedDict()
        self.contents: dict[str, Content] = {}
        self.inbound_urls: dict[str, str] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the account and of its messages."""
        root = f"/twilio/{API_VERSION}/Accounts"
        return [
            web.post(f"{root}/{{account}}/Messages.json", self._create),
            web.get(f"{root}/{{account}}/Messages/{{sid}}.json", self._fetch),
            web.get(f"{root}/{{account}}.json", self._account),
        ]

    async def _create(self, request: web.Request) -> web.StreamResponse:
        try:
            form = await self._form(request)
            return await self._take(request, form)
        except TwilioError as exc:
            return _refusal(exc)

    async def _form(self, request: web.Request) -> dict[str, str]:
        self._authenticate(request)
        if request.content_type != _FORM:
            raise TwilioError(415, 0, "Unsupported Media Type")
        given = await request.post()
        return {name: value for name, value in given.items() if isinstance(value, str)}

    async def _take(self, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
        to = form.get("To", "")
        channel = "whatsapp" if to.startswith(WHATSAPP) else "sms"
        outcome = self._rules.take(channel, to) or Outcome()
        if outcome.fault in {"reset", "hang"}:
            self._record(channel, to, form, accepted=False, code=outcome.fault, status="failed")
            await wire.break_request(request, outcome.fault)
        try:
            order = self._checked(channel, form, outcome)
        except TwilioError as exc:
            code = exc.code or exc.status
            self._record(channel, to, form, accepted=False, code=code, reason=exc.message, status="failed")
            raise
        sent = self._accept(order, form)
        answer = web.json_response(self._resource(sent), status=201)
        self._deliver(sent, outcome)
        if outcome.fault:
            await wire.break_request(request, outcome.fault)
        return answer

    def _checked(self, channel: str, form: dict[str, str], outcome: Outcome) -> Order:
        if outcome.http is not None:
            words = outcome.description or f"Refused on order with code {outcome.code}"
            raise TwilioError(outcome.http, outcome.code or 0, words, retry_after=outcome.retry_after)
        order = read_order(form, self._owned, self.contents)
        if channel == "sms" and self._state.phone(channel, order.to).stopped:
            raise TwilioError(400, OPTED_OUT, "Attempt to send to unsubscribed recipient")
        return order

    def _accept(self, order: Order, form: dict[str, str]) -> Sent:
        sid = "SM" + secrets.token_hex(16)
        status = "accepted" if order.service_sid else "queued"
        entry = self._record(
            order.channel,
            order.to,
            form,
            provider_id=sid,
            text=order.text,
            buttons=order.buttons,
            status=status,
            parts=count_parts(order.text) if order.channel == "sms" else 1,
        )
        sent = Sent(sid, order, entry, entry.at, entry.at, status)
        self._messages[sid] = sent
        if len(self._messages) > KEPT_MESSAGES:
            self._messages.popitem(last=False)
        return sent

    def _record(self, channel: str, to: str, form: dict[str, str], **facts: object) -> Entry:
        facts.setdefault("text", form.get("Body", ""))
        key = parse_qs(urlsplit(form.get("StatusCallback", "")).query).get("mid", [""])[0]
        return self._state.record(channel, to.removeprefix(WHATSAPP), key=key, **facts)

    def _deliver(self, sent: Sent, outcome: Outcome) -> None:
        """Walk the message through its states, each reported after the one before."""
        code = sent.order.fails or (OUTSIDE_WINDOW if self._outside_window(sent.order) else None)
        if code is not None:
            steps: list[tuple[str, int | None]] = [("failed", code)]
        elif outcome.status == "failed":
            steps = [("failed", outcome.code or 30008)]
        elif outcome.status:
            steps = [("sent", None), (outcome.status, outcome.code or 30008)]
        else:
            steps = [("sent", None), ("delivered", None)]
        self._step(sent, steps)

    def _step(self, sent: Sent, steps: list[tuple[str, int | None]]) -> None:
        (status, code), rest = steps[0], steps[1:]
        sent.status, sent.code, sent.updated_at = status, code, self._state.clock.now()
        self._state.changed(sent.entry, status=status, code=code)
        then = (lambda: self._step(sent, rest)) if rest else None
        order = sent.order
        if not order.callback_url:
            if then is not None:
                then()
            return
        self._posts.status(
            order.callback_url,
            sid=sent.sid,
            status=status,
            to=order.to,
            sender=order.sender,
            service_sid=order.service_sid,
            code=code,
            at=sent.updated_at,
            then=then,
        )

    def _outside_window(self, order: Order) -> bool:
        if order.channel != "whatsapp" or order.from_content:
            return False
        last = self._state.phone("whatsapp", order.to).last_inbound_at
        return last is None or self._state.clock.now() - last > WINDOW

    async def _fetch(self, request: web.Request) -> web.Response:
        try:
            self._authenticate(request)
            sent = self._messages.get(request.match_info["sid"])
            if sent is None:
                raise _not_found(request)
        except TwilioError as exc:
            return _refusal(exc)
        return web.json_response(self._resource(sent))

    async def _account(self, request: web.Request) -> web.Response:
        try:
            self._authenticate(request)
        except TwilioError as exc:
            return _refusal(exc)
        sid = self._owned.twilio_account_sid
        return web.json_response(
            {
                "sid": sid,
                "owner_account_sid": sid,
                "friendly_name": "Botengang sandbox",
                "status": "active",
                "type": "Full",
                "uri": f"/{API_VERSION}/Accounts/{sid}.json",
            }
        )

    def _authenticate(self, request: web.Request) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            pair = base64.b64decode(given, validate=True) if scheme.lower() == "basic" else b""
        except (ValueError, binascii.Error):
            pair = b""
        expected = f"{self._owned.twilio_account_sid}:{self._owned.twilio_auth_token}".encode()
        if not hmac.compare_digest(pair, expected):
            raise TwilioError(401, 20003, "Authenticate")
        if request.match_info["account"] != self._owned.twilio_account_sid:
            raise _not_found(request)

    def _resource(self, sent: Sent) -> dict[str, Any]:
        account, order = self._owned.twilio_account_sid, sent.order
        uri = f"/{API_VERSION}/Accounts/{account}/Messages/{sent.sid}"
        done = sent.status not in {"queued", "accepted"}
        return {
            "sid": sent.sid,
            "account_sid": account,
            "api_version": API_VERSION,
            "messaging_service_sid": order.service_sid or None,
            "from": order.sender,
            "to": order.to,
            "body": order.text,
            "direction": "outbound-api",
            "status": sent.status,
            "error_code": sent.code,
            "error_message": f"Error {sent.code}" if sent.code else None,
            "num_media": "0",
            "num_segments": str(sent.entry.parts),
            "price": None,
            "price_unit": "USD",
            "date_created": format_datetime(sent.created_at),
            "date_updated": format_datetime(sent.updated_at),
            "date_sent": format_datetime(sent.updated_at) if done else None,
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "uri": f"{uri}.json",
        }

    def write(self, channel: str, number: str, text: str) -> bool:
        """Let a person write ``text``; False if nobody has said where such posts go."""
        phone = self._state.reply(channel, number, text)
        if channel == "sms" and text.strip().upper() in _STOP_WORDS:
            phone.stopped = True
        elif text.strip().upper() in _START_WORDS:
            phone.stopped = False
        return self._hand_in(channel, number, text, None)

    def press(self, channel: str, number: str, button_id: str) -> bool | None:
        """Let a person press a quick reply under the newest message that has it; None if none has."""
        for item in reversed(self._state.phone(channel, number).items):
            if not isinstance(item, Entry) or not item.accepted:
                continue
            for button in item.buttons:
                if button_id in {button.id, button.label} and not button.url:
                    self._state.reply(channel, number, button.label, pressed=True)
                    answered = (button.id, button.label, item.provider_id)
                    return self._hand_in(channel, number, button.label, answered)
        return None

    def _hand_in(self, channel: str, number: str, text: str, button: tuple[str, str, str] | None) -> bool:
        url = self.inbound_urls.get(channel, "")
        if url:
            sender = WHATSAPP + number if channel == "whatsapp" else number
            self._posts.inbound(url, sender=sender, text=text, button=button)
        return bool(url)


def _not_found(request: web.Request) -> TwilioError:
    path = request.path.removeprefix("/twilio")
    return TwilioError(404, 20404, f"The requested resource {path} was not found")


def _refusal(error: TwilioError) -> web.Response:
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else {}
    if error.status >= _SERVER_ERROR and not error.code:
        page = f"<html><head><title>{error.status}</title></head><body><h1>{error.status}</h1></body></html>"
        return web.Response(status=error.status, text=page, content_type="text/html", headers=headers)
    body: dict[str, Any] = {"message": error.message, "status": error.status}
    if error.code:
        body |= {"code": error.code, "more_info": f"https://www.twilio.com/docs/errors/{error.code}"}
    return web.json_response(body, status=error.status, headers=headers)
