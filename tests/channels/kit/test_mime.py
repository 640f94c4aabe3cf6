"""Our mail writer writes what the standard library reads."""

from __future__ import annotations

import email
import email.policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.kit.errors import Unsupported
from channels.kit.mime import Part, bracketed, compose, named, unstructured

PRINTABLE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=120)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)


def read(content: bytes) -> EmailMessage:
    """Return the message as a mail program parses it."""
    return email.message_from_bytes(content, policy=email.policy.default)


def lines(text: str) -> str:
    """Return ``text`` with one kind of line break and none at the end, as far as a mail preserves them."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def part(mail: EmailMessage, subtype: str) -> str:
    """Return the text of one part."""
    return lines(mail.get_body((subtype,)).get_content())


def written(text: str = "Hallo", subject: str = "Betreff") -> bytes:
    """Return a message with both parts."""
    headers = [("From", named("MTK-Info", "amt@mtk.example")), ("Subject", unstructured(subject, field="subject"))]
    return compose(headers, (Part("plain", text, "de"), Part("html", f"<p>{text}</p>", "de")), seed="key")


@given(TEXT)
def test_any_text_is_read_back(text: str):
    """Both parts survive, whatever is in them: dots, boundaries, From lines, NUL, emoji, endless lines."""
    mail = read(written(text))
    assert part(mail, "plain") == lines(text)
    assert part(mail, "html") == lines(f"<p>{text}</p>")
    assert not mail.defects
    assert not any(one.defects for one in mail.walk())


@given(PRINTABLE)
def test_any_subject_is_read_back(subject: str):
    """A subject survives encoding and folding, in any script, also one that looks encoded."""
    mail = read(written(subject=subject))
    assert str(mail["subject"]) == subject


@given(PRINTABLE)
def test_any_sender_name_is_read_back(name: str):
    """A display name cannot become an address or another header."""
    content = compose([("From", named(name, "amt@mtk.example"))], (Part("plain", "x", "de"),), seed="k")
    assert [one.addr_spec for one in read(content)["from"].addresses] == ["amt@mtk.example"]
    phrase, _ = parseaddr(email.message_from_bytes(content)["from"])
    assert str(make_header(decode_header(phrase))).split() == name.split()  # the parser joins runs of blanks


@given(TEXT, PRINTABLE)
def test_form_is_what_relays_accept(text: str, subject: str):
    """RFC 5322 and 2047: 7-bit, CRLF only, no line over 998, no header line with encoded words over 76."""
    content = written(text, subject)
    assert content.isascii()
    assert b"\0" not in content
    bare = content.replace(b"\r\n", b"")
    assert b"\r" not in bare
    assert b"\n" not in bare
    split = content.split(b"\r\n")
    assert max(map(len, split)) <= 998
    assert all(len(line) <= 76 for line in split if b"=?utf-8?b?" in line and b"?=" in line[-2:])


@pytest.mark.parametrize("value", ["a\r\nBcc: b@c.de", "a\nb", "a\rb", "a\x00b", "\ta"])
def test_header_injection_is_refused(value: str):
    """Line breaks and control characters in a header are refused by name, never trimmed or folded away."""
    with pytest.raises(Unsupported) as caught:
        unstructured(value, field="subject")
    assert caught.value.field == "subject"
    for hostile in ((value, "amt@mtk.example"), ("MTK", f"amt@mtk.example{value}")):
        with pytest.raises(Unsupported):
            named(*hostile)


@pytest.mark.parametrize(
    "url", ["", "https://a.de/>b", "https://a.de/\r\nX: y", "https://a.de/ü", "https://a.de/ b", "h" * 901]
)
def test_urls_that_break_a_header(url: str):
    """A URL stands in a header as it is, so only one that can is accepted."""
    with pytest.raises(Unsupported):
        bracketed(url, field="stop_url")


def test_the_same_seed_gives_the_same_bytes():
    """Encoding is pure: the boundary comes from the key, and a text that holds it does not end its part."""
    assert written() == written()
    boundary = read(written()).get_boundary()
    text = f"vorher\n--{boundary}--\nnachher"
    assert part(read(written(text)), "plain") == text
