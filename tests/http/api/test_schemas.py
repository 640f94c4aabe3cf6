"""What callers may send: limits at their edges, times with an offset, and no repr that tells an address."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.domain.errors import Invalid
from gateway.domain.model import Lane
from gateway.http.api import fields
from gateway.http.api.schemas import ConsentGiven, NotificationBody, RecipientBody, idempotency_key


def refused(kind: Any, value: Any) -> bool:
    """Tell whether a field of this kind refuses the value."""
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return True
    return False


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        (None, "idempotency_key_missing"),
        ("", "idempotency_key_missing"),
        ("a b", "idempotency_key_invalid"),
        ("schlüssel", "idempotency_key_invalid"),
        ("a\x7f", "idempotency_key_invalid"),
        ("k" * 256, "idempotency_key_invalid"),
    ],
)
def test_a_wrong_idempotency_key_is_told_apart_from_none(shown: str | None, code: str):
    """Missing and malformed keys have problems of their own, because the remedies differ."""
    with pytest.raises(Invalid) as caught:
        idempotency_key(shown)
    assert caught.value.code == code


def test_an_idempotency_key_is_taken_as_it_is():
    """1 and 255 visible ASCII characters are keys."""
    assert idempotency_key("!") == "!"
    assert idempotency_key("~" * 255) == "~" * 255


@pytest.mark.parametrize(
    "wrong",
    [
        "2027-01-01",
        "2027-01-01T10:00:00",
        "2027-13-01T10:00:00Z",
        "2027-02-30T10:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "1999-12-31T23:59:59Z",
        "1700000000",
        1700000000,
        None,
        "",
    ],
)
def test_times_without_an_offset_or_sense_are_refused(wrong: object):
    """Naive, impossible, absurd and numeric times are refused instead of guessed or breaking arithmetic."""
    assert refused(fields.Moment, wrong)


def test_times_become_utc():
    """An offset is honoured, and what is kept is UTC."""
    read = TypeAdapter(fields.Moment).validate_python
    assert read("2027-03-16T10:30:00+01:00") == datetime(2027, 3, 16, 9, 30, tzinfo=UTC)
    assert read("2027-03-16t09:30z").tzinfo is UTC


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (fields.RecipientId, ["P-1", "mtk:4711", "a" * 100], ["", "a" * 101, "a@b.de", "+49155", "a/b", "a b", "ä"]),
        (fields.ChannelName, ["sms", "e_2"], ["", "SMS", "a-b", "a" * 41, "1a", "sms\n"]),
        (fields.Language, ["de", "de-leicht", "de-x-leicht", "pt-BR"], ["", "DE", "de_DE", "d", "de-" + "a" * 33]),
        (fields.Line, ["portal", "ä" * 100], ["", "a\x00b", "a\nb", "a" * 101]),
        (fields.TemplateKey, ["termin_hinweis"], ["", "../x", "Termin", "a" * 101]),
        (fields.Value, ["", "a\nb", 0, -5, "a" * 2000], [True, 1.5, None, [], {}, "a\x00", "a" * 2001, 2**53]),
        (fields.Channels, [["a", "b"], []], [["a", "a"], list("abcdefghijk"), "a"]),
    ],
)
def test_fields_have_their_limits(kind: Any, good: list[Any], bad: list[Any]):
    """Each kind of field takes what stands at its edge and refuses what lies beyond; NUL gets nowhere."""
    assert [value for value in good if refused(kind, value)] == []
    assert [value for value in bad if not refused(kind, value)] == []


def test_nothing_sent_is_in_a_repr():
    """Bodies are shown by their class only: they would end up in logs and tracebacks otherwise."""
    body = NotificationBody.model_validate_json(
        b'{"template":"t","recipient":{"id":"p","contact_points":[{"channel":"sms","address":"+4915550100001"}]},'
        b'"variables":{"link":"geheim"}}'
    )
    shown = f"{body!r} {body} {body.recipient!r} {body.posted('k')!r}"
    assert "+49155" not in shown
    assert "geheim" not in shown


def test_a_body_becomes_the_verbs_shape():
    """Every field of a notification and its recipient arrives where the verb looks for it."""
    body = NotificationBody.model_validate_json(
        b'{"template":"t","priority":"bulk","channels":["sms"],"reference":"r","variables":{"n":3},'
        b'"send_at":"2027-01-01T00:00:00Z","expires_at":"2027-01-02T00:00:00Z","recipient":{"id":"p","birth_year":2008,'
        b'"language":"tr","preferred_channels":["sms","email"],"contact_points":[{"channel":"sms","address":"+49155",'
        b'"verified_at":"2026-01-01T00:00:00Z","verified_how":"desk"}]}}'
    )
    posted = body.posted("key-1")
    assert (posted.idempotency_key, posted.template, posted.priority) == ("key-1", "t", Lane.BULK)
    assert (posted.channels, posted.reference, dict(posted.variables)) == (("sms",), "r", {"n": 3})
    assert posted.expires_at == datetime(2027, 1, 2, tzinfo=UTC)
    person = posted.recipient
    assert (person.language, person.birth_year, person.preferred_channels) == ("tr", 2008, ("sms", "email"))
    assert person.contact_points is not None
    assert (person.contact_points[0].address, person.contact_points[0].verified_how) == ("+49155", "desk")
    assert b"key-1" not in posted.body


def test_what_is_left_out_stays_as_it_is():
    """None, not an empty list, stands for a field that was not sent: a PUT changes only what it names."""
    posted = RecipientBody.model_validate_json(b"{}").posted("p")
    assert posted.bare
    assert RecipientBody.model_validate_json(b'{"contact_points": []}').posted("p").contact_points == ()


@pytest.mark.parametrize("field", ["text_version", "text_hash", "language", "source", "actor", "given_at"])
def test_a_consent_needs_its_proof(field: str):
    """A consent without one of the facts that prove it is refused (A-04)."""
    whole = {
        "text_version": "v1",
        "text_hash": "sha256:00",
        "language": "de",
        "source": "portal",
        "actor": "portal",
        "given_at": "2026-11-01T10:00:00Z",
    }
    assert not refused(ConsentGiven, whole)
    assert refused(ConsentGiven, {name: value for name, value in whole.items() if name != field})
