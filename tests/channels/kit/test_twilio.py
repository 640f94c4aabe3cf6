"""Twilio's webhooks are verified with every known trap, and its exceptions become one class each (platforms: 6)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import inspect
import json
from urllib.parse import urlencode

import pytest
import twilio.base.exceptions
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.request_validator import RequestValidator

from channels.conformance.bench import CALLBACK, NOW, Bench, StillClock
from channels.kit.contract import Fact, WebhookRequest
from channels.kit.errors import (
    AddressRefused,
    CertificateRefused,
    ChannelError,
    Forged,
    MaybeSent,
    Misconfigured,
    NotSent,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
)
from channels.kit.http import Head
from channels.kit.twilio import translate
from channels.sms_twilio import SmsTwilio
from gateway.egress import Http
from tests.channels.providers import ACCOUNT, TOKEN, TwilioStandin

FORM = "application/x-www-form-urlencoded"
FIELDS = {"AccountSid": ACCOUNT, "Body": "Hallo, Zoë ☂ ", "From": "+4915123456789", "FromCity": "", "MessageSid": "SM1"}


def adapter(**changed: object) -> SmsTwilio:
    """Return the SMS adapter, which reaches nobody."""
    options = SmsTwilio.Options(**{**TwilioStandin().options(), **changed})
    return SmsTwilio(options, http=Http(), clock=StillClock())


def call(body: bytes, signature: str, *, url: str = CALLBACK, kind: str = FORM) -> WebhookRequest:
    """Return a raw call."""
    headers = {"x-twilio-signature": signature, "content-type": kind}
    return WebhookRequest(method="POST", url=url, headers=headers, body=body, received_at=NOW)


def signed(fields: object = None, url: str = CALLBACK, algorithm: str = "HMAC_SHA1") -> str:
    """Return the right signature, by the SDK's own signer."""
    return RequestValidator(TOKEN).compute_signature(url, FIELDS if fields is None else fields, algorithm)


def test_the_published_vector():
    """The provider's published example signs as published: the algorithm here is the real one."""
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+12349013030",
        "Digits": "1234",
        "From": "+12349013030",
        "To": "+18005551212",
    }
    published = "0/KCTR6DLpKmkAf8muzZqo1nDgQ="
    text = url + "".join(name + fields[name] for name in sorted(fields))
    assert base64.b64encode(hmac.digest(b"12345", text.encode(), hashlib.sha1)).decode() == published
    with pytest.raises(Forged, match="account"):  # the signature is right; it is not a call for this account
        adapter(auth_token="12345").verify(call(urlencode(fields).encode(), published, url=url))


@pytest.mark.parametrize(
    "url",
    ["https://gateway.example:443/webhooks/account", "https://gateway.example:8443/webhooks/account", CALLBACK],
)
def test_ports_do_not_matter(url: str):
    """Twilio signs with or without the port: both pass, on whatever port we listen."""
    adapter().verify(call(urlencode(FIELDS).encode(), signed(), url=url))


@pytest.mark.parametrize(
    ("body", "url"),
    [
        (urlencode({**FIELDS, "Body": "Hallo, Zoë ☂"}), CALLBACK),  # stripped
        (urlencode({**FIELDS, "Body": "Hallo, Zoe\u0308 ☂ "}), CALLBACK),  # normalised
        (urlencode({name: value for name, value in FIELDS.items() if value}), CALLBACK + "x"),
        (urlencode(FIELDS), CALLBACK.replace("https", "http")),
        (urlencode(FIELDS), CALLBACK.replace("gateway.example", "10.0.0.1")),
        (urlencode(FIELDS), CALLBACK + "/"),
        (urlencode(FIELDS), CALLBACK + "?mid=1"),
        (urlencode(FIELDS) + "&Body=zwei", CALLBACK),
        (urlencode(FIELDS) + "%ff", CALLBACK),
        (json.dumps(FIELDS), CALLBACK),
    ],
)
def test_whatever_was_changed_is_forged(body: str, url: str):
    """Stripping, normalising, another scheme, host, path or query, a repeated field, broken UTF-8: 403."""
    with pytest.raises(Forged):
        adapter().verify(call(body.encode(), signed(), url=url))


def test_repeated_and_blank_fields_are_signed_as_they_are():
    """A repeated field counts with all its values, and a blank one counts."""

    class Fields(dict[str, list[str]]):
        def getall(self, name: str) -> list[str]:
            return self[name]

    pairs = [*FIELDS.items(), ("MediaUrl0", "https://a.example"), ("MediaUrl0", "https://b.example")]
    fields = Fields({name: [value for one, value in pairs if one == name] for name, _ in pairs})
    hook = call(urlencode(pairs).encode(), signed(fields))
    adapter().verify(hook)
    flat = signed({**FIELDS, "MediaUrl0": "https://b.example"})
    with pytest.raises(Forged):
        adapter().verify(call(hook.body, flat))


def test_json_is_covered_or_forged():
    """A JSON body passes only if the signed URL carries its hash; without, nothing protects it."""
    body = b'{"a": "\xc3\xa4"}'
    url = f"{CALLBACK}?bodySHA256={hashlib.sha256(body).hexdigest()}"
    adapter().verify(call(body, signed({}, url), url=url, kind="application/json"))
    for forged in (
        call(body + b" ", signed({}, url), url=url, kind="application/json"),
        call(body, signed({}, CALLBACK), url=CALLBACK, kind="application/json"),
        call(body, signed({}, CALLBACK), url=CALLBACK, kind=""),
    ):
        with pytest.raises(Forged):
            adapter().verify(forged)


def test_the_settings_choose_the_algorithm():
    """A call cannot choose the weaker signature by its own header."""
    strict, body = adapter(signature="HMAC_SHA256"), urlencode(FIELDS).encode()
    strict.verify(call(body, signed(algorithm="HMAC_SHA256")))
    weak = call(body, signed())
    with pytest.raises(Forged):
        strict.verify(weak)
    with pytest.raises(Forged):
        adapter().verify(call(body, signed(algorithm="HMAC_SHA256")))


def test_another_account_is_forged():
    """A call signed with our token for another account, or one whose fields were moved into the URL, is not ours."""
    other = {**FIELDS, "AccountSid": "AC" + "f" * 32}
    moved = {name: value for name, value in FIELDS.items() if name != "AccountSid"}
    for fields, url in ((other, CALLBACK), (moved, f"{CALLBACK}AccountSid{ACCOUNT}")):
        with pytest.raises(Forged):
            adapter().verify(call(urlencode(fields).encode(), signed(fields, url), url=url))


def test_a_large_body_is_only_slow():
    """More than 64 kB is verified like anything else."""
    fields = {**FIELDS, "Body": "ä" * 100_000}
    hook = call(urlencode(fields).encode(), signed(fields))
    adapter().verify(hook)
    with pytest.raises(Forged):
        adapter().verify(call(hook.body[:-1], signed(fields)))


def test_a_callback_carries_our_key():
    """The key travels in StatusCallback and comes back in the receipt, whatever it is made of."""
    key = "a b&c=ü/ß"
    asked = adapter()
    to = asked.address_of("+4915123456789")
    request = asked.encode(Bench().message("x"), to, key=key, callback_url=f"{CALLBACK}?a=1")
    body = urlencode({"MessageSid": "SM1", "MessageStatus": "delivered"}).encode()
    (receipt,) = asked.decode(call(body, "", url=request.form["status_callback"]))
    assert (receipt.key, receipt.fact, receipt.provider_id) == (key, Fact.DELIVERED, "SM1")


SDK = {
    TwilioException: (TwilioException("x"), None, Misconfigured),
    TwilioRestException: (TwilioRestException(400, "/", "x", 21211), Head(400, {}), AddressRefused),
    TwilioServiceException: (TwilioServiceException("t", "x", 400, 21211), Head(400, {}), AddressRefused),
}


def test_every_exception_of_the_sdk_is_known():
    """A new exception class of the SDK must get a row here, and each row becomes exactly its class."""
    found = {
        one
        for _, one in inspect.getmembers(twilio.base.exceptions, inspect.isclass)
        if one.__module__ == twilio.base.exceptions.__name__
    }
    assert found == set(SDK)
    for exc, head, expected in SDK.values():
        assert type(translate(exc, head, StillClock())) is expected


@pytest.mark.parametrize(
    ("exc", "status", "headers", "expected"),
    [
        (TwilioRestException(503, "/", "x", 503), 503, {}, Unavailable),
        (TwilioRestException(502, "/", "x", 502), 502, {}, Uncertain),
        (TwilioRestException(502, "/", "x", 20500), 502, {}, Unavailable),
        (TwilioRestException(401, "/", "x", 401), 401, {}, Misconfigured),
        (TwilioRestException(404, "/", "x", 20404), 404, {}, Misconfigured),
        (TwilioRestException(302, "/", "x", 302), 302, {}, Misconfigured),
        (TwilioRestException(429, "/", "x", 20429), 429, {"retry-after": "7"}, Throttled),
        (TwilioRestException(400, "/", "x", 21999), 400, {}, Refused),
        (TwilioServiceException("t", "x", 429, 20429), 429, {"retry-after": "7"}, Throttled),
        (TwilioRestException(400, "/", "x", None), 400, {}, Refused),
        (json.JSONDecodeError("x", "y", 0), 201, {}, Uncertain),
        (AttributeError("list has no get"), 201, {}, Uncertain),
        (NotSent("x"), None, {}, Unavailable),
        (MaybeSent("x"), None, {}, Uncertain),
        (CertificateRefused("x"), None, {}, Misconfigured),
    ],
)
def test_what_the_sdk_raises(exc: Exception, status: int | None, headers: dict[str, str], expected: type[ChannelError]):
    """Status, code and headers together decide; a code below 1000 is a status; an unreadable 2xx was created."""
    error = translate(exc, Head(status, headers) if status else None, StillClock())
    assert type(error) is expected
    assert error.retry_after_s == (7.0 if headers else None)
