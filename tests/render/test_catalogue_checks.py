"""The six checks of the message catalogue, over every file and language."""

from __future__ import annotations

import pytest

from channels.kit.contract import Capabilities, Confidentiality, Format, Measure
from channels.kit.segments import Alphabet, count
from gateway.domain.confidentiality import forbidden_words
from gateway.domain.content import Content, canonical_variables
from gateway.render import catalogue, lint, prepare, syntax
from gateway.render.approved import whatsapp_problems
from gateway.render.mail import Frame
from tests.render.conftest import Render
from tests.render.samples import CAPABILITIES, FOLDER, LETTERHEAD, examples

KEYS = sorted(file.stem for file in FOLDER.glob("*.toml"))
PLAIN = prepare.Kind("", (Format.TEXT,))
FRAME = Frame(LETTERHEAD, stop=True, original=True)


def filled(content: Content, key: str) -> list[tuple[str, str]]:
    """Return subject and message with the examples, then with the longest values."""
    prepared = prepare.Prepared(content, key, PLAIN, FRAME)
    longest = {name: lint.longest(one, key) for name, one in content.variables.items()}
    return [
        (
            prepared.subject(values),
            prepared.fill(values, subject="", stop_url="", original_url="")[Format.TEXT],
        )
        for values in (canonical_variables(content, examples(content)), longest)
    ]


def test_the_catalogue_is_complete(contents: dict[str, Content]):
    """Check 1: 22 templates and the twin are read; each K2 has its twin, and that is K1."""
    assert len(contents) == len(KEYS) == 23
    for content in contents.values():
        assert bool(content.twin) is (content.klass is Confidentiality.K2)
        assert not content.twin or contents[content.twin].klass is Confidentiality.K1
        assert all(contents[one].twin == content.key for one in content.twin_of)


@pytest.mark.parametrize("name", KEYS)
def test_declared_variables_are_the_used_ones(name: str):
    """Check 2: in every language, strictly."""
    content = catalogue.read((FOLDER / f"{name}.toml").read_bytes(), name=name)
    for text in content.texts.values():
        used = frozenset().union(*(syntax.names(one) for one in lint.parts(text).values()))
        assert used == set(content.variables)


@pytest.mark.parametrize("name", KEYS)
def test_no_message_shows_a_forbidden_word(name: str, contents: dict[str, Content], render: Render):
    """Check 3 (A-02, A-09, A-22): source and every rendered look, subject and buttons, footer included."""
    content = contents[name]
    for text in content.texts.values():
        for source in lint.parts(text).values():
            assert forbidden_words(source, content.klass) == []
        for channel in content.channels:
            message = render(name, channel, text.language)
            for seen in (message.subject, *message.looks.values(), *(one.label for one in message.buttons)):
                assert forbidden_words(seen, content.klass) == []


@pytest.mark.parametrize("name", KEYS)
def test_subjects_and_messages_have_their_size(name: str, contents: dict[str, Content]):
    """Checks 4 and 5 (B-S1): subject <= 60; GSM-7 in two parts, else UCS-2 in four; also with the longest values."""
    for key in contents[name].texts:
        for subject, message in filled(contents[name], key):
            assert len(subject.strip("\u2068\u2069")) <= 60
            size = count(message)
            expected = Alphabet.GSM7 if key in {"de", "de-leicht", "en"} else Alphabet.UCS2
            assert size.alphabet is expected
            assert size.parts <= (2 if expected is Alphabet.GSM7 else 4)


@pytest.mark.parametrize("name", KEYS)
def test_every_message_could_be_approved_beforehand(name: str, contents: dict[str, Content]):
    """Check 6 (B-W5, B-W6): in every language, <= 1024 characters, buttons <= 20 characters and no stop word."""
    for text in contents[name].texts.values():
        assert whatsapp_problems(text.message) == []
        assert all(len(message) <= 1024 for _, message in filled(contents[name], text.language))
        for button in (*text.buttons, *contents[name].buttons):
            assert len(button) <= 20
            assert button.casefold() not in lint.STOP_WORDS


def test_the_lint_agrees(contents: dict[str, Content]):
    """Nothing stands against approving the catalogue, by the general rules and by what the adapters declare."""
    k1 = {key for key, one in contents.items() if one.klass is Confidentiality.K1}
    assert [p for one in contents.values() for p in lint.check(one, k1_keys=k1)] == []
    assert [p for one in contents.values() for p in lint.check(one, CAPABILITIES, k1_keys=k1)] == []


@pytest.mark.parametrize("name", KEYS)
def test_every_message_fits_its_channels(name: str, contents: dict[str, Content], render: Render):
    """What is rendered from a channel's capabilities keeps to its measure and its number of buttons."""
    for channel in contents[name].channels:
        facts: Capabilities = CAPABILITIES[channel]
        for key in contents[name].texts:
            message = render(name, channel, key)
            assert len(message.buttons) <= facts.max_buttons
            assert set(message.looks) == {*facts.formats, Format.TEXT}
            if facts.measure is Measure.SEGMENTS:
                assert count(message.looks[Format.TEXT]).fits
            assert not [one for look in message.looks.values() for one in look if "\ue000" <= one <= "\uf8ff"]
