"""Runs for display: WhatsApp's markup, links, and nothing lost on the way."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.sandbox.formatted import Run, runs_of
from channels.sandbox.state import Entry


def runs(text: str, channel: str = "whatsapp") -> list[Run]:
    """Return the runs of a text on a channel."""
    return runs_of(Entry(n=1, at=datetime(2026, 11, 24, tzinfo=UTC), channel=channel, to="x", text=text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*fett* und _kursiv_", [("fett", "bold", ""), (" und ", "", ""), ("kursiv", "italic", "")]),
        ("*fett _beides_*", [("fett ", "bold", ""), ("beides", "bold italic", "")]),
        ("~weg~ ```a*b*c```", [("weg", "strikethrough", ""), (" ", "", ""), ("a*b*c", "code", "")]),
        ("2*3*4 a_b_c", [("2*3*4 a_b_c", "", "")]),
        ("* kein Fett *", [("* kein Fett *", "", "")]),
        (
            "Hier: https://a.example/n/x.",
            [("Hier: ", "", ""), ("https://a.example/n/x", "", "https://a.example/n/x"), (".", "", "")],
        ),
        (
            "\u2068https://a.example\u2069",
            [("\u2068", "", ""), ("https://a.example", "", "https://a.example"), ("\u2069", "", "")],
        ),
        ("javascript:alert(1)", [("javascript:alert(1)", "", "")]),
    ],
)
def test_markup_and_links(text: str, expected: list[Run]) -> None:
    """Styles nest, marks inside words are text, links end before punctuation and isolates, other schemes are text."""
    assert runs(text) == expected


def test_other_channels_have_no_markup() -> None:
    """An SMS shows its asterisks."""
    assert runs("*a*", "sms") == [("*a*", "", "")]


@given(st.text(alphabet="*_~` ahttps://x.\n"))
def test_no_letter_is_lost(text: str) -> None:
    """Only markup characters ever go; for SMS nothing goes."""
    assert "".join(one[0] for one in runs(text, "sms")) == text
    kept = "".join(one[0] for one in runs(text))
    assert [one for one in kept if one not in "*_~`"] == [one for one in text if one not in "*_~`"]
