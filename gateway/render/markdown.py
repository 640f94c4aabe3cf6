"""Read the Markdown subset of message texts into a small tree: paragraph, bold, italic, link, list, line break.

Knows nothing of values: placeholders are single opaque characters by now (gateway.render.syntax). Writing the looks is
gateway.render.looks'. Syntax: the subset of CommonMark 0.31 in docs/templates.md; every line break is a break.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from markdown_it import MarkdownIt
from markdown_it.token import Token

from gateway.domain.content import Problem, TemplateInvalid, is_https


@dataclass(frozen=True, slots=True)
class Words:
    """Plain words, perhaps with holes."""

    text: str


@dataclass(frozen=True, slots=True)
class Break:
    """A line break."""


@dataclass(frozen=True, slots=True)
class Strong:
    """Bold."""

    inside: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Emphasis:
    """Italic."""

    inside: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A link; ``href`` is an https address or the hole of a url variable."""

    href: str
    inside: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One paragraph."""

    inside: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """A list; ``start`` is the first number, None for bullets."""

    start: int | None
    items: tuple[tuple[Block, ...], ...]


Inline: TypeAlias = Words | Break | Strong | Emphasis | Link
Block: TypeAlias = Paragraph | Listing


class _Parser(MarkdownIt):
    """Leaves addresses as they are: they hold holes, and ``_href`` judges them."""

    def normalizeLink(self, url: str) -> str:  # noqa: N802 - the library's name
        return url

    def validateLink(self, url: str) -> bool:  # noqa: N802 - the library's name
        return bool(url)


_SUBSET = _Parser("zero").enable(["list", "emphasis", "link", "newline", "escape"])
_FULL = _Parser("commonmark").enable("table")
_UNSUPPORTED = {
    "heading_open": "headings",
    "code_block": "indented blocks",
    "fence": "code blocks",
    "blockquote_open": "quotations",
    "hr": "rules",
    "table_open": "tables",
    "html_block": "HTML",
    "html_inline": "HTML",
    "code_inline": "code",
    "image": "images",
}


@lru_cache(maxsize=4096)
def parse(source: str, urls: str = "") -> tuple[Block, ...]:
    """Return the blocks of a text. ``urls``: the holes that stand for url variables. Raises TemplateInvalid."""
    return _Reader(_SUBSET.parse(source), urls).blocks()


def check(source: str, urls: str = "", *, pointer: str = "") -> list[Problem]:
    """Return what the subset does not know or allow in a text; [] can be rendered in every look."""
    problems = []
    for token in _flat(_FULL.parse(source)):
        if name := _UNSUPPORTED.get(token.type):
            line = f"line {token.map[0] + 1}: " if token.map else ""
            detail = f"{line}{name} are not allowed here; write paragraphs, lists, **bold**, _italic_ and [links](…)"
            problems.append(Problem(pointer, "markdown", detail))
    try:
        parse(source, urls)
    except TemplateInvalid as exc:
        problems += [Problem(pointer, one.code, one.detail) for one in exc.problems]
    return problems


def _flat(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _flat(token.children or ())


class _Reader:
    """Turns the parser's flat tokens into the tree."""

    def __init__(self, tokens: Sequence[Token], urls: str) -> None:
        self._tokens, self._urls, self._at = tokens, urls, 0

    def blocks(self, closing: str = "") -> tuple[Block, ...]:
        """Return the blocks up to a closing token."""
        found: list[Block] = []
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            self._at += 1
            if token.type == closing:
                break
            if token.type == "inline":
                found.append(Paragraph(self._inline(iter(token.children or ()))))
            elif token.type in {"bullet_list_open", "ordered_list_open"}:
                found.append(self._listing(token))
        return tuple(found)

    def _listing(self, opening: Token) -> Listing:
        items = []
        while self._tokens[self._at].type == "list_item_open":
            self._at += 1
            items.append(self.blocks("list_item_close"))
        self._at += 1
        start = int(opening.attrs.get("start", 1)) if opening.type == "ordered_list_open" else None
        return Listing(start, tuple(items))

    def _inline(self, tokens: Iterator[Token], closing: str = "") -> tuple[Inline, ...]:
        found: list[Inline] = []
        for token in tokens:
            if token.type == closing:
                break
            if token.type in {"softbreak", "hardbreak"}:
                found.append(Break())
            elif token.type == "strong_open":
                found.append(Strong(self._inline(tokens, "strong_close")))
            elif token.type == "em_open":
                found.append(Emphasis(self._inline(tokens, "em_close")))
            elif token.type == "link_open":
                href = self._href(str(token.attrs.get("href", "")))
                found.append(Link(href, self._inline(tokens, "link_close")))
            elif token.content:
                found.append(Words(token.content))
        return tuple(found)

    def _href(self, href: str) -> str:
        """Return a link's target if it is a url variable or an https address, and nothing mixed."""
        if (len(href) == 1 and href in self._urls) or is_https(href):
            return href
        detail = "a link leads to one url variable, [words]({{ link }}), or to a whole https address"
        raise TemplateInvalid([Problem("", "link_target", detail)])
