"""Render: a template version and values become the Message that an account's adapter is handed.

The preview and the worker call the same function: the same arguments give the same bytes. Reads no clock, keeps no
value beyond the call; compiled texts are kept by (version, language, part).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from channels.kit.contract import ApprovedTemplate, Button, Capabilities, Format, Kind, Message
from gateway.domain.confidentiality import BlockedByLint, forbidden_words
from gateway.domain.content import (
    ORIGINAL,
    Content,
    Problem,
    TemplateInvalid,
    canonical_variables,
    choose_language,
    direction,
    language_tag,
)
from gateway.render import prepare
from gateway.render.approved import positional, whatsapp_problems
from gateway.render.mail import Frame, Letterhead
from gateway.render.prepare import Prepared

__all__ = ["BlockedByLint", "Letterhead", "Links", "Renderer", "positional", "whatsapp_problems"]

_MAX_KEPT = 2048  # prepared texts; one takes some 30 kB
_MAX_BUTTON_ID = 64  # bytes (B-T4)


@dataclass(frozen=True, slots=True)
class Links:
    """The links of one delivery. ``stop_url`` signs off in one step (RFC 8058), ``original_url`` shows the German."""

    stop_url: str
    original_url: str = ""


class Renderer:
    """Makes messages under one letterhead. ``forbidden``: further words that no message may show (A-09)."""

    def __init__(self, letterhead: Letterhead, *, forbidden: tuple[str, ...] = ()) -> None:
        self._letterhead, self._forbidden = letterhead, forbidden
        self._kept: OrderedDict[tuple[object, ...], Prepared] = OrderedDict()

    def render(
        self,
        *,
        version_id: str,
        content: Content,
        capabilities: Capabilities,
        language: str,
        variables: Mapping[str, str],
        delivery_id: str,
        links: Links,
        sent_at: datetime,
        valid_s: int | None = None,
        approved_id: str = "",
    ) -> Message:
        """Return the message of one delivery, in the looks that ``capabilities`` name and as plain text.

        language: tag or key; without such a text the German one is used. variables: by name; those that the template
        does not declare are passed over, so that a twin can be given its original's. approved_id: the provider's id of
        the approved text, "" for free text. Raises VariablesInvalid, TemplateInvalid, BlockedByLint.
        """
        key, _ = choose_language(content, language)
        declared = {name: variables[name] for name in content.variables if name in variables}
        values = canonical_variables(content, declared)
        prepared = self._prepared(version_id, content, capabilities, key, links)
        mail = Format.HTML in capabilities.formats
        subject = prepared.subject(values) if mail else ""
        looks = prepared.fill(values, subject=subject, stop_url=links.stop_url, original_url=links.original_url)
        # Where a provider approves texts beforehand, buttons are part of such a text; free text carries none.
        free = capabilities.preapproved and not approved_id
        buttons = () if free else _buttons(content, key, capabilities, delivery_id)
        self._lint(content, looks[Format.TEXT], subject, buttons)
        return Message(
            looks=looks,
            subject=subject,
            language=language_tag(key),
            direction=direction(key),
            buttons=buttons,
            stop_url=links.stop_url,
            valid_s=valid_s,
            sent_at=sent_at,
            approved=_approved(prepared, values, approved_id),
        )

    def _prepared(
        self, version_id: str, content: Content, capabilities: Capabilities, key: str, links: Links
    ) -> Prepared:
        formats = tuple(dict.fromkeys((*capabilities.formats, Format.TEXT)))
        one_way = bool(links.stop_url) and not capabilities.inbound & {Kind.TEXT, Kind.STOP}
        kind = prepare.Kind(capabilities.channel, formats, one_way)
        frame = Frame(
            self._letterhead, stop=bool(links.stop_url), original=bool(links.original_url) and key != ORIGINAL
        )
        slot = (version_id, key, kind, frame)
        found = self._kept.get(slot)
        # A draft keeps its id while it changes: what is kept counts only for the same content.
        if found is None or (found.content is not content and found.content != content):
            found = self._kept[slot] = Prepared(content, key, kind, frame)
            if len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(slot)
        return found

    def _lint(self, content: Content, text: str, subject: str, buttons: tuple[Button, ...]) -> None:
        """Refuse forbidden words. The plain look shows every word and address that any other look shows."""
        seen = "\n".join([subject, text, *(one.label for one in buttons)])
        if words := forbidden_words(seen, content.klass, extra=self._forbidden):
            raise BlockedByLint(words)


def _buttons(content: Content, key: str, capabilities: Capabilities, delivery_id: str) -> tuple[Button, ...]:
    """Return the buttons that fit the channel; one that does not is left out, the text always has the link.

    A button keeps its number, so that an answer means the same on every channel.
    """
    labels = content.texts[key].buttons or content.buttons
    buttons = [
        Button(f"{delivery_id}:{number}", label)
        for number, label in enumerate(labels, 1)
        if len(label) <= capabilities.max_button_characters
    ][: capabilities.max_buttons]
    if any(len(one.id.encode()) > _MAX_BUTTON_ID for one in buttons):
        raise ValueError("a delivery id must leave a button's id within 64 bytes")
    return tuple(buttons)


def _approved(prepared: Prepared, values: Mapping[str, str], approved_id: str) -> ApprovedTemplate | None:
    if not approved_id:
        return None
    if prepared.branches:
        raise TemplateInvalid([Problem("", "approved_branches", "a text with conditions cannot be an approved one")])
    shown = prepared.positional(values)
    return ApprovedTemplate(approved_id, {str(number): value for number, (_, value) in enumerate(shown, 1)})
