"""Count the parts of an SMS, for display and for ``num_segments``.

Its own count on purpose: the sandbox must not share the gateway's mistakes. 3GPP TS 23.038: 160/153 septets, or 70/67
UTF-16 units as soon as one character is outside the alphabet.
"""

from __future__ import annotations

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")


def count_parts(text: str) -> int:
    """Return how many SMS parts carry ``text``; at least 1."""
    characters = set(text)
    if characters <= _BASIC:
        return _parts(len(text), 160, 153)
    if characters <= _BASIC | _EXTENDED:
        return _parts(len(text) + sum(1 for one in text if one in _EXTENDED), 160, 153)
    return _parts(len(text.encode("utf-16-le")) // 2, 70, 67)


def _parts(units: int, single: int, part: int) -> int:
    return 1 if units <= single else -(-units // part)
