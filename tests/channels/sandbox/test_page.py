"""The phones page: what it shows as JSON, its files, its policies, and each mail under its own address."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from telegram import Bot

from channels.sandbox import page
from channels.sandbox.server import Sandbox

CHAT = "712345678"
FILES = sorted(Path(page.__file__).with_name("page").iterdir())
RAW = (
    b"From: Kreis <info@kreis.example>\r\nTo: a@post.example\r\nSubject: Hallo\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/html; charset=utf-8\r\n\r\n<html><head><title>x</title></head>"
    b"<body><script>alert(1)</script><a href='https://kreis.example'>x</a></body></html>\r\n"
)


async def get(client: aiohttp.ClientSession, sandbox: Sandbox, path: str) -> Any:
    """Return the JSON at ``path``."""
    async with client.get(sandbox.facts.http + path) as answer:
        assert answer.status == 200
        return await answer.json()


async def test_people_are_listed_newest_first_and_by_search(
    client: aiohttp.ClientSession, sandbox: Sandbox, bot: Bot, control: Any
) -> None:
    """Declared people group their addresses; the list is newest first, can be searched, and only tells changes."""
    people = [
        {"name": "Telefon 0001", "addresses": {"telegram": CHAT, "email": "a@post.example"}, "language": "ar"},
        {"name": "Telefon 0002", "addresses": {"sms": "+4915735990002"}},
    ]
    await control.post("people", people)
    await bot.send_message(CHAT, "Guten <b>Tag</b>", parse_mode="HTML")
    told = await get(client, sandbox, "/page/people")
    assert [one["name"] for one in told["people"]] == ["Telefon 0001", "Telefon 0002"]
    first = told["people"][0]
    assert (first["channels"], first["last"]["text"]) == ({"telegram": 1, "email": 0}, "Guten Tag")
    assert told["counts"]["telegram"] == [1, 0]
    for search, names in (("90002", ["Telefon 0002"]), ("AR 0001", ["Telefon 0001"]), ("nichts", [])):
        found = await get(client, sandbox, f"/page/people?q={search}")
        assert [one["name"] for one in found["people"]] == names
    assert (await get(client, sandbox, f"/page/people?after={told['revision']}"))["people"] == []


async def test_a_person_shows_what_arrived_and_what_did_not(
    client: aiohttp.ClientSession, sandbox: Sandbox, bot: Bot, control: Any
) -> None:
    """A phone has messages as runs, with buttons, refusals with their reason, and the person's own words."""
    await bot.send_message(CHAT, '<b>Fett</b> <a href="https://kreis.example">Link</a>', parse_mode="HTML")
    await control.rule("telegram", CHAT, {"http": 403, "description": "Forbidden: bot was blocked by the user"})
    with pytest.raises(Exception, match="blocked"):
        await bot.send_message(CHAT, "Zweite")
    await control.post("reply", {"channel": "telegram", "to": CHAT, "text": "Ja"})
    number = (await get(client, sandbox, "/page/people"))["people"][0]["number"]
    (phone,) = (await get(client, sandbox, f"/page/people/{number}"))["phones"]
    arrived, refused, own = phone["items"]
    assert arrived["runs"] == [["Fett", "bold", ""], [" ", "", ""], ["Link", "text_link", "https://kreis.example"]]
    assert (refused["accepted"], refused["code"], "blocked" in refused["reason"]) == (False, 403, True)
    assert (own["own"], own["text"]) == (True, "Ja")


async def test_a_mail_is_shut_in(client: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    """A mail's HTML comes as it was, under a policy without scripts and remote content, for this page's frame only."""
    sandbox.state.record("email", "a@post.example", raw=RAW)
    async with client.get(f"{sandbox.facts.http}/mail/1") as answer:
        policy, text = answer.headers["Content-Security-Policy"], await answer.text()
    directives = dict(one.strip().partition(" ")[::2] for one in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert "script-src" not in directives
    assert "allow-scripts" not in directives["sandbox"]
    assert "allow-same-origin" not in directives["sandbox"]
    assert directives["frame-ancestors"] == "'self'"
    assert '<head><base target="_blank"><title>' in text
    read = await get(client, sandbox, "/page/mails/1")
    assert (read["subject"], read["html"]) == ("Hallo", True)
    assert ["From", "Kreis <info@kreis.example>"] in read["headers"]


@pytest.mark.parametrize("path", ["/mail/1", "/mail/2", "/page/mails/2", "/page/people/9", "/page/files/x.js"])
async def test_unknown_things_are_not_found(client: aiohttp.ClientSession, sandbox: Sandbox, path: str) -> None:
    """A message that is no mail, unknown numbers and unknown files are 404."""
    sandbox.state.record("sms", "+4915735990001", text="x")
    async with client.get(sandbox.facts.http + path) as answer:
        assert answer.status == 404


@pytest.mark.parametrize("path", ["/", *(f"/page/files/{one.name}" for one in FILES)])
async def test_the_page_is_served_under_a_strict_policy(
    client: aiohttp.ClientSession, sandbox: Sandbox, path: str
) -> None:
    """Every file has the policy, its right type and no sniffing; scripts and styles come from here alone."""
    async with client.get(sandbox.facts.http + path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert answer.status == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.content_type in {"text/html", "text/css", "text/javascript", "application/javascript"}
    for wanted in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"):
        assert wanted in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("file", FILES, ids=lambda one: one.name)
def test_the_files_need_nothing_from_elsewhere(file: Path) -> None:
    """No remote address, no markup from text, no inline script or style: the policy would stop them, silently."""
    text = file.read_text("utf-8")
    known = ("http://www.w3.org/2000/svg", "https?:\\/\\/")
    for one in known:
        text = text.replace(one, "")
    assert not re.search(r"https?://|@import|innerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    if file.suffix == ".html":
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", text)
    assert len(text.splitlines()) <= 400


def test_both_languages_have_every_word() -> None:
    """The page's German and English words have the same names, and the page uses no others."""
    text = (Path(page.__file__).with_name("page") / "words.js").read_text("utf-8")
    blocks = re.findall(r"^  (?:de|en): \{\n(.*?)^  \},", text, re.DOTALL | re.MULTILINE)
    german, english = ({*re.findall(r"^    (\w+):", one, re.MULTILINE)} for one in blocks)
    assert german == english
    used = set()
    for file in FILES:
        used |= {*re.findall(r'\bword\("(\w+)"', file.read_text("utf-8"))}
        used |= {*re.findall(r'data-word="(\w+)"', file.read_text("utf-8"))}
    assert used <= german


async def test_changes_are_told_and_the_stream_ends_with_the_sandbox(
    client: aiohttp.ClientSession, sandbox: Sandbox
) -> None:
    """The stream tells the revision at once and again after a change."""
    async with client.get(f"{sandbox.facts.http}/page/changes") as stream:
        assert stream.content_type == "text/event-stream"
        before = int((await asyncio.wait_for(stream.content.readuntil(b"\n\n"), 5))[6:])
        sandbox.state.record("sms", "+4915735990001", text="x")
        after = int((await asyncio.wait_for(stream.content.readuntil(b"\n\n"), 5))[6:])
        assert (before, after) == (0, sandbox.state.revision)


async def test_hostile_text_stays_text(client: aiohttp.ClientSession, sandbox: Sandbox, bot: Bot) -> None:
    """Markup in a name or a message reaches the page as JSON text, never as part of a page."""
    hostile = "<img src=x onerror=alert(1)>\u202e"
    await bot.send_message(CHAT, hostile)
    sandbox.state.declare(hostile, {"telegram": CHAT}, "")
    async with client.get(f"{sandbox.facts.http}/page/people") as answer:
        assert answer.content_type == "application/json"
        told = json.loads(await answer.text())
    assert told["people"][0]["name"] == hostile
    assert told["people"][0]["last"]["text"] == hostile
