"""Localise one canonical value: dates, weekdays, months, times and numbers in the language of the text.

Digits stay Western and hours run from 0 to 23 in every language, as on the letters and door signs the person sees.
Escaping is the looks' work. Source of names and patterns: Unicode CLDR through babel.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_decimal

from gateway.domain.content import MONTHS, WEEKDAYS

_LOCALES = {"de-leicht": "de", "en": "en_GB", "kmr": "ku", "prs": "fa_AF"}
# Day, month, year in digits are what every letter shows; in English 03/04 is ambiguous, so the month is a word there.
_SHORT = {"en": "d MMM y"}
_NUMERIC = "dd.MM.y"
_SPACES = str.maketrans({"\u202f": " ", "\u00a0": " ", "\u200e": "", "\u200f": ""})


@lru_cache(maxsize=8192)
def localise(kind: str, value: str, key: str, form: str = "") -> str:
    """Return ``value`` of a variable's type ``kind`` as the text ``key`` shows it.

    value: canonical (gateway.domain.content.canonical_variables). form: "" or what a filter asked for ("long" date,
    "grouped" number). Types without a local form come back unchanged.
    """
    if kind == "date":
        pattern = "long" if form == "long" else _SHORT.get(key, _NUMERIC)
        return format_date(date.fromisoformat(value), pattern, locale=_locale(key)).translate(_SPACES)
    if kind == "weekday":
        return format_date(date(2024, 1, 1 + WEEKDAYS.index(value)), "EEEE", locale=_locale(key)).translate(_SPACES)
    if kind == "month":
        return format_date(date(2024, 1 + MONTHS.index(value), 1), "LLLL", locale=_locale(key)).translate(_SPACES)
    if kind == "integer" and form == "grouped":
        return format_decimal(int(value), locale=_locale(key), numbering_system="latn").translate(_SPACES)
    return value


@lru_cache(maxsize=64)
def _locale(key: str) -> Locale:
    """Return babel's locale for the key of a text; German where CLDR has none."""
    try:
        return Locale.parse(_LOCALES.get(key, key))
    except (UnknownLocaleError, ValueError):
        return Locale.parse("de")
