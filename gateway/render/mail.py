"""Lay out an e-mail: a fragment of our own markup becomes a whole document, and the same footer as plain text.

Knows no values: it runs once per version, language and branch, and what differs per message stays a hole. Nothing
remote is ever referenced but the links (A-20). Rules: B-E7; sizes: Gmail cuts at 102 kB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import css_inline
import nh3
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from gateway.domain.content import ORIGINAL as GERMAN
from gateway.domain.content import Text, direction, language_tag
from gateway.render.looks import ORIGINAL, STOP, SUBJECT, as_href, labelled
from gateway.render.markdown import Block, Break, Inline, Link, Listing, Words
from gateway.render.phrases import Phrases, phrases

MAX_BYTES = 102_400
PREHEADER = 110  # characters
_TAGS = {"p", "br", "strong", "em", "a", "ul", "ol", "li"}
_ATTRIBUTES = {"a": {"href", "class"}, "ol": {"start"}}
# &#847; is U+034F: it keeps the preview line empty after the preheader, instead of showing the footer there.


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What every message carries. Names and hosts are neutral (A-02); an empty address is left out."""

    sender_name: str
    imprint_url: str
    privacy_url: str
    accessibility_url: str
    personal_url: str


@dataclass(frozen=True, slots=True)
class Frame:
    """Which parts of the footer a message has."""

    letterhead: Letterhead
    stop: bool
    original: bool


def document(frame: Frame, text: Text, fragment: str, blocks: Sequence[Block]) -> str:
    """Return the HTML document, with holes, CSS inlined. ``fragment``: the HTML look of ``blocks``."""
    words = phrases(text.language)
    clean = nh3.clean(fragment, tags=_TAGS, attributes=_ATTRIBUTES, url_schemes={"https"}, link_rel=None)
    html = _template().render(
        letterhead=frame.letterhead,
        lang=language_tag(text.language),
        dir=direction(text.language),
        start=_start(text.language),
        foot_lang=language_tag(words.language),
        foot_dir=direction(words.language),
        foot_start=_start(words.language),
        subject=SUBJECT,
        preheader=preheader(blocks),
        label=label(text),
        fragment=Markup(clean),  # noqa: S704 - written by looks, cleaned by nh3 on the line above
        legal=_legal(frame.letterhead, words),
        **_links(frame, words, text.language),
    )
    return _inliner().inline(html)


def footer(frame: Frame, text: Text) -> str:
    """Return sender and footer as plain text, with holes, saying what the document says below the greeting."""
    words = phrases(text.language)
    links = [one for one in _links(frame, words, text.language, plain=True).values() if one]
    lines = [labelled(name, url) for name, url in (*links, *_legal(frame.letterhead, words))]
    return "\n".join([frame.letterhead.sender_name, "", "-- ", *lines])


def label(text: Text) -> str:
    """Return what an easy-language text is called; "Leichte Sprache" needs the proofreaders and their date (A-27)."""
    words = phrases(text.language)
    return words.checked if text.checked_by and text.checked_on else words.plain


def preheader(blocks: Sequence[Block]) -> str:
    """Return the line a mailbox shows beside the subject: the first words after the greeting, with holes."""
    lines = [line for one in blocks for line in _lines(one)]
    text = ""
    for line in lines[1:] or lines:
        text += (" " if text[-1:] in set(".?!:\u061f") else " \u00b7 ") * bool(text) + line
    if len(text) <= PREHEADER:
        return text
    return text[: PREHEADER + 1].rpartition(" ")[0].rstrip(" ,;:-") + " …"


def _lines(block: Block) -> list[str]:
    if isinstance(block, Listing):
        return [line for item in block.items for one in item for line in _lines(one)]
    return [_words(block.inside)]


def _words(inside: Sequence[Inline]) -> str:
    """Return the words of a line without its links' targets."""
    found = []
    for one in inside:
        if isinstance(one, Words):
            found.append(one.text)
        elif isinstance(one, Break):
            found.append(" ")
        elif not isinstance(one, Link):
            found.append(_words(one.inside))
    return "".join(found)


def _links(frame: Frame, words: Phrases, key: str, *, plain: bool = False) -> dict[str, tuple[str, str] | None]:
    """Return the footer's links by name: words and address, None where the message has no such link."""
    stop, original = (STOP, ORIGINAL) if plain else (as_href(STOP), as_href(ORIGINAL))
    personal = frame.letterhead.personal_url
    return {
        "personal": (words.personal, personal) if personal else None,
        "original": (words.original or "Deutsch", original) if frame.original and key != GERMAN else None,
        "stop": (words.stop, stop) if frame.stop else None,
    }


def _legal(letterhead: Letterhead, words: Phrases) -> list[tuple[str, str]]:
    all_of_them = (
        (words.imprint, letterhead.imprint_url),
        (words.privacy, letterhead.privacy_url),
        (words.accessibility, letterhead.accessibility_url),
    )
    return [(name, url) for name, url in all_of_them if url]


def _start(key: str) -> str:
    return "right" if direction(key) == "rtl" else "left"


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("gateway.render", "layout"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("mail.html.j2")


@cache
def _inliner() -> css_inline.CSSInliner:
    return css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=False)
