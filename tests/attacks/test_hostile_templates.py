"""Templates that want out of their sandbox, or to be too much for it: each is refused by its code, none is run."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from gateway.domain.content import TemplateInvalid, Variable
from gateway.render import syntax
from gateway.render.catalogue import read_folder

ORT = Variable(name="ort", type="text", example="Hofheim", max_length=40)
HOSTILE = {
    "classes": "{{ ort.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ cycler.__init__.__globals__ }}",
    "call": "{{ ort() }}",
    "attribute filter": "{{ ort|attr('x') }}",
    "loop": "{% for one in range(10**9) %}x{% endfor %}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}",
    "macro": "{% macro m() %}{% endmacro %}",
    "much text": "{{ 'a' * 999999999 }}",
    "much arithmetic": "{% if 9**9**9 %}x{% endif %}",
    "much text in a condition": "{% if 'a' * 999999999 == ort %}x{% endif %}",
    "ifs": "{% if ort == 'x' %}" * 200 + "x" + "{% endif %}" * 200,
    "brackets": "{{ " + "(" * 4000 + "ort" + ")" * 4000 + " }}",
    "lists": "{{ " + "[" * 4000 + "ort" + "]" * 4000 + " }}",
    "dots": "{{ ort" + ".b" * 4000 + " }}",
    "filters": "{{ ort" + "|date" * 1500 + " }}",
    "nots": "{% if " + "not " * 2000 + "ort == 'x' %}x{% endif %}",
    "braces": "{" * 9999,
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_source_is_refused(source: str):
    """The check names it, compiling refuses it, and asking for its names ends in an answer or in TemplateInvalid."""
    assert syntax.check(source, {"ort": ORT})
    with pytest.raises(TemplateInvalid):
        syntax.compile_source(source, (ORT,))
    with contextlib.suppress(TemplateInvalid):
        syntax.names(source)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path):
    """A mistyped ``--from`` would otherwise look like a catalogue without changes."""
    with pytest.raises(TemplateInvalid, match="no such folder"):
        read_folder(tmp_path / "nothing")


def test_a_folder_that_is_named_like_a_text_is_no_text(tmp_path: Path):
    """It is passed over."""
    (tmp_path / "x.toml").mkdir()
    assert read_folder(tmp_path) == {}
