"""Parse Telegram's HTML the way its server does: the plain text, the entities, and the server's complaints.

Only ``parse_mode=HTML`` is spoken; the Markdown modes are refused. Bot API, "Formatting options"; the wording of the
complaints is the public server's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

_KINDS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "a": "text_link",
}
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_REFERENCE = re.compile(r"&(#[0-9]{1,7}|#x[0-9a-fA-F]{1,6}|lt|gt|amp|quot);?")
_START = re.compile(r"<([a-zA-Z0-9-]+)((?:[^<>\"']|\"[^\"]*\"|'[^']*')*)>")
_END = re.compile(r"</([a-zA-Z0-9-]*)\s*>")
_ATTRIBUTE = re.compile(r"([a-zA-Z0-9-]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+)))?")
_HIGHEST_CODE_POINT = 0x10FFFF
_LINKS = ("http://", "https://", "tg://", "mailto:", "tel:")


class Unparsable(ValueError):
    """The text's entities cannot be parsed; the message is what the server says about it."""


@dataclass(slots=True)
class _Open:
    tag: str
    kind: str
    start: int
    link: str


@dataclass(slots=True)
class Parsed:
    """A text without its markup. ``entities``: Bot API objects, counted in UTF-16 units; ``runs``: see Entry.runs."""

    text: str = field(repr=False)
    entities: list[dict[str, Any]] = field(repr=False)
    runs: tuple[tuple[str, str, str], ...] = field(repr=False)


def utf16_units(text: str) -> int:
    """Return the length in the unit in which Telegram counts."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def parse_html(source: str) -> Parsed:
    """Return text and entities of ``source``. Raises Unparsable in the server's words."""
    reader = _Reader(source)
    position = 0
    while position < len(source):
        one = source[position]
        if one == "<":
            position = reader.tag(position)
        elif one == "&":
            position = reader.reference(position)
        else:
            stop = _next_special(source, position)
            reader.add(source[position:stop])
            position = stop
    return reader.finish()


def _next_special(source: str, position: int) -> int:
    found = [place for place in (source.find("<", position), source.find("&", position)) if place >= 0]
    return min(found, default=len(source))


class _Reader:
    """Collects the text and the open tags while the source is walked through once."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._text: list[str] = []
        self._units = 0
        self._open: list[_Open] = []
        self._entities: list[dict[str, Any]] = []
        self._runs: list[tuple[str, str, str]] = []

    def add(self, text: str) -> None:
        self._text.append(text)
        self._units += utf16_units(text)
        styles = " ".join(sorted({one.kind for one in self._open}))
        link = next((one.link for one in reversed(self._open) if one.link), "")
        if self._runs and self._runs[-1][1:] == (styles, link):
            text = self._runs.pop()[0] + text
        self._runs.append((text, styles, link))

    def reference(self, position: int) -> int:
        found = _REFERENCE.match(self._source, position)
        if found is None:
            self.add("&")
            return position + 1
        name = found[1]
        if name in _NAMED:
            self.add(_NAMED[name])
        else:
            code = int(f"0{name[1:]}", 16 if name[1] == "x" else 10)
            self.add(chr(code) if 0 < code <= _HIGHEST_CODE_POINT else found[0])
        return found.end()

    def tag(self, position: int) -> int:
        if self._source.startswith("</", position):
            return self._end_tag(position)
        found = _START.match(self._source, position)
        if found is None:
            raise Unparsable(f"Unclosed start tag at byte offset {self._offset(position)}")
        tag = found[1].lower()
        attributes = {name.lower(): a or b or c for name, a, b, c in _ATTRIBUTE.findall(found[2])} if found[2] else {}
        if tag not in _KINDS or (tag == "span" and attributes.get("class") != "tg-spoiler"):
            raise Unparsable(f'Unsupported start tag "{tag}" at byte offset {self._offset(position)}')
        link = attributes.get("href", "") if tag == "a" else ""
        self._open.append(_Open(tag, _KINDS[tag], self._units, link if link.startswith(_LINKS) else ""))
        return found.end()

    def _end_tag(self, position: int) -> int:
        found = _END.match(self._source, position)
        offset = self._offset(position)
        if found is None:
            raise Unparsable(f"Unclosed end tag at byte offset {offset}")
        if not self._open:
            raise Unparsable(f"Unexpected end tag at byte offset {offset}")
        last = self._open.pop()
        if found[1] and found[1].lower() != last.tag:
            raise Unparsable(
                f'Unmatched end tag at byte offset {offset}, expected "</{last.tag}>", found "</{found[1].lower()}>"'
            )
        if self._units > last.start and (last.tag != "a" or last.link):
            entity: dict[str, Any] = {"offset": last.start, "length": self._units - last.start, "type": last.kind}
            self._entities.append({**entity, "url": last.link} if last.link else entity)
        return found.end()

    def _offset(self, position: int) -> int:
        return len(self._source[:position].encode("utf-8", "surrogatepass"))

    def finish(self) -> Parsed:
        if self._open:
            raise Unparsable(f'Can\'t find end tag corresponding to start tag "{self._open[-1].tag}"')
        self._entities.sort(key=lambda one: (one["offset"], -one["length"]))
        return Parsed("".join(self._text), self._entities, tuple(self._runs))
