"""Prepare one language of a version for one kind of channel: everything that does not depend on values, done once.

Holds compiled programs and written looks; choosing the language and building the Message is gateway.render.render's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from channels.kit.contract import Format
from gateway.domain.content import Content, Problem, TemplateInvalid, Text, direction
from gateway.render import looks, mail, markdown
from gateway.render.localise import localise
from gateway.render.looks import ORIGINAL, STOP, SUBJECT, Pieces, as_href
from gateway.render.phrases import phrases
from gateway.render.syntax import FIRST_HOLE, Program, compile_source

_MAX_BRANCHES = 64  # kept per version; a template with more is written again now and then
_STOP_SENTENCE = re.compile(r"(?:(?<=[.!?\u061f\n])|^)( *)[^.!?\u061f\n]*\bSTOPP\b[^.!?\u061f\n]*[.!]?(?=( *)(.?))")


@dataclass(frozen=True, slots=True)
class Kind:
    """What of a channel changes the words. ``one_way``: nobody can answer there (B-S2)."""

    channel: str
    formats: tuple[Format, ...]  # always with Format.TEXT
    one_way: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """One branch of a text in its looks, with holes."""

    looks: Mapping[Format, Pieces]
    order: tuple[str, ...]  # holes in order of first appearance


def source_of(text: Text, kind: Kind) -> str:
    """Return which of a text's sources a channel gets: the e-mail form, its own override, or the message."""
    if Format.HTML in kind.formats and text.email:
        return text.email
    return text.channels.get(kind.channel, text.message)


def without_stop_word(source: str, key: str) -> str:
    """Return a text whose sentence "answer STOPP" became a link to sign off, for channels nobody can answer (B-S2)."""

    def link(match: re.Match[str]) -> str:
        more = " -" if match[3] else ""
        return f"{match[1]}{phrases(key).unsubscribe}: {STOP}{more}"

    return _STOP_SENTENCE.sub(link, source)


class Prepared:
    """One text, ready to be filled. Values are canonical everywhere here."""

    def __init__(self, content: Content, key: str, kind: Kind, frame: mail.Frame) -> None:
        """Compile the sources. Raises TemplateInvalid."""
        variables = tuple(content.variables.values())
        self.content, self.text, self.kind, self._frame = content, content.texts[key], kind, frame
        self._rtl = direction(key) == "rtl"
        self._body = compile_source(source_of(self.text, kind), variables)
        self._subject = compile_source(self.text.subject, variables)
        self._urls = STOP + "".join(
            chr(FIRST_HOLE + n) for n, hole in enumerate(self._body.holes) if hole.type == "url"
        )
        self._branches: dict[str, Written] = {}

    @property
    def branches(self) -> bool:
        """Tell whether the text has conditions."""
        return self._body.branches

    def subject(self, values: Mapping[str, str]) -> str:
        """Return the subject, one line of plain text."""
        shown = self._shown(self._subject, values)
        filled = {hole: looks.filling(Format.TEXT, one, link=False, rtl=self._rtl) for hole, (one, _) in shown.items()}
        return looks.cut(self._subject.run(values)).fill(filled)

    def written(self, values: Mapping[str, str]) -> Written:
        """Return the looks of the branch that ``values`` choose, with holes; written once per branch."""
        source = self._body.run(values)
        if source not in self._branches:
            if len(self._branches) >= _MAX_BRANCHES:
                self._branches.clear()
            self._branches[source] = self._write(source)
        return self._branches[source]

    def fill(self, values: Mapping[str, str], *, subject: str, stop_url: str, original_url: str) -> dict[Format, str]:
        """Return every look of the kind, filled."""
        shown = self._shown(self._body, values)
        fixed = {STOP: stop_url, ORIGINAL: original_url}
        found: dict[Format, str] = {}
        for look, pieces in self.written(values).looks.items():
            markup = look in {Format.HTML, Format.CHAT_HTML}
            filled = {hole: looks.filling(look, one, link=link, rtl=self._rtl) for hole, (one, link) in shown.items()}
            filled |= {hole: looks.filling(look, one, link=True, rtl=self._rtl) for hole, one in fixed.items()}
            if markup:
                filled |= {as_href(hole): looks.target(values[name]) for hole, name in self._targets()}
                filled |= {as_href(hole): looks.target(one) for hole, one in fixed.items()}
                filled[SUBJECT] = escape(subject)
            found[look] = pieces.fill(filled)
        return found

    def positional(self, values: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return (variable, value as a messenger shows it) in order of first appearance."""
        shown = self._shown(self._body, values)
        holes = [(hole, self._body.holes[ord(hole) - FIRST_HOLE].name) for hole in self.written(values).order]
        return [
            (name, looks.filling(Format.MARKUP, shown[hole][0], link=shown[hole][1], rtl=self._rtl))
            for hole, name in holes
        ]

    def _targets(self) -> list[tuple[str, str]]:
        return [(chr(FIRST_HOLE + n), hole.name) for n, hole in enumerate(self._body.holes) if hole.type == "url"]

    def _shown(self, program: Program, values: Mapping[str, str]) -> dict[str, tuple[str, bool]]:
        """Return each hole's localised value and whether it is a link."""
        key = self.text.language
        return {
            chr(FIRST_HOLE + n): (localise(one.type, values[one.name], key, one.form), one.type == "url")
            for n, one in enumerate(program.holes)
        }

    def _write(self, source: str) -> Written:
        if self.kind.one_way:
            source = without_stop_word(source, self.text.language)
        blocks = markdown.parse(source, self._urls)
        if not blocks:
            raise TemplateInvalid([Problem("", "empty", "with these values no text is left; add an else branch")])
        written = {look: looks.write(look, blocks, self._urls) for look in self.kind.formats}
        order = tuple(dict.fromkeys(re.findall("[\ue000-\ue2ff]", written[Format.TEXT])))
        if Format.HTML in written:
            written[Format.HTML] = mail.document(self._frame, self.text, written[Format.HTML], blocks)
            written[Format.TEXT] = self._letter(written[Format.TEXT])
        return Written({look: looks.cut(one) for look, one in written.items()}, order)

    def _letter(self, text: str) -> str:
        name = mail.label(self.text)
        return "\n\n".join([*([name] if name else []), f"{text}\n{mail.footer(self._frame, self.text)}"])
