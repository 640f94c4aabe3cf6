"""Lint a template: say what stands against approving it, in every language, on every channel it names.

Form is gateway.render.catalogue's; this judges words, sizes and rules. Each problem says where and what to do. Rules:
A-02, A-09, A-20, A-22, B-E7, B-S1, B-W5, B-W6.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date

from channels.kit import measure, segments
from channels.kit.contract import Capabilities, Confidentiality, Format, Measure
from channels.kit.errors import ChannelError
from gateway.domain.confidentiality import forbidden_words
from gateway.domain.content import (
    MONTHS,
    WEEKDAYS,
    Content,
    Problem,
    TemplateInvalid,
    Text,
    Variable,
    canonical_variables,
)
from gateway.render import markdown, prepare, syntax
from gateway.render.approved import MAX_CHARACTERS, whatsapp_problems
from gateway.render.localise import localise
from gateway.render.mail import MAX_BYTES, Frame, Letterhead

MAX_SUBJECT = 60
MAX_BUTTON = 20
GSM7_LANGUAGES = frozenset({"de", "de-leicht", "en"})  # their messages must do without UCS-2
MAX_PARTS = {segments.Alphabet.GSM7: 2, segments.Alphabet.UCS2: 4}  # of a message, below what an account would take
# SMS providers take these for an opt-out, whatever the person meant: never an answer to offer.
STOP_WORDS = frozenset({"cancel", "end", "stop", "quit", "unsubscribe", "stopall", "revoke", "optout"})
FREE_TEXT = frozenset({"absender", "ort"})  # the free texts that K1 and K2 may carry
_FRAME = Frame(Letterhead("", "", "", "", ""), stop=False, original=False)
_PLACEHOLDER = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)


def check(
    content: Content,
    channels: Mapping[str, Capabilities] | None = None,
    *,
    k1_keys: Collection[str] | None = None,
    forbidden: tuple[str, ...] = (),
) -> list[Problem]:
    """Return everything that stands against approving ``content``; [] is fit.

    channels: what the installed channels can do, by name; None judges by the general rules (SMS and approved texts).
    k1_keys: keys of the K1 templates, to find the twin among; None does not look. forbidden: further words.
    """
    problems = [*_rules(content, k1_keys), *_buttons(content)]
    if channels is not None:
        problems += [
            Problem("/channels", "unknown_channel", f"no adapter for {one} is installed and in GATEWAY_ADAPTERS")
            for one in content.channels
            if one not in channels
        ]
    for key, text in content.texts.items():
        found = list(_sources(content, text))
        problems += found or list(_rendered(content, text, channels))
        problems += _words(content, text, forbidden)
        if channels is None or any(channels[one].preapproved for one in content.channels if one in channels):
            problems += whatsapp_problems(text.message, pointer=f"/text/{key}/message")
    return list(dict.fromkeys(problems))


def parts(text: Text) -> dict[str, str]:
    """Return the sources of a text by their path below ``/text/<language>``."""
    found = {"subject": text.subject, "message": text.message, "email": text.email}
    return {name: one for name, one in found.items() if one} | {
        f"channels/{name}": one for name, one in text.channels.items()
    }


def longest(variable: Variable, key: str) -> str:
    """Return a canonical value of the variable that is as long as any when shown in the text ``key``."""
    if variable.type == "weekday":
        return max(WEEKDAYS, key=lambda one: len(localise("weekday", one, key)))
    if variable.type == "month":
        return max(MONTHS, key=lambda one: len(localise("month", one, key)))
    if variable.type == "date":
        days = [date(2027, month, 28).isoformat() for month in range(1, 13)]
        return max(days, key=lambda one: len(localise("date", one, key, "long")))
    fixed = {"time": "23:59", "url": "https://n.example/".ljust(variable.max_length, "n")}
    fill = {"integer": "9", "phone": "0", "code": "N"}.get(variable.type, "n")
    return fixed.get(variable.type, fill * variable.max_length)


def _rules(content: Content, k1_keys: Collection[str] | None) -> Iterator[Problem]:
    """Yield what is wrong with class, twin, purpose and variables."""
    if content.klass >= Confidentiality.K3:
        yield Problem("/class", "class_not_sendable", "K3 and K4 are never sent; send a K1 notice with a link instead")
    if content.klass == Confidentiality.K2 and not content.twin:
        yield Problem("/twin", "twin_missing", "name the K1 template that goes where K2 may not go")
    if content.twin and content.klass != Confidentiality.K2:
        yield Problem("/twin", "twin_not_allowed", "only K2 has a twin; remove it")
    if content.twin and k1_keys is not None and content.twin not in k1_keys:
        yield Problem("/twin", "twin_unknown", f"there is no K1 template {content.twin}; push it first")
    if content.twin_of and content.klass != Confidentiality.K1:
        yield Problem("/twin_of", "twin_class", "a twin is K1; change its class")
    if content.whatsapp_category == "marketing" and content.purpose != "info":
        yield Problem("/purpose", "marketing_needs_info", "marketing goes to those who agreed to info: purpose = info")
    for name, variable in content.variables.items():
        if variable.type == "text" and content.klass > Confidentiality.K0 and name not in FREE_TEXT:
            allowed = ", ".join(sorted(FREE_TEXT))
            detail = f"free text above K0 only in: {allowed}; use another type or put it behind the link"
            yield Problem(f"/variables/{name}/type", "free_text", detail)


def _buttons(content: Content) -> Iterator[Problem]:
    lists = {"/buttons": content.buttons} | {f"/text/{key}/buttons": one.buttons for key, one in content.texts.items()}
    for pointer, labels in lists.items():
        if labels and len(labels) != len(content.buttons):
            yield Problem(pointer, "button_count", f"there are {len(content.buttons)} German buttons; give as many")
        for n, label in enumerate(labels):
            if len(label) > MAX_BUTTON:
                yield Problem(f"{pointer}/{n}", "button_length", f"at most {MAX_BUTTON} characters")
            if label.strip().casefold() in STOP_WORDS:
                yield Problem(f"{pointer}/{n}", "stop_word", f"{label} would sign the person off; choose another word")


def _sources(content: Content, text: Text) -> Iterator[Problem]:
    """Yield what does not compile, and where declared and used variables differ."""
    used: set[str] = set()
    for name, source in parts(text).items():
        pointer = f"/text/{text.language}/{name}"
        problems = syntax.check(source, content.variables, pointer=pointer)
        yield from problems
        if problems:
            return
        used |= syntax.names(source)
        if name != "subject":
            yield from _markdown(content, text, source, pointer)
    for name in content.variables:
        if name not in used:
            detail = f"{name} is declared but the text {text.language} does not use it"
            yield Problem(f"/variables/{name}", "unused_variable", detail)


def _markdown(content: Content, text: Text, source: str, pointer: str) -> Iterator[Problem]:
    program = syntax.compile_source(source, tuple(content.variables.values()))
    urls = "".join(chr(syntax.FIRST_HOLE + n) for n, hole in enumerate(program.holes) if hole.type == "url")
    for values in _samples(content, text.language):
        yield from markdown.check(program.run(values), urls, pointer=pointer)


def _samples(content: Content, key: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the example values and the longest ones."""
    examples = canonical_variables(content, {one.name: one.example for one in content.variables.values()})
    return examples, {name: longest(one, key) for name, one in content.variables.items()}


def _rendered(content: Content, text: Text, channels: Mapping[str, Capabilities] | None) -> Iterator[Problem]:
    """Yield which rendered looks are too long, with the examples or with the longest values."""
    for values in _samples(content, text.language):
        try:
            yield from _subject(content, text, values)
            if channels is None:
                yield from _general(content, text, values)
            for name in content.channels:
                if channels is not None and name in channels:
                    yield from _on(channels[name], content, text, values)
        except TemplateInvalid as exc:
            yield from (Problem(f"/text/{text.language}", one.code, one.detail) for one in exc.problems)


def _subject(content: Content, text: Text, values: Mapping[str, str]) -> Iterator[Problem]:
    prepared = prepare.Prepared(content, text.language, prepare.Kind("", (Format.TEXT,)), _FRAME)
    if len(prepared.subject(values)) > MAX_SUBJECT:
        detail = f"with its longest values it has more than {MAX_SUBJECT} characters; shorten it"
        yield Problem(f"/text/{text.language}/subject", "subject_length", detail)


def _general(content: Content, text: Text, values: Mapping[str, str]) -> Iterator[Problem]:
    looks = _looks(content, text, prepare.Kind("", (Format.MARKUP, Format.TEXT)), values)
    yield from _segments(looks[Format.TEXT], text.language)
    if len(looks[Format.MARKUP]) > MAX_CHARACTERS:
        yield Problem(f"/text/{text.language}/message", "too_long", f"more than {MAX_CHARACTERS} characters")


def _on(facts: Capabilities, content: Content, text: Text, values: Mapping[str, str]) -> Iterator[Problem]:
    """Yield whether the text fits one channel."""
    formats = tuple(dict.fromkeys((*facts.formats, Format.TEXT)))
    looks = _looks(content, text, prepare.Kind(facts.channel, formats), values)
    if Format.HTML in looks:
        if len(looks[Format.HTML].encode()) > MAX_BYTES:
            yield Problem(f"/text/{text.language}/email", "too_long", f"more than {MAX_BYTES} bytes as an e-mail")
        return
    if facts.measure is Measure.SEGMENTS:
        yield from _segments(looks[Format.TEXT], text.language)
        return
    shown = looks[Format.TEXT if formats[0] is Format.CHAT_HTML else formats[0]]  # entities do not count
    try:
        size = measure.units(shown, facts.measure)
    except ChannelError:
        size = facts.max_units + 1
    if size > facts.max_units:
        detail = f"more than {facts.max_units} {facts.measure} on {facts.channel}; shorten it"
        yield Problem(f"/text/{text.language}/message", "too_long", detail)


def _looks(content: Content, text: Text, kind: prepare.Kind, values: Mapping[str, str]) -> dict[Format, str]:
    prepared = prepare.Prepared(content, text.language, kind, _FRAME)
    return prepared.fill(values, subject="", stop_url="", original_url="")


def _segments(shown: str, key: str) -> Iterator[Problem]:
    """Yield whether a text is too long for SMS, or forces UCS-2 where it need not (B-S1)."""
    pointer = f"/text/{key}/message"
    size = segments.count(shown)
    if key in GSM7_LANGUAGES and size.alphabet is not segments.Alphabet.GSM7:
        detail = f"not in the SMS alphabet: {' '.join(size.culprits)}; replace them"
        yield Problem(pointer, "not_gsm7", detail)
    if size.parts > MAX_PARTS[size.alphabet]:
        detail = f"{size.parts} SMS parts, allowed are {MAX_PARTS[size.alphabet]}; shorten it"
        yield Problem(pointer, "too_many_parts", detail)


def _words(content: Content, text: Text, forbidden: tuple[str, ...]) -> Iterator[Problem]:
    """Yield the forbidden words of every source, all branches, and of the buttons (A-02, A-09, A-22)."""
    sources = parts(text) | {"buttons": "\n".join(text.buttons or content.buttons)}
    for name, source in sources.items():
        # Marks for bold and italic do not part a word for its reader.
        seen = re.sub(r"[*_\\]", "", _PLACEHOLDER.sub("\u25a1", source))
        for word in forbidden_words(seen, content.klass, extra=forbidden):
            detail = f"the word {word} must not show on a locked screen; say it neutrally or behind the link"
            yield Problem(f"/text/{text.language}/{name}", "forbidden_word", detail)
    examples = "\n".join(one.example for one in content.variables.values())
    for word in forbidden_words(examples, content.klass, extra=forbidden):
        yield Problem("/variables", "forbidden_word", f"an example value holds the word {word}; choose another")
