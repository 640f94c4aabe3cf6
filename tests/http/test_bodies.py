"""Bodies: read within their limit, before parsing; and nothing of what was sent comes back in an error."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.requests import Request

from gateway.domain.errors import CallerError, Invalid
from gateway.http import bodies
from gateway.http.api.schemas import NotificationBody, RecipientItem

SECRET = "Mustermann"


def request(parts: Sequence[bytes], headers: dict[str, str] | None = None) -> Request:
    """Return a request whose body comes in these parts; a body without parts never comes."""
    sent = list(parts)

    async def receive() -> dict[str, Any]:
        if not sent:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": sent.pop(0), "more_body": bool(sent)}

    pairs = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "headers": pairs}, receive)


def faults_of(raw: bytes, model: type[Any] = NotificationBody) -> dict[str, str]:
    """Return the faults of a body as pointer -> code, after making sure that nothing of the input is in them."""
    with pytest.raises(Invalid) as caught:
        bodies.parse(model, raw)
    assert caught.value.__cause__ is None
    assert SECRET not in repr(caught.value) + str(caught.value.faults) + caught.value.detail
    return {fault.pointer: fault.code for fault in caught.value.faults}


async def test_a_body_is_read_in_parts():
    """The parts of a chunked body are put together in order."""
    assert await bodies.read(request([b"ab", b"c"]), 3) == b"abc"


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "2"}])
async def test_a_chunked_body_over_the_limit_is_refused_at_the_limit(headers: dict[str, str]):
    """The bytes that come are counted, whatever Content-Length says; the rest is not read."""
    asked = request([b"x" * 6, b"x" * 6, b"never read"], headers)
    with pytest.raises(CallerError) as caught:
        await bodies.read(asked, 10)
    assert caught.value.code == "body_too_large"
    assert (await asked.receive())["body"] == b"never read"


async def test_a_stated_length_over_the_limit_is_refused_unread():
    """Not one byte is read of a body that says it is too large."""
    asked = request([b"first"], {"Content-Length": "11"})
    with pytest.raises(CallerError, match="10 bytes"):
        await bodies.read(asked, 10)
    assert (await asked.receive())["body"] == b"first"


async def test_a_body_that_never_comes_is_given_up():
    """A caller who sends no body cannot hold a connection for longer than the deadline."""
    with pytest.raises(CallerError) as caught:
        await bodies.read(request([]), 10, deadline_s=0.01)
    assert caught.value.code == "body_too_slow"


async def test_compressed_bodies_are_refused():
    """A small body that unpacks to a large one cannot get past the limit, because none is unpacked."""
    with pytest.raises(CallerError) as caught:
        await bodies.read(request([b"x"], {"Content-Encoding": "gzip"}), 10)
    assert caught.value.code == "unsupported_media_type"


@pytest.mark.parametrize("stated", ["text/plain", "", "application/x-www-form-urlencoded"])
async def test_only_json_is_taken(stated: str):
    """A form post from a browser, which needs no consent of the same-origin rules, is not read as JSON."""
    with pytest.raises(CallerError) as caught:
        await bodies.read_json(request([b"{}"], {"Content-Type": stated}), NotificationBody, 10)
    assert caught.value.code == "unsupported_media_type"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff",
        b'{"template": "\\ud800"}',
        b"[" * 100_000,
        b'{"a": 1' + b"0" * 6000 + b"}",
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_is_not_json_is_said_to_be_malformed(raw: bytes):
    """Broken, deep and absurd JSON ends in one plain problem, for one item and for an array of them."""
    with pytest.raises(Invalid) as one:
        bodies.parse(NotificationBody, raw)
    assert one.value.code == "malformed_json"


@pytest.mark.parametrize("raw", [b"", b"[", b"[" * 100_000, b"[1," + b"[" * 50_000 + b"]" * 50_001, b"[{}] []"])
def test_an_array_that_is_not_json_is_said_to_be_malformed(raw: bytes):
    """The same for the array around the items of a batch."""
    with pytest.raises(Invalid) as many:
        bodies.split(raw, bodies.JSON)
    assert many.value.code == "malformed_json"


def test_a_batch_is_an_array_or_lines():
    """Both forms give the same items; blank lines are no items; the object that a client forgot to wrap is named."""
    assert bodies.split(b'[{"a": 1}, {"b": [2]}]', bodies.JSON) == [b'{"a": 1}', b'{"b": [2]}']
    assert bodies.split(b'{"a": 1}\n\n{"b": [2]}\r\n', bodies.NDJSON) == [b'{"a": 1}', b'{"b": [2]}\r']
    with pytest.raises(Invalid) as caught:
        bodies.split(b"{}", bodies.JSON)
    assert caught.value.faults[0].code == "wrong_type"


@pytest.mark.parametrize("count", [0, 10_001])
def test_a_batch_has_its_size(count: int):
    """1 to 10,000 items."""
    raw = b"[" + b",".join([b"{}"] * count) + b"]"
    with pytest.raises(Invalid) as caught:
        bodies.split(raw, bodies.JSON)
    assert caught.value.code == "batch_size"
    assert len(bodies.split(b"{}\n" * 10_000, bodies.NDJSON)) == 10_000


def test_every_field_at_fault_is_named_by_its_pointer():
    """All faults of a body come at once, each with a pointer after RFC 6901 and a code of ours (A-03)."""
    raw = (
        b'{"template": 7, "recipient": {"id": "Mustermann@example.org", "contact_points": [{"channel": "sms"}]},'
        b' "variables": {"datum": ["Mustermann"]}, "send_at": "2027-01-01T10:00", "betrag": "Mustermann",'
        b' "channels": ["sms", "sms"], "priority": "Mustermann"}'
    )
    assert faults_of(raw) == {
        "/template": "wrong_type",
        "/recipient/id": "wrong_format",
        "/recipient/contact_points/0/address": "missing",
        "/variables/datum": "wrong_type",
        "/send_at": "no_offset",
        "/betrag": "unknown_field",
        "/channels": "repeated",
        "/priority": "not_one_of",
    }


def test_a_field_name_that_tells_something_is_not_repeated():
    """An address that was sent as a field's name does not come back: the pointer ends above it."""
    raw = b'{"template": "a", "recipient": {"id": "a"}, "variables": {"Mustermann@x.org": "1"}, "Mustermann@x.org": 1}'
    assert faults_of(raw) == {"/variables": "wrong_format", "": "unknown_field"}


def test_equal_requests_become_equal_bytes():
    """Order, white space, nulls and the offset of a time are not differences; a value is."""
    head = b'{"template":"a","send_at":"2027-01-01T10:00:00+01:00","recipient":'
    one = head + b'{"id":"p","language":null},"variables":{"x":1,"y":"2"}}'
    two = b'{ "variables": {"y": "2", "x": 1}, "send_at": "2027-01-01T09:00:00Z", "recipient": {"id": "p"}, '
    two += b'"template": "a" }'
    other = head + b'{"id":"p"},"variables":{"x":"1","y":"2"}}'
    bytes_of = [bodies.parse(NotificationBody, raw).posted().body for raw in (one, two, other)]
    assert bytes_of[0] == bytes_of[1] != bytes_of[2]


async def test_each_item_stands_for_itself():
    """A bad item becomes its own error in its own place."""
    parsed = await bodies.parse_each(RecipientItem, [b'{"id": "a"}', b"{", b'{"id": ""}'])
    assert isinstance(parsed[0], RecipientItem)
    assert [one.code for one in parsed[1:] if isinstance(one, CallerError)] == ["malformed_json", "invalid"]
