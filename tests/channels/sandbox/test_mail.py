"""Reading mails: parts, headers, keys, and mails that are broken."""

from __future__ import annotations

from email.message import EmailMessage

from hypothesis import given
from hypothesis import strategies as st

from channels.sandbox.mail import header_of, message_key, read_mail, readable


def test_parts_headers_and_attachments() -> None:
    """Both parts are decoded, encoded words are readable, attachments are named, unknown headers are left out."""
    message = EmailMessage()
    message["From"] = "Größe <info@kreis.example>"
    message["Subject"] = "تذكير: " + "ä" * 90
    message["X-Unknown"] = "x"
    message["Message-ID"] = "<d-17.attempt0@kreis.example>"
    message.set_content("Text ü", cte="base64")
    message.add_alternative("<p>ü</p>", subtype="html", cte="quoted-printable")
    message.add_attachment(b"BEGIN:VCALENDAR", maintype="text", subtype="calendar", filename="termin.ics")
    read = read_mail(message.as_bytes(policy=message.policy.clone(linesep="\r\n")))
    assert (read.text, read.html) == ("Text ü\n", "<p>ü</p>\n")
    assert read.subject == message["Subject"]
    assert dict(read.headers)["From"] == "Größe <info@kreis.example>"
    assert "X-Unknown" not in dict(read.headers)
    assert read.attachments == ("termin.ics",)


def test_headers_are_found_without_parsing() -> None:
    """Names in any case, folded values joined, look-alikes in the body or in other headers not taken."""
    raw = b"X-Subject: no\r\nSUBJECT: a\r\n b\r\nMessage-Id: <k@x@h>\r\n\r\nFrom: body\r\n"
    assert header_of(raw, "subject") == "a b"
    assert header_of(raw, "from") == ""
    assert message_key(raw) == "k@x"
    assert message_key(b"Subject: x\r\n\r\n") == ""


def test_broken_encodings_stay_readable() -> None:
    """An unknown character set in a header or part is shown as well as it can be."""
    assert readable("=?nonsense?q?abc?=") == "=?nonsense?q?abc?="
    raw = b"Content-Type: text/plain; charset=nonsense\r\n\r\nHallo \xc3\xbc\r\n"
    assert read_mail(raw).text == "Hallo ü\n"


@given(st.binary(max_size=300))
def test_no_mail_breaks_the_reader(raw: bytes) -> None:
    """Whatever comes in can be shown."""
    read_mail(raw)
    read_mail(b"Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\n" + raw)
    message_key(raw)
