"""The Twilio API's stand-in, spoken to by the twilio SDK and over bare HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from channels.sandbox.server import Sandbox

NUMBER = "+4915735991234"
CONTENT = "HX" + "0" * 32
# twilio 9.13 on aiohttp 3.14; harmless until aiohttp 4.
pytestmark = pytest.mark.filterwarnings("ignore:The 'auth' parameter:DeprecationWarning")


@pytest.fixture
async def twilio(sandbox: Sandbox) -> AsyncIterator[Client]:
    """Open the SDK for the sandbox's account."""
    facts = sandbox.facts
    http = AsyncTwilioHttpClient()
    client = Client(facts.twilio_account_sid, facts.twilio_auth_token, http_client=http)
    client.api.base_url = facts.twilio_base_url
    yield client
    await http.close()


async def create(
    client: aiohttp.ClientSession, sandbox: Sandbox, form: Mapping[str, str | None], **options: Any
) -> tuple[int, dict[str, Any], Any]:
    """Post a form as the API documents it; ``None`` removes a usual value."""
    facts = sandbox.facts
    login = options.pop("login", (facts.twilio_account_sid, facts.twilio_auth_token))
    url = (
        f"{facts.twilio_base_url}/2010-04-01/Accounts/{options.pop('account', facts.twilio_account_sid)}/Messages.json"
    )
    usual: dict[str, str | None] = {"To": NUMBER, "From": facts.sms_number, "Body": "Hallo"}
    filled = {name: value for name, value in {**usual, **form}.items() if value is not None}
    headers = {"Authorization": aiohttp.encode_basic_auth(*login)}
    async with client.post(url, data=filled, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers


async def test_a_message_through_the_sdk(twilio: Client, sandbox: Sandbox, control: Any) -> None:
    """The SDK creates a message with a sid of its own, fetches it as delivered, and the log has its text and key."""
    sent = await twilio.messages.create_async(
        to=NUMBER,
        from_=sandbox.facts.sms_number,
        body="Grüße € „x“",
        status_callback="http://127.0.0.1:9/webhooks/sms?mid=d-17&x=1",
    )
    assert re.fullmatch("SM[0-9a-f]{32}", str(sent.sid))
    assert (sent.status, sent.num_segments, sent.date_created.tzinfo is not None) == ("queued", "1", True)
    again = await twilio.messages.create_async(to=NUMBER, from_=sandbox.facts.sms_number, body="Grüße")
    assert again.sid != sent.sid
    assert (await twilio.messages(str(again.sid)).fetch_async()).status == "delivered"
    first, second = await control.get("log?after=0")
    assert (first["channel"], first["to"], first["text"]) == ("sms", NUMBER, "Grüße € „x“")
    assert (first["provider_id"], first["key"], second["key"]) == (sent.sid, "d-17", "")


async def test_the_account_can_be_probed(twilio: Client, sandbox: Sandbox) -> None:
    """The account resource answers "active" and sends nothing."""
    account = await twilio.api.accounts(sandbox.facts.twilio_account_sid).fetch_async()
    assert (account.sid, account.status) == (sandbox.facts.twilio_account_sid, "active")


async def test_wrong_credentials_and_unknown_things(
    twilio: Client, client: aiohttp.ClientSession, sandbox: Sandbox
) -> None:
    """A wrong token is 401/20003 everywhere; another account and an unknown message are 404/20404."""
    facts = sandbox.facts
    status, body, _ = await create(client, sandbox, {}, login=(facts.twilio_account_sid, "wrong"))
    assert (status, body["code"]) == (401, 20003)
    status, body, _ = await create(client, sandbox, {}, account="AC" + "0" * 32)
    assert (status, body["code"]) == (404, 20404)
    with pytest.raises(TwilioRestException) as unknown:
        await twilio.messages("SM" + "0" * 32).fetch_async()
    assert (unknown.value.status, unknown.value.code) == (404, 20404)
    url = f"{facts.twilio_base_url}/2010-04-01/Accounts/{facts.twilio_account_sid}.json"
    async with client.get(url) as answer:
        assert answer.status == 401


async def test_only_forms_are_taken(client: aiohttp.ClientSession, sandbox: Sandbox, control: Any) -> None:
    """A JSON body is 415, and nothing is created."""
    facts = sandbox.facts
    url = f"{facts.twilio_base_url}/2010-04-01/Accounts/{facts.twilio_account_sid}/Messages.json"
    headers = {"Authorization": aiohttp.encode_basic_auth(facts.twilio_account_sid, facts.twilio_auth_token)}
    async with client.post(url, json={"To": NUMBER}, headers=headers) as answer:
        assert answer.status == 415
    assert (await control.get("summary"))["sms"]["accepted"] == 0


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"To": None}, 21604),
        ({"To": "015735991234"}, 21211),
        ({"To": " 4915735991234"}, 21211),
        ({"From": None}, 21603),
        ({"From": "+4915735991111"}, 21606),
        ({"From": "!!"}, 21212),
        ({"To": f"whatsapp:{NUMBER}"}, 21910),
        ({"To": f"whatsapp:{NUMBER}", "From": "whatsapp:+4915735991111"}, 63007),
        ({"To": "+4915735990000"}, 21266),
        ({"From": None, "MessagingServiceSid": "MGx"}, 21705),
        ({"From": None, "MessagingServiceSid": "MG" + "0" * 32}, 21701),
        ({"Body": None}, 21602),
        ({"Body": "x" * 1601}, 21617),
        ({"StatusCallback": "nowhere"}, 21609),
        ({"StatusCallback": "https://gateway.example/cb"}, 21609),
        ({"ValidityPeriod": "bald"}, 21624),
        ({"ValidityPeriod": "0"}, 21624),
        ({"ValidityPeriod": "36001"}, 21624),
        ({"ContentSid": "HX" + "f" * 32}, 21655),
        ({"ContentSid": CONTENT, "ContentVariables": "{"}, 21656),
        ({"ContentSid": CONTENT, "ContentVariables": '{"1": ""}'}, 21656),
        ({"ContentSid": CONTENT, "ContentVariables": '{"1": "a\\nb"}'}, 21656),
        ({"ContentSid": CONTENT, "ContentVariables": '{"1": 7}'}, 21656),
    ],
)
async def test_documented_refusals(
    client: aiohttp.ClientSession, sandbox: Sandbox, control: Any, form: dict[str, str], code: int
) -> None:
    """Each mistake is refused at once with its documented code, and the refusal is in the log."""
    await control.post("contents", [{"sid": CONTENT, "language": "de", "body": "Hallo {{1}}!"}])
    status, body, _ = await create(client, sandbox, form)
    assert (status, body["code"], body["status"]) == (404 if code == 21701 else 400, code, status)
    assert str(code) in body["more_info"]
    (line,) = await control.get("log?after=0")
    assert (line["accepted"], line["code"]) == (False, code)


@pytest.mark.parametrize(
    "form",
    [{"From": "Kreis MTK"}, {"ValidityPeriod": "36000"}, {"Body": "x" * 1600}, {"Unknown": "ignored"}],
)
async def test_what_is_allowed(client: aiohttp.ClientSession, sandbox: Sandbox, form: dict[str, str]) -> None:
    """An alphanumeric sender, the limits themselves and unknown parameters are taken (B-S2)."""
    assert (await create(client, sandbox, form))[0] == 201


async def test_a_messaging_service_chooses_the_sender(client: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    """With the account's service the message is "accepted", from the sender that fits the channel (B-S3)."""
    facts = sandbox.facts
    service: dict[str, str | None] = {"From": None, "MessagingServiceSid": facts.twilio_messaging_service_sid}
    status, body, _ = await create(client, sandbox, service)
    assert (status, body["status"], body["from"]) == (201, "accepted", facts.sms_number)
    _, body, _ = await create(client, sandbox, {**service, "To": f"whatsapp:{NUMBER}"})
    assert body["from"] == f"whatsapp:{facts.whatsapp_number}"


@pytest.mark.parametrize(
    ("outcome", "status", "code", "retry_after"),
    [
        ({"http": 400, "code": 21614}, 400, 21614, None),
        ({"http": 429, "code": 20429, "retry_after": 2}, 429, 20429, "2"),
        ({"http": 503}, 503, 503, None),
    ],
)
async def test_refusals_on_order(
    *,
    twilio: Client,
    client: aiohttp.ClientSession,
    sandbox: Sandbox,
    control: Any,
    outcome: Any,
    status: int,
    code: int,
    retry_after: str | None,
) -> None:
    """An ordered refusal reaches the SDK with its code; a bare 5xx is a page of HTML, as from a proxy."""
    await control.rule("sms", NUMBER, outcome, times=2)
    with pytest.raises(TwilioRestException) as refused:
        await twilio.messages.create_async(to=NUMBER, from_=sandbox.facts.sms_number, body="x")
    assert (refused.value.status, refused.value.code) == (status, code)
    url = f"{sandbox.facts.twilio_base_url}/2010-04-01/Accounts/{sandbox.facts.twilio_account_sid}/Messages.json"
    login = aiohttp.encode_basic_auth(sandbox.facts.twilio_account_sid, sandbox.facts.twilio_auth_token)
    form = {"To": NUMBER, "From": sandbox.facts.sms_number, "Body": "x"}
    async with client.post(url, data=form, headers={"Authorization": login}) as answer:
        assert (answer.status, answer.headers.get("Retry-After")) == (status, retry_after)
    assert (await create(client, sandbox, {}))[0] == 201


@pytest.mark.parametrize(("fault", "accepted"), [("reset", 0), ("hang", 0), ("cut_after_accept", 1)])
async def test_faults_on_the_wire(
    client: aiohttp.ClientSession, sandbox: Sandbox, control: Any, fault: str, accepted: int
) -> None:
    """The caller sees a broken or silent connection; only the log knows whether the message was created."""
    await control.rule("sms", "*", {"fault": fault})
    url = f"{sandbox.facts.twilio_base_url}/2010-04-01/Accounts/{sandbox.facts.twilio_account_sid}/Messages.json"
    login = aiohttp.encode_basic_auth(sandbox.facts.twilio_account_sid, sandbox.facts.twilio_auth_token)
    form = {"To": NUMBER, "From": sandbox.facts.sms_number, "Body": "x"}
    limit = aiohttp.ClientTimeout(total=0.5)
    with pytest.raises(TimeoutError if fault == "hang" else aiohttp.ClientError):
        await client.post(url, data=form, headers={"Authorization": login}, timeout=limit)
    assert (await control.get("summary"))["sms"]["accepted"] == accepted


async def test_stop_makes_the_number_unreachable(client: aiohttp.ClientSession, sandbox: Sandbox, control: Any) -> None:
    """After STOP the provider itself refuses the number with 21610 until START, as the real one does."""
    await control.post("reply", {"channel": "sms", "to": NUMBER, "text": "stop "})
    status, body, _ = await create(client, sandbox, {})
    assert (status, body["code"]) == (400, 21610)
    await control.post("reply", {"channel": "sms", "to": NUMBER, "text": "START"})
    assert (await create(client, sandbox, {}))[0] == 201


async def test_template_texts_are_filled(client: aiohttp.ClientSession, sandbox: Sandbox, control: Any) -> None:
    """A content's placeholders are replaced in text and button ids, and the buttons are on the phone."""
    buttons = ["Ich komme", {"id": "no:{{2}}", "title": "Nein"}]
    await control.post(
        "contents", [{"sid": CONTENT, "language": "de", "body": "Am {{1}} ({{2}}).", "buttons": buttons}]
    )
    form: dict[str, str | None] = {
        "To": f"whatsapp:{NUMBER}",
        "From": f"whatsapp:{sandbox.facts.whatsapp_number}",
        "Body": None,
        "ContentSid": CONTENT,
        "ContentVariables": json.dumps({"1": "16.03.", "2": "d-17"}),
    }
    status, body, _ = await create(client, sandbox, form)
    assert (status, body["body"]) == (201, "Am 16.03. (d-17).")
    (line,) = await control.get("log?after=0")
    assert (line["channel"], line["to"], line["status"]) == ("whatsapp", NUMBER, "delivered")
    assert [(one["id"], one["label"]) for one in line["buttons"]] == [("Ich komme", "Ich komme"), ("no:d-17", "Nein")]
