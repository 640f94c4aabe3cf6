"""SMS: what is special about it beyond the conformance suite (B-S1 to B-S7)."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from channels.conformance import Act
from channels.conformance.bench import CALLBACK, KEY, Bench
from channels.conformance.http_standin import Call, Reply
from channels.kit.contract import Button, Fact, Kind
from channels.kit.errors import (
    AddressInvalid,
    AddressRefused,
    ChannelError,
    OptedOut,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
    Unsupported,
)
from channels.sms_twilio import SmsTwilio
from gateway.egress import Http
from tests.channels.providers import ACCOUNT, TwilioStandin
from tests.channels.test_conformance import TestSms as Tapes

SERVICE = "MG" + "0" * 32


class Scripted(TwilioStandin):
    """An account that answers sends with one scripted reply."""

    reply: Reply | None = None

    def success(self, call: Call) -> Reply:
        """Return the scripted reply, if there is one."""
        return self.reply or super().success(call)


class Sms(Bench):
    """The adapter against the scripted account."""

    adapter = SmsTwilio
    http = Http
    standin = Scripted
    good_addresses = {"0151 23456789": "+4915123456789"}  # noqa: RUF012  # read only


BENCH = Sms()


async def test_what_goes_over_the_wire():
    """The form holds the text, both numbers, the callback with our key and the validity, and nothing else."""
    async with BENCH.playing(Act.ACCEPT) as (adapter, standin):
        taken = await adapter.send(BENCH.request(adapter, "Grüße & + €", valid_s=3600))
    (call,) = standin.calls
    assert call.path == f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    assert call.headers["authorization"].startswith("Basic ")
    assert call.form == {
        "To": "+4915123456789",
        "From": "+4915199999999",
        "Body": "Grüße & + €",
        "StatusCallback": f"{CALLBACK}?mid={KEY}",
        "ValidityPeriod": "3600",
    }
    assert taken.provider_id == "SM" + "0" * 31 + "1"


async def test_a_messaging_service_instead_of_a_number():
    """B-S3: the service chooses the sender; an API key signs in instead of the account's token."""
    options = {"sender": "", "messaging_service_sid": SERVICE, "api_key": "SK" + "1" * 32, "api_secret": "geheim"}
    async with BENCH.playing(Act.ACCEPT, **options) as (adapter, standin):
        await adapter.send(BENCH.request(adapter))
    (call,) = standin.calls
    assert call.form["MessagingServiceSid"] == SERVICE
    assert "From" not in call.form
    assert call.headers["authorization"] == "Basic U0sxMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTpnZWhlaW0="


@pytest.mark.parametrize(
    "changed",
    [
        {"messaging_service_sid": SERVICE},  # both
        {"sender": ""},  # neither
        {"sender": "Landratsamt MTK"},  # more than 11 characters
        {"sender": "0151234567"},
        {"sender": "MTK-Info"},  # no dash in a name
        {"account_sid": "AC1"},
        {"auth_token": ""},
        {"previous_auth_token": ""},
        {"api_key": "SK" + "1" * 32},  # without its secret
        {"base_url": "http://api.example"},
        {"signature": "NONE"},
    ],
)
def test_settings_that_stop_the_start(changed: dict[str, Any]):
    """B-S2, B-S3: exactly one sender of a possible form, whole credentials, TLS, a known signature."""
    with pytest.raises(ValidationError):
        BENCH.built(**changed)


@pytest.mark.parametrize(
    ("text", "fits"), [("ß" * 459, True), ("ß" * 460, False), ("ş" * 268, True), ("ş" * 269, False), ("", False)]
)
def test_three_parts_or_four(text: str, *, fits: bool):
    """B-S1: at most three parts, four in UCS-2; nothing is cut."""
    if fits:
        assert BENCH.request(BENCH.built(), text).form["body"] == text
        return
    with pytest.raises(Unsupported, match="text"):
        BENCH.request(BENCH.built(), text)


@pytest.mark.parametrize(("valid_s", "said"), [(1, 1), (36_000, 36_000), (90_000, 36_000)])
def test_validity(valid_s: int, said: int):
    """B-S7: a message that is useless later does not arrive later; the provider's ceiling is kept."""
    assert BENCH.request(BENCH.built(), valid_s=valid_s).form["validity_period"] == said
    with pytest.raises(Unsupported, match="valid_s"):
        BENCH.request(BENCH.built(), valid_s=0)


def test_buttons_are_refused():
    """B-S2: an SMS has no buttons; the core has to say them as links."""
    with pytest.raises(Unsupported, match="buttons"):
        BENCH.request(BENCH.built(), buttons=(Button("a", "Ja"),))


def test_other_countries_by_switch():
    """B-S4: mobile numbers of another country only where the settings name it."""
    with pytest.raises(AddressInvalid, match="country"):
        BENCH.built().address_of("+43 664 1234567")
    assert BENCH.built(countries=(49, 43)).address_of("+43 664 1234567").value == "+436641234567"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(400, {"code": 21610, "message": "opted out", "status": 400}), OptedOut),
        (Reply(400, {"code": 21211, "message": "x", "status": 400}), AddressRefused),
        (Reply(400, {"type": "t", "title": "x", "status": 400, "code": 21614, "detail": "x"}), AddressRefused),
        (Reply(429, {"code": 20429, "message": "x", "status": 429}, {"Retry-After": "7"}), Throttled),
        (Reply(500, {"code": 20500, "message": "x", "status": 500}), Unavailable),
        (Reply(502, {"code": 20500, "message": "x", "status": 502}), Unavailable),
        (Reply(400, {"message": "no code"}), Refused),
        (Reply(400, []), Refused),
        (Reply(201, []), Uncertain),
        (Reply(201, {}), Uncertain),
        (Reply(201, {"sid": None, "status": "queued"}), Uncertain),
        (Reply(201, {"sid": "SM1", "status": "failed", "error_code": 30005}), AddressRefused),
    ],
)
async def test_answers(reply: Reply, expected: type[ChannelError]):
    """Each shape of answer, old and RFC 9457, over the wire and through the SDK, becomes its class."""
    async with BENCH.playing(Act.ACCEPT) as (adapter, standin):
        standin.reply = reply
        with pytest.raises(ChannelError) as caught:
            await adapter.send(BENCH.request(adapter))
    assert type(caught.value) is expected
    assert caught.value.retry_after_s == (7.0 if expected is Throttled else None)


@pytest.mark.parametrize(
    ("status", "code", "fact", "word"),
    [
        ("queued", "", Fact.SUBMITTED, ""),
        ("sent", "", Fact.SUBMITTED, ""),
        ("delivered", "", Fact.DELIVERED, ""),
        ("read", "", Fact.DELIVERED, ""),  # not a fact of SMS
        ("undelivered", "30003", Fact.FAILED, "not_reachable"),
        ("undelivered", "30004", Fact.FAILED, "blocked_or_filtered"),
        ("failed", "30007", Fact.FAILED, "filtered"),
        ("failed", "", Fact.FAILED, "failed_without_code"),
        ("failed", "neu", Fact.FAILED, "failed_without_code"),
        ("canceled", "", Fact.FAILED, "failed_without_code"),
    ],
)
def test_receipts(status: str, code: str, fact: Fact, word: str):
    """Each status is a fact; a failure says which, and each status of a message has an id of its own."""
    (receipt,) = BENCH.built().decode(Tapes().status(status, ErrorCode=code))
    assert (receipt.fact, receipt.key, receipt.error.code if receipt.error else "") == (fact, KEY, word)
    assert receipt.event_id.endswith(f":{status}")


def test_an_unknown_status_says_nothing():
    """A status of tomorrow is no error and no event."""
    assert BENCH.built().decode(Tapes().status("teleported")) == ()


def test_the_text_of_a_person_is_kept_as_it_is():
    """Trailing blanks, RTL marks and stop words in German arrive unchanged."""
    (event,) = BENCH.built().decode(Tapes().text_hook(" STOPP \u202e "))
    assert (event.kind, event.text, event.sender.value) == (Kind.TEXT, " STOPP \u202e ", "+4915123456789")
