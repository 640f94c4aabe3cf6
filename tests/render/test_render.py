"""From a version and values to the Message of a delivery."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.kit.contract import Format, Kind
from gateway.domain.content import Content, TemplateInvalid, Text, VariablesInvalid, check_variables
from gateway.render import lint, prepare, syntax
from gateway.render.localise import localise
from gateway.render.render import BlockedByLint, Links, Renderer
from tests.render.conftest import Render
from tests.render.samples import CAPABILITIES, LETTERHEAD, LINKS, SENT_AT, examples
from tests.render.seen import Seen

STOP = LINKS.stop_url


def with_text(content: Content, key: str, **changes: object) -> Content:
    """Return the content with one text changed."""
    changed = dataclasses.replace(content.texts[key], **changes)  # type: ignore[arg-type]  # any field of Text
    return dataclasses.replace(content, texts={**content.texts, key: changed})


def test_a_message_says_what_the_template_says(render: Render):
    """The German SMS with the example values, to the letter."""
    assert render("termin_erinnerung").looks == {
        Format.TEXT: "Erinnerung an Ihren Termin am Dienstag, 16.03.2027 um 10:30 Uhr. Sie können nicht? Bitte sagen "
        "Sie es uns hier: https://info.mtk.example/n/k3Vq8ZtA - Vielen Dank."
    }


def test_values_are_shown_in_the_language_of_the_text(render: Render):
    """A-28: weekday and date are localised; German and English differ, values are given once."""
    assert "on Tuesday, 16 Mar 2027 at 10:30." in render("termin_erinnerung", language="en").looks[Format.TEXT]
    assert "Tuesday" in render("termin_erinnerung", language="en-US", datum="2027-03-16").looks[Format.TEXT]


def test_arabic_keeps_its_order_and_isolates_every_value(render: Render, contents: dict[str, Content]):
    """A-28: the logical order of the source stays, each value stands between U+2068 and U+2069, dir is rtl."""
    message = render("termin_erinnerung", language="ar")
    assert (message.language, message.direction) == ("ar", "rtl")
    weekday = localise("weekday", "Dienstag", "ar")
    shown = [weekday, "16.03.2027", "10:30", "https://info.mtk.example/n/k3Vq8ZtA "]
    literals = re.split(r"\{\{ \w+ \}\}", contents["termin_erinnerung"].texts["ar"].message)
    wanted = literals[0] + "".join(f"\u2068{one}\u2069{after}" for one, after in zip(shown, literals[1:], strict=True))
    assert message.looks[Format.TEXT] == wanted


def test_a_missing_language_is_german(render: Render):
    """A-28: a Persian wish gets the German text, marked as German."""
    message = render("termin_erinnerung", language="fa")
    assert (message.language, message.direction) == ("de", "ltr")
    assert message.looks == render("termin_erinnerung").looks


def test_the_email_form_is_for_mail_only(render: Render, contents: dict[str, Content]):
    """A channel with HTML gets the longer form, others the message or their own override."""
    assert render("termin_erinnerung", "email").looks[Format.TEXT].startswith("Guten Tag,\n\nwir erinnern")
    own = with_text(contents["termin_erinnerung"], "de", channels={"sms": "Kurz: {{ datum }}, mehr {{ link }} dort."})
    assert render(own, "sms").looks[Format.TEXT] == "Kurz: 16.03.2027, mehr https://info.mtk.example/n/k3Vq8ZtA dort."
    assert render(own, "telegram").looks[Format.TEXT].startswith("Erinnerung an")
    short = with_text(contents["termin_erinnerung"], "de", email="")
    assert render(short, "email").looks[Format.TEXT].startswith("Erinnerung an")


def test_a_condition_chooses_the_words(render: Render, contents: dict[str, Content]):
    """One text, two branches: each is written once and filled with its own values."""
    source = "{% if minuten == 1 %}eine Minute{% else %}{{ minuten }} Minuten{% endif %}, {{ titel }}: {{ link }} ok"
    content = with_text(contents["erklaervideo_neu"], "de", message=source)
    assert render(content, minuten="1").looks[Format.TEXT].startswith("eine Minute, Antrag online stellen: https")
    assert render(content, minuten="12").looks[Format.TEXT].startswith("12 Minuten, Antrag online stellen: https")


def test_a_text_without_words_is_not_sent(render: Render, contents: dict[str, Content]):
    """A branch that leaves nothing is the author's mistake, found before an empty message goes out."""
    source = "{% if minuten == 1 %}{{ minuten }} {{ titel }}: {{ link }} ok{% endif %}"
    content = with_text(contents["erklaervideo_neu"], "de", message=source)
    with pytest.raises(TemplateInvalid):
        render(content, minuten="2")
    assert ("/text/de", "empty") in [(one.pointer, one.code) for one in lint.check(content)]


def test_more_branches_than_are_kept_still_render(render: Render, contents: dict[str, Content]):
    """What is kept per version has a bound; the words stay right beyond it."""
    branches = "".join(f"{{% if minuten == {n} %}}Nummer {n}{{% endif %}}" for n in range(70))
    content = with_text(
        contents["erklaervideo_neu"], "de", message=branches + " {{ titel }} {{ minuten }} {{ link }} ok"
    )
    for _ in range(2):
        for n in range(70):
            assert render(content, minuten=str(n)).looks[Format.TEXT].startswith(f"Nummer {n} Antrag")


def test_the_same_arguments_give_the_same_bytes(render: Render, contents: dict[str, Content]):
    """The preview shows what will be sent: a fresh renderer and a warm one agree."""
    for channel in CAPABILITIES:
        warm = [render("termin_erinnerung", channel, "ar") for _ in range(2)]
        fresh = Renderer(LETTERHEAD).render(
            version_id="another",
            content=contents["termin_erinnerung"],
            capabilities=CAPABILITIES[channel],
            language="ar",
            variables=examples(contents["termin_erinnerung"]),
            delivery_id="d_01JN0000000000000000000000",
            links=LINKS,
            sent_at=SENT_AT,
        )
        assert warm == [fresh, fresh]


def test_the_second_message_of_a_version_compiles_nothing(render: Render, monkeypatch: pytest.MonkeyPatch):
    """Parsing, writing and inlining happen once per version, language and channel."""
    render("termin_erinnerung", "email", "de")

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(prepare, "compile_source", fail)
    monkeypatch.setattr(prepare.markdown, "parse", fail)
    monkeypatch.setattr(prepare.mail, "document", fail)
    monkeypatch.setattr(syntax, "_read", fail)
    assert "11:45" in render("termin_erinnerung", "email", "de", uhrzeit="11:45").looks[Format.HTML]


def test_a_changed_draft_is_never_served_from_memory(render: Render, contents: dict[str, Content]):
    """The preview of a draft keeps its version id while its words change."""
    old = contents["unterlagen_angekommen"]
    new = with_text(old, "de", message="Danke! Am {{ datum }} kam etwas an.")
    assert render(old).looks != render(new).looks
    assert render(new).looks[Format.TEXT] == "Danke! Am 15.03.2027 kam etwas an."
    assert render(old).looks[Format.TEXT].startswith("Vielen Dank! Ihre Unterlagen")


BAD_VALUES = ["a\nBcc: x@y.example", "a\r\nx", "a\u2028b", "\u202ea", "a\u2069b", "a\ue000b", "a\x00b"]


@pytest.mark.parametrize("value", BAD_VALUES)
def test_a_value_cannot_add_a_header_or_a_line(value: str, render: Render):
    """Header injection: a line break or control in a value of the subject is refused, and the error hides it."""
    with pytest.raises(VariablesInvalid) as caught:
        render("kontakt_geaendert", "email", absender=value)
    assert str(caught.value) == "/absender: control_character"


def test_a_missing_value_stops_and_a_foreign_one_is_passed_over(renderer: Renderer, contents: dict[str, Content]):
    """A twin can be given its original's values; a gap is never sent."""
    twin = contents["termin_hinweis"]
    common = {
        "version_id": "t", "content": twin, "capabilities": CAPABILITIES["sms"], "language": "de",
        "delivery_id": "d", "links": LINKS, "sent_at": SENT_AT,
    }  # fmt: skip
    given_ = {"datum": "16.03.2027", "link": "https://a.example/x"}
    assert "https://a.example/x" in renderer.render(variables=given_, **common).looks[Format.TEXT]
    assert "16.03" not in renderer.render(variables=given_, **common).looks[Format.TEXT]
    with pytest.raises(VariablesInvalid, match="/link: missing_variable"):
        renderer.render(variables={}, **common)


def test_values_are_never_templates(render: Render):
    """Template syntax in a value arrives as it is: {{ 7*7 }} is not 49."""
    text = render("veranstaltung", titel="{{ 7*7 }} {% if 1 %}").looks[Format.TEXT]
    assert "{{ 7*7 }} {% if 1 %} am" in text


@pytest.mark.parametrize("channel", list(CAPABILITIES))
def test_a_value_cannot_smuggle_a_forbidden_word(channel: str, render: Render):
    """A-02: rendering with "Jobcenter Hofheim" or "Gesundheitsamt" is refused; the error names our entry only."""
    for value, word in (("Jobcenter Hofheim", "Jobcenter"), ("Gesundheitsamt", "Gesundheitsamt")):
        with pytest.raises(BlockedByLint) as caught:
            render("termin_bestaetigt", channel, ort=value)
        assert caught.value.words == (word,)
        assert "Hofheim" not in str(caught.value)
    with pytest.raises(BlockedByLint):
        render("termin_bestaetigt", channel, link="https://jobcenter.example/n/x")


def test_words_beside_a_value_count_with_it(render: Render, contents: dict[str, Content]):
    """A-02: "Job" in the text and "center" in the value are one word for the reader, bold or not."""
    split = with_text(
        contents["dienst_hinweis"], "de", message="Am {{ datum }}: Job**{{ hinweis }}** hat zu, {{ link }} ok"
    )
    for channel in ("sms", "telegram", "whatsapp"):
        with pytest.raises(BlockedByLint):
            render(split, channel, hinweis="center")


def test_a_forbidden_subject_is_caught(render: Render, contents: dict[str, Content]):
    """A-02: the subject shows on a locked screen too."""
    content = with_text(contents["termin_hinweis"], "de", subject="Ihr Bescheid")
    with pytest.raises(BlockedByLint):
        render(content, "email")


def test_further_words_of_the_authority_block_too(contents: dict[str, Content]):
    """A-09: revealing places are configurable."""
    renderer = Renderer(LETTERHEAD, forbidden=("raum 2.14",))
    content = contents["termin_bestaetigt"]
    with pytest.raises(BlockedByLint):
        renderer.render(
            version_id="v", content=content, capabilities=CAPABILITIES["sms"], language="de",
            variables=examples(content), delivery_id="d", links=LINKS, sent_at=SENT_AT,
        )  # fmt: skip


def test_every_look_shows_the_words_of_the_plain_one(render: Render):
    """The lint reads the plain look: no other look may show a word that it lacks."""
    for key, channel in (("veranstaltung", "telegram"), ("veranstaltung", "email"), ("termin_erinnerung", "email")):
        message = render(key, channel)
        plain = message.looks[Format.TEXT] + message.subject
        rich = next(look for name, look in message.looks.items() if name is not Format.TEXT)
        shown = Seen(rich)
        words = {one.strip(".,:;?!\u034f\u200c\u00a0·…•") for one in (shown.text + " " + shown.title).split()}
        assert {one for one in words if one not in plain} == set()
        assert all(url in plain for url in shown.all("href"))


def test_buttons_carry_opaque_ids_and_fit_the_channel(render: Render):
    """B-T4, B-W5: ids of at most 64 bytes that keep their number; labels in the language of the text."""
    message = render("termin_erinnerung", "telegram", "tr")
    assert [(one.id, one.label) for one in message.buttons] == [
        ("d_01JN0000000000000000000000:1", "Geliyorum"),
        ("d_01JN0000000000000000000000:2", "Gelemiyorum"),
        ("d_01JN0000000000000000000000:3", "Yeni randevu"),
    ]
    narrow = dataclasses.replace(CAPABILITIES["telegram"], max_buttons=2, max_button_characters=12)
    assert [one.id[-1] for one in render("termin_erinnerung", capabilities=narrow).buttons] == ["1", "3"]
    assert render("termin_erinnerung", "sms").buttons == ()
    assert render("termin_erinnerung", "email").buttons == ()


def test_a_language_without_labels_has_the_german_ones(render: Render, contents: dict[str, Content]):
    """Better a German button than none."""
    content = with_text(contents["termin_erinnerung"], "ar", buttons=())
    assert render(content, "telegram", "ar").buttons[0].label == "Ich komme"


def test_a_delivery_id_too_long_for_a_button_is_refused(renderer: Renderer, contents: dict[str, Content]):
    """B-T4: 65 bytes would be refused by the provider, after the message was counted as sent."""
    content = contents["termin_erinnerung"]
    with pytest.raises(ValueError, match="64 bytes"):
        renderer.render(
            version_id="v", content=content, capabilities=CAPABILITIES["telegram"], language="de",
            variables=examples(content), delivery_id="d" * 63, links=LINKS, sent_at=SENT_AT,
        )  # fmt: skip


def test_free_text_has_no_buttons_where_texts_are_approved(render: Render):
    """B-W5: there, buttons are part of the approved text; free text inside the window goes without."""
    assert render("termin_erinnerung", "whatsapp").buttons == ()
    assert len(render("termin_erinnerung", "whatsapp", approved_id="HX" + "0" * 32).buttons) == 3


def test_an_approved_text_gets_its_values_by_position(render: Render):
    """B-W6: "1", "2", … in order of first appearance, as a person reads them, calm and isolated."""
    approved = render("termin_erinnerung", "whatsapp", "en", approved_id="HX1").approved
    assert approved is not None
    assert approved.provider_id == "HX1"
    assert dict(approved.values) == {
        "1": "Tuesday",
        "2": "16 Mar 2027",
        "3": "10:30",
        "4": "https://info.mtk.example/n/k3Vq8ZtA",
    }
    arabic = render("kontakt_willkommen", "whatsapp", "ar", approved_id="HX1", absender="*MTK*").approved
    assert arabic is not None
    assert arabic.values["1"] == "\u2068\u2217MTK\u2217\u2069"


def test_where_nobody_can_answer_the_stop_word_becomes_a_link(render: Render):
    """B-S2: with an alphanumeric sender "Antworten Sie STOPP" is replaced, in every language; else it stays."""
    one_way = dataclasses.replace(CAPABILITIES["sms"], inbound=frozenset())
    expected = {
        "de": f"Sie möchten das nicht mehr? Abmelden: {STOP} - Oder ändern Sie es hier: https",
        "en": f"You no longer want this? Unsubscribe: {STOP} - Or change it here: https",
        "de-leicht": f"Sie möchten das nicht mehr?\nAbmelden: {STOP}\nOder klicken Sie hier: https",
        "ar": f"؟ إلغاء الاشتراك: \u2068{STOP} \u2069 - أو غيّروا",
    }
    for language, words in expected.items():
        text = render("kontakt_willkommen", capabilities=one_way, language=language).looks[Format.TEXT]
        assert words in text
        assert "STOPP" not in text
    ends = render("veranstaltung", capabilities=one_way).looks[Format.TEXT]
    assert ends.endswith(f"Keine Info-Nachrichten mehr? Abmelden: {STOP}")
    assert "Antworten Sie STOPP" in render("kontakt_willkommen").looks[Format.TEXT]
    silent = dataclasses.replace(one_way, inbound=frozenset({Kind.BUTTON}))
    assert "STOPP" not in render("kontakt_willkommen", capabilities=silent).looks[Format.TEXT]


def test_what_the_caller_knows_is_handed_on(render: Render, renderer: Renderer, contents: dict[str, Content]):
    """Sign-off address, instant and validity reach the adapter unchanged; the subject only where one is read."""
    assert render("termin_erinnerung", "email").stop_url == STOP
    assert render("termin_erinnerung", "email").subject == "Erinnerung an Ihren Termin am 16.03.2027"
    assert render("termin_erinnerung", "sms").subject == ""
    content = contents["termin_erinnerung"]
    message = renderer.render(
        version_id="v", content=content, capabilities=CAPABILITIES["sms"], language="de", variables=examples(content),
        delivery_id="d", links=Links(""), sent_at=SENT_AT, valid_s=90,
    )  # fmt: skip
    assert (message.stop_url, message.valid_s, message.sent_at) == ("", 90, SENT_AT)


def test_a_message_hides_its_words_in_its_repr(render: Render):
    """Personal text never gets into a log by accident."""
    shown = repr(render("termin_bestaetigt", "email", ort="Geheimhausen"))
    assert "Geheimhausen" not in shown
    assert "16.03" not in shown


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(min_size=1, max_size=60), language=st.sampled_from(["de", "en"]))
def test_whatever_passes_the_check_arrives_as_it_is(
    value: str, language: str, render: Render, contents: dict[str, Content]
):
    """A value that the API accepts shows unchanged in the plain look, and escaped but equal in the rich one."""
    content = contents["veranstaltung"]
    if check_variables(content, examples(content) | {"titel": value}):
        return
    try:
        message = render("veranstaltung", "telegram", language, titel=value)
    except BlockedByLint:
        return
    assert message.looks[Format.TEXT] == Seen(message.looks[Format.CHAT_HTML]).text


def test_texts_are_kept_within_bounds(contents: dict[str, Content]):
    """Memory stays flat: old versions make room."""
    renderer = Renderer(LETTERHEAD)
    text = contents["unterlagen_angekommen"]
    for number in range(2060):
        renderer.render(
            version_id=str(number), content=text, capabilities=CAPABILITIES["sms"], language="de",
            variables=examples(text), delivery_id="d", links=LINKS, sent_at=SENT_AT,
        )  # fmt: skip
    assert len(renderer._kept) == 2048
    assert isinstance(text.texts["de"], Text)
