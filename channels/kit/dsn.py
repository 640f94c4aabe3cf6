"""Read a mail that came back: what became of the message, and why, as one fact.

It does not say which message: the return address does (channels.kit.verp), and no address in the mail is looked at.
RFC 3464 (delivery status), 6522 (multipart/report), 6533 (its form for UTF-8), 3463 (x.y.z), 3834 (automatic answers).
The old email policy on purpose: the new one parses headers in quadratic time and raises for broken ones.
"""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.parser import HeaderParser
from email.utils import parseaddr, parsedate_to_datetime
from itertools import islice

from flufl.bounce import all_failures

from channels.kit.contract import Fact, Receipt
from channels.kit.errors import (
    AddressRefused,
    ChannelError,
    ContentRefused,
    Malformed,
    Refused,
    Unavailable,
)

_READ_BYTES = 262_144  # the status stands before what is returned of our own mail
_MAX_GROUPS = 100
_MAX_FIELD = 2_000
_SCANNED_BYTES = 65_536  # flufl.bounce searches texts with patterns: keep it short
_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_MANNERS = re.compile(r"\b(bulk|list|junk)\b", re.IGNORECASE)
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)  # it tells each step, and tracebacks quote

# Status (x.y.z), class, our word; the first row that fits wins. A status not in the table changes no address.
STATUSES: tuple[tuple[re.Pattern[str], type[ChannelError], str], ...] = tuple(
    (re.compile(pattern), error, word)
    for pattern, error, word in (
        (r"5\.1\.(1|2|3|6|10)", AddressRefused, "no_such_mailbox"),
        (r"5\.2\.1", AddressRefused, "mailbox_disabled"),
        (r"[45]\.2\.2", Unavailable, "returned_full"),
        (r"5\.2\.3|5\.3\.4", ContentRefused, "too_large"),
        (r"5\.6\.\d+", ContentRefused, "content"),
        (r"5\.7\.\d+", Refused, "policy"),
        (r"5\.4\.4", Refused, "no_such_domain"),  # may be somebody's resolver
        (r"4\.\d+\.\d+", Unavailable, "returned_late"),  # tried for days
    )
)
# Where a report contradicts itself (5.1.1, and "5.7.1 blocked" beside it) the mildest holds: a wrong word on an address
# costs more than another try by another channel.
_MILDEST_FIRST = (Unavailable, Refused, ContentRefused, AddressRefused)

_ACTIONS: dict[str, Fact | None] = {
    "failed": Fact.FAILED,
    "delivered": Fact.DELIVERED,
    "relayed": Fact.SUBMITTED,  # handed to a server that reports no further
    "expanded": Fact.SUBMITTED,
    "delayed": None,  # information: they still try
}
_BY_CLASS = {"5": "failed", "4": "delayed", "2": "relayed"}  # where a report states no action
_BEST_FIRST = (Fact.DELIVERED, Fact.FAILED, Fact.SUBMITTED, None)  # of several copies, one that arrived is enough

_QUOTED = re.compile(r"<[^<>]*>")  # addresses
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)")
_BASIC = re.compile(r"\s*(?:[\w-]+\s*;)?[\s#<]*([245]\d\d)\b")
_BLANK = re.compile(r"\r?\n[ \t]*\r?\n")


@dataclass(frozen=True, slots=True)
class Report:
    """What a mail says of our message. ``fact`` None: nothing is decided yet. ``mail_id``: the same for each copy."""

    fact: Fact | None
    error: ChannelError | None  # with FAILED
    mail_id: str  # 32 hexadecimal digits
    at: datetime | None  # UTC, as the sender of the report states it


def receipts(raw: bytes, *, key: str, provider_id: str) -> Sequence[Receipt]:
    """Return what a mail to the return address of the message ``key`` reports. Raises Malformed, nothing else.

    The same mail handed over twice has the same ``event_id``.
    """
    report = read(raw)
    if report is None or report.fact is None:
        return ()
    event_id = f"{key}:{report.mail_id}"
    return (
        Receipt(
            event_id=event_id, provider_id=provider_id, fact=report.fact, at=report.at, key=key, error=report.error
        ),
    )


def read(raw: bytes) -> Report | None:
    """Return what a mail reports, None for a mail that is no report. Raises Malformed, nothing else."""
    try:
        mail = email.message_from_bytes(raw[:_READ_BYTES], policy=email.policy.compat32)
        status = next((part for part in _parts(mail) if part.get_content_type() in _STATUS_TYPES), None)
        verdict = _formatted(status) if status is not None else _odd(mail, raw)
        if verdict is None:
            return None
        return Report(*verdict, _digest(mail, raw), _date(mail))
    except Malformed:
        raise
    except Exception:  # noqa: BLE001  # the parsers have many ways to stumble over broken mail
        raise Malformed("the mail cannot be read") from None


def _parts(mail: Message) -> Iterator[Message]:
    """Yield the parts of a mail from the outside in; what it returns of another mail is not opened."""
    left = [mail]
    for part in left:  # grows while it is walked
        yield part
        inner = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(inner, list):
            left += [one for one in inner if isinstance(one, Message)]


def _formatted(status: Message) -> tuple[Fact | None, ChannelError | None]:
    """Return the fact and the error in a delivery status. Raises Malformed where it speaks of nobody."""
    groups = islice(_groups(status), _MAX_GROUPS)
    judged = [verdict for group in groups if (verdict := _judge(group)) is not None]
    if not judged:
        raise Malformed("the report speaks of nobody")
    return min(judged, key=lambda one: (_BEST_FIRST.index(one[0]), _mildness(one[1])))


def _groups(status: Message) -> Iterator[Message]:
    """Yield each group of fields, also where the standard library has taken some for the body of others."""
    blocks = status.get_payload()
    for block in blocks if isinstance(blocks, list) else []:
        if not isinstance(block, Message):
            continue
        yield block
        rest = block.get_payload()
        if isinstance(rest, str) and rest.strip():
            if _field(status, "content-transfer-encoding").lower() == "base64":
                packed = "".join(rest.split())
                rest = base64.b64decode(packed[: len(packed) // 4 * 4]).decode("utf-8", "replace")
            yield from (HeaderParser().parsestr(text.lstrip()) for text in _BLANK.split(rest))


def _judge(group: Message) -> tuple[Fact | None, ChannelError | None] | None:
    """Return what one group of fields says, None for the group about the report itself."""
    found = _STATUS.match(_field(group, "status"))
    status = found[1] if found else ""
    action = re.match(r"[a-z]*", _field(group, "action").lower())
    word = action[0] if action and action[0] in _ACTIONS else _BY_CLASS.get(status[:1], "")
    if not word:
        return None
    fact = _ACTIONS[word]
    return fact, _why(status, _field(group, "diagnostic-code")) if fact is Fact.FAILED else None


def _why(status: str, diagnostic: str) -> ChannelError:
    """Return the class of a failure by its status, and by the one that the last server's own words contain."""
    words = _QUOTED.sub("", diagnostic)
    basic, inner = _BASIC.match(words), _STATUS.search(words)
    stated = [one for one in (status, inner[1] if inner else "") if one]
    telling = [one for one in stated if not one.endswith(".0.0")] or stated
    code = basic[1] if basic else ""
    found = (_classified(one, f"{code} {one}".strip()) for one in telling)
    return min(found, key=_mildness, default=Refused(code, code="returned"))


def _classified(status: str, provider_code: str) -> ChannelError:
    for pattern, error, word in STATUSES:
        if pattern.fullmatch(status):
            return error(provider_code, code=word)
    return Refused(provider_code, code="returned")


def _mildness(error: ChannelError | None) -> int:
    return _MILDEST_FIRST.index(type(error)) if error is not None else 0


def _odd(mail: Message, raw: bytes) -> tuple[Fact, ChannelError] | None:
    """Return a failure without a reason for a bounce in no standard form; None for answers, receipts, anything else.

    flufl.bounce calls a full mailbox and a policy permanent too, so it is believed only that something came back.
    """
    automatic = _field(mail, "auto-submitted").lower()
    if mail.get_content_type() == "multipart/report" or "vacation" in automatic:
        return None  # a reading receipt, a complaint, somebody who is away
    if _MANNERS.search(_field(mail, "precedence")) or _field(mail, "x-autoreply") or not _from_a_server(mail):
        return None
    scanned = email.message_from_bytes(raw[:_SCANNED_BYTES], policy=email.policy.compat32)
    if not _field(mail, "from"):
        scanned["From"] = "<>"  # flufl.bounce 6.0 falls over a mail that has none
    _, permanent = all_failures(scanned)
    return (Fact.FAILED, Refused(code="returned")) if permanent else None


def _from_a_server(mail: Message) -> bool:
    """Tell whether a mail program, not a person, wrote this: it wants no answer, or names itself."""
    local = parseaddr(_field(mail, "from"))[1].partition("@")[0].lower()
    return _field(mail, "return-path") == "<>" or local in {"mailer-daemon", "postmaster"}


def _field(message: Message, name: str) -> str:
    """Return a header as it stands, unfolded, "" if there is none."""
    found = next((value for key, value in message.raw_items() if key.lower() == name), "")
    return " ".join(str(found)[:_MAX_FIELD].split())


def _digest(mail: Message, raw: bytes) -> str:
    """Return a name of this mail that is the same when it is handed over again, with other trace headers on top."""
    own = _field(mail, "message-id").encode("utf-8", "surrogateescape")
    return hashlib.sha256(own or raw.partition(b"\r\n\r\n")[2] or raw).hexdigest()[:32]


def _date(mail: Message) -> datetime | None:
    try:
        at = parsedate_to_datetime(_field(mail, "date"))
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except Exception:  # noqa: BLE001  # the parser stumbles in many ways; a bad date must not cost the report
        return None
