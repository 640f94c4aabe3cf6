"""Provider-approved texts: named placeholders become positional ones, and the rules such a text must keep (B-W6).

Submitting a text for approval is an adapter's; this is what it would submit.
"""

from __future__ import annotations

import re

from channels.kit.contract import Format
from gateway.domain.content import Content, Problem, TemplateInvalid, choose_language
from gateway.render import looks, markdown
from gateway.render.prepare import Kind, source_of
from gateway.render.syntax import FIRST_HOLE, compile_source

MAX_CHARACTERS = 1024
_PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}")
_SHORTENERS = re.compile(
    r"\b(?:bit\.ly|tinyurl\.com|t\.co|goo\.gl|ow\.ly|is\.gd|buff\.ly|wa\.me|rb\.gy|cutt\.ly|t1p\.de|kurzelinks\.de)\b",
    re.IGNORECASE,
)


def positional(content: Content, language: str, channel: str = "") -> tuple[str, list[str]]:
    """Return the body with {{1}}, {{2}}, … and the variables' names in that order.

    ``channel``: whose override counts, "" for the message itself. The body has the messenger's own markup. Raises
    TemplateInvalid: a provider approves one fixed text, so conditions are refused.
    """
    key, _ = choose_language(content, language)
    source = source_of(content.texts[key], Kind(channel, (Format.TEXT,)))
    program = compile_source(source, tuple(content.variables.values()))
    if program.branches:
        detail = "a text that a provider approves has no conditions; write two templates instead"
        raise TemplateInvalid([Problem(f"/text/{key}/message", "approved_branches", detail)])
    urls = "".join(chr(FIRST_HOLE + n) for n, hole in enumerate(program.holes) if hole.type == "url")
    body = looks.write(Format.MARKUP, markdown.parse(program.run({}), urls), urls)
    order = list(dict.fromkeys(re.findall("[\ue000-\ue2ff]", body)))
    for number, hole in enumerate(order, 1):
        body = body.replace(hole, f"{{{{{number}}}}}")
    return body, [program.holes[ord(hole) - FIRST_HOLE].name for hole in order]


def whatsapp_problems(text: str, *, pointer: str = "") -> list[Problem]:
    """Return where ``text``, with {{ name }} or {{1}} in it, breaks the rules for approved templates (B-W6)."""
    found = []
    bare = _PLACEHOLDER.sub("\x00", text.strip())
    count = bare.count("\x00")
    if bare.startswith("\x00"):
        found.append(("approved_start", "must not start with a variable; put a word before it"))
    if re.search(r"\x00[^\w\x00]*$", bare):
        found.append(("approved_end", "must not end with a variable, punctuation does not count; add words after it"))
    if re.search(r"\x00\s*\x00", bare):
        found.append(("approved_adjacent", "two variables must not stand side by side; put a word between them"))
    words = len(re.findall(r"\w+(?:[-'\u2019]\w+)*", bare.replace("\x00", " ")))
    if count and words < 2 * count + 1:
        detail = f"{count} variables need at least {2 * count + 1} fixed words, there are {words}"
        found.append(("approved_words", detail))
    if len(text) > MAX_CHARACTERS:
        found.append(("approved_length", f"at most {MAX_CHARACTERS} characters"))
    if _SHORTENERS.search(text):
        found.append(("approved_shortener", "no link shorteners; write the address itself"))
    if "{%" in text:
        found.append(("approved_branches", "a text that a provider approves has no conditions"))
    return [Problem(pointer, code, detail) for code, detail in found]
