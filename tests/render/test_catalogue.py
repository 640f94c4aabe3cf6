"""Reading template files and storing what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from channels.kit.contract import Confidentiality
from gateway.domain.content import Content, TemplateInvalid
from gateway.render import catalogue
from tests.render.samples import FOLDER

GOOD = (FOLDER / "termin_erinnerung.toml").read_text()


def pointers(source: str, name: str = "termin_erinnerung") -> dict[str, str]:
    """Return pointer and code of every problem of a source."""
    with pytest.raises(TemplateInvalid) as caught:
        catalogue.read(source, name=name)
    return {one.pointer: one.code for one in caught.value.problems}


def test_a_file_says_what_it_says():
    """Every field arrives, in the file's order; text is without the blank lines around it."""
    content = catalogue.read(GOOD.encode(), name="termin_erinnerung")
    assert content.klass is Confidentiality.K2
    assert (content.twin, content.policy, content.urgent) == ("termin_hinweis", "at_most_once", False)
    assert list(content.variables) == ["wochentag", "datum", "uhrzeit", "link"]
    assert list(content.texts) == ["de", "en", "de-leicht", "tr", "uk", "ar"]
    assert content.texts["de-leicht"].message.startswith("Hallo.\nSie haben")
    assert content.texts["de"].email.endswith("Freundliche Grüße")


def test_stored_content_comes_back_equal(contents: dict[str, Content]):
    """The round trip through the database changes nothing, and the same content is the same string."""
    for content in contents.values():
        stored = catalogue.to_source(content)
        assert catalogue.from_stored(stored) == content
        assert list(catalogue.from_stored(stored).variables) == list(content.variables)
        assert catalogue.to_source(catalogue.from_stored(stored)) == stored


@pytest.mark.parametrize("damaged", ["", "{}", "[]", '{"key":1}', '{"key":"x","variables":[1]}'])
def test_damaged_storage_is_named(damaged: str):
    """Whatever lies in the column, only TemplateInvalid comes out."""
    with pytest.raises(TemplateInvalid):
        catalogue.from_stored(damaged)


CHANGES = [
    ('class = "K2"', 'class = "K5"', "/class", "wrong_choice"),
    ('class = "K2"', "", "/class", "missing"),
    ('purpose = "dienst"', 'purpose = "spam"', "/purpose", "wrong_choice"),
    ('title = "Termin-', 'colour = 1\ntitle = "Termin-', "/colour", "unknown_field"),
    ('channels = ["email", "sms", "telegram", "whatsapp"]', "channels = []", "/channels", "empty"),
    ('channels = ["email", ', 'channels = ["email", "email", ', "/channels", "repeated"),
    ('channels = ["email", ', 'channels = ["E Mail", ', "/channels", "wrong_format"),
    ('buttons = ["Ich komme", "Ich kann nicht", "Neuer Termin"]\ntwin', "buttons = 3\ntwin", "/buttons", "wrong_type"),
    ('twin = "termin_hinweis"', "urgent = 1", "/urgent", "wrong_type"),
    ('twin = "termin_hinweis"', 'policy = "twice"', "/policy", "wrong_choice"),
    ('type = "weekday"', 'type = "day"', "/variables/wochentag/type", "wrong_choice"),
    ('example = "Dienstag"', 'example = "Tuesday"', "/variables/wochentag/example", "wrong_format"),
    ("max_length = 40", "max_length = 4", "/variables/link/example", "too_long"),
    ("max_length = 40", "max_length = 400", "/variables/link/max_length", "out_of_range"),
    ("max_length = 40", 'max_length = "40"', "/variables/link/max_length", "wrong_type"),
    ("[variables.link]", "[variables.Link]", "/variables/Link", "wrong_name"),
    ("[text.tr]", "[text.turkish]", "/text/turkish", "wrong_language"),
    ("[text.de]", "[text.fr]", "/text", "missing"),
    ('subject = "Erinnerung an', 'subject = "a\\r\\nBcc: x', "/text/de/subject", "control_character"),
    ('message = "Erinnerung an', 'message = "\\u202e', "/text/de/message", "control_character"),
    ('message = "Erinnerung an', 'message = "\\t', "/text/de/message", "control_character"),
    ('message = "Erinnerung an', 'message = "\\ue000', "/text/de/message", "control_character"),
    ('subject = "Erinnerung an', 'betreff = "x"\nsubject = "', "/text/de/betreff", "unknown_field"),
    ('checked_on = ""', 'checked_on = "bald"', "/text/de-leicht/checked_on", "wrong_format"),
    ('checked_on = ""', 'channels = {"S M S" = "x"}', "/text/de-leicht/channels/S M S", "wrong_name"),
    ('status = "entwurf"', 'status = "fertig"', "/text/de/status", "wrong_choice"),
]


@pytest.mark.parametrize(("old", "new", "pointer", "code"), CHANGES)
def test_one_mistake_is_one_problem_at_its_place(old: str, new: str, pointer: str, code: str):
    """Where, what, and nothing else: the author finds the line without guessing."""
    assert old in GOOD
    assert pointers(GOOD.replace(old, new, 1)) == {pointer: code}


def test_all_mistakes_are_named_at_once():
    """Reading goes on after a mistake."""
    source = (
        GOOD.replace('class = "K2"', "").replace('type = "date"', 'type = "day"').replace("[text.de]", "[text.xxxx]")
    )
    assert set(pointers(source)) == {"/class", "/variables/datum/type", "/text/xxxx", "/text"}


@pytest.mark.parametrize("source", [b"\xff", "a = ", "text = 1\nvariables = 2", "a = " + "[" * 2000])
def test_what_is_not_a_template_is_refused(source: bytes | str):
    """Not UTF-8, not TOML, tables that are none, nested without end."""
    with pytest.raises(TemplateInvalid):
        catalogue.read(source, name="x")


def test_the_file_name_is_the_key():
    """A renamed file would silently become another template."""
    assert pointers(GOOD, name="termin") == {"/key": "wrong_key"}


def test_a_folder_reports_every_file(tmp_path: Path):
    """One bad file does not hide another; pointers begin with the file's name."""
    (tmp_path / "a.toml").write_text("key = 1")
    (tmp_path / "b.toml").write_text(GOOD)
    (tmp_path / "termin_erinnerung.toml").write_text(GOOD)
    with pytest.raises(TemplateInvalid) as caught:
        catalogue.read_folder(tmp_path)
    assert {one.pointer.partition("#")[0] for one in caught.value.problems} == {"a.toml", "b.toml"}
    assert "b.toml#/key" in str(caught.value)
