"""Write the tree of a text in its four looks, and fill the holes of a look with values.

A writer escapes the author's words once, when a version is first rendered; filling escapes each value for the place it
goes to, so that a value never becomes markup, link or formatting. Formats: Telegram Bot API (HTML style), WhatsApp
text formatting, HTML for e-mail. Bidi isolates: Unicode UAX #9, U+2068/U+2069 around every value of an RTL text (A-28).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from channels.kit.contract import Format
from gateway.render.markdown import Block, Break, Emphasis, Inline, Link, Listing, Paragraph, Strong, Words
from gateway.render.syntax import FIRST_HOLE

HREF = 0x400  # distance from a hole in running text to the same hole as a link's target
STOP, ORIGINAL, SUBJECT = (chr(FIRST_HOLE + 0x300 + n) for n in range(3))  # holes of the letterhead's own
_HOLE = re.compile("([\ue000-\ue7ff])")
_ADDRESS = re.compile(r"(https?://\S+)")
_BOLD, _ITALIC, _SHUT_BOLD, _SHUT_ITALIC = "\uf000", "\uf001", "\uf002", "\uf003"
_MARKS = {_BOLD: "*", _SHUT_BOLD: "*", _ITALIC: "_", _SHUT_ITALIC: "_"}
_SHUT = {_BOLD: _SHUT_BOLD, _ITALIC: _SHUT_ITALIC}
# Look-alikes that no messenger takes for formatting.
_TWINS = {"*": "\u2217", "_": "\uff3f", "~": "\u223c", "`": "'"}


def as_href(hole: str) -> str:
    """Return the character that stands for ``hole`` as a link's target; an address comes back unchanged."""
    return chr(ord(hole) + HREF) if _HOLE.fullmatch(hole) else hole


@dataclass(frozen=True, slots=True)
class Pieces:
    """A written look, cut at its holes."""

    parts: tuple[str, ...]
    slots: tuple[tuple[int, str], ...]

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the look with every hole filled. Raises KeyError for a hole without a value."""
        if not self.slots:
            return "".join(self.parts)
        parts = list(self.parts)
        for at, hole in self.slots:
            parts[at] = values[hole]
        return "".join(parts)


def cut(text: str) -> Pieces:
    """Return a text with holes, cut for filling."""
    parts = _HOLE.split(text)
    return Pieces(tuple(parts), tuple((at, parts[at]) for at in range(1, len(parts), 2)))


def isolate(value: str, *, link: bool = False) -> str:
    """Return a value wrapped so that it keeps its own direction inside an RTL text.

    After a link comes a space inside the isolate: phones take U+2069 for a part of the address otherwise.
    """
    return f"\u2068{value} \u2069" if link else f"\u2068{value}\u2069"


def calm(value: str, *, link: bool = False) -> str:
    """Return a value in which a messenger finds no formatting; in a link, percent-encoding keeps the address equal."""
    text = _unmarked(value, link=link)
    # At the start of a line "> " quotes and "- " lists.
    return {">": "\u203a", "-": "\u2010"}.get(text[:1], text[:1]) + text[1:]


def _unmarked(text: str, *, link: bool = False) -> str:
    """Replace the marks that could open or shut formatting; what lies beyond the edges is unknown, so edges count."""
    if not any(one in text for one in _TWINS):
        return text
    found = list(text)
    for at, one in enumerate(text):
        before, after = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
        opens = not _wordlike(before) and not after.isspace()
        shuts = not before.isspace() and not _wordlike(after)
        if one in _TWINS and (opens or shuts or one == "`"):
            found[at] = f"%{ord(one):02X}" if link else _TWINS[one]
    return "".join(found)


def _wordlike(one: str) -> bool:
    return bool(one) and (one.isalnum() or bool(_HOLE.fullmatch(one)))


def filling(look: Format, shown: str, *, link: bool, rtl: bool) -> str:
    """Return a localised value as it stands in running text of ``look``."""
    value = calm(shown, link=link) if look is Format.MARKUP else shown
    if rtl:
        value = isolate(value, link=link)
    return escape(value, quote=False) if look in {Format.HTML, Format.CHAT_HTML} else value


def target(value: str) -> str:
    """Return a link's target as it stands in an attribute."""
    return escape(value, quote=True)


def labelled(label: str, url: str) -> str:
    """Return a link as plain text."""
    return f"{label} {url}" if label[-1:] in set(".?!:\u061f") else f"{label}: {url}"


def write(look: Format, blocks: Sequence[Block], urls: str = "") -> str:
    """Return ``blocks`` in one look, with holes. ``urls``: the holes of url variables."""
    return _WRITERS[look](urls).write(blocks)


class _Lines:
    """Plain text; the other line-based looks change a detail each."""

    bullet = "- "

    def __init__(self, urls: str) -> None:
        self.urls = urls

    def write(self, blocks: Sequence[Block]) -> str:
        return "\n\n".join(self.block(one) for one in blocks)

    def block(self, block: Block) -> str:
        if isinstance(block, Paragraph):
            return self.inline(block.inside)
        return "\n".join(self.item(block, n, blocks) for n, blocks in enumerate(block.items))

    def item(self, listing: Listing, n: int, blocks: Sequence[Block]) -> str:
        mark = self.bullet if listing.start is None else f"{listing.start + n}. "
        return mark + "\n".join(self.block(one) for one in blocks).replace("\n", "\n  ")

    def inline(self, inside: Sequence[Inline]) -> str:
        return "".join(self.one(one) for one in inside)

    def one(self, one: Inline) -> str:
        match one:
            case Words(text):
                return self.words(text)
            case Break():
                return "\n"
            case Strong(inside):
                return self.strong(self.inline(inside))
            case Emphasis(inside):
                return self.emphasis(self.inline(inside))
            case Link(href, inside):
                return self.link(href, self.inline(inside))

    def words(self, text: str) -> str:
        return text

    def strong(self, inside: str) -> str:
        return inside

    def emphasis(self, inside: str) -> str:
        return inside

    def link(self, href: str, label: str) -> str:
        return href if label in {"", href} else labelled(label, href)


class _ChatHtml(_Lines):
    """The HTML that the Telegram Bot API takes."""

    bullet = "• "

    def words(self, text: str) -> str:
        return escape(text, quote=False)

    def strong(self, inside: str) -> str:
        return f"<b>{inside}</b>"

    def emphasis(self, inside: str) -> str:
        return f"<i>{inside}</i>"

    def link(self, href: str, label: str) -> str:
        return f'<a href="{target(as_href(href))}">{label or escape(href)}</a>'


class _Markup(_Lines):
    """*bold* and _italic_ of a messenger, only where it will be taken for that: at word boundaries, within a line."""

    def write(self, blocks: Sequence[Block]) -> str:
        return _settle(super().write(blocks))

    def words(self, text: str) -> str:
        # An address of the author's keeps its characters.
        return "".join(one if "://" in one else _unmarked(one) for one in _ADDRESS.split(text))

    def strong(self, inside: str) -> str:
        return f"{_BOLD}{inside}{_SHUT_BOLD}".replace("\n", f"{_SHUT_BOLD}\n{_BOLD}")

    def emphasis(self, inside: str) -> str:
        return f"{_ITALIC}{inside}{_SHUT_ITALIC}".replace("\n", f"{_SHUT_ITALIC}\n{_ITALIC}")


def _settle(text: str) -> str:
    """Turn marks into * and _, dropping pairs that touch a word or a hole outside: those would show as they are."""
    out: list[str] = list(text)
    open_at: dict[str, int] = {}
    for at, one in enumerate(text):
        if one in _SHUT:
            open_at[_SHUT[one]] = at
        elif one in _MARKS and one in open_at:
            begin = open_at.pop(one)
            before = next((each for each in reversed(text[:begin]) if each not in _MARKS), " ")
            after = next((each for each in text[at + 1 :] if each not in _MARKS), " ")
            keep = not _wordlike(before) and not _wordlike(after) and text[begin + 1 : at].strip() != ""
            out[begin] = out[at] = _MARKS[one] if keep else ""
    return "".join(out)


class _Html(_Lines):
    """The body of an e-mail. A link at the end of a paragraph becomes a button of its own."""

    def write(self, blocks: Sequence[Block]) -> str:
        return "".join(self.block(one) for one in blocks)

    def block(self, block: Block) -> str:
        if isinstance(block, Paragraph):
            return self._paragraph(block.inside)
        tag, start = ("ul", "") if block.start is None else ("ol", f' start="{block.start}"')
        items = "".join(f"<li>{self._item(one)}</li>" for one in block.items)
        return f"<{tag}{start}>{items}</{tag}>"

    def _item(self, blocks: Sequence[Block]) -> str:
        return "".join(self.inline(one.inside) if isinstance(one, Paragraph) else self.block(one) for one in blocks)

    def _paragraph(self, inside: Sequence[Inline]) -> str:
        last = inside[-1] if inside else None
        if not isinstance(last, Link) or not last.inside:
            return f"<p>{self.inline(inside)}</p>"
        before = self.inline(inside[:-1]).rstrip()
        button = f'<p><a class="cta" href="{target(as_href(last.href))}">{self.inline(last.inside)}</a></p>'
        return (f"<p>{before}</p>" if before else "") + button

    def words(self, text: str) -> str:
        return "".join(self.link(one, "") if one in self.urls else escape(one) for one in _HOLE.split(text) if one)

    def strong(self, inside: str) -> str:
        return f"<strong>{inside}</strong>"

    def emphasis(self, inside: str) -> str:
        return f"<em>{inside}</em>"

    def one(self, one: Inline) -> str:
        return "<br>" if isinstance(one, Break) else super().one(one)

    def link(self, href: str, label: str) -> str:
        return f'<a href="{target(as_href(href))}">{label or escape(href)}</a>'


_WRITERS: Mapping[Format, type[_Lines]] = {
    Format.TEXT: _Lines,
    Format.CHAT_HTML: _ChatHtml,
    Format.MARKUP: _Markup,
    Format.HTML: _Html,
}
