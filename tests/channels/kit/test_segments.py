"""Segments are counted as the networks count them (B-S1)."""

from __future__ import annotations

import sys

import gsm0338
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.kit.segments import BASIC, EXTENSION, Alphabet, count, culprits

GSM, UCS = Alphabet.GSM7, Alphabet.UCS2
VECTORS = [
    ("", GSM, 0, 1),
    ("a" * 160, GSM, 160, 1),
    ("a" * 161, GSM, 161, 2),
    ("a" * 306, GSM, 306, 2),
    ("a" * 307, GSM, 307, 3),
    ("ä" * 160, GSM, 160, 1),
    ("€" * 80, GSM, 160, 1),
    ("a" * 159 + "€", GSM, 161, 2),  # € at position 160 does not fit
    ("a" * 152 + "€" + "a" * 152, GSM, 306, 3),  # € may not be split between two parts: 152 + (2 + 151) + 1
    ("„" * 70, UCS, 70, 1),
    ("„" * 71, UCS, 71, 2),
    ("„" * 134, UCS, 134, 2),
    ("„" * 135, UCS, 135, 3),
    ("😀" * 35, UCS, 70, 1),
    ("😀" * 67, UCS, 134, 3),  # 33 pairs a part: a surrogate pair is not split
]


@pytest.mark.parametrize(("text", "alphabet", "units", "parts"), VECTORS)
def test_vectors(text: str, alphabet: Alphabet, units: int, parts: int):
    """B-S1: the limits 160/153 and 70/67, two-unit characters, and no pair split between two parts."""
    found = count(text)
    assert (found.alphabet, found.units, found.parts) == (alphabet, units, parts)


def test_alphabet_is_the_standards():
    """B-S1: one and two septets agree with an independent implementation of TS 23.038 for the whole BMP."""
    codec = gsm0338.Codec()
    for code in range(0x10000):
        if 0xD800 <= code < 0xE000 or code == 0x1B:  # no characters: surrogates, and the escape itself
            continue
        try:
            septets = len(codec.encode(chr(code))[0])
        except UnicodeEncodeError:
            septets = 0
        ours = 1 if chr(code) in BASIC else 2 if chr(code) in EXTENSION else 0
        assert ours == septets, hex(code)


def test_culprits_are_named_once_in_order():
    """B-S1: the editor can show what makes a text expensive; German umlauts and € are not among it."""
    assert culprits("Grüße \u2013 „hallo“ … äöüß€§ ş „ 😀") == ("\u2013", "„", "“", "…", "ş", "😀")


@pytest.mark.parametrize(("character", "most"), [("a", 459), ("„", 268)])
def test_three_parts_or_four(character: str, most: int):
    """B-S1: at most three parts, four in UCS-2."""
    assert count(character * most).fits
    assert not count(character * (most + 1)).fits


@given(st.text(max_size=400))
def test_parts_are_never_too_few(text: str):
    """Any text fits into the parts counted, and one part holds what is short enough."""
    found = count(text)
    single, part = (160, 153) if found.alphabet is GSM else (70, 67)
    assert found.units <= (single if found.parts == 1 else part * found.parts)
    assert (found.parts == 1) == (found.units <= single)


def test_counting_is_fast():
    """A live counter in an editor may ask at every key press: a long text costs steps, not squares of them."""
    assert count("ä" * 100_000).parts == -(-100_000 // 153)
    assert sys.getrecursionlimit() < 100_000
