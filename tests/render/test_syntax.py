"""The allow-listed syntax of message texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.content import TemplateInvalid, Variable
from gateway.render import syntax

KINDS = {"datum": "date", "anzahl": "integer", "ort": "text", "link": "url", "tag": "weekday"}
VARIABLES = {name: Variable(name, kind, "x", 60) for name, kind in KINDS.items()}
DECLARED = tuple(VARIABLES.values())

ATTACKS = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ort.__init__.__globals__ }}",
    "{{ ort['x'] }}",
    "{{ ort() }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ self._TemplateReference__context }}",
    "{{ lipsum() }}",
    "{{ config }}",
    "{{ 7 * 7 }}",
    "{{ ort ~ ort }}",
    "{{ ort if anzahl else ort }}",
    "{{ 'x' }}",
    "{{ [ort] }}",
    "{{ ort | upper }}",
    "{{ ort | attr('__class__') }}",
    "{{ ort | date }}",
    "{{ datum | date(form='long') }}",
    "{{ datum | date('%Y') }}",
    "{{ datum | date | date }}",
    "{% for x in ort %}{{ x }}{% endfor %}",
    "{% set x = 1 %}",
    "{% include 'x' %}",
    "{% import 'x' as x %}",
    "{% extends 'x' %}",
    "{% macro x() %}{% endmacro %}",
    "{% block x %}{% endblock %}",
    "{% filter upper %}x{% endfilter %}",
    "{% call ort() %}{% endcall %}",
    "{% raw %}{{ ort }}{% endraw %}",
    "{# note #}",
    "{% if ort is defined %}x{% endif %}",
    "{% if ort in ['a'] %}x{% endif %}",
    "{% if ort.x %}x{% endif %}",
    "{% if ort() %}x{% endif %}",
    "{% if 1 %}x{% endif %}",
    "{% if ort == none %}x{% endif %}",
    "{% if anzahl == true %}x{% endif %}",
    "{% if anzahl + 1 == 2 %}x{% endif %}",
    "{% if ort < 'b' %}x{% endif %}",
    "{% if anzahl == 'eins' %}x{% endif %}",
    "{% if datum == '2027-03-16' %}x{% endif %}",
    "\ue000",
    "{{ (" * 400,
    "{% if " + "not " * 400 + "anzahl %}x{% endif %}",
    "{% if anzahl %}" * 40 + "{% endif %}" * 40,
    "x" * 10_001,
    "{{ ort",
    "{% if anzahl %}",
    "{{ }}",
]


@pytest.mark.parametrize("source", ATTACKS, ids=range(len(ATTACKS)))
def test_anything_off_the_list_is_refused_with_a_line(source: str):
    """No attribute, call, loop, import, arithmetic or foreign filter gets through, and the author learns where."""
    problems = syntax.check(f"eins\n{source}", VARIABLES, pointer="/text/de/message")
    assert problems
    assert all(one.pointer == "/text/de/message" and one.detail.startswith("line ") for one in problems)
    with pytest.raises(TemplateInvalid):
        syntax.compile_source(source, DECLARED)


def test_all_mistakes_of_a_source_are_named_each_with_its_line():
    """The author mends a text in one go."""
    problems = syntax.check("{{ ort.x }}\n{{ unbekannt }}\n{% set a = 1 %}{{ anzahl | date }}", VARIABLES)
    assert [one.code for one in problems] == ["not_allowed", "unknown_variable", "not_allowed", "type_mismatch"]
    assert [one.detail[:7] for one in problems] == ["line 1:", "line 2:", "line 3:", "line 3:"]


def test_conditions_choose_by_value_and_placeholders_stay_holes():
    """`if`, `elif`, `else`, comparisons and and/or/not work; the text holds no value afterwards."""
    source = (
        "{% if anzahl == 1 %}eine Frage{% elif anzahl > 9 and not tag == 'Montag' or ort == 'X' %}viele{% else %}"
        "{{ anzahl }} Fragen{% endif %} {{ ort }}"
    )
    program = syntax.compile_source(source, DECLARED)
    values = {"tag": "Dienstag", "ort": "{{ geheim }}"}
    assert program.run(values | {"anzahl": "1"}) == "eine Frage \ue001"
    assert program.run(values | {"anzahl": "10"}) == "viele \ue001"
    assert program.run(values | {"anzahl": "7"}) == "\ue000 Fragen \ue001"
    assert program.run({"anzahl": "10", "tag": "Montag", "ort": "Y"}) == "\ue000 Fragen \ue001"
    assert program.branches
    with pytest.raises(KeyError):
        program.run({"anzahl": "1"})


def test_an_integer_is_compared_as_a_number():
    """10 is more than 9: comparing the texts would say otherwise."""
    program = syntax.compile_source("{% if anzahl > 9 %}ja{% else %}nein{% endif %}", DECLARED)
    assert (program.run({"anzahl": "10"}), program.run({"anzahl": "9"})) == ("ja", "nein")


def test_filters_make_holes_of_their_own_form():
    """The same variable in two forms is two holes, in the same form one."""
    program = syntax.compile_source("{{ datum }} {{ datum|date('long') }} {{ datum }} {{ anzahl|number }}", DECLARED)
    assert [(one.name, one.form) for one in program.holes] == [("datum", ""), ("datum", "long"), ("anzahl", "grouped")]
    assert program.run({}) == "\ue000 \ue001 \ue000 \ue002"


def test_the_same_source_is_compiled_once():
    """Compiling costs a millisecond; the second time it is found."""
    source = "einmal {{ ort }}"
    assert syntax.compile_source(source, DECLARED) is syntax.compile_source(source, DECLARED)


@given(st.text(max_size=60))
def test_no_source_makes_the_check_fail_otherwise(source: str):
    """Whatever is typed into the editor, the answer is a list of problems or a program."""
    if syntax.check(source, VARIABLES):
        with pytest.raises(TemplateInvalid):
            syntax.compile_source(source, DECLARED)
    else:
        assert syntax.compile_source(source, DECLARED)
