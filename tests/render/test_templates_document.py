"""docs/templates.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from channels.kit.contract import Format
from gateway.domain.content import TYPES
from gateway.render import catalogue, lint, markdown, syntax
from tests.render.conftest import Render
from tests.render.samples import CAPABILITIES

DOCUMENT = (Path(__file__).parents[2] / "docs" / "templates.md").read_text()


def fenced(language: str) -> str:
    """Return the first fenced block in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_is_a_template_fit_to_be_approved(render: Render):
    """A reader who copies it has no problem at all, and it renders on every channel."""
    content = catalogue.read(fenced("toml"), name="kurs_beginnt")
    assert lint.check(content, CAPABILITIES, k1_keys=set()) == []
    assert lint.check(content) == []
    for channel in content.channels:
        assert "Bewerbung schreiben" in render(content, channel).looks[Format.TEXT]
    assert "16. März 2027" in render(content, "email").looks[Format.TEXT]
    assert "eine Stunde" in render(content, "email", stunden="1").looks[Format.HTML]


def test_every_field_is_told():
    """The tables name each field that a file may have, each type and each filter."""
    named = set(re.findall(r"`(\w+)`", re.sub(r"```.*?```", "", DOCUMENT, flags=re.DOTALL)))
    fields = catalogue._FIELDS | catalogue._TEXT_FIELDS | catalogue._VARIABLE_FIELDS
    assert fields - {"variables", "text"} - named == set()
    assert set(TYPES) - named == set()
    assert {*catalogue.CATEGORIES, *catalogue.PURPOSES, *catalogue.POLICIES, *catalogue.STATUSES} - named == set()
    assert all(name in fenced("jinja") for name in syntax.FILTERS)


def test_the_syntax_examples_are_accepted(contents: dict[str, catalogue.Content]):
    """What the document shows as allowed compiles."""
    variables = dict(catalogue.read(fenced("toml"), name="kurs_beginnt").variables)
    variables |= {"name": variables["titel"], "anzahl": variables["stunden"]}
    variables["uhrzeit"] = contents["termin_erinnerung"].variables["uhrzeit"]
    variables["tag"] = contents["termin_erinnerung"].variables["wochentag"]
    assert syntax.check(fenced("jinja"), variables) == []
    program = syntax.compile_source(fenced("markdown"), tuple(variables.values()))
    assert markdown.check(program.run({}), chr(syntax.FIRST_HOLE)) == []
