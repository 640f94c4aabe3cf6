"""Signed posts: status callbacks and inbound messages, verified the way a gateway must verify them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from twilio.request_validator import RequestValidator

from channels.sandbox.server import Sandbox, open_sandbox

NUMBER = "+4915735991234"
CONTENT = "HX" + "0" * 32


async def send(client: aiohttp.ClientSession, sandbox: Sandbox, callback: str, **form: str) -> str:
    """Create one message and return its sid."""
    facts = sandbox.facts
    url = f"{facts.twilio_base_url}/2010-04-01/Accounts/{facts.twilio_account_sid}/Messages.json"
    usual = {"To": NUMBER, "From": facts.sms_number, "Body": "Hallo", "StatusCallback": callback}
    if form.get("To", "").startswith("whatsapp:"):
        usual["From"] = f"whatsapp:{facts.whatsapp_number}"
    headers = {"Authorization": aiohttp.encode_basic_auth(facts.twilio_account_sid, facts.twilio_auth_token)}
    async with client.post(url, data={**usual, **form}, headers=headers) as answer:
        body = await answer.json()
        assert answer.status == 201, body
        return str(body["sid"])


def verified(sandbox: Sandbox, webhook: Any, call: Any) -> bool:
    """Tell whether a gateway with the right token would believe the call."""
    validator = RequestValidator(sandbox.facts.twilio_auth_token)
    return bool(validator.validate(webhook.url + call.path, call.form, call.headers["x-twilio-signature"]))


async def test_a_message_reports_sent_then_delivered(
    client: aiohttp.ClientSession, sandbox: Sandbox, webhook: Any, until: Any
) -> None:
    """Both posts are signed over the exact address with its query, in order, and name the message (B-W, section 6)."""
    sid = await send(client, sandbox, f"{webhook.url}/webhooks/sms?mid=d%2D17&x=a+b")
    await until(lambda: len(webhook.calls) == 2)
    assert [one.form["MessageStatus"] for one in webhook.calls] == ["sent", "delivered"]
    for call in webhook.calls:
        assert call.path == "/webhooks/sms?mid=d%2D17&x=a+b"
        assert (call.form["MessageSid"], call.form["To"]) == (sid, NUMBER)
        assert "ErrorCode" not in call.form
        assert verified(sandbox, webhook, call)
    assert "RawDlrDoneDate" in webhook.calls[1].form


async def test_a_changed_post_is_not_verified(
    client: aiohttp.ClientSession, sandbox: Sandbox, webhook: Any, until: Any
) -> None:
    """The signature covers every parameter and the query: one changed character breaks it."""
    await send(client, sandbox, f"{webhook.url}/sms?mid=1")
    await until(lambda: len(webhook.calls) == 2)
    call = webhook.calls[0]
    call.form["To"] = NUMBER[:-1] + "5"
    assert not verified(sandbox, webhook, call)
    call.form["To"] = NUMBER
    call.path = "/sms?mid=2"
    assert not verified(sandbox, webhook, call)


@pytest.mark.parametrize(
    ("outcome", "seen"),
    [
        ({"status": "undelivered", "code": 30005}, [("sent", None), ("undelivered", "30005")]),
        ({"status": "failed", "code": 30001}, [("failed", "30001")]),
    ],
)
async def test_failures_by_callback(
    *, client: aiohttp.ClientSession, sandbox: Sandbox, webhook: Any, control: Any, until: Any, outcome: Any, seen: Any
) -> None:
    """An ordered failure is created first and reported later, with its code; then the next message is delivered."""
    await control.rule("sms", NUMBER, outcome, times=1)
    await send(client, sandbox, f"{webhook.url}/sms")
    await until(lambda: len(webhook.calls) == len(seen))
    assert [(one.form["MessageStatus"], one.form.get("ErrorCode")) for one in webhook.calls] == seen
    (line,) = await control.get("log?after=0")
    assert (line["accepted"], line["code"], line["status"]) == (True, outcome["code"], outcome["status"])
    await send(client, sandbox, f"{webhook.url}/sms")
    await until(lambda: webhook.calls[-1].form["MessageStatus"] == "delivered")


async def test_free_text_needs_an_open_window(
    client: aiohttp.ClientSession, sandbox: Sandbox, webhook: Any, control: Any, until: Any
) -> None:
    """WhatsApp text without a word of that person fails with 63016; after one it is delivered (B-W2)."""
    await send(client, sandbox, f"{webhook.url}/wa", To=f"whatsapp:{NUMBER}")
    await until(lambda: len(webhook.calls) == 1)
    form = webhook.calls[0].form
    assert (form["MessageStatus"], form["ErrorCode"], form["ChannelPrefix"]) == ("failed", "63016", "whatsapp")
    assert verified(sandbox, webhook, webhook.calls[0])
    await control.post("reply", {"channel": "whatsapp", "to": NUMBER, "text": "Hallo"})
    await send(client, sandbox, f"{webhook.url}/wa", To=f"whatsapp:{NUMBER}")
    await until(lambda: len(webhook.calls) == 3)
    assert webhook.calls[2].form["EventType"] == "DELIVERED"


@pytest.mark.parametrize(("hours", "status"), [(23.9, "delivered"), (24.1, "failed")])
async def test_the_window_lasts_24_hours(
    client: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: float, status: str
) -> None:
    """The window closes 24 hours after the person's last word, by the sandbox's own clock (B-W2)."""
    start = datetime(2026, 11, 24, 9, tzinfo=UTC)
    async with open_sandbox(tmp_path, starts_at=start) as sandbox:
        sandbox.state.reply("whatsapp", NUMBER, "Hallo")
        clock = sandbox.state.clock
        assert abs(clock.now() - start) < timedelta(minutes=1)
        monkeypatch.setattr(clock, "now", lambda: start + timedelta(hours=hours))
        await send(client, sandbox, "", To=f"whatsapp:{NUMBER}")
        assert sandbox.state.log[-1].status == status


@pytest.mark.parametrize(
    ("body", "variables", "code"),
    [("Hallo {{1}} und {{2}}!", '{"1": "x"}', "63028"), ("x" * 1000 + "{{1}}", '{"1": "' + "y" * 25 + '"}', "63021")],
)
async def test_templates_that_fail_later(
    *,
    client: aiohttp.ClientSession,
    sandbox: Sandbox,
    webhook: Any,
    control: Any,
    until: Any,
    body: str,
    variables: str,
    code: str,
) -> None:
    """A missing variable (63028) and more than 1024 characters after substitution (63021) fail by callback (B-W5)."""
    await control.post("contents", [{"sid": CONTENT, "language": "de", "body": body}])
    await send(
        client, sandbox, f"{webhook.url}/wa", To=f"whatsapp:{NUMBER}", ContentSid=CONTENT, ContentVariables=variables
    )
    await until(lambda: len(webhook.calls) == 1)
    assert webhook.calls[0].form["ErrorCode"] == code


async def test_what_a_person_writes_is_posted_signed(sandbox: Sandbox, webhook: Any, control: Any, until: Any) -> None:
    """An SMS comes with blank parameters, trailing spaces and non-ASCII text, all under the signature."""
    await control.post("inbound_url", {"sms": f"{webhook.url}/in/sms", "whatsapp": f"{webhook.url}/in/wa"})
    await control.post("reply", {"channel": "sms", "to": NUMBER, "text": "Hallo, Zoë ☂ "})
    await control.post("reply", {"channel": "whatsapp", "to": NUMBER, "text": "STOPP"})
    await until(lambda: len(webhook.calls) == 2)
    calls = {one.path: one for one in webhook.calls}
    sms, whatsapp = calls["/in/sms"], calls["/in/wa"]
    assert (sms.form["From"], sms.form["Body"], sms.form["FromCity"]) == (NUMBER, "Hallo, Zoë ☂ ", "")
    assert sms.form["To"] == sandbox.facts.sms_number
    assert (whatsapp.form["From"], whatsapp.form["WaId"]) == (f"whatsapp:{NUMBER}", NUMBER[1:])
    assert all(verified(sandbox, webhook, one) for one in webhook.calls)


async def test_a_pressed_quick_reply_names_its_message(
    client: aiohttp.ClientSession, sandbox: Sandbox, webhook: Any, control: Any, until: Any
) -> None:
    """The button's id comes as ButtonPayload, with the sid of the message that it stood under."""
    await control.post("inbound_url", {"whatsapp": f"{webhook.url}/in"})
    buttons = [{"id": "ack:1", "title": "Ich komme"}]
    await control.post("contents", [{"sid": CONTENT, "language": "de", "body": "Kommen Sie?", "buttons": buttons}])
    sid = await send(client, sandbox, f"{webhook.url}/cb", To=f"whatsapp:{NUMBER}", ContentSid=CONTENT)
    assert (await control.post("reply", {"channel": "whatsapp", "to": NUMBER, "button": "ack:1"}))[0] == 200
    await until(lambda: any(one.path == "/in" for one in webhook.calls))
    form = next(one.form for one in webhook.calls if one.path == "/in")
    assert (form["MessageType"], form["ButtonPayload"], form["ButtonText"]) == ("button", "ack:1", "Ich komme")
    assert (form["Body"], form["OriginalRepliedMessageSid"]) == ("Ich komme", sid)


async def test_a_busy_webhook_gets_the_same_post_again(
    client: aiohttp.ClientSession, sandbox: Sandbox, webhook: Any, control: Any, until: Any
) -> None:
    """A 5xx answer is followed by the same post with the same idempotency token; a 4xx answer ends it."""
    webhook.answers = [503, 204, 403]
    await send(client, sandbox, f"{webhook.url}/cb")
    await until(lambda: len(webhook.calls) == 3)
    tokens = [one.headers["i-twilio-idempotency-token"] for one in webhook.calls]
    assert tokens[0] == tokens[1] != tokens[2]
    assert [one.form["MessageStatus"] for one in webhook.calls] == ["sent", "sent", "delivered"]

    async def all_done() -> bool:
        counts = (await control.get("summary"))["callbacks"]
        return (counts["delivered"], counts["given_up"], counts["waiting"]) == (1, 1, 0)

    await until(all_done)


async def test_many_messages_report_all_their_states(
    client: aiohttp.ClientSession, sandbox: Sandbox, webhook: Any, until: Any
) -> None:
    """200 concurrent messages give 200 sids and 400 posts, none lost and none twice."""
    sids = await asyncio.gather(
        *(send(client, sandbox, f"{webhook.url}/cb", To=f"+491573600{one:04}") for one in range(200))
    )
    await until(lambda: len(webhook.calls) == 400)
    reported = {(one.form["MessageSid"], one.form["MessageStatus"]) for one in webhook.calls}
    assert reported == {(sid, status) for sid in sids for status in ("sent", "delivered")}
