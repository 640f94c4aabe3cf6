"""Read message templates: a TOML file becomes a Content, with every mistake found named at once.

Judges the form of a file only; whether its words are fit to be sent is gateway.render.lint's. Format:
docs/templates.md.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from channels.kit.contract import Confidentiality
from gateway.domain.content import (
    MAX_TEXT,
    MAX_VALUE,
    ORIGINAL,
    TYPES,
    Content,
    Problem,
    TemplateInvalid,
    Text,
    Variable,
    check_variables,
    has_control,
)

CATEGORIES = ("utility", "marketing", "authentication", "service")
PURPOSES = ("dienst", "info")
POLICIES = ("at_most_once", "at_least_once")
STATUSES = ("entwurf", "uebersetzt", "geprueft")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")
_LANGUAGE = re.compile(r"[a-z]{2,3}|de-leicht")
_CHANNEL = re.compile(r"[a-z][a-z0-9-]{0,31}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{2}\.[0-9]{2}\.[0-9]{4}")
_JOINERS = "\u200c\u200d"  # spelling of Persian and others; harmless in an author's words

_FIELDS = frozenset(
    {"key", "title", "event", "class", "purpose", "whatsapp_category", "channels", "buttons", "twin", "twin_of"}
    | {"policy", "urgent", "escalate_after_s", "variables", "text"}
)
_TEXT_FIELDS = frozenset(
    {"subject", "message", "email", "buttons", "status", "checked_by", "checked_on", "channels"}
)  # fmt: skip
_VARIABLE_FIELDS = frozenset({"type", "example", "max_length", "label"})

_LONGEST_SPAN_S = 7 * 86_400


def read(source: bytes | str, *, name: str) -> Content:
    """Return the content of one TOML file. ``name``: the file's name without ".toml", which must be its key.

    Raises TemplateInvalid with every problem: where (JSON pointer), what is wrong and what to do.
    """
    try:
        document = tomllib.loads(source.decode() if isinstance(source, bytes) else source)
    except UnicodeDecodeError:
        raise TemplateInvalid([Problem("", "syntax", "the file is not UTF-8; save it as UTF-8")]) from None
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise TemplateInvalid([Problem("", "syntax", f"not TOML: {exc}")]) from exc
    return _content(document, name)


def read_folder(path: Path) -> dict[str, Content]:
    """Return the contents of all ``*.toml`` files of a folder by key, sorted.

    Raises TemplateInvalid with the problems of all files; their pointers begin with the file's name.
    """
    if not path.is_dir():
        raise TemplateInvalid([Problem(str(path), "no_folder", "there is no such folder")])
    contents: dict[str, Content] = {}
    problems: list[Problem] = []
    for file in sorted(one for one in path.glob("*.toml") if one.is_file()):
        try:
            contents[file.stem] = read(file.read_bytes(), name=file.stem)
        except TemplateInvalid as exc:
            problems += [Problem(f"{file.name}#{one.pointer}", one.code, one.detail) for one in exc.problems]
    if problems:
        raise TemplateInvalid(problems)
    return contents


def to_source(content: Content) -> str:
    """Return ``content`` as canonical JSON for storing: the same content gives the same string."""
    document = {
        "key": content.key,
        "title": content.title,
        "event": content.event,
        "class": content.klass.name,
        "purpose": content.purpose,
        "whatsapp_category": content.whatsapp_category,
        "channels": content.channels,
        "buttons": content.buttons,
        "twin": content.twin,
        "twin_of": content.twin_of,
        "policy": content.policy,
        "urgent": content.urgent,
        "escalate_after_s": content.escalate_after_s,
        "variables": [
            {
                "name": one.name,
                "type": one.type,
                "example": one.example,
                "max_length": one.max_length,
                "label": one.label,
            }
            for one in content.variables.values()
        ],
        "text": {key: {name: getattr(one, name) for name in _TEXT_FIELDS} for key, one in content.texts.items()},
    }
    for text in document["text"].values():  # type: ignore[attr-defined]  # a dict literal of mixed values
        text["channels"] = dict(text["channels"])
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def from_stored(text: str) -> Content:
    """Return the content that ``to_source`` wrote. Raises TemplateInvalid if the stored text is not one."""
    try:
        document = json.loads(text)
        document["variables"] = {one.pop("name"): one for one in document["variables"]}
        return _content(document, document["key"])
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise TemplateInvalid(
            [Problem("", "syntax", "the stored version is damaged; push the template again")]
        ) from exc


def _content(document: Mapping[str, object], name: str) -> Content:
    problems: list[Problem] = []
    top = _Table(document, "", problems, _FIELDS)
    variables = {each: _variable(each, sub) for each, sub in top.tables("variables", _VARIABLE_FIELDS)}
    texts = {each: _text(each, sub) for each, sub in top.tables("text", _TEXT_FIELDS)}
    content = Content(
        key=top.string("key", pattern=_KEY, advice="lower-case letters, digits and _"),
        title=top.string("title"),
        event=top.string("event", default="", empty=True),
        klass=Confidentiality[top.choice("class", tuple(Confidentiality.__members__))],
        purpose=top.choice("purpose", PURPOSES),
        whatsapp_category=top.choice("whatsapp_category", CATEGORIES),
        channels=top.strings("channels", pattern=_CHANNEL, filled=True),
        buttons=top.strings("buttons"),
        variables=variables,
        texts=texts,
        twin=top.string("twin", default="", empty=True),
        twin_of=top.strings("twin_of"),
        policy=top.choice("policy", POLICIES, default=POLICIES[0]),
        urgent=top.flag("urgent"),
        escalate_after_s=top.seconds("escalate_after_s"),
    )
    if content.key and content.key != name:
        top.wrong("key", "wrong_key", f"the key must be the file's name: write key = {name!r} or rename the file")
    if ORIGINAL not in texts:
        top.wrong("text", "missing", "there is no German text; add [text.de]")
    _judge_examples(content, problems)
    if problems:
        raise TemplateInvalid(problems)
    return content


def _judge_examples(content: Content, problems: list[Problem]) -> None:
    """Add what is wrong with the variables' example values, where the variables themselves are right."""
    if any(one.pointer.startswith("/variables") for one in problems):
        return
    examples = {one.name: one.example for one in content.variables.values()}
    problems += [
        Problem(f"/variables{one.pointer}/example", one.code, one.detail) for one in check_variables(content, examples)
    ]


def _variable(name: str, table: _Table) -> Variable:
    if not _KEY.fullmatch(name):
        table.wrong("", "wrong_name", "write the variable's name in lower-case letters, digits and _")
    variable = Variable(
        name=name,
        type=table.choice("type", TYPES),
        example=table.string("example"),
        max_length=table.number("max_length"),
        label=table.string("label", default="", empty=True),
    )
    longest = MAX_TEXT if variable.type == "text" else MAX_VALUE
    if not 1 <= variable.max_length <= longest:
        table.wrong("max_length", "out_of_range", f"write a whole number from 1 to {longest}")
    return variable


def _text(language: str, table: _Table) -> Text:
    if not _LANGUAGE.fullmatch(language):
        table.wrong("", "wrong_language", 'write a language code such as "en" or "tr", or "de-leicht"')
    text = Text(
        language=language,
        subject=table.string("subject"),
        message=table.prose("message"),
        email=table.prose("email", default=""),
        buttons=table.strings("buttons"),
        status=table.choice("status", STATUSES, default=STATUSES[0]),
        checked_by=table.string("checked_by", default="", empty=True),
        checked_on=table.string("checked_on", default="", empty=True),
        channels={each: sub for each, sub in table.proses("channels") if each},
    )
    if text.checked_on and not _DAY.fullmatch(text.checked_on):
        table.wrong("checked_on", "wrong_format", 'write the day in quotes, such as "2027-03-16"')
    return text


class _Table:
    """One table of the file: reads its fields and notes what is wrong, so that reading can go on."""

    def __init__(
        self, values: object, pointer: str, problems: list[Problem], known: frozenset[str] | None = None
    ) -> None:
        self._values: Mapping[str, object] = values if isinstance(values, dict) else {}
        self._pointer, self._problems = pointer, problems
        if not isinstance(values, dict):
            self.wrong("", "wrong_type", "this must be a table")
        for name in self._values:
            if known is not None and name not in known:
                self.wrong(name, "unknown_field", f"unknown field; known are: {', '.join(sorted(known))}")

    def wrong(self, name: str, code: str, detail: str) -> None:
        """Note a problem with the field ``name``, "" for the table itself."""
        path = self._pointer + (f"/{name.replace('~', '~0').replace('/', '~1')}" if name else "")
        self._problems.append(Problem(path, code, detail))

    def _get(self, name: str, default: object) -> object:
        if name in self._values:
            return self._values[name]
        if default is None:
            self.wrong(name, "missing", f"add {name} = …")
        return default

    def string(
        self, name: str, *, default: str | None = None, empty: bool = False, pattern: re.Pattern[str] | None = None,
        advice: str = "",
    ) -> str:  # fmt: skip
        """Return one line of text."""
        value = self._get(name, default)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.wrong(name, "wrong_type", "write a text in quotes")
            return ""
        if not value.strip() and not empty:
            self.wrong(name, "empty", "this must not be empty")
        elif has_control(value, allowed=_JOINERS):
            self.wrong(name, "control_character", "write one line without control or invisible characters")
        elif pattern and not pattern.fullmatch(value):
            self.wrong(name, "wrong_format", f"write {advice}")
        return value

    def prose(self, name: str, *, default: str | None = None) -> str:
        """Return lines of text, without blank lines around them."""
        value = self._get(name, default)
        if not isinstance(value, str):
            if value is not None:
                self.wrong(name, "wrong_type", "write a text in quotes")
            return ""
        text = value.replace("\r\n", "\n").strip("\n")
        if default is None and not text.strip():
            self.wrong(name, "empty", "this must not be empty")
        elif has_control(text, allowed=_JOINERS + "\n"):
            self.wrong(name, "control_character", "remove tabs, bidi controls and invisible characters")
        return text

    def proses(self, name: str) -> list[tuple[str, str]]:
        """Return a table of texts, one a channel."""
        if name not in self._values:
            return []
        table = _Table(self._values[name], f"{self._pointer}/{name}", self._problems)
        for each in table._values:
            if not _CHANNEL.fullmatch(each):
                table.wrong(each, "wrong_name", "write the channel's name, such as sms")
        return [(each, table.prose(each)) for each in table._values]

    def strings(self, name: str, *, pattern: re.Pattern[str] | None = None, filled: bool = False) -> tuple[str, ...]:
        """Return a list of different one-line texts; a missing list is empty."""
        value = self._get(name, None if filled else [])
        if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(one, str) for one in value):
            if value is not None:
                self.wrong(name, "wrong_type", "write a list of texts in quotes")
            return ()
        found = tuple(str(one) for one in value)
        if filled and not found:
            self.wrong(name, "empty", "name at least one")
        for one in found:
            if not one.strip() or has_control(one, allowed=_JOINERS) or (pattern and not pattern.fullmatch(one)):
                self.wrong(name, "wrong_format", "one entry is empty or has characters that are not allowed")
        if len(set(found)) < len(found):
            self.wrong(name, "repeated", "name each only once")
        return found

    def choice(self, name: str, choices: tuple[str, ...], *, default: str | None = None) -> str:
        """Return one of ``choices``; the first if it is wrong, so that reading can go on."""
        value = self._get(name, default)
        if isinstance(value, str) and value in choices:
            return value
        if value is not None:
            self.wrong(name, "wrong_choice", f"write one of: {', '.join(choices)}")
        return choices[0]

    def number(self, name: str) -> int:
        """Return a whole number."""
        value = self._get(name, None)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if value is not None:
            self.wrong(name, "wrong_type", "write a whole number without quotes")
        return 1

    def seconds(self, name: str) -> int:
        """Return a span, 0 if it is not given."""
        value = self._get(name, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LONGEST_SPAN_S:
            self.wrong(name, "seconds", f"must be a whole number of seconds, at most {_LONGEST_SPAN_S}")
            return 0
        return value

    def flag(self, name: str) -> bool:
        """Return true or false; a missing flag is false."""
        value = self._get(name, default=False)
        if not isinstance(value, bool):
            self.wrong(name, "wrong_type", "write true or false without quotes")
        return value is True

    def tables(self, name: str, known: frozenset[str]) -> list[tuple[str, _Table]]:
        """Return the tables below ``name`` by their own names; a missing one is empty."""
        outer = _Table(self._values.get(name, {}), f"{self._pointer}/{name}", self._problems)
        return [
            (key, _Table(sub, f"{outer._pointer}/{key}", self._problems, known)) for key, sub in outer._values.items()
        ]
