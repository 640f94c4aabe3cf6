"""Telegram's HTML: text, entities and the server's complaints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.sandbox.telegram_entities import Unparsable, parse_html, utf16_units


def test_nested_tags_are_counted_in_utf16_units() -> None:
    """Offsets count UTF-16 units, nested entities come outermost first (B-T5)."""
    parsed = parse_html("\U0001f600 <b>a<i>b</i></b><blockquote>c</blockquote>")
    assert parsed.text == "\U0001f600 abc"
    assert [(one["type"], one["offset"], one["length"]) for one in parsed.entities] == [
        ("bold", 3, 2),
        ("italic", 4, 1),
        ("blockquote", 5, 1),
    ]
    assert parsed.runs[1:] == (("a", "bold", ""), ("b", "bold italic", ""), ("c", "blockquote", ""))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("&lt;b&gt; &amp; &quot;", '<b> & "'),
        ("&#228;&#xE4;", "ää"),
        ("&uuml; & &#x110000;", "&uuml; & &#x110000;"),
        ("a > b", "a > b"),
        ('<span class="tg-spoiler">x</span>', "x"),
        ("<pre><code class='language-python'>x</code></pre>", "x"),
        ("<B>gro\u00df</B>", "gro\u00df"),
    ],
)
def test_what_the_server_understands(source: str, text: str) -> None:
    """Named and numeric references, and the tags of the documentation."""
    assert parse_html(source).text == text


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("<b>x", 'Can\'t find end tag corresponding to start tag "b"'),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("<b>x</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("ä<p>x</p>", 'Unsupported start tag "p" at byte offset 2'),
        ("<span>x</span>", 'Unsupported start tag "span" at byte offset 0'),
        ("1 < 2", "Unclosed start tag at byte offset 2"),
    ],
)
def test_what_the_server_complains_about(source: str, said: str) -> None:
    """Each mistake has the server's own words and counts bytes, not characters."""
    with pytest.raises(Unparsable) as refused:
        parse_html(source)
    assert str(refused.value) == said


def test_links_that_lead_nowhere_are_text() -> None:
    """A link without a usable address is no entity; javascript addresses are never links."""
    parsed = parse_html('<a href="javascript:alert(1)">x</a>')
    assert (parsed.text, parsed.entities, parsed.runs) == ("x", [], (("x", "text_link", ""),))


@given(st.text())
def test_escaped_text_comes_back_unchanged(text: str) -> None:
    """Whatever is escaped as documented arrives as it was."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    parsed = parse_html(f"<b>{escaped}</b>")
    assert parsed.text == text
    assert "".join(run[0] for run in parsed.runs) == text
    assert utf16_units(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2


@given(st.text(alphabet="<>/&;abp \"'=ä"))
def test_no_text_breaks_the_parser(source: str) -> None:
    """Whatever comes, the answer is a text or the server's complaint."""
    try:
        parsed = parse_html(source)
    except Unparsable:
        return
    assert "".join(run[0] for run in parsed.runs) == parsed.text
