"""What stands against approving a template."""

from __future__ import annotations

import dataclasses

import pytest

from channels.kit.contract import Confidentiality
from gateway.domain.content import Content, Text, Variable
from gateway.render import lint
from tests.render.samples import CAPABILITIES

PLAIN = "Bitte schauen Sie am {{ datum }} hier nach: {{ link }} - Danke."


def probe(message: str = PLAIN, key: str = "de", **changes: object) -> Content:
    """Return a K1 content with one text in German or another language, and changes."""
    fields = {name: changes.pop(name) for name in ("subject", "email", "buttons_", "channels_") if name in changes}
    text = Text(
        language=key, subject=str(fields.get("subject", "Hinweis")), message=message,
        email=str(fields.get("email", "")), buttons=fields.get("buttons_", ()), channels=fields.get("channels_", {}),
    )  # fmt: skip
    base = Content(
        key="probe", title="Probe", event="", klass=Confidentiality.K1, purpose="dienst", whatsapp_category="utility",
        channels=("sms", "whatsapp"), buttons=(), texts={key: text},
        variables={
            "datum": Variable("datum", "date", "16.03.2027", 10),
            "link": Variable("link", "url", "https://info.mtk.example/n/k3Vq8ZtA", 40),
        },
    )  # fmt: skip
    return dataclasses.replace(base, **changes)


def codes(content: Content, **options: object) -> list[tuple[str, str]]:
    """Return pointer and code of each problem."""
    return [(one.pointer, one.code) for one in lint.check(content, **options)]


LONG = "Bitte schauen Sie am {{ datum }} hier nach: {{ link }} - Danke. "
CASES = [
    (probe(), []),
    (probe(PLAIN.replace("hier", "in {{ ort }} und hier")), [("/text/de/message", "unknown_variable")]),
    (probe("Am {{ datum.x }} gibt es etwas hier: {{ link }} - Danke."), [("/text/de/message", "not_allowed")]),
    (probe("Bitte schauen Sie hier nach: {{ link }} - Danke."), [("/variables/datum", "unused_variable")]),
    (probe(subject="x" * 51 + "{{ datum }}"), [("/text/de/subject", "subject_length")]),
    (probe(LONG + "x" * 220), [("/text/de/message", "too_many_parts")]),
    (probe(LONG + "x" * 150), []),
    (probe(LONG + "„Zitat“"), [("/text/de/message", "not_gsm7")]),
    (probe(LONG + "„Zitat“", key="tr"), []),
    (probe(LONG + "ж" * 220, key="uk"), [("/text/uk/message", "too_many_parts")]),
    (probe("# Titel\n" + LONG), [("/text/de/message", "markdown")]),
    (probe("Lesen Sie am {{ datum }} [da](http://x.example/) {{ link }} ok"), [("/text/de/message", "link_target")]),
    (probe(email="Hallo, [hier]({{ datum }})"), [("/text/de/email", "link_target")]),
    (probe(LONG + "Ihr Bescheid"), [("/text/de/message", "forbidden_word")]),
    (probe(LONG + "Ihr Be**scheid** da"), [("/text/de/message", "forbidden_word")]),
    (probe(subject="Vom Jobcenter"), [("/text/de/subject", "forbidden_word")]),
    (probe(email="Eine Sanktion"), [("/text/de/email", "forbidden_word")]),
    (probe(channels_={"sms": LONG + "Sanktion"}), [("/text/de/channels/sms", "forbidden_word")]),
    (probe("{{ datum }} ist der Tag, bitte schauen: {{ link }} - Danke."), [("/text/de/message", "approved_start")]),
    (probe(buttons=("Ein viel zu langer Knopf",), buttons_=("Ein viel zu langer Knopf",)),
     [("/buttons/0", "button_length"), ("/text/de/buttons/0", "button_length")]),
    (probe(buttons=("Cancel",)), [("/buttons/0", "stop_word")]),
    (probe(buttons=("Ja", "Nein"), buttons_=("Yes",)), [("/text/de/buttons", "button_count")]),
    (probe(buttons=("Bescheid da",)), [("/text/de/buttons", "forbidden_word")]),
    (probe(klass=Confidentiality.K3), [("/class", "class_not_sendable")]),
    (probe(klass=Confidentiality.K2), [("/twin", "twin_missing")]),
    (probe(klass=Confidentiality.K2, twin="t"), []),
    (probe(twin="t"), [("/twin", "twin_not_allowed")]),
    (probe(klass=Confidentiality.K0, twin_of=("t",)), [("/twin_of", "twin_class")]),
    (probe(whatsapp_category="marketing"), [("/purpose", "marketing_needs_info")]),
]  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), CASES, ids=range(len(CASES)))
def test_each_rule_names_its_place(content: Content, expected: list[tuple[str, str]]):
    """A-02, A-09, A-20, A-22, B-S1, B-W5, B-W6: one broken rule, one problem, at the field it concerns."""
    assert codes(content) == expected


def test_a_twin_has_to_be_there():
    """A-01: the named twin must be a K1 template."""
    content = probe(klass=Confidentiality.K2, twin="termin_hinweis")
    assert codes(content, k1_keys={"termin_hinweis"}) == []
    assert codes(content, k1_keys={"anderes"}) == [("/twin", "twin_unknown")]


def test_free_text_above_k0_is_for_listed_variables():
    """A-09: `ort` may be free text, a variable of another name may not; K0 may have any."""
    variables = {"notiz": Variable("notiz", "text", "Hallo", 60)}
    content = probe("Bitte lesen Sie das jetzt: {{ notiz }} und danke.", variables=variables)
    assert codes(content) == [("/variables/notiz/type", "free_text")]
    assert codes(dataclasses.replace(content, klass=Confidentiality.K0)) == []


def test_sizes_hold_for_the_longest_values():
    """The example fits, the longest value would not: the author learns before the first message fails."""
    variables = {"ort": Variable("ort", "text", "Hofheim", 60)}
    subject = "Ihr Termin findet hier statt: {{ ort }}"
    content = probe("Bitte kommen Sie dorthin: {{ ort }} und danke sehr.", subject=subject, variables=variables)
    assert codes(content) == [("/text/de/subject", "subject_length")]


def test_every_branch_is_searched_for_forbidden_words():
    """A-02: a word in a branch that the examples do not choose is found all the same."""
    variables = {"anzahl": Variable("anzahl", "integer", "1", 3)}
    source = "Sie haben {% if anzahl == 77 %}eine Sanktion{% else %}{{ anzahl }} Fragen{% endif %} hier ja"
    found = codes(probe(source, variables=variables, channels=("sms",)), channels=CAPABILITIES)
    assert found == [("/text/de/message", "forbidden_word")]


def test_an_example_value_is_searched_too():
    """A-02: examples show in previews and in documentation."""
    variables = {"ort": Variable("ort", "text", "Jobcenter Hofheim", 60)}
    content = probe("Bitte kommen Sie dorthin: {{ ort }} und danke sehr.", variables=variables)
    assert codes(content) == [("/variables", "forbidden_word")]


def test_further_words_are_searched():
    """A-09: the authority's own list counts in the lint as in sending."""
    assert codes(probe(LONG + "Sonnenberg"), forbidden=("sonnenberg",)) == [("/text/de/message", "forbidden_word")]


def test_the_installed_channels_set_the_limits():
    """With capabilities at hand only the named channels count, each by its own measure; unknown ones are named."""
    long = probe(LONG * 20)
    assert codes(dataclasses.replace(long, channels=("telegram",)), channels=CAPABILITIES) == []
    tight = {"telegram": dataclasses.replace(CAPABILITIES["telegram"], max_units=500)}
    assert codes(dataclasses.replace(long, channels=("telegram",)), channels=tight) == [
        ("/text/de/message", "too_long")
    ]
    assert codes(dataclasses.replace(probe(), channels=("brieftaube",)), channels=CAPABILITIES) == [
        ("/channels", "unknown_channel")
    ]


def test_a_mail_that_mailboxes_would_cut_is_refused():
    """B-E7: more than 102 kB."""
    content = probe(email="x\n\n" * 3000, channels=("email",))
    assert codes(content, channels=CAPABILITIES) == [("/text/de/email", "too_long")]


def test_the_longest_value_is_judged_as_it_is_shown():
    """B-S1: a weekday's longest name depends on the language, not on max_length."""
    weekday = Variable("tag", "weekday", "Montag", 10)
    assert lint.longest(weekday, "de") == "Donnerstag"
    assert lint.longest(weekday, "en") == "Mittwoch"
    assert len(lint.longest(Variable("x", "url", "https://a.example/", 40), "de")) == 40
