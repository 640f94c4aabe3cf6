"""The class gate and the forbidden words."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.kit.contract import Confidentiality
from gateway.domain.confidentiality import ENTRIES, BlockedByLint, Entry, Gate, decide, forbidden_words

K0, K1, K2, K3, K4 = Confidentiality


@pytest.mark.parametrize(
    ("klass", "ceiling", "twin"), list(itertools.product(Confidentiality, Confidentiality, (True, False)))
)
def test_nothing_above_the_matrix_is_ever_allowed(klass: Confidentiality, ceiling: Confidentiality, twin: bool):
    """A-01: K3 and K4 never go out, nothing exceeds the ceiling, and only K2 is replaced by its K1 twin."""
    gate = decide(klass, ceiling, twin)
    if klass >= K3:
        assert gate is Gate.REFUSED
    elif klass <= ceiling:
        assert gate is Gate.ALLOWED
    elif klass is K2 and twin and ceiling is K1:
        assert gate is Gate.TWIN
    else:
        assert gate is Gate.REFUSED


CAUGHT = {
    "Post vom Jobcenter Hofheim": "Jobcenter",
    "Ihr Job-Center": "Jobcenter",
    "Джобцентр пише": "Jobcenter",
    "SGB II": "SGB",
    "BÜRGERGELD": "Bürgergeld",
    "Buergergeld": "Bürgergeld",
    "Ihr Grundsicherungsgeld": "Grundsicherung",
    "Hartz IV": "Hartz",
    "Hartz4": "Hartz",
    "Ihr Leistungsbescheid": "Leistung",
    "Ihr Änderungsbescheid": "Bescheid",
    "Ihr Bescheid ist da": "Bescheid",
    "in den Bescheiden": "Bescheid",
    "Geben Sie den Bescheid ab": "Bescheid",
    "ohne Sanktionen": "Sanktion",
    "Meldeaufforderung": "Meldeaufforderung",
    "Ihre Bedarfsgemeinschaft": "Bedarfsgemeinschaft",
    "BG-Nummer 437": "Bedarfsgemeinschaft",
    "ALG II": "Arbeitslosengeld",
    "Bitte das Attest senden": "Attest",
    "Krankenattest": "Attest",
    "Amtsärztin": "Amtsarzt",
    "Ein Gutachter kommt": "Gutachten",
    "Gesundheitsamt, Raum 3": "Gesundheitsamt",
    "wegen Krankheit": "Krankheit",
    "Physiotherapie": "Therapie",
    "Schwangerschaft": "Schwangerschaft",
    "Rechtsfolgenbelehrung": "Rechtsfolge",
    "Minderung um 30 %": "Minderung",
    "wir mindern": "mindern",
    "J\u00adob\u200bcenter": "Jobcenter",
    "".join(chr(ord(one) + 0xFEE0) for one in "Jobcenter"): "Jobcenter",  # full-width letters
    "https://jobcenter.example/n/k3": "Jobcenter",
    "https://info.example/bescheid/k3Vq8ZtA": "Bescheid",
}
HARMLESS = [
    "Bitte sagen Sie uns Bescheid.",
    "Wir geben Ihnen bald Bescheid.",
    "Bescheid sagen",
    "ein bescheidenes Haus",
    "Dienstleistung",
    "Leistungskurs",
    "Höchstleistung",
    "Du hattest einen Termin",
    "Das ist gestattet und erstattest du es?",
    "Behinderung",
    "Minderjährige",
    "Wir begutachten Ihre Bilder",
    "Hartzheim am Harz",
    "Nummer 12",
    "Training Center",
    "algemein",
    "https://info.example/n/SGB7kQ2x",
]


@pytest.mark.parametrize(("text", "word"), list(CAUGHT.items()))
def test_a_forbidden_word_is_found_in_any_dress(text: str, word: str):
    """A-02, A-09, A-22: compounds, inflections, spelt-out umlauts, invisible and wide characters, hosts of links."""
    assert word in forbidden_words(text, K1)


@pytest.mark.parametrize("text", HARMLESS)
def test_a_harmless_word_that_holds_a_forbidden_one_passes(text: str):
    """The documented traps: idioms, other compounds, verbs, random tokens of a link."""
    assert forbidden_words(text, K1) == []


def test_one_harmless_use_does_not_hide_a_forbidden_one():
    """An exemption covers its own place only."""
    assert forbidden_words("Dienstleistung und Geldleistung", K1) == ["Leistung"]
    assert forbidden_words("Wir sagen Ihnen Bescheid, wenn der Bescheid da ist", K1) == ["Bescheid"]


def test_the_lists_hold_for_every_class_that_is_sent():
    """K0, K1 and K2 share one list; of K3 and K4 nothing is sent, so nothing is looked for."""
    assert [forbidden_words("Sanktion", one) for one in Confidentiality] == [["Sanktion"]] * 3 + [[]] * 2


def test_further_words_come_from_outside():
    """A-09: revealing places are the authority's to name."""
    assert forbidden_words("Haus Sonnenberg", K2) == []
    assert forbidden_words("Haus Sonnenberg", K2, extra=("sonnenberg",)) == ["sonnenberg"]


@given(st.sampled_from(ENTRIES), st.text(max_size=20), st.sampled_from([str, str.upper, str.lower]))
def test_the_cheap_stems_never_miss_a_word(entry: Entry, before: str, case: Callable[[str], str]):
    """Each entry's own word is found in any case after any text: no stem is narrower than its pattern."""
    assert entry.word in forbidden_words(f"{before} {case(entry.word)}", K1)


def test_the_block_names_entries_and_no_text():
    """What was to be sent never gets into an exception."""
    assert str(BlockedByLint(["Jobcenter"])) == "forbidden words: Jobcenter"
