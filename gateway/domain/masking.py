"""Show of an address only what a clerk needs to recognise it on the telephone.

Works by the shape of the text and knows no channel; it validates nothing. Source: Art. 5(1)c DSGVO.
"""

from __future__ import annotations

_GAP = "…"
_SHORTEST_MAILBOX = 3  # a shorter local part would be shown almost whole
_SHORTEST_NUMBER = 8  # digits with the country code
_SHORTEST_ID = 6
_LONGEST_TOP = 4  # a longer top-level domain can name an employer


def hint(channel: str, address: str) -> str:
    """Return ``a…@…de`` of a mailbox, ``+49 … 12`` of a telephone number, ``telegram …345`` of any other id.

    channel: the name put before an id, which says nothing by itself.  Never reveals more than five characters of the
    address; what is too short to be cut shows nothing at all.
    """
    text = address.strip()
    if "@" in text:
        return _mailbox(text)
    if text.startswith("+") and text[1:].isdecimal():
        return f"{text[:3]} {_GAP} {text[-2:]}" if len(text) > _SHORTEST_NUMBER else f"+{_GAP}"
    return f"{channel} {_GAP}{text[-3:] if len(text) >= _SHORTEST_ID else ''}"


def _mailbox(text: str) -> str:
    """Keep the first letter and the top-level domain of at most four letters."""
    local, _, domain = text.rpartition("@")
    first = local[0] if len(local) >= _SHORTEST_MAILBOX else ""
    _, dot, top = domain.rpartition(".")
    last = top if dot and top.isalpha() and len(top) <= _LONGEST_TOP else ""
    return f"{first}{_GAP}@{_GAP}{last}"
