"""The control interface: shapes are checked, people can be declared and answer, the log and its sums are right."""

from __future__ import annotations

import ssl
from email.message import EmailMessage
from typing import Any

import aiohttp
import aiosmtplib
import pytest
from telegram import Bot

from channels.sandbox.server import Sandbox

CHAT = 712345678


async def send_mail(sandbox: Sandbox, to: str, **headers: str) -> None:
    """Send one small mail with these headers."""
    message = EmailMessage()
    for name, value in {"From": "info@kreis.example", "To": to, "Subject": "Hallo", **headers}.items():
        message[name] = value
    message.set_content("Hallo")
    facts = sandbox.facts
    await aiosmtplib.send(
        message,
        hostname=facts.smtp_host,
        port=facts.smtp_port,
        username=facts.smtp_user,
        password=facts.smtp_password,
        start_tls=True,
        tls_context=ssl.create_default_context(cafile=facts.ca_file),
    )


@pytest.mark.parametrize(
    ("name", "body", "pointer"),
    [
        ("rules", {}, ""),
        ("rules", [{"channel": "fax", "to": "*", "outcome": {"http": 500}}], "/0/channel"),
        ("contents", [{"sid": "HX1", "language": "de"}], "/0/body"),
        ("contents", [{"sid": "HX1", "language": "de", "body": "x", "buttons": [{"id": "a"}]}], "/0/buttons/0"),
        ("people", [{"name": "A", "addresses": {"fax": "1"}}], "/0/addresses/fax"),
        ("people", [{"addresses": {}}], "/0/name"),
        ("inbound_url", {"sms": "https://gateway.example/in"}, "/sms"),
        ("inbound_url", {"fax": "http://127.0.0.1/in"}, "/fax"),
        ("reply", {"channel": "fax", "to": "1", "text": "x"}, "/channel"),
        ("reply", {"channel": "sms", "text": "x"}, "/to"),
        ("reply", {"channel": "sms", "to": "1"}, ""),
        ("reply", {"channel": "sms", "to": "1", "text": "x", "button": "y"}, ""),
        ("reply", {"channel": "sms", "to": "1", "text": ""}, "/text"),
        ("reply", {"channel": "telegram", "to": "abc", "text": "x"}, "/to"),
    ],
)
async def test_wrong_shapes_are_named(control: Any, name: str, body: Any, pointer: str) -> None:
    """A wrong body is 422 with a JSON pointer to the part that is wrong."""
    status, problem = await control.post(name, body)
    assert (status, problem["pointer"]) == (422, pointer)


async def test_only_json_is_taken(client: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    """Another type is 415, so that a page of another origin cannot post without asking; broken JSON is 400."""
    url = f"{sandbox.facts.http}/control/rules"
    async with client.post(url, data="[]", headers={"Content-Type": "text/plain"}) as answer:
        assert answer.status == 415
    async with client.post(url, data="[", headers={"Content-Type": "application/json"}) as answer:
        assert answer.status == 400


async def test_calls_under_a_foreign_name_are_refused(client: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    """A foreign name that points here is refused everywhere (DNS rebinding)."""
    for path in ("/", "/control/log", "/page/people"):
        async with client.get(sandbox.facts.http + path, headers={"Host": "evil.example"}) as answer:
            assert answer.status == 421
    port = sandbox.facts.http.rpartition(":")[2]
    async with client.get(f"{sandbox.facts.http}/control/log", headers={"Host": f"localhost:{port}"}) as answer:
        assert answer.status == 200


async def test_the_log_goes_on_after_a_number(bot: Bot, control: Any) -> None:
    """Numbers grow by one from 1, and "after" leaves out what was read before."""
    for text in ("eins", "zwei", "drei"):
        await bot.send_message(CHAT, text)
    assert [one["n"] for one in await control.get("log")] == [1, 2, 3]
    assert [one["text"] for one in await control.get("log?after=2")] == ["drei"]
    assert await control.get("log?after=3") == []


async def test_the_sums_tell_repeats(sandbox: Sandbox, bot: Bot, control: Any) -> None:
    """The summary counts accepted and refused ones, recipients, the most for one of them, and repeated keys."""
    for key, to in (("k1", "a@post.example"), ("k1", "A@post.example"), ("k2", "b@post.example")):
        await send_mail(sandbox, to, **{"Message-ID": f"<{key}@kreis.example>"})
    await control.rule("telegram", "*", {"http": 502})
    with pytest.raises(Exception, match="Bad Gateway"):
        await bot.send_message(CHAT, "Hallo")
    summary = await control.get("summary")
    mails = summary["email"]
    assert (mails["accepted"], mails["recipients"], mails["max_per_recipient"], mails["repeated_keys"]) == (3, 2, 2, 1)
    assert (summary["telegram"]["accepted"], summary["telegram"]["refused"]) == (0, 1)


async def test_rules_can_be_cleared(client: aiohttp.ClientSession, sandbox: Sandbox, bot: Bot, control: Any) -> None:
    """DELETE forgets every order."""
    await control.rule("telegram", "*", {"http": 403})
    async with client.delete(f"{sandbox.facts.http}/control/rules") as answer:
        assert await answer.json() == {"rules": 0}
    await bot.send_message(CHAT, "Hallo")


async def test_a_reply_that_goes_nowhere_says_so(control: Any) -> None:
    """Without an inbound address an answer by SMS stays on the phone, and the caller is told."""
    status, problem = await control.post("reply", {"channel": "sms", "to": "+4915735991234", "text": "Ja"})
    assert (status, "inbound_url" in problem["detail"]) == (409, True)


async def test_unsubscribe_presses_the_one_click_button(
    sandbox: Sandbox, control: Any, webhook: Any, until: Any
) -> None:
    """The mail program's button posts List-Unsubscribe=One-Click to the address of the newest mail (RFC 8058, B-E2)."""
    to = "amira@post.example"
    listed = {"List-Unsubscribe": f"<mailto:x@y.example>, <{webhook.url}/stop/abc>"}
    await send_mail(sandbox, to, **listed, **{"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"})
    assert (await control.post("reply", {"channel": "email", "to": to, "button": "unsubscribe"}))[0] == 200
    await until(lambda: len(webhook.calls) == 1)
    assert webhook.calls[0].path == "/stop/abc"
    assert webhook.calls[0].form["List-Unsubscribe"] == "One-Click"
    webhook.answers = [500]
    assert (await control.post("reply", {"channel": "email", "to": to, "button": "unsubscribe"}))[0] == 409


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"List-Unsubscribe": "<http://127.0.0.1:9/stop>"},
        {"List-Unsubscribe": "<https://kreis.example/x>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
    ],
)
async def test_no_one_click_without_its_headers(sandbox: Sandbox, control: Any, headers: dict[str, str]) -> None:
    """Without both headers, or with an address elsewhere, there is nothing to press; texts are never taken."""
    await send_mail(sandbox, "amira@post.example", **headers)
    for what in ({"button": "unsubscribe"}, {"text": "STOPP"}):
        assert (await control.post("reply", {"channel": "email", "to": "amira@post.example", **what}))[0] == 409
