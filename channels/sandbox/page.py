"""The page with the phones: what it shows, as JSON, its files, and each mail under its own address.

It only reads; answers from a phone go through the control interface. A mail's HTML is served with a policy that forbids
scripts, forms and remote content, whatever the frame around it says. CSP level 3.
"""

from __future__ import annotations

import asyncio
import mimetypes
import re
from pathlib import Path
from typing import Any

from aiohttp import web

from channels.sandbox.facts import Credentials
from channels.sandbox.formatted import runs_of
from channels.sandbox.mail import header_of, read_mail, readable
from channels.sandbox.state import Entry, Person, Phone, Reply, State

SHOWN_PEOPLE = 500
_PAUSE_S = 0.25
_MOST_STREAMS = 32
_PREVIEW = 90
_FILES = Path(__file__).with_name("page")
_HEAD = re.compile(r"<head(\s[^>]*)?>", re.IGNORECASE)
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)
_COMMON = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


class Page:
    """Routes of the page. Numbers stand for people and mails in addresses, so that no URL holds personal data."""

    def __init__(self, state: State, credentials: Credentials) -> None:
        self._state = state
        self._senders = {
            "sms": credentials.sms_number,
            "whatsapp": credentials.whatsapp_number,
            "telegram": f"@{credentials.telegram_bot}",
        }
        self._files = {path.name: path.read_bytes() for path in _FILES.iterdir() if path.is_file()}
        self._stopped = asyncio.Event()
        self._streams = 0

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/", self._index),
            web.get("/page/people", self._people),
            web.get(r"/page/people/{number:\d{1,9}}", self._person),
            web.get(r"/page/mails/{n:\d{1,12}}", self._mail),
            web.get("/page/changes", self._changes),
            web.get(r"/page/files/{name:[a-z]+\.[a-z]+}", self._file),
            web.get(r"/mail/{n:\d{1,12}}", self._mail_html),
        ]

    async def stop(self, _app: web.Application) -> None:
        """End the open streams, so that the server can end."""
        self._stopped.set()

    async def _index(self, _request: web.Request) -> web.Response:
        return self._answer("index.html")

    async def _file(self, request: web.Request) -> web.Response:
        return self._answer(request.match_info["name"])

    def _answer(self, name: str) -> web.Response:
        if name not in self._files:
            raise web.HTTPNotFound
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        headers = {**_COMMON, "Content-Security-Policy": _PAGE_POLICY, "Content-Type": f"{kind}; charset=utf-8"}
        return web.Response(body=self._files[name], headers=headers)

    async def _people(self, request: web.Request) -> web.Response:
        after = int(request.query["after"]) if request.query.get("after", "").isdigit() else 0
        words = request.query.get("q", "").casefold().split()
        people: list[dict[str, Any]] = []
        matches = 0
        for person in reversed(self._state.people.values()):
            if person.revision <= after:
                break
            if words and not _matches(person, words):
                continue
            matches += 1
            if len(people) < SHOWN_PEOPLE:
                people.append(_summary(person))
        return web.json_response(
            {
                "revision": self._state.revision,
                "total": len(self._state.people),
                "matches": matches,
                "people": people,
                "counts": {channel: [one.accepted, one.refused] for channel, one in self._state.counts.items()},
            },
            headers=_COMMON,
        )

    async def _person(self, request: web.Request) -> web.Response:
        person = self._state.people.get(int(request.match_info["number"]))
        if person is None:
            raise web.HTTPNotFound
        phones = [self._phone(phone) for phone in person.phones.values()]
        return web.json_response(
            {"number": person.number, "name": person.name, "language": person.language, "phones": phones},
            headers=_COMMON,
        )

    def _phone(self, phone: Phone) -> dict[str, Any]:
        return {
            "channel": phone.channel,
            "address": phone.address,
            "sender": self._senders.get(phone.channel, ""),
            "notice": phone.notice,
            "items": [_item(item) for item in phone.items],
        }

    async def _mail(self, request: web.Request) -> web.Response:
        mail = read_mail(self._raw(request))
        return web.json_response(
            {
                "subject": mail.subject,
                "headers": mail.headers,
                "text": mail.text,
                "html": bool(mail.html),
                "attachments": mail.attachments,
            },
            headers=_COMMON,
        )

    async def _mail_html(self, request: web.Request) -> web.Response:
        html = read_mail(self._raw(request)).html
        # Links open beside the page: inside the frame its policy would stop them.
        target = '<base target="_blank">'
        html = _HEAD.sub(lambda found: found[0] + target, html, count=1) if _HEAD.search(html) else target + html
        headers = {**_COMMON, "Content-Security-Policy": _MAIL_POLICY, "Content-Type": "text/html; charset=utf-8"}
        return web.Response(body=html.encode("utf-8", "replace"), headers=headers)

    def _raw(self, request: web.Request) -> bytes:
        entry = self._state.entry(int(request.match_info["n"]))
        if entry is None or not entry.raw:
            raise web.HTTPNotFound
        return entry.raw

    async def _changes(self, request: web.Request) -> web.StreamResponse:
        """Tell the page when something changed, a few times a second at most (server-sent events)."""
        if self._streams >= _MOST_STREAMS:
            raise web.HTTPServiceUnavailable
        self._streams += 1
        try:
            return await self._stream(request)
        finally:
            self._streams -= 1

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={**_COMMON, "Content-Type": "text/event-stream; charset=utf-8"})
        await answer.prepare(request)
        told = -1
        while not self._stopped.is_set():
            if told != self._state.revision:
                told = self._state.revision
                await answer.write(b"data: %d\n\n" % told)
            try:
                await asyncio.wait_for(self._stopped.wait(), _PAUSE_S)
            except TimeoutError:
                continue
        return answer


def _matches(person: Person, words: list[str]) -> bool:
    parts = [person.name, person.language, *person.phones, *(one.address for one in person.phones.values())]
    haystack = " ".join(parts).casefold()
    return all(word in haystack for word in words)


def _summary(person: Person) -> dict[str, Any]:
    newest = max(
        (phone.items[-1] for phone in person.phones.values() if phone.items), key=lambda item: item.at, default=None
    )
    return {
        "number": person.number,
        "name": person.name,
        "language": person.language,
        "revision": person.revision,
        "channels": {channel: len(phone.items) for channel, phone in person.phones.items()},
        "last": None if newest is None else _newest(newest),
    }


def _newest(item: Entry | Reply) -> dict[str, Any]:
    if isinstance(item, Reply):
        return {"at": item.at.isoformat(), "text": item.text[:_PREVIEW], "own": True, "channel": "", "ok": True}
    text = readable(header_of(item.raw, "subject")) if item.raw else "".join(run[0] for run in runs_of(item))
    ok = item.accepted and item.status not in {"failed", "undelivered"}
    return {"at": item.at.isoformat(), "text": text[:_PREVIEW], "own": False, "channel": item.channel, "ok": ok}


def _item(item: Entry | Reply) -> dict[str, Any]:
    if isinstance(item, Reply):
        return {"own": True, "at": item.at.isoformat(), "text": item.text, "pressed": item.pressed}
    shown: dict[str, Any] = {
        "own": False,
        "n": item.n,
        "at": item.at.isoformat(),
        "accepted": item.accepted,
        "status": item.status,
        "code": item.code,
        "reason": item.reason,
        "parts": item.parts,
    }
    if item.channel == "email":
        head = {"subject": readable(header_of(item.raw, "subject")), "from": readable(header_of(item.raw, "from"))}
        return shown | head | {"readable": bool(item.raw)}
    buttons = [{"id": one.id, "label": one.label, "url": one.url} for one in item.buttons]
    return shown | {"runs": runs_of(item), "buttons": buttons}
