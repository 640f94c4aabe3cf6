"""Every code that a caseworker can meet is explained."""

from __future__ import annotations

import re

import pytest

from channels.kit import errors
from channels.kit.errors import ChannelError
from gateway.domain import planning
from gateway.domain.confidentiality import BlockedByLint
from gateway.domain.reasons import SENTENCES, explain
from gateway.domain.states import Outcome, State

KINDS = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, ChannelError)]
CODES = sorted(
    {one.default_code for one in KINDS}
    | set(planning.REASONS)
    | {one.value for one in State}
    | {one.value for one in Outcome}
    | {BlockedByLint.code}
)
# German for German readers; the order is that of a Sentence.
ADVICE = r"\bbitte\b|nichts zu tun", r"\b(ask|nothing to do|call|choose|have the|use|report it|tell|check|post it)\b"


@pytest.mark.parametrize("code", CODES)
def test_every_code_of_ours_is_explained(code: str):
    """A-05: errors, planning reasons, states and outcomes all have a sentence in both languages."""
    assert code in SENTENCES
    assert explain(code) != explain(code, "en")


def test_the_reasons_of_planning_are_all_listed():
    """A reason that is not in REASONS would escape the test above."""
    constants = {
        value for name, value in vars(planning).items() if name.isupper() and isinstance(value, str) and len(value) > 1
    }
    assert constants == set(planning.REASONS)


@pytest.mark.parametrize("code", sorted(SENTENCES))
def test_every_sentence_says_what_to_do_next(code: str):
    """Each explanation holds an advice, or that there is nothing to do; it is no code and no jargon."""
    for text, advice in zip((explain(code, "de"), explain(code, "en")), ADVICE, strict=True):
        assert re.search(advice, text, re.IGNORECASE), text
        assert text.endswith(".")
        assert "_" not in text
        assert "{" not in text


@pytest.mark.parametrize("code", sorted(SENTENCES))
def test_nothing_is_called_zugestellt_on_our_word(code: str):
    """A-21: only "als zugestellt gemeldet", never a delivery that we claim ourselves."""
    assert "zugestellt" not in explain(code).lower().replace("als zugestellt gemeldet", "")


@pytest.mark.parametrize(
    ("language", "english"),
    [("de", False), ("en", True), ("en-GB", True), ("EN", True), ("de-leicht", False), ("tr", False), ("", False)],
)
def test_the_language_falls_back_to_german(language: str, english: bool):
    """A-28: the fall-back is German, not English."""
    assert (explain("delivered", language) == explain("delivered", "en")) is english


@pytest.mark.parametrize("code", ["carrier_mood", "{code}", "%s", ""])
def test_an_unknown_code_is_shown(code: str):
    """A third party's code is no blank and no crash: the sentence names it, whatever characters it has."""
    for language in ("de", "en"):
        assert f": {code}." in explain(code, language)
