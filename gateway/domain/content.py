"""The content of one template version: its texts, variables and class, as plain values, and the rules for values.

Reading TOML is gateway.render.catalogue's, rendering is gateway.render's. File format: docs/templates.md.
Standards: RFC 5646 (language tags), RFC 6901 (pointers), JSON Schema 2020-12.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from urllib.parse import urlsplit

from channels.kit.contract import Confidentiality
from gateway.domain.errors import Fault

Problem = Fault  # the same noun: one thing wrong at one place; ``detail`` also says what to do

ORIGINAL = "de"  # the language of every original, and the only fall-back
EASY_TAGS = {"de-leicht": "de-x-leicht"}  # file key -> BCP 47
RTL_LANGUAGES = frozenset({"ar", "fa", "prs", "ps", "ckb", "he", "ur"})
TYPES = ("text", "date", "time", "weekday", "month", "integer", "url", "phone", "code")
MAX_TEXT = 60  # short text
MAX_VALUE = 255  # B-W6: longest value of a provider-approved template

WEEKDAYS = ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag")
MONTHS = (
    *("Januar", "Februar", "März", "April", "Mai", "Juni"),
    *("Juli", "August", "September", "Oktober", "November", "Dezember"),
)


@dataclass(frozen=True, slots=True)
class Variable:
    """One typed placeholder. ``type``: text, date, time, weekday, month, integer, url, phone or code."""

    name: str
    type: str
    example: str
    max_length: int
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The words of one language. ``message`` is the source; ``email`` its longer form; ``channels`` overrides."""

    language: str  # key as in the file: "de", "de-leicht", "ar"
    subject: str
    message: str
    email: str = ""
    buttons: tuple[str, ...] = ()
    status: str = "entwurf"
    checked_by: str = ""
    checked_on: str = ""
    channels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Everything one version says: what ``templates/<key>.toml`` holds."""

    key: str
    title: str
    event: str
    klass: Confidentiality
    purpose: str
    whatsapp_category: str
    channels: tuple[str, ...]
    buttons: tuple[str, ...]
    variables: Mapping[str, Variable]
    texts: Mapping[str, Text]
    twin: str = ""
    twin_of: tuple[str, ...] = ()
    policy: str = "at_most_once"
    urgent: bool = False
    escalate_after_s: int = 0  # after so long without a word of delivery the next channel takes over; 0: never


class TemplateInvalid(Exception):
    """A template cannot be taken as it is. ``problems``: every mistake found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep the problems; the message lists them one a line."""
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{one.pointer}: {one.detail}" for one in self.problems))


class VariablesInvalid(Exception):
    """Values do not fit the template's variables. The message names fields, never values."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep the problems; the message lists pointers and codes only."""
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{one.pointer}: {one.code}" for one in self.problems))


def language_tag(key: str) -> str:
    """Return the BCP 47 tag for the key of a text: ``de-leicht`` is ``de-x-leicht``."""
    return EASY_TAGS.get(key, key)


def direction(key: str) -> str:
    """Return "rtl" or "ltr" for the key of a text."""
    return "rtl" if key.partition("-")[0] in RTL_LANGUAGES else "ltr"


def choose_language(content: Content, wanted: str) -> tuple[str, bool]:
    """Return the key of the text to use and whether it is not the wanted language (A-28).

    wanted: a BCP 47 tag or a file key, in any case; a region or script is dropped ("de-AT" is "de"). "" wants the
    original. The fall-back goes straight to "de", never by way of English.
    """
    tag = wanted.strip().replace("_", "-").lower()
    if tag in EASY_TAGS or tag in EASY_TAGS.values():
        key = next(file_key for file_key, bcp47 in EASY_TAGS.items() if tag in (file_key, bcp47))
    else:
        key = tag.partition("-")[0] or ORIGINAL
    return (key, False) if key in content.texts else (ORIGINAL, True)


def check_variables(content: Content, variables: Mapping[str, object]) -> list[Problem]:
    """Return what is wrong with ``variables`` (A-03): unknown, missing, wrong type, too long. Details hold no value."""
    return _judge(content, variables)[1]


def canonical_variables(content: Content, variables: Mapping[str, object]) -> dict[str, str]:
    """Return the values as they are stored and rendered, in the order of the template's variables.

    Dates become ISO 8601 ("16.03.2027" is "2027-03-16"), times "H:MM" or a bare hour, whole numbers lose leading
    zeros, text is trimmed and NFC. Canonical values stay as they are. Raises VariablesInvalid.
    """
    values, problems = _judge(content, variables)
    if problems:
        raise VariablesInvalid(problems)
    return values


def variables_schema(content: Content) -> dict[str, object]:
    """Return the JSON Schema (2020-12) that a client can check its ``variables`` against before posting."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "required": list(content.variables),
        "properties": {name: _property(one) for name, one in content.variables.items()},
    }


def _judge(content: Content, variables: Mapping[str, object]) -> tuple[dict[str, str], list[Problem]]:
    """Return the canonical values and everything that is wrong."""
    values: dict[str, str] = {}
    problems = [
        Problem(_pointer(name), "unknown_variable", f"this template has no such variable; it has: {_names(content)}")
        for name in variables
        if name not in content.variables
    ]
    for name, variable in content.variables.items():
        if name not in variables:
            problems.append(Problem(_pointer(name), "missing_variable", f"give a value of type {variable.type}"))
            continue
        try:
            values[name] = _canonical(variable, variables[name])
        except _Unfit as exc:
            problems.append(Problem(_pointer(name), exc.code, exc.detail))
    return values, problems


def _names(content: Content) -> str:
    return ", ".join(content.variables) or "none"


def _pointer(name: str) -> str:
    return "/" + name[:80].replace("~", "~0").replace("/", "~1")


class _Unfit(Exception):
    def __init__(self, code: str, detail: str) -> None:
        self.code, self.detail = code, detail
        super().__init__(code)


def _canonical(variable: Variable, given: object) -> str:
    """Return the canonical form of one value, or raise _Unfit."""
    if variable.type == "integer" and isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    if not isinstance(given, str):
        raise _Unfit("wrong_type", "give a JSON string" + (" or a whole number" * (variable.type == "integer")))
    value = unicodedata.normalize("NFC", given.strip(" "))
    if not value:
        raise _Unfit("empty", "an empty value is not allowed; leave out the message or choose another template")
    if has_control(value):
        raise _Unfit("control_character", "remove line breaks, tabs, bidi controls and zero-width characters")
    value = _FORMS[variable.type](value)
    if len(value) > variable.max_length:
        raise _Unfit("too_long", f"at most {variable.max_length} characters")
    return value


def has_control(value: str, *, allowed: Collection[str] = ()) -> bool:
    """Tell whether ``value`` holds a control, format, private-use or unassigned character that is not ``allowed``."""
    if value.isascii() and value.isprintable():
        return False
    return any(unicodedata.category(one) in _CONTROL and one not in allowed for one in value)


_CONTROL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_GERMAN_DATE = re.compile(r"([0-9]{2})\.([0-9]{2})\.([0-9]{4})")
_ISO_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIME = re.compile(r"(?:[01]?[0-9]|2[0-3])(?::[0-5][0-9])?")
_INTEGER = re.compile(r"[0-9]+")
_PHONE = re.compile(r"\+?[0-9](?:[0-9 ()/-]*[0-9])")
_CODE = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")
_URL = re.compile(r"https://[!#$%&'()*+,./0-9:;=?@A-Z_a-z~-]+")
# What phones and messengers turn into a link of their own accord: addresses, mentions, hashtags and commands.
_LINK = re.compile(
    r"[a-z][a-z0-9+.-]*://|\bwww\.|(?<!\w)[@#][^\W\d]|(?<![\w/<>])/[^\W\d]|\b[\w-]+\.[a-z]{2,}/"
    r"|\b[\w-]+\.(?:app|at|be|biz|by|ch|cc|co|com|de|dev|edu|eu|fr|gg|gl|gov|info|io|is|it|link|ly|me|mobi|net|nl|online"
    r"|org|pl|ru|shop|site|to|top|tr|tv|ua|uk|us|xyz)\b",
    re.IGNORECASE,
)


def _date(value: str) -> str:
    if german := _GERMAN_DATE.fullmatch(value):
        value = f"{german[3]}-{german[2]}-{german[1]}"
    if not _ISO_DATE.fullmatch(value):
        raise _Unfit("wrong_format", "write the date as 16.03.2027 or 2027-03-16")
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise _Unfit("no_such_date", "this day does not exist in the calendar") from None


def _time(value: str) -> str:
    if not _TIME.fullmatch(value):
        raise _Unfit("wrong_format", "write the time as 9:05, 10:30 or a bare hour such as 9, from 0:00 to 23:59")
    hour, _, minute = value.partition(":")
    return f"{int(hour)}:{minute}" if minute else str(int(hour))


def _integer(value: str) -> str:
    if not _INTEGER.fullmatch(value):
        raise _Unfit("wrong_format", "write a whole number in digits, such as 10")
    return value.lstrip("0") or "0"


def is_https(value: str) -> bool:
    """Tell whether ``value`` is a whole https address in ASCII, without a user name."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return False
    return bool(_URL.fullmatch(value) and parts.hostname and "@" not in parts.netloc and port != 0)


def _url(value: str) -> str:
    if not is_https(value):
        raise _Unfit("wrong_format", "give a whole https address, such as https://info.example/n/k3Vq8ZtA")
    return value


def _text(value: str) -> str:
    if "     " in value:
        raise _Unfit("wrong_format", "at most four spaces in a row")
    if _LINK.search(value):
        raise _Unfit("link_in_text", "addresses, @names and #tags become links by themselves; use a url variable")
    return value


def _matching(pattern: re.Pattern[str], advice: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise _Unfit("wrong_format", advice)
        return value

    return check


def _one_of(names: Sequence[str], kind: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in names:
            raise _Unfit("wrong_format", f"write the German {kind} in full, such as {names[1]}")
        return value

    return check


_FORMS: Mapping[str, Callable[[str], str]] = {
    "text": _text,
    "date": _date,
    "time": _time,
    "weekday": _one_of(WEEKDAYS, "weekday"),
    "month": _one_of(MONTHS, "month"),
    "integer": _integer,
    "url": _url,
    "phone": _matching(_PHONE, "write digits, spaces, + ( ) / and -, such as 06192 2010"),
    "code": _matching(_CODE, "write letters, digits and single hyphens, such as A-7F3K"),
}

_SCHEMAS: Mapping[str, Mapping[str, object]] = {
    "text": {"pattern": r"^[^\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f]+$"},
    "date": {"pattern": r"^([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{2}\.[0-9]{2}\.[0-9]{4})$"},
    "time": {"pattern": f"^{_TIME.pattern}$"},
    "weekday": {"enum": list(WEEKDAYS)},
    "month": {"enum": list(MONTHS)},
    "integer": {"pattern": "^[0-9]+$"},
    "url": {"format": "uri", "pattern": "^https://"},
    "phone": {"pattern": f"^{_PHONE.pattern}$"},
    "code": {"pattern": f"^{_CODE.pattern}$"},
}


def _property(variable: Variable) -> dict[str, object]:
    """Return the schema of one variable."""
    shape: dict[str, object] = {"type": "string", "minLength": 1, "maxLength": variable.max_length}
    if variable.type == "integer":
        shape |= {"type": ["string", "integer"], "minimum": 0}
    return shape | dict(_SCHEMAS[variable.type]) | {"title": variable.label, "examples": [variable.example]}
