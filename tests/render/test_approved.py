"""Texts that a provider approves beforehand."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.domain.content import Content, TemplateInvalid
from gateway.render.approved import positional, whatsapp_problems
from tests.render.conftest import Render

GOOD = "Erinnerung an Ihren Termin am {{ datum }} um {{ uhrzeit }} Uhr. Mehr dazu: {{ link }} - Danke."


def with_message(content: Content, message: str, **changes: object) -> Content:
    """Return the content with another German message."""
    text = dataclasses.replace(content.texts["de"], message=message, **changes)  # type: ignore[arg-type]  # any field
    return dataclasses.replace(content, texts={**content.texts, "de": text})


def test_named_placeholders_become_positional(contents: dict[str, Content]):
    """B-W6: {{1}}, {{2}}, … in order of first appearance, and the names to fill them by."""
    body, names = positional(contents["termin_erinnerung"], "en")
    assert names == ["wochentag", "datum", "uhrzeit", "link"]
    assert body == (
        "Reminder of your appointment on {{1}}, {{2}} at {{3}}. You cannot come? Please tell us here: {{4}} "
        "- Thank you."
    )


def test_a_repeated_variable_keeps_its_number_and_a_form_has_its_own(contents: dict[str, Content]):
    """The same value is asked for once; its long form is another value."""
    again = "noch einmal: {{ datum }}, also am {{ datum|date('long') }}, hier {{ link }} ok"
    message = f"Am {{{{ datum }}}} um {{{{ uhrzeit }}}}, {again}"
    body, names = positional(with_message(contents["termin_erinnerung"], message), "de")
    assert body == "Am {{1}} um {{2}}, noch einmal: {{1}}, also am {{3}}, hier {{4}} ok"
    assert names == ["datum", "uhrzeit", "datum", "link"]


def test_the_values_of_a_message_fit_the_submitted_body(contents: dict[str, Content], render: Render):
    """Body and values come from two calls: put together they are what a person reads in free text."""
    for key, content in contents.items():
        if "whatsapp" not in content.channels:
            continue
        for language in content.texts:
            body, names = positional(content, language, "whatsapp")
            message = render(key, "whatsapp", language, approved_id="HX1")
            assert message.approved is not None
            assert list(message.approved.values) == [str(n + 1) for n in range(len(names))]
            for number, value in message.approved.values.items():
                body = body.replace(f"{{{{{number}}}}}", value)
            assert body == next(iter(message.looks.values()))


def test_bold_is_submitted_in_the_messengers_own_marks(contents: dict[str, Content]):
    """A body with ** would show asterisks."""
    body, _ = positional(with_message(contents["termin_hinweis"], "Bitte **jetzt** lesen: {{ link }} und fertig"), "de")
    assert body == "Bitte *jetzt* lesen: {{1}} und fertig"


def test_an_override_for_the_channel_is_what_is_submitted(contents: dict[str, Content]):
    """What is sent there is what was approved."""
    content = with_message(
        contents["termin_hinweis"], "Kurz.", channels={"whatsapp": "Etwas anderes hier: {{ link }} ok"}
    )
    assert positional(content, "de", "whatsapp")[0] == "Etwas anderes hier: {{1}} ok"


def test_a_text_with_conditions_cannot_be_approved(contents: dict[str, Content], render: Render):
    """A provider approves one fixed text: neither submitted nor sent with branches."""
    content = with_message(
        contents["umfrage_einladung"],
        "{% if fragen == 1 %}Eine{% else %}{{ fragen }}{% endif %} {{ link }} {{ minuten }}",
    )
    with pytest.raises(TemplateInvalid):
        positional(content, "de")
    with pytest.raises(TemplateInvalid):
        render(content, "whatsapp", approved_id="HX1")


BROKEN = [
    ("{{ datum }} ist Ihr Termin, bitte kommen Sie", "approved_start"),
    ("Bitte kommen Sie zu Ihrem Termin am {{ datum }}", "approved_end"),
    ("Bitte kommen Sie zu Ihrem Termin am {{ datum }}.", "approved_end"),
    ("Bitte kommen Sie zu Ihrem Termin am {{ datum }}) !", "approved_end"),
    ("Bitte kommen Sie zu uns am {{ tag }} {{ datum }} pünktlich", "approved_adjacent"),
    ("Am {{ datum }} um {{ uhrzeit }} Uhr", "approved_words"),
    ("Das ist ein Wort zu viel hier: {{ link }} ok " + "x" * 1000, "approved_length"),
    ("Bitte lesen Sie hier: https://bit.ly/x und {{ datum }} dann weiter", "approved_shortener"),
    ("Bitte kommen Sie {% if a %}bald{% endif %} zu uns", "approved_branches"),
]


@pytest.mark.parametrize(("text", "code"), BROKEN)
def test_each_rule_of_approved_texts_is_checked(text: str, code: str):
    """B-W6: start, end (punctuation does not help), neighbours, enough words, length, shorteners, conditions."""
    assert [one.code for one in whatsapp_problems(text, pointer="/p")] == [code]
    assert whatsapp_problems(text, pointer="/p")[0].pointer == "/p"


def test_a_good_text_passes_with_names_or_numbers():
    """The same rules before and after the names became numbers."""
    assert whatsapp_problems(GOOD) == []
    assert whatsapp_problems("Erinnerung an Ihren Termin am {{1}} um {{2}} Uhr. Mehr dazu: {{3}} - Danke.") == []
