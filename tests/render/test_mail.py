"""The e-mail document: what a mail program and a screen reader get."""

from __future__ import annotations

import dataclasses
import re

import pytest

from channels.kit.contract import Format
from gateway.domain.content import Content
from gateway.render import mail
from gateway.render.render import Letterhead, Links, Renderer
from tests.render.conftest import Render
from tests.render.samples import CAPABILITIES, LETTERHEAD, LINKS, SENT_AT, examples
from tests.render.seen import Seen

LANGUAGES = ["de", "de-leicht", "en", "tr", "uk", "ar"]
LEGAL = {LETTERHEAD.imprint_url, LETTERHEAD.privacy_url, LETTERHEAD.accessibility_url, LETTERHEAD.personal_url}


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    """Go through the languages of the reminder."""
    return str(request.param)


def html(render: Render, language: str = "de", key: str = "termin_erinnerung", **variables: str) -> str:
    """Return the HTML look of a mail."""
    return render(key, "email", language, **variables).looks[Format.HTML]


def test_nothing_remote_is_loaded_and_no_link_is_foreign(render: Render, language: str):
    """A-20, B-E7: no image, script, style sheet or font from anywhere; links are its own and the letterhead's."""
    source = html(render, language)
    seen = Seen(source)
    assert not set(seen.names) & {"img", "script", "link", "iframe", "object", "form", "base", "svg", "video"}
    assert seen.all("src") + seen.all("background") == []
    assert "url(" not in source
    assert "utm_" not in source
    assert set(seen.all("href")) - LEGAL == {"https://info.mtk.example/n/k3Vq8ZtA", LINKS.stop_url} | (
        {LINKS.original_url} if language != "de" else set()
    )


def test_language_and_direction_are_said(render: Render, language: str):
    """A-27, A-28: lang is the BCP 47 tag, Arabic runs from right to left in body and footer."""
    seen = Seen(html(render, language))
    root = dict(seen.tags[0][1])
    assert root["lang"] == {"de-leicht": "de-x-leicht"}.get(language, language)
    direction = "rtl" if language == "ar" else "ltr"
    assert set(seen.all("dir")) == {direction}
    assert set(seen.all("align")) - {"center"} == {"right" if direction == "rtl" else "left"}


def test_a_language_without_footer_words_has_the_german_footer_marked_so(render: Render, contents: dict[str, Content]):
    """A-28: the Persian mail runs from right to left, its German footer from left to right, each with its lang."""
    german = contents["unterlagen_angekommen"]
    persian = dataclasses.replace(
        german.texts["en"], language="fa", message="متن {{ datum }} متن", email="متن {{ datum }} متن"
    )
    seen = Seen(html(render, "fa", dataclasses.replace(german, texts={**german.texts, "fa": persian})))
    foot = next(attributes for name, attributes in seen.tags if attributes.get("class") == "foot")
    assert (seen.tags[0][1]["dir"], seen.tags[0][1]["lang"]) == ("rtl", "fa")
    assert (foot["dir"], foot["lang"], foot["align"]) == ("ltr", "de", "left")
    assert "Impressum" in seen.text


def test_it_is_made_for_phones_and_the_dark(render: Render):
    """Viewport, colour scheme and media queries are there; every style is inline too, for programs that drop sheets."""
    source = html(render)
    metas = {
        attributes.get("name"): attributes.get("content") for name, attributes in Seen(source).tags if name == "meta"
    }
    assert metas["viewport"] == "width=device-width, initial-scale=1"
    assert metas["color-scheme"] == metas["supported-color-schemes"] == "light dark"
    assert "@media (prefers-color-scheme: dark)" in source
    assert "@media (max-width: 480px)" in source
    for name, attributes in Seen(source).tags:
        if name in {"body", "p"} or attributes.get("class") in {"card", "foot", "cta"}:
            assert attributes.get("style")


def test_tables_are_for_layout_only(render: Render):
    """WCAG 1.3.1: a screen reader is told that the tables mean nothing; the language of the page is known."""
    for name, attributes in Seen(html(render)).tags:
        if name == "table":
            assert attributes["role"] == "presentation"


def test_the_preheader_is_short_neutral_and_hidden(render: Render):
    """B-E7: the line beside the subject is the message's first words, not a link and not the footer."""
    source = html(render, "en")
    hidden = re.search(r'<div class="preheader" aria-hidden="true" style="display: none[^>]*>([^<]*)</div>', source)
    assert hidden is not None
    line = re.split("[\u034f&]", hidden[1])[0]
    assert line.startswith("this is a reminder of your appointment: Tuesday, 16 Mar 2027 at 10:30 · Can you come?")
    assert len(line) <= 130
    assert "http" not in line


def test_both_parts_say_the_same(render: Render, language: str):
    """B-E7: each word and address of the HTML stands in the plain part."""
    message = render("termin_erinnerung", "email", language)
    body = message.looks[Format.HTML].partition('class="card"')[2]
    seen = Seen("<td " + body)
    plain = message.looks[Format.TEXT]
    assert all(url in plain for url in seen.all("href"))
    words = [one.strip(".:·\u00a0") for one in seen.text.split()]
    assert [one for one in words if one not in plain] == []


def test_the_letter_ends_with_the_sender_and_the_ways_out(render: Render):
    """A-07: sign-off, a person to talk to, imprint, privacy and accessibility are in both parts."""
    plain = render("termin_erinnerung", "email").looks[Format.TEXT]
    assert plain.endswith(
        "Freundliche Grüße\nMain-Taunus-Kreis\n\n-- \n"
        f"Lieber persönlich? {LETTERHEAD.personal_url}\n"
        f"Abmelden: keine E-Mails mehr bekommen: {LINKS.stop_url}\n"
        f"Impressum: {LETTERHEAD.imprint_url}\n"
        f"Datenschutz: {LETTERHEAD.privacy_url}\n"
        f"Barrierefreiheit: {LETTERHEAD.accessibility_url}"
    )
    assert Seen(html(render)).text.count("Main-Taunus-Kreis") == 2


def test_the_german_original_is_linked_from_other_languages(render: Render):
    """A-28: from every language but German."""
    assert LINKS.original_url not in html(render, "de")
    assert LINKS.original_url in html(render, "tr")
    assert "Geçerli olan Almanca metindir" in render("termin_erinnerung", "email", "tr").looks[Format.TEXT]
    assert LINKS.original_url not in render(
        "termin_erinnerung", "email", "tr", links=Links(LINKS.stop_url)
    ).looks[Format.TEXT]  # fmt: skip


def test_easy_language_is_called_so_only_after_proofreading(render: Render, contents: dict[str, Content]):
    """A-27: without proofreaders and date the label is "Einfach erklärt"."""
    content = contents["termin_erinnerung"]
    easy = content.texts["de-leicht"]
    for by, on, name in (
        ("", "", "Einfach erklärt"),
        ("Gruppe", "", "Einfach erklärt"),
        ("Gruppe", "2027-01-31", "Leichte Sprache"),
    ):
        text = dataclasses.replace(easy, checked_by=by, checked_on=on)
        message = render(dataclasses.replace(content, texts={**content.texts, "de-leicht": text}), "email", "de-leicht")
        assert message.looks[Format.TEXT].startswith(f"{name}\n\nGuten Tag.")
        assert f">{name}</p>" in message.looks[Format.HTML]
    assert "Einfach erklärt" not in html(render, "de")


def test_a_value_in_the_title_is_escaped(render: Render):
    """The subject stands in the document's title as text."""
    seen = Seen(html(render, "de", "dienst_hinweis", hinweis="</title><script>x</script>"))
    assert "script" not in seen.names
    assert "</title><script>x</script>" in seen.text
    assert seen.title == "Wichtiger Hinweis für den 15.03.2027"


def test_a_mail_stays_below_what_mailboxes_cut(render: Render, contents: dict[str, Content]):
    """B-E7: 102 kB, for the longest text that a template may have."""
    long = dataclasses.replace(
        contents["unterlagen_angekommen"].texts["de"], email="{{ datum }} \u00e4\u00f6\u00fc\n\n" * 550
    )
    content = dataclasses.replace(contents["unterlagen_angekommen"], texts={"de": long})
    assert len(html(render, "de", content).encode()) <= 102_400


def test_an_empty_address_leaves_its_link_out(contents: dict[str, Content]):
    """A letterhead without a page for talking in person has no empty link."""
    content = contents["termin_hinweis"]
    message = Renderer(Letterhead("Kreis", "https://a.example/i", "", "", "")).render(
        version_id="v", content=content, capabilities=CAPABILITIES["email"], language="de", variables=examples(content),
        delivery_id="d", links=Links(""), sent_at=SENT_AT,
    )  # fmt: skip
    assert set(Seen(message.looks[Format.HTML]).all("href")) == {
        "https://a.example/i",
        "https://info.mtk.example/n/k3Vq8ZtA",
    }
    assert message.looks[Format.TEXT].endswith("Kreis\n\n-- \nImpressum: https://a.example/i")


def test_the_last_line_of_defence_drops_what_no_writer_writes(contents: dict[str, Content]):
    """Should a writer ever let markup through, nh3 takes it out before the document is laid out; holes survive."""
    text = contents["termin_hinweis"].texts["de"]
    hostile = (
        '<p onclick="x">\ue000<img src="https://a.example/x.png"><script>alert(1)</script><style>p{}</style>'
        '<a href="http://a.example/" style="x">a</a><a class="cta" href="\ue401">b</a></p>'
    )
    seen = Seen(mail.document(mail.Frame(LETTERHEAD, stop=True, original=False), text, hostile, ()))
    assert not set(seen.names) & {"img", "script"}
    assert seen.all("onclick") == seen.all("src") == []
    assert "http://a.example/" not in seen.all("href")
    assert "\ue401" in seen.all("href")
    assert "\ue000" in seen.text
    assert "alert" not in seen.text
