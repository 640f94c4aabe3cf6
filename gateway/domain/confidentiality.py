"""Confidentiality: which class a channel may carry, and which words no message of ours may show.

The lists are data, open-ended and to be confirmed by the data protection officer; matching is pure. Nothing
here knows a channel by name. Rules: A-01, A-02, A-09, A-22.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from channels.kit.contract import Confidentiality


class Gate(StrEnum):
    """What the class gate says to one template on one account."""

    ALLOWED = "allowed"
    TWIN = "twin"  # send the neutral K1 twin instead
    REFUSED = "refused"


def decide(klass: Confidentiality, ceiling: Confidentiality, has_twin: bool) -> Gate:
    """Return whether a text of ``klass`` may go where at most ``ceiling`` is allowed (A-01).

    K3 and K4 are never sent, whatever the ceiling; only K2 has twins, and a twin is K1.
    """
    if klass >= Confidentiality.K3:
        return Gate.REFUSED
    if klass <= ceiling:
        return Gate.ALLOWED
    if klass == Confidentiality.K2 and has_twin and ceiling >= Confidentiality.K1:
        return Gate.TWIN
    return Gate.REFUSED


class BlockedByLint(Exception):
    """A rendered text shows a forbidden word and must not be sent. ``words``: entries of our list, never a value."""

    code = "blocked_by_lint"

    def __init__(self, words: Sequence[str]) -> None:
        """Keep the entries that were found."""
        self.words = tuple(words)
        super().__init__(f"forbidden words: {', '.join(self.words)}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One forbidden word. ``pattern`` and ``harmless`` are regular expressions on text with umlauts spelt out.

    A hit that lies within a match of ``harmless`` does not count. ``rule``: the requirement it comes from. ``stems``: a
    text without any of them (lower case) cannot match; they make the common case cheap.
    """

    word: str
    pattern: str
    rule: str
    stems: tuple[str, ...]
    harmless: str = ""


# Whole words or parts of words, decided per entry. Texts come in here with ä, ö, ü, ß written ae, oe, ue, ss.
_JOBCENTER = r"job[\s-]?cent(?:er|re)|джоб[\s-]?центр|جوب[\s-]?سنتر"
_OTHER_LEISTUNG = (
    r"dienstleistung|gewaehrleistung|leistungs(?:sport|kurs|faehig|stark)|(?:hoechst|spitzen|glanz)leistung"
)
# The idiom "Bescheid sagen/geben/wissen", and the adjective "bescheiden" (lower case; the noun's plural trips).
_OTHER_BESCHEID = (
    r"bescheidenheit|(?-i:\bbescheiden)|\bbescheid (?:zu )?(?:sag|geb|gib|wiss|weiss|gesagt|gegeben)"
    r"|\b(?:sag|geb|gib)\w* (?:(?:sie|du|uns|mir|ihm|ihr|ihnen|bitte|kurz|hier|bald|rechtzeitig) ){0,4}bescheid\b"
)
# "hattest", "gestattest" and their like hold "attest" by accident: only its beginning or a known compound counts.
_ATTEST = r"\battest|(?:kranken|gesundheits|arzt|aerzte|schul)attest"
_ARBEITSLOSENGELD = r"arbeitslosengeld|\balg[\s-]?(?:ii|2|i|1)\b|unemployment benefit"
_KRANKHEIT = r"krankheit|krankmeldung|krankschreibung|krankgeschrieben|arbeitsunfaehig"

ENTRIES: tuple[Entry, ...] = (
    Entry("Jobcenter", _JOBCENTER, "A-02", ("center", "centre", "центр", "سنتر")),
    Entry("SGB", r"\bsgb", "A-02", ("sgb",)),
    Entry("Bürgergeld", r"buergergeld", "A-02", ("rgergeld",)),
    Entry("Grundsicherung", r"grundsicherung", "A-02", ("grundsicherung",)),
    Entry("Hartz", r"\bhartz(?:iv|\b|[0-9])", "A-02", ("hartz",)),
    Entry("Leistung", r"leistung", "A-02", ("leistung",), _OTHER_LEISTUNG),
    Entry("Bescheid", r"bescheid", "A-02", ("bescheid",), _OTHER_BESCHEID),
    Entry("Sanktion", r"sankt?ion|sanction", "A-02", ("sanktion", "sanction")),
    Entry("Meldeaufforderung", r"meldeaufforderung", "A-02", ("meldeaufforderung",)),
    Entry("Bedarfsgemeinschaft", r"bedarfsgemeinschaft|\bbg[\s-]?nummer", "A-02", ("bedarfsgem", "nummer")),
    Entry("Arbeitslosengeld", _ARBEITSLOSENGELD, "A-02", ("arbeitslosengeld", "alg", "unemployment")),
    Entry("Regelbedarf", r"regelbedarf|regelsatz", "A-02", ("regelbedarf", "regelsatz")),
    Entry("Krankheit", _KRANKHEIT, "A-09", ("krank", "arbeitsunf")),
    Entry("Attest", _ATTEST, "A-09", ("attest",)),
    Entry("Therapie", r"therap(?:ie|eut|y)", "A-09", ("therap",)),
    Entry("Schwangerschaft", r"schwanger|pregnan", "A-09", ("schwanger", "pregnan")),
    Entry("Gutachten", r"gutacht", "A-09", ("gutacht",), r"begutacht"),
    Entry("Amtsarzt", r"amtsae?rzt", "A-09", ("amtsa", "amtsä")),
    Entry("Gesundheitsamt", r"gesundheitsamt", "A-09", ("gesundheitsamt",)),
    Entry("Suchtberatung", r"suchtberatung|suchthilfe", "A-09", ("sucht",)),
    Entry("Rechtsfolge", r"rechtsfolge", "A-22", ("rechtsfolge",)),
    Entry("Minderung", r"minderung", "A-22", ("minderung",)),
    Entry("mindern", r"minder(?:n\b|t)", "A-22", ("mindern", "mindert")),
)

_EACH = tuple(
    (one, re.compile(one.pattern, re.IGNORECASE), re.compile(one.harmless or r"(?!)", re.IGNORECASE)) for one in ENTRIES
)
_STEMS = tuple(stem for one in ENTRIES for stem in one.stems)
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u115f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")
_URL = re.compile(r"https?://[^\s<>\"\u2069]+")
_SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ẞ": "SS"})


def forbidden_words(text: str, klass: Confidentiality, *, extra: Iterable[str] = ()) -> list[str]:
    """Return the entries of the lists that ``text`` shows, in list order; [] is clean (A-02, A-09, A-22).

    The same lists hold for K0, K1 and K2; K3 and K4 are never sent, so nothing is looked for. Of a link, the host and
    the readable parts of the path count, random tokens do not. ``extra``: further words, matched as parts of words.
    """
    if klass >= Confidentiality.K3:
        return []
    visible = text if text.isascii() else _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    folded = visible.casefold()
    found = [word for word in extra if word.casefold() in folded]
    if not any(stem in folded for stem in _STEMS):
        return found
    plain = _URL.sub(_readable, visible).translate(_SPELLED_OUT)
    return [one.word for one, pattern, harmless in _EACH if _shows(plain, pattern, harmless)] + found


def _shows(text: str, pattern: re.Pattern[str], harmless: re.Pattern[str]) -> bool:
    """Tell whether ``pattern`` occurs outside every match of ``harmless``."""
    hits = [hit.span() for hit in pattern.finditer(text)]
    if not hits:
        return False
    spared = [hit.span() for hit in harmless.finditer(text)]
    return any(not any(begin <= at and end <= until for begin, until in spared) for at, end in hits)


def _readable(match: re.Match[str]) -> str:
    """Return host and path words of a link; a part with digits or capitals is a random token."""
    try:
        parts = urlsplit(match[0])
    except ValueError:
        return match[0]
    words = re.split(r"[/?&=#]", f"{parts.path}?{parts.query}")
    return " ".join([parts.netloc, *(one for one in words if one.islower() and not re.search("[0-9]", one))])
