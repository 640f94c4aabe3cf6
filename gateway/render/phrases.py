"""The words that a layout adds to a message, per language, read from layout/phrases.toml.

Message texts live in templates/; these phrases carry no fact of any message and no word that could tell who writes and
why (A-02). A language without an entry gets the German ones, marked as German.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """The words of one language. ``language``: the key of the text they are written in."""

    language: str
    stop: str  # the link that ends messages on this channel
    unsubscribe: str  # one or two words before a link, in a short message
    personal: str
    original: str = ""
    imprint: str
    privacy: str
    accessibility: str
    plain: str = ""  # label of an easy-language text nobody of the audience has proofread
    checked: str = ""  # its label once they have


@cache
def every() -> Mapping[str, Phrases]:
    """Return the phrases of all languages by the key of the text."""
    source = files("gateway.render").joinpath("layout/phrases.toml").read_text(encoding="utf-8")
    return {key: Phrases(language=key, **words) for key, words in tomllib.loads(source).items()}


def phrases(key: str) -> Phrases:
    """Return the phrases for the key of a text, German where there are none."""
    return every().get(key) or every()["de"]
