"""Languages and values of a template version."""

from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.kit.contract import Confidentiality
from gateway.domain.content import (
    MONTHS,
    TYPES,
    WEEKDAYS,
    Content,
    Text,
    Variable,
    VariablesInvalid,
    canonical_variables,
    check_variables,
    choose_language,
    direction,
    language_tag,
    variables_schema,
)


def content(*variables: Variable, languages: tuple[str, ...] = ("de",)) -> Content:
    """Return a content with these variables and languages."""
    return Content(
        key="probe",
        title="Probe",
        event="",
        klass=Confidentiality.K1,
        purpose="dienst",
        whatsapp_category="utility",
        channels=("sms",),
        buttons=(),
        variables={one.name: one for one in variables},
        texts={one: Text(language=one, subject="x", message="x") for one in languages},
    )


def one(kind: str, value: object, max_length: int = 60) -> str:
    """Return the canonical form of one value."""
    return canonical_variables(content(Variable("x", kind, "", max_length)), {"x": value})["x"]


ALL = ("de", "de-leicht", "en", "ar")
CHOICES = {
    "de": ("de", False),
    "": ("de", False),
    "de-AT": ("de", False),
    "de-x-leicht": ("de-leicht", False),
    "de-leicht": ("de-leicht", False),
    "DE-X-LEICHT": ("de-leicht", False),
    "ar-SY": ("ar", False),
    "en_GB": ("en", False),
    "tr": ("de", True),
    "fa": ("de", True),
}


@pytest.mark.parametrize(("wanted", "chosen"), list(CHOICES.items()))
def test_a_language_is_found_by_tag_or_key_else_german(wanted: str, chosen: tuple[str, bool]):
    """A-28: regions are dropped, the fall-back goes straight to German and says so."""
    assert choose_language(content(languages=ALL), wanted) == chosen


def test_easy_german_falls_back_to_german():
    """Without an easy text the original is used, and that is a fall-back."""
    assert choose_language(content(languages=("de", "en")), "de-x-leicht") == ("de", True)


def test_keys_become_tags_and_directions():
    """A-27, A-28: the file's key is not what stands in `lang`."""
    assert [(language_tag(key), direction(key)) for key in ALL] == [
        ("de", "ltr"), ("de-x-leicht", "ltr"), ("en", "ltr"), ("ar", "rtl"),
    ]  # fmt: skip


CANONICAL = [
    ("date", "16.03.2027", "2027-03-16"),
    ("date", "2027-03-16", "2027-03-16"),
    ("time", "09:05", "9:05"),
    ("time", "9", "9"),
    ("time", "23:59", "23:59"),
    ("integer", 10, "10"),
    ("integer", "007", "7"),
    ("integer", 0, "0"),
    ("weekday", "Dienstag", "Dienstag"),
    ("month", "März", "März"),
    ("url", "https://info.example/n/k3Vq8ZtA?x=1#y", "https://info.example/n/k3Vq8ZtA?x=1#y"),
    ("phone", "+49 6192 201-0", "+49 6192 201-0"),
    ("code", "A-7F3K", "A-7F3K"),
    ("text", "  Hofheim, Raum 2.14 ", "Hofheim, Raum 2.14"),
    ("text", "Mu\u0308nchen", "München"),
    ("text", "<b>&", "<b>&"),
    ("text", "**x** [a](b) _x_ {{ y }}", "**x** [a](b) _x_ {{ y }}"),
    ("text", "und/oder z.B. Haus 3.Stock #1", "und/oder z.B. Haus 3.Stock #1"),
]


@pytest.mark.parametrize(("kind", "given_", "wanted"), CANONICAL)
def test_values_have_one_form(kind: str, given_: object, wanted: str):
    """The form that is stored and rendered; a canonical value stays as it is."""
    assert one(kind, given_) == wanted
    assert one(kind, wanted) == wanted


REFUSED = [
    ("date", "30.02.2027", "no_such_date"),
    ("date", "16.3.27", "wrong_format"),
    ("date", "morgen", "wrong_format"),
    ("date", 20270316, "wrong_type"),
    ("time", "24:00", "wrong_format"),
    ("time", "9:5", "wrong_format"),
    ("integer", True, "wrong_type"),
    ("integer", 1.5, "wrong_type"),
    ("integer", "-1", "wrong_format"),
    ("integer", "\u0663", "wrong_format"),
    ("weekday", "dienstag", "wrong_format"),
    ("weekday", "Tuesday", "wrong_format"),
    ("month", "Jänner", "wrong_format"),
    ("url", "http://info.example/", "wrong_format"),
    ("url", "javascript:alert(1)", "wrong_format"),
    ("url", "https://a@b.example/", "wrong_format"),
    ("url", "https:///x", "wrong_format"),
    ("url", "https://b.example/ x", "wrong_format"),
    ("url", 'https://b.example/"', "wrong_format"),
    ("url", "https://b.example/<", "wrong_format"),
    ("url", "https://b\u00fccher.example/", "wrong_format"),
    ("url", "https://b.example:0/", "wrong_format"),
    ("url", "https://b.example:x/", "wrong_format"),
    ("url", "https://[::1/", "wrong_format"),
    ("phone", "ruf an", "wrong_format"),
    ("code", "A_7", "wrong_format"),
    ("code", "-A", "wrong_format"),
    ("text", "", "empty"),
    ("text", "   ", "empty"),
    ("text", None, "wrong_type"),
    ("text", ["x"], "wrong_type"),
    ("text", "x" * 61, "too_long"),
    ("text", "a     b", "wrong_format"),
    ("text", "eins\nzwei", "control_character"),
    ("text", "eins\r\nBcc: x", "control_character"),
    ("text", "a\tb", "control_character"),
    ("text", "\u202eabc", "control_character"),
    ("text", "a\u2069b", "control_character"),
    ("text", "a\u200bb", "control_character"),
    ("text", "a\u2028b", "control_character"),
    ("text", "a\ue000b", "control_character"),
    ("text", "a\x00b", "control_character"),
    ("text", "\ud800", "control_character"),
    ("text", "http://x", "link_in_text"),
    ("text", "www.x.y", "link_in_text"),
    ("text", "siehe bit.ly/abc", "link_in_text"),
    ("text", "boese.com", "link_in_text"),
    ("text", "an @jemand", "link_in_text"),
    ("text", "/start jetzt", "link_in_text"),
    ("text", "#Tag", "link_in_text"),
]


@pytest.mark.parametrize(("kind", "value", "code"), REFUSED)
def test_values_that_do_not_fit_are_refused(kind: str, value: object, code: str):
    """A-03, B-W6: types are strict, no line breaks, bidi controls or invisible characters, links only in url."""
    probe = content(Variable("x", kind, "", 60))
    assert [(fault.pointer, fault.code) for fault in check_variables(probe, {"x": value})] == [("/x", code)]


def test_unknown_and_missing_values_are_named_by_pointer():
    """A-03: an extra key such as `betrag` is refused, and pointers follow RFC 6901."""
    probe = content(Variable("ort", "text", "", 60))
    faults = check_variables(probe, {"betrag": "1", "a/b~c": "2"})
    assert [(fault.pointer, fault.code) for fault in faults] == [
        ("/betrag", "unknown_variable"), ("/a~1b~0c", "unknown_variable"), ("/ort", "missing_variable"),
    ]  # fmt: skip


def test_neither_details_nor_exceptions_show_a_value():
    """Values are personal: only fields and codes may reach logs and answers."""
    probe = content(*(Variable(kind, kind, "", 3) for kind in TYPES))
    values = dict.fromkeys(TYPES, "geheim\u200b1")
    with pytest.raises(VariablesInvalid) as caught:
        canonical_variables(probe, values)
    shown = f"{caught.value} {caught.value!r} {[fault.detail for fault in caught.value.problems]}"
    assert "geheim" not in shown


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2999, 12, 31)))
def test_both_ways_to_write_a_date_mean_the_same(day: date):
    """TT.MM.JJJJ and ISO 8601 have one canonical form."""
    assert one("date", f"{day:%d.%m.}{day.year:04}") == one("date", day.isoformat()) == day.isoformat()


@given(st.text(max_size=80))
def test_a_text_that_passes_is_printable_and_stays(value: str):
    """What check_variables lets through is one visible line within its length, in its final form."""
    probe = content(Variable("x", "text", "", 60))
    if not check_variables(probe, {"x": value}):
        shown = canonical_variables(probe, {"x": value})["x"]
        assert 0 < len(shown) <= 60
        assert shown.isprintable() or "\u00a0" in shown or any(one.isspace() for one in shown)
        assert shown.splitlines() == [shown]
        assert canonical_variables(probe, {"x": shown})["x"] == shown


def test_the_schema_says_what_the_check_says():
    """A client that validates by the schema is not surprised later: patterns agree, extra keys are refused."""
    schema = variables_schema(content(*(Variable(kind, kind, "x", 60, "Feld") for kind in TYPES)))
    assert schema["additionalProperties"] is False
    assert schema["required"] == list(TYPES)
    properties = schema["properties"]
    for kind, value, _ in CANONICAL:
        shape = properties[kind]
        assert re.search(shape.get("pattern", ""), str(value))
        assert str(value) in shape.get("enum", [str(value)])
    for kind, value in (
        ("date", "16.3.27"),
        ("time", "24:00"),
        ("url", "http://x/"),
        ("code", "A_7"),
        ("text", "a\nb"),
    ):
        assert not re.search(properties[kind]["pattern"], value)
    assert properties["weekday"]["enum"] == list(WEEKDAYS)
    assert properties["month"]["enum"] == list(MONTHS)
    assert properties["text"] | {"maxLength": 60, "minLength": 1, "title": "Feld"} == properties["text"]
    assert properties["integer"]["type"] == ["string", "integer"]
