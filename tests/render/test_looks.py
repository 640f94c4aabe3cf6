"""The Markdown subset in four looks, and values that stay values."""

from __future__ import annotations

import re
from urllib.parse import unquote

import nh3
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from channels.kit.contract import Format
from gateway.domain.content import TemplateInvalid
from gateway.render import looks, markdown
from tests.render.seen import Seen

SOURCE = "Guten Tag,\nhier **fett _und_ kursiv**.\n\n- eins\n- [zwei](https://b.example/)\n\n[Los](https://a.example/?x=1&y=2)"
HOLE, URL = "\ue000", "\ue001"


def written(look: Format, source: str, urls: str = "") -> str:
    """Return a source in one look."""
    return looks.write(look, markdown.parse(source, urls), urls)


def test_plain_text():
    """Links say where they lead, lists have dashes, nothing is marked."""
    assert written(Format.TEXT, SOURCE) == (
        "Guten Tag,\nhier fett und kursiv.\n\n- eins\n- zwei: https://b.example/\n\nLos: https://a.example/?x=1&y=2"
    )


def test_chat_html():
    """B-T5: only b, i and a; breaks are line feeds; addresses are escaped."""
    assert written(Format.CHAT_HTML, SOURCE) == (
        "Guten Tag,\nhier <b>fett <i>und</i> kursiv</b>.\n\n• eins\n"
        '• <a href="https://b.example/">zwei</a>\n\n<a href="https://a.example/?x=1&amp;y=2">Los</a>'
    )


def test_markup():
    """*bold* and _italic_ of a messenger; links are written out."""
    assert written(Format.MARKUP, SOURCE) == (
        "Guten Tag,\nhier *fett _und_ kursiv*.\n\n- eins\n- zwei: https://b.example/\n\nLos: https://a.example/?x=1&y=2"
    )


def test_html():
    """Paragraphs and lists; a link that ends a paragraph becomes a button below it."""
    assert written(Format.HTML, SOURCE) == (
        "<p>Guten Tag,<br>hier <strong>fett <em>und</em> kursiv</strong>.</p>"
        '<ul><li>eins</li><li><a href="https://b.example/">zwei</a></li></ul>'
        '<p><a class="cta" href="https://a.example/?x=1&amp;y=2">Los</a></p>'
    )
    both = written(Format.HTML, "Hier geht es weiter: [Los](https://a.example/)")
    assert both == '<p>Hier geht es weiter:</p><p><a class="cta" href="https://a.example/">Los</a></p>'


MARKS = {
    "Wort**teil**": "Wortteil",
    "**Teil**wort": "Teilwort",
    "**a\nb**": "*a*\n*b*",
    "**a** b **c**": "*a* b *c*",
    f"**{HOLE}**": f"*{HOLE}*",
    f"x**{HOLE}**": f"x{HOLE}",
    "5 \\* 3": "5 * 3",
    "\\*x\\*": "\u2217x\u2217",
    "snake_case": "snake_case",
    "https://a.example/_x_": "https://a.example/_x_",
}


@pytest.mark.parametrize(("source", "shown"), list(MARKS.items()))
def test_marks_stand_only_where_a_messenger_takes_them(source: str, shown: str):
    """Marks that touch a word would show as asterisks; an author's own asterisk is not one."""
    assert written(Format.MARKUP, source) == shown


def test_numbered_and_nested_lists_keep_their_shape():
    """A list goes on counting where it starts; a list in a list is set in."""
    source = "3. drei\n4. vier\n   - innen\n"
    assert written(Format.TEXT, source) == "3. drei\n4. vier\n  - innen"
    assert written(Format.HTML, source) == '<ol start="3"><li>drei</li><li>vier<ul><li>innen</li></ul></li></ol>'


@pytest.mark.parametrize(
    "href",
    [
        *("http://a.example/", "javascript:alert(1)", "data:text/html,x", "/x", "mailto:a@b.de"),
        *("https://u@a.example/", HOLE, f"https://a.example/{URL}"),
    ],
)
def test_a_link_leads_to_a_url_variable_or_https(href: str):
    """No script, no relative address, no address put together from values."""
    with pytest.raises(TemplateInvalid):
        markdown.parse(f"[x]({href})", URL)
    assert [one.code for one in markdown.check(f"[x]({href})", URL)] == ["link_target"]


@pytest.mark.parametrize(
    "source",
    [
        *("# Titel", "```\nx\n```", "> Zitat", "![Bild](https://a.example/x.png)", "<b>x</b>", "<div>\nx\n</div>"),
        *("a\n\n---\n\nb", "`code`", "| a | b |\n|---|---|\n| 1 | 2 |"),
    ],
)
def test_what_the_subset_lacks_is_named(source: str):
    """The author learns that a heading would arrive as a hash sign."""
    assert markdown.check(source)


@pytest.mark.parametrize("source", ["# Titel", "<b>x</b>", "<script>x</script>", "`a`", "&lt;b&gt;"])
def test_what_the_subset_lacks_stays_text(source: str):
    """If it is rendered all the same, it shows as typed and marks nothing."""
    assert written(Format.TEXT, source) == source
    assert "<b>" not in written(Format.HTML, source)
    assert nh3.clean(written(Format.HTML, source)) == written(Format.HTML, source)


HOSTILE = st.text(
    alphabet=st.one_of(
        st.sampled_from("*_~`<>&\"'[]()!#|{}%-+.:/\\ \u0627\u05d0"), st.characters(categories=("L", "N", "P", "S"))
    ),
    min_size=1,
    max_size=30,
)


@given(value=HOSTILE, rtl=st.booleans())
@example(value="<b>&", rtl=False)
@example(value="**x**", rtl=False)
@example(value="[a](b)", rtl=True)
@example(value="_x_", rtl=True)
@example(value='"><img src=x onerror=alert(1)>', rtl=False)
@example(value="مرحبا", rtl=False)
def test_a_value_never_becomes_markup(value: str, rtl: bool):
    """Whatever a value holds, the tags of a look are the template's, and the reader sees the value as it is."""
    source = f"Hallo {HOLE}, **{HOLE}** und [hier {HOLE}]({URL})."
    for look in (Format.HTML, Format.CHAT_HTML):
        pieces = looks.cut(written(look, source, URL))
        wanted = Seen(pieces.fill(_values(look, "x", rtl=rtl)))
        filled = pieces.fill(_values(look, value, rtl=rtl))
        seen = Seen(filled)
        assert seen.tags == wanted.tags
        assert seen.text.count(f"\u2068{value}\u2069" if rtl else value) >= 3
        assert Seen(nh3.clean(filled, link_rel=None)).tags == seen.tags


def _values(look: Format, value: str, *, rtl: bool) -> dict[str, str]:
    url = "https://a.example/?x=1&y=2"
    return {
        HOLE: looks.filling(look, value, link=False, rtl=rtl),
        URL: looks.filling(look, url, link=True, rtl=rtl),
        looks.as_href(URL): looks.target(url),
    }


# How a messenger finds formatting: a mark at a word's beginning, its twin at a word's end, in one line.
_FORMATTED = re.compile(r"(?<![^\W_])([*_~])(?=\S)[^\n]*?(?<=\S)\1(?![^\W_])")


@given(HOSTILE)
@example("*x*")
@example("_x_")
@example("~x~ `y` ```z```")
@example("> x")
@example("- x")
def test_a_value_is_never_formatted_by_a_messenger(value: str):
    """In the markup look a value keeps its length and holds no mark that could open or shut formatting."""
    shown = looks.filling(Format.MARKUP, value, link=False, rtl=False)
    assert len(shown) == len(value)
    assert not _FORMATTED.search(f"Hallo {shown}, und {shown}.")
    assert "`" not in shown
    assert not shown.startswith((">", "-"))


@given(st.from_regex(r"https://a\.example/[A-Za-z0-9_*~/-]{0,30}", fullmatch=True))
def test_an_address_stays_equal_in_a_messenger(url: str):
    """Marks in an address are percent-encoded, which is the same address (RFC 3986), and never lost."""
    shown = looks.filling(Format.MARKUP, url, link=True, rtl=False)
    assert unquote(shown) == url
    assert not _FORMATTED.search(f"hier {shown} weiter")


def test_values_of_an_rtl_text_are_isolated():
    """A-28: U+2068/U+2069 around each value; after a link a space, so that no phone takes U+2069 into the address."""
    assert looks.filling(Format.TEXT, "16.03.2027", link=False, rtl=True) == "\u206816.03.2027\u2069"
    assert looks.filling(Format.TEXT, "https://a.example/x", link=True, rtl=True) == "\u2068https://a.example/x \u2069"
    assert looks.filling(Format.TEXT, "16.03.2027", link=False, rtl=False) == "16.03.2027"


def test_a_hole_without_a_value_stops_the_message():
    """Nothing goes out with a gap in it."""
    with pytest.raises(KeyError):
        looks.cut(f"Hallo {HOLE}").fill({})
