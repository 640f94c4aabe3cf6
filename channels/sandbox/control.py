"""The control interface: order failures, declare texts and people, answer from a phone, read the log.

For the demo, for tests and for the phones page; no provider has anything like it. JSON in, JSON out, problems as in
RFC 9457 with a JSON pointer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from channels.sandbox.callbacks import Courier
from channels.sandbox.loopback import is_loopback_url
from channels.sandbox.mail import header_of, read_mail
from channels.sandbox.rules import CHANNELS, Malformed, Rules, plain_address, read_rules
from channels.sandbox.state import Button, Entry, State
from channels.sandbox.telegram import TelegramBot
from channels.sandbox.twilio import Twilio
from channels.sandbox.twilio_request import Content

MAX_BODY_BYTES = 20_000_000
UNSUBSCRIBE = "unsubscribe"
_CHUNK = 50
_TIMEOUT_S = 15
_OK = range(200, 300)

Taker = Callable[[Any], Awaitable[dict[str, Any]]]


class Unanswerable(Exception):
    """The person cannot do that right now; the message says why."""


class Control:
    """Routes below ``/control``."""

    def __init__(self, state: State, rules: Rules, courier: Courier, telegram: TelegramBot, twilio: Twilio) -> None:
        self._state = state
        self._rules = rules
        self._courier = courier
        self._telegram = telegram
        self._twilio = twilio

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        takers: dict[str, Taker] = {
            "rules": self._take_rules,
            "contents": self._take_contents,
            "people": self._take_people,
            "inbound_url": self._take_inbound_urls,
            "reply": self._take_reply,
        }
        return [
            *(web.post(f"/control/{name}", _endpoint(taker)) for name, taker in takers.items()),
            web.delete("/control/rules", self._clear_rules),
            web.get("/control/log", self._log),
            web.get("/control/summary", self._summary),
        ]

    async def _take_rules(self, body: Any) -> dict[str, Any]:
        self._rules.add(read_rules(body))
        return {"rules": len(self._rules)}

    async def _clear_rules(self, _request: web.Request) -> web.Response:
        self._rules.clear()
        return web.json_response({"rules": 0})

    async def _take_contents(self, body: Any) -> dict[str, Any]:
        contents = [_content(f"/{position}", item) for position, item in enumerate(_list(body))]
        self._twilio.contents.update({one.sid: one for one in contents})
        return {"contents": len(self._twilio.contents)}

    async def _take_people(self, body: Any) -> dict[str, Any]:
        people = [_person(f"/{position}", item) for position, item in enumerate(_list(body))]
        for position, person in enumerate(people):
            self._state.declare(*person)
            if position % _CHUNK == 0:
                await asyncio.sleep(0)  # thousands of people must not hold up the protocols
        return {"people": len(self._state.people)}

    async def _take_inbound_urls(self, body: Any) -> dict[str, Any]:
        given = _object("", body, {"sms", "whatsapp"})
        for channel, url in given.items():
            if not isinstance(url, str) or (url and not is_loopback_url(url)):
                raise Malformed(f"/{channel}", "expected a loopback address, or an empty text for none")
        self._twilio.inbound_urls.update(given)
        return {"inbound_url": self._twilio.inbound_urls}

    async def _take_reply(self, body: Any) -> dict[str, Any]:
        given = _object("", body, {"channel", "to", "text", "button"})
        channel, to = given.get("channel"), str(given.get("to") or "")
        text, button = given.get("text"), given.get("button")
        if channel not in CHANNELS:
            raise Malformed("/channel", f"expected one of {', '.join(CHANNELS)}")
        if not to:
            raise Malformed("/to", "expected an address")
        if (text is None) is (button is None):
            raise Malformed("", "expected either a text or a button")
        if not isinstance(button if text is None else text, str) or text == "":
            raise Malformed("/text" if button is None else "/button", "expected text")
        to = plain_address(channel, to)
        if channel == "email":
            await self._answer_mail(to, button)
        elif channel == "telegram":
            self._answer_telegram(to, text, button)
        else:
            self._answer_twilio(channel, to, text, button)
        return {"ok": True}

    def _answer_telegram(self, to: str, text: str | None, button: str | None) -> None:
        if not to.lstrip("-").isdigit():
            raise Malformed("/to", "expected a numeric chat id")
        language = self._state.owner("telegram", to).language[:2]
        if text is not None:
            self._telegram.write(int(to), text, language)
        elif not self._telegram.press(int(to), button or "", language):
            raise Unanswerable("no message on this phone has such a button")

    def _answer_twilio(self, channel: str, to: str, text: str | None, button: str | None) -> None:
        if text is not None:
            handed_in: bool | None = self._twilio.write(channel, to, text)
        else:
            handed_in = self._twilio.press(channel, to, button or "")
        if handed_in is None:
            raise Unanswerable("no message on this phone has such a button")
        if not handed_in:
            raise Unanswerable("shown on the phone only: nobody has set /control/inbound_url for this channel")

    async def _answer_mail(self, to: str, button: str | None) -> None:
        """Do what a mail program does behind its unsubscribe button (RFC 8058)."""
        if button != UNSUBSCRIBE:
            raise Unanswerable(f'nobody reads answers to these mails; the only button is "{UNSUBSCRIBE}"')
        url = next((url for url in map(_unsubscribe_url, self._mails(to)) if url), "")
        if not url:
            raise Unanswerable("the newest mails in this inbox have no loopback List-Unsubscribe address")
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session,
            session.post(
                URL(url, encoded=True), data={"List-Unsubscribe": "One-Click"}, allow_redirects=False
            ) as answer,
        ):
            if answer.status not in _OK:
                raise Unanswerable(f"the unsubscribe address answered {answer.status}")
        self._state.reply("email", to, "List-Unsubscribe", pressed=True)

    def _mails(self, to: str) -> list[Entry]:
        items = self._state.phone("email", to).items
        return [item for item in reversed(items) if isinstance(item, Entry) and item.accepted]

    async def _log(self, request: web.Request) -> web.Response:
        try:
            after = int(request.query.get("after", "0"))
        except ValueError:
            return _problem(422, "after: expected a number")
        lines = []
        for position, entry in enumerate(self._state.entries(after)):
            lines.append(log_line(entry))
            if position % _CHUNK == 0:
                await asyncio.sleep(0)  # reading thousands of mails must not hold up the protocols
        return web.json_response(lines)

    async def _summary(self, _request: web.Request) -> web.Response:
        sums: dict[str, Any] = {channel: count.as_json() for channel, count in self._state.counts.items()}
        sums["callbacks"] = {
            "delivered": self._courier.delivered,
            "waiting": self._courier.waiting,
            "given_up": self._courier.given_up,
            "dropped": self._courier.dropped,
        }
        return web.json_response(sums)


def log_line(entry: Entry) -> dict[str, Any]:
    """Return one line of the log; mails are read now, not when they came in."""
    subject, text, html = "", entry.text, entry.source
    if entry.raw:
        mail = read_mail(entry.raw)
        subject, text, html = mail.subject, mail.text, mail.html
    return {
        "n": entry.n,
        "at": entry.at.isoformat(),
        "channel": entry.channel,
        "to": entry.to,
        "provider_id": entry.provider_id,
        "key": entry.key,
        "accepted": entry.accepted,
        "code": entry.code,
        "status": entry.status,
        "text": text,
        "subject": subject,
        "html": html,
        "buttons": [{"id": one.id, "label": one.label, "url": one.url} for one in entry.buttons],
    }


def _unsubscribe_url(entry: Entry) -> str:
    if "one-click" not in header_of(entry.raw, "list-unsubscribe-post").lower():
        return ""
    named = (one.strip("<> \t") for one in header_of(entry.raw, "list-unsubscribe").split(","))
    return next((url for url in named if is_loopback_url(url)), "")


def _endpoint(taker: Taker) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def taken(request: web.Request) -> web.Response:
        # A page of another origin cannot send this type without asking first, and is never allowed to.
        if request.content_type != "application/json":
            return _problem(415, "expected application/json")
        try:
            return web.json_response(await taker(json.loads(await request.read())))
        except Malformed as exc:
            return _problem(422, str(exc), pointer=exc.pointer)
        except ValueError:
            return _problem(400, "the body is not JSON")
        except Unanswerable as exc:
            return _problem(409, str(exc))
        except (aiohttp.ClientError, TimeoutError) as exc:
            return _problem(409, f"the address could not be reached ({type(exc).__name__})")

    return taken


def _problem(status: int, detail: str, *, pointer: str | None = None) -> web.Response:
    body: dict[str, Any] = {"type": "about:blank", "status": status, "detail": detail}
    if pointer is not None:
        body["pointer"] = pointer
    return web.json_response(body, status=status, content_type="application/problem+json")


def _list(body: Any) -> list[Any]:
    if not isinstance(body, list):
        raise Malformed("", "expected a list")
    return body


def _object(pointer: str, item: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise Malformed(pointer, "expected an object")
    for name in item:
        if name not in names:
            raise Malformed(f"{pointer}/{name}", f"unknown; expected some of {', '.join(sorted(names))}")
    return item


def _content(pointer: str, item: Any) -> Content:
    given = _object(pointer, item, {"sid", "language", "body", "buttons"})
    for name in ("sid", "language", "body"):
        if not isinstance(given.get(name), str) or not given[name]:
            raise Malformed(f"{pointer}/{name}", "expected text")
    buttons = tuple(
        _quick_reply(f"{pointer}/buttons/{position}", one) for position, one in enumerate(given.get("buttons") or ())
    )
    return Content(given["sid"], given["language"], given["body"], buttons)


def _quick_reply(pointer: str, one: Any) -> Button:
    """Return a button from its label, or from {"id", "title"}; a label alone is its own id."""
    if isinstance(one, str) and one:
        return Button(one, one)
    given = _object(pointer, one, {"id", "title"})
    if not all(isinstance(given.get(name), str) and given[name] for name in ("id", "title")):
        raise Malformed(pointer, "expected a label, or an object with id and title")
    return Button(given["id"], given["title"])


def _person(pointer: str, item: Any) -> tuple[str, dict[str, str], str]:
    given = _object(pointer, item, {"name", "addresses", "language"})
    if not isinstance(given.get("name"), str) or not given["name"]:
        raise Malformed(f"{pointer}/name", "expected a label")
    addresses = _object(f"{pointer}/addresses", given.get("addresses"), set(CHANNELS))
    if not isinstance(given.get("language", ""), str):
        raise Malformed(f"{pointer}/language", "expected a language tag")
    named = {channel: str(address) for channel, address in addresses.items() if address}
    return given["name"], named, given.get("language", "")
