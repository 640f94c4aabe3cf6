"""Read a mail the way a mailbox program does: subject, both parts, the headers worth showing, the attachments' names.

Reading is done when somebody looks, never while the mail comes in. RFC 5322, RFC 2045 to 2047.
"""

from __future__ import annotations

import email.policy
from dataclasses import dataclass, field
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage, Message

SHOWN_HEADERS = (
    "From",
    "To",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "Content-Language",
    "Auto-Submitted",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
)


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail, read. ``html`` is "" where there is no such part."""

    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    attachments: tuple[str, ...] = field(repr=False)


def header_of(raw: bytes, name: str) -> str:
    """Return one header, unfolded but not decoded, without parsing the mail; "" if it is missing."""
    end = raw.find(b"\r\n\r\n")
    head = b"\r\n" + (raw if end < 0 else raw[:end]) + b"\r\n"
    start = head.lower().find(b"\r\n" + name.lower().encode("ascii") + b":")
    if start < 0:
        return ""
    start += len(name) + 3
    stop = start
    while True:
        stop = head.index(b"\r\n", stop)
        if head[stop + 2 : stop + 3] not in {b" ", b"\t"}:
            break
        stop += 2
    return head[start:stop].decode("utf-8", "replace").replace("\r\n", "").strip()


def readable(value: str) -> str:
    """Return a header value with its encoded words decoded; what cannot be decoded stays as it is."""
    try:
        return str(make_header(decode_header(value)))
    except (LookupError, UnicodeDecodeError, ValueError):
        return value


def message_key(raw: bytes) -> str:
    """Return the part of the Message-ID before the @: the key under which the sender knows this mail."""
    return header_of(raw, "message-id").strip("<> ").rpartition("@")[0]


def read_mail(raw: bytes) -> Mail:
    """Return the mail in ``raw``. Broken mails give what can be read of them; nothing is raised."""
    message = message_from_bytes(raw, policy=email.policy.default)
    return Mail(
        subject=readable(header_of(raw, "subject")),
        text=_part(message, "plain"),
        html=_part(message, "html"),
        headers=tuple((name, readable(value)) for name in SHOWN_HEADERS if (value := header_of(raw, name))),
        attachments=tuple(_attachments(message)),
    )


def _part(message: EmailMessage, subtype: str) -> str:
    part = message.get_body(preferencelist=(subtype,))
    if part is None:
        return ""
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    try:
        return content.decode(part.get_content_charset("utf-8"), "replace").replace("\r\n", "\n")
    except LookupError:
        return content.decode("utf-8", "replace").replace("\r\n", "\n")


def _attachments(message: EmailMessage) -> list[str]:
    return [_file_name(part) for part in message.iter_attachments()]


def _file_name(part: Message) -> str:
    return part.get_filename() or part.get_content_type()
