"""Measure a text in the unit in which a channel counts it.

Whether it is too long is the adapter's to say. Units: see :class:`channels.kit.contract.Measure`.
"""

from __future__ import annotations

from channels.kit.contract import Measure
from channels.kit.errors import Unsupported
from channels.kit.segments import count


def units(text: str, measure: Measure, *, field: str = "text") -> int:
    """Return the size of ``text`` in ``measure``.

    Raises Unsupported(field) for a text that no wire can carry: a lone surrogate has no UTF-8 form (RFC 3629).
    """
    try:
        octets = len(text.encode())
    except UnicodeEncodeError:
        raise Unsupported(field) from None  # the exception would show the text
    if measure is Measure.SEGMENTS:
        return count(text).parts
    if measure is Measure.UTF16:
        return len(text.encode("utf-16-le")) // 2
    if measure is Measure.CHARACTERS:
        return len(text)
    return octets
