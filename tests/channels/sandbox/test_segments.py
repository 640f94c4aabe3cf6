"""SMS parts, as the page shows them."""

from __future__ import annotations

import pytest

from channels.sandbox.segments import count_parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("ä" * 160, 1),
        ("ä" * 161, 2),
        ("ä" * 306, 2),
        ("ä" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("ğ" * 70, 1),
        ("ğ" * 71, 2),
        ("ğ" * 134, 2),
        ("ğ" * 135, 3),
        ("\U0001f600" * 35, 1),
        ("\U0001f600" * 36, 2),
    ],
)
def test_the_vectors_of_the_standard(text: str, parts: int) -> None:
    """160/153 septets, two for a euro; 70/67 UTF-16 units as soon as one character needs them (B-S1)."""
    assert count_parts(text) == parts
