"""Turn a message's text into runs for display: pieces of text with their styles and links, never markup.

The page builds elements from them, so nothing a sender writes can become HTML there. WhatsApp: *bold*, _italic_,
~struck~, ```fixed```; links: http and https addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from channels.sandbox.state import Entry

Run = tuple[str, str, str]

_LINK = re.compile(r"https?://[^\s<>\"\u2066-\u2069]*[^\s<>\"\u2066-\u2069.,;:!?)\]]", re.IGNORECASE)
_MARKUP = re.compile(
    r"```(?P<code>.+?)```"
    r"|(?<!\w)\*(?P<bold>[^\s*](?:[^*\n]*[^\s*])?)\*(?!\w)"
    r"|(?<!\w)_(?P<italic>[^\s_](?:[^_\n]*[^\s_])?)_(?!\w)"
    r"|(?<!\w)~(?P<strikethrough>[^\s~](?:[^~\n]*[^\s~])?)~(?!\w)",
    re.DOTALL,
)


def runs_of(entry: Entry) -> list[Run]:
    """Return the runs of a chat message."""
    if entry.runs:
        return list(_linked(entry.runs))
    if entry.channel == "whatsapp":
        return list(_linked(_marked_up(entry.text, "")))
    return list(_linked([(entry.text, "", "")]))


def _marked_up(text: str, styles: str) -> Iterator[Run]:
    position = 0
    for found in _MARKUP.finditer(text):
        style = str(found.lastgroup)
        if found.start() > position:
            yield text[position : found.start()], styles, ""
        both = f"{styles} {style}".strip()
        if style == "code":
            yield found[style], both, ""
        else:
            yield from _marked_up(found[style], both)
        position = found.end()
    if position < len(text):
        yield text[position:], styles, ""


def _linked(runs: Iterable[Run]) -> Iterator[Run]:
    for text, styles, link in runs:
        if link:
            yield text, styles, link
            continue
        position = 0
        for found in _LINK.finditer(text):
            if found.start() > position:
                yield text[position : found.start()], styles, ""
            yield found[0], styles, found[0]
            position = found.end()
        if position < len(text):
            yield text[position:], styles, ""
