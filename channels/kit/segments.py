"""Count SMS segments: which alphabet a text needs, and how many parts it becomes.

Pure arithmetic on text; sending is the adapter's, pricing is nobody's.
Alphabets: 3GPP TS 23.038 (GSM 7-bit, 160/153 septets) and UCS-2 (70/67 UTF-16 units).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")  # escape + one septet: two septets each

_BEYOND_BMP = 0x10000


class Alphabet(StrEnum):
    """How the text goes over the air."""

    GSM7 = "gsm7"
    UCS2 = "ucs2"


SINGLE = {Alphabet.GSM7: 160, Alphabet.UCS2: 70}  # units of a text that fits one part
PART = {Alphabet.GSM7: 153, Alphabet.UCS2: 67}  # units of each part once there are several
MAX_PARTS = {Alphabet.GSM7: 3, Alphabet.UCS2: 4}  # what we allow (B-S1)


@dataclass(frozen=True, slots=True)
class Count:
    """The size of one text. ``units``: septets or UTF-16 units. ``culprits``: what forced UCS-2, each once."""

    alphabet: Alphabet
    units: int
    parts: int
    culprits: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Tell whether the text stays within the parts that we allow for its alphabet."""
        return self.parts <= MAX_PARTS[self.alphabet]


def culprits(text: str) -> tuple[str, ...]:
    """Return the characters that GSM 7-bit does not have, in order of appearance, each once."""
    return tuple(dict.fromkeys(one for one in text if one not in BASIC and one not in EXTENSION))


def count(text: str) -> Count:
    """Return alphabet, units and parts of ``text``; an empty text is one part."""
    wrong = culprits(text)
    if wrong:
        alphabet = Alphabet.UCS2
        weights = [2 if ord(one) >= _BEYOND_BMP else 1 for one in text]
    else:
        alphabet = Alphabet.GSM7
        weights = [2 if one in EXTENSION else 1 for one in text]
    units = sum(weights)
    parts = 1 if units <= SINGLE[alphabet] else _pack(weights, PART[alphabet])
    return Count(alphabet, units, parts, wrong)


def _pack(weights: Iterable[int], room: int) -> int:
    """Return the parts needed when no pair (escape + septet, surrogates) may be split between two of them."""
    parts, used = 1, 0
    for weight in weights:
        if used + weight > room:
            parts, used = parts + 1, 0
        used += weight
    return parts
