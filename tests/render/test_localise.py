"""Dates, weekdays, months and numbers in the languages of the texts."""

from __future__ import annotations

import ast
import subprocess
import sys
import unicodedata

import pytest

from gateway.domain.content import MONTHS, WEEKDAYS
from gateway.render.localise import localise

LANGUAGES = (
    "de",
    "de-leicht",
    "en",
    "tr",
    "uk",
    "ru",
    "ar",
    "fa",
    "prs",
    "ps",
    "ku",
    "kmr",
    "ti",
    "so",
    "ro",
    "bg",
    "pl",
    "fr",
)
SHOWN = [
    ("date", "2027-03-16", "de", "", "16.03.2027"),
    ("date", "2027-03-16", "de-leicht", "", "16.03.2027"),
    ("date", "2027-03-04", "en", "", "4 Mar 2027"),
    ("date", "2027-03-16", "tr", "", "16.03.2027"),
    ("date", "2027-03-16", "ar", "", "16.03.2027"),
    ("date", "2027-03-16", "de", "long", "16. März 2027"),
    ("date", "2027-03-16", "en", "long", "16 March 2027"),
    ("date", "2027-03-16", "de", "short", "16.03.2027"),
    ("weekday", "Dienstag", "de", "", "Dienstag"),
    ("weekday", "Dienstag", "en", "", "Tuesday"),
    ("weekday", "Dienstag", "tr", "", "Salı"),  # noqa: RUF001  # Turkish
    ("weekday", "Dienstag", "uk", "", "вівторок"),
    ("weekday", "Dienstag", "ar", "", "الثلاثاء"),
    ("weekday", "Sonntag", "en", "", "Sunday"),
    ("month", "April", "tr", "", "Nisan"),
    ("month", "März", "uk", "", "березень"),
    ("time", "9:05", "ar", "", "9:05"),
    ("integer", "12500", "de", "grouped", "12.500"),
    ("integer", "12500", "en", "grouped", "12,500"),
    ("integer", "12500", "de", "", "12500"),
    ("text", "Dienstag", "en", "", "Dienstag"),
    ("url", "https://x.example/", "ar", "", "https://x.example/"),
    ("weekday", "Dienstag", "xxx", "", "Dienstag"),
]


@pytest.mark.parametrize(("kind", "value", "language", "form", "shown"), SHOWN)
def test_a_value_reads_as_its_language_writes_it(kind: str, value: str, language: str, form: str, shown: str):
    """A-28: a weekday is translated, a text is not; German stays German; an unknown language gets German."""
    assert localise(kind, value, language, form) == shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_plain_names(language: str):
    """No name carries bidi or other control characters beyond a joiner, and digits stay Western."""
    shown = [localise("weekday", one, language) for one in WEEKDAYS] + [
        localise("month", one, language) for one in MONTHS
    ]
    shown += [localise("date", "2027-09-28", language, form) for form in ("", "long")]
    assert len(set(shown[:7])) == 7
    assert len(set(shown[7:19])) == 12
    for one in shown:
        assert not [each for each in one if unicodedata.category(each) in {"Cc", "Cf"} and each != "\u200c"]
        assert not [each for each in one if each.isdigit() and not each.isascii()]


def test_names_do_not_depend_on_what_was_asked_before():
    """A fresh process that has loaded one language says the same: babel's shared data does not leak between them."""
    here = {one: localise("weekday", "Dienstag", one) for one in LANGUAGES}
    script = (
        "from gateway.render.localise import localise\n"
        f"print({{one: localise('weekday', 'Dienstag', one) for one in reversed({LANGUAGES!r})}})"
    )
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout
    assert ast.literal_eval(there) == here
