"""The corpus of bounces: what each says, file by file, and that no broken mail raises anything but Malformed (B-E5).

The mails in tests/channels/dsn are written by us in the manner of the servers in their names. Nobody in them exists.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from channels.kit import dsn
from channels.kit.contract import Fact
from channels.kit.errors import AddressRefused, ChannelError, ContentRefused, Malformed, Refused, Unavailable

CORPUS = Path(__file__).parents[1] / "dsn"
MAILS = {path.stem: path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for path in CORPUS.glob("*.eml")}

# file -> class, our word, the provider's code
FAILED: dict[str, tuple[type[ChannelError], str, str]] = {
    "postfix_unknown": (AddressRefused, "no_such_mailbox", "550 5.1.1"),
    "postfix_full": (Unavailable, "returned_full", "552 5.2.2"),
    "postfix_expired": (Unavailable, "returned_late", "4.4.1"),
    "postfix_contradicts_itself": (Refused, "policy", "550 5.7.1"),
    "exchange_unknown_de": (AddressRefused, "no_such_mailbox", "550 5.1.10"),
    "exchange_too_large_de": (ContentRefused, "too_large", "550 5.2.3"),
    "exchange_not_allowed_en": (Refused, "policy", "550 5.7.133"),
    "exchange_expired_en": (Unavailable, "returned_late", "550 4.4.7"),
    "gmail_unknown_de": (AddressRefused, "no_such_mailbox", "550 5.1.1"),
    "gmail_full_en": (Unavailable, "returned_full", "552 5.2.2"),
    "gmail_unauthenticated_en": (Refused, "policy", "550 5.7.26"),
    "gmx_unknown_de": (Refused, "returned", "550 5.0.0"),  # "mailbox unavailable" may be anything (RFC 5321, 550)
    "webde_full_de": (Unavailable, "returned_full", "552 5.2.2"),
    "webde_spam_de": (Refused, "policy", "554 5.7.1"),
    "tonline_unknown_de": (AddressRefused, "no_such_mailbox", "550 5.1.1"),
    "tonline_disabled_de": (AddressRefused, "mailbox_disabled", "550 5.2.1"),
    "domino_content_de": (ContentRefused, "content", "554 5.6.0"),
    "exim_unknown_en": (AddressRefused, "no_such_mailbox", "550 5.1.1"),  # its own Status is 5.0.0
    "exim_domain_gone_de": (Refused, "no_such_domain", "5.4.4"),
    "exim_plain_en": (Refused, "returned", ""),  # no standard form: that it came back, not why
    "qmail_plain_en": (Refused, "returned", ""),
    "utf8_report_de": (AddressRefused, "no_such_mailbox", "550 5.1.1"),
    "mixed_instead_of_report_en": (AddressRefused, "no_such_mailbox", "551 5.1.6"),
}
OTHER: dict[str, Fact | None] = {
    "postfix_relayed": Fact.SUBMITTED,
    "postfix_aliases": Fact.DELIVERED,  # one copy failed, another arrived
    "postfix_delayed": None,
    "gmail_delayed_de": None,
}
NO_REPORT = ["vacation_de", "away_outlook_de", "left_the_company_de", "answer_of_a_person_de", "reading_receipt_de"]
BROKEN = ["speaks_of_nobody_en"]


def group(**fields: str) -> bytes:
    """Return a report of one group of fields."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"Content-Type: multipart/report; boundary=B\r\n\r\n--B\r\nContent-Type: message/delivery-status\r\n\r\n{lines}\r\n--B--\r\n".encode()  # noqa: E501  # one mail


def test_every_mail_of_the_corpus_has_its_row():
    """No file is forgotten, and no row has lost its file."""
    assert set(MAILS) == {*FAILED, *OTHER, *NO_REPORT, *BROKEN}


@pytest.mark.parametrize("name", FAILED)
def test_a_bounce_says_why(name: str):
    """B-E5: the second and third digit decide, not the first; an address is given up for good reasons only."""
    report = dsn.read(MAILS[name])
    assert report is not None
    assert report.fact is Fact.FAILED
    assert report.error is not None
    assert (type(report.error), report.error.code, report.error.provider_code) == FAILED[name]


@pytest.mark.parametrize("name", OTHER)
def test_other_reports_fail_nothing(name: str):
    """A delay is information, a relayed mail is out of our sight, and one copy that arrived is enough."""
    report = dsn.read(MAILS[name])
    assert report is not None
    assert (report.fact, report.error) == (OTHER[name], None)


@pytest.mark.parametrize("name", NO_REPORT)
def test_answers_are_no_reports(name: str):
    """B-E3: somebody who is away, has left, answers or has read it, even quoting a bounce, changes nothing (A-23)."""
    assert dsn.read(MAILS[name]) is None


@pytest.mark.parametrize("name", BROKEN)
def test_a_report_about_nobody_is_malformed(name: str):
    """It is no answer of a person, so an operator should see it."""
    with pytest.raises(Malformed):
        dsn.read(MAILS[name])


def test_the_reports_own_time_is_taken_in_utc():
    """A date that makes no sense costs the date, not the report."""
    report = dsn.read(MAILS["gmail_unknown_de"])
    assert report is not None
    assert report.at == datetime(2026, 11, 23, 9, 8, tzinfo=UTC)
    broken = dsn.read(b"Date: Mon, 99 Foo 2026 99:99\r\n" + group(Action="failed", Status="5.1.1"))
    assert broken is not None
    assert (broken.at, broken.fact) == (None, Fact.FAILED)


def test_a_mail_that_is_handed_over_again_has_the_same_name():
    """Other trace headers on top change nothing, with or without a Message-ID; another mail has another name."""
    named, nameless = MAILS["postfix_unknown"], MAILS["qmail_plain_en"]
    names = {dsn.read(b"Received: by mx2 id 2\r\n" + mail).mail_id for mail in (named, nameless)}  # type: ignore[union-attr]  # reports
    assert names == {dsn.read(mail).mail_id for mail in (named, nameless)}  # type: ignore[union-attr]  # they are reports
    assert len(names) == 2


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"Action": "failed"}, (Refused, "returned", "")),
        ({"Status": "5.1.1"}, (AddressRefused, "no_such_mailbox", "5.1.1")),  # no action stated
        ({"Action": "failed", "Status": "5.1.1 (gone)"}, (AddressRefused, "no_such_mailbox", "5.1.1")),
        ({"Action": "Failed", "Status": "5.1.11"}, (Refused, "returned", "5.1.11")),
        ({"Action": "failed", "Status": "9.9.9"}, (Refused, "returned", "")),
        (
            {"Action": "failed", "Status": "5.0.0", "Diagnostic_Code": "smtp; 550 no mailbox here (#5.1.1)"},
            (AddressRefused, "no_such_mailbox", "550 5.1.1"),
        ),
        (
            {"Action": "failed", "Diagnostic_Code": "smtp; 550 <5.1.1@x.example> at 192.5.1.1 and 5.1.1.9 said no"},
            (Refused, "returned", "550"),  # numbers inside addresses are no status
        ),
        (
            {"Action": "failed", "Status": "5.1.1", "Diagnostic_Code": "smtp; 452 4.2.2 full"},
            (Unavailable, "returned_full", "452 4.2.2"),
        ),
    ],
)
def test_reports_that_keep_to_the_standard_by_half(fields: dict[str, str], expected: tuple[type, str, str]):
    """Missing, decorated and contradicting fields: what is stated counts, and in doubt the address is spared."""
    report = dsn.read(group(**fields))
    assert report is not None
    assert report.error is not None
    assert (type(report.error), report.error.code, report.error.provider_code) == expected


@pytest.mark.parametrize(("status", "fact"), [("4.2.1", None), ("2.1.5", Fact.SUBMITTED)])
def test_without_an_action_the_first_digit_decides(status: str, fact: Fact | None):
    """4: they still try; 2: it went on. Nothing fails that nobody called failed."""
    report = dsn.read(group(Status=status))
    assert report is not None
    assert report.fact is fact


def test_a_message_that_came_back_whole_is_not_read():
    """A returned mail that itself holds a report says nothing about this one."""
    mail = b"Content-Type: message/rfc822\r\n\r\n" + MAILS["postfix_unknown"]
    assert dsn.read(mail) is None


def test_a_huge_mail_is_read_as_far_as_the_report_goes():
    """The status stands in front; what follows may be as long as it likes, and a hostile field costs no minutes."""
    report = dsn.read(MAILS["postfix_unknown"] + b"x" * 9_000_000)
    assert report is not None
    assert type(report.error) is AddressRefused
    assert dsn.read(group(Action="failed", Diagnostic_Code="smtp; " + "<" * 250_000)) is not None


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(MAILS)),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=30)), max_size=6),
    kept=st.floats(0, 1),
)
@example(name="utf8_report_de", cuts=[], kept=0.8)
def test_no_broken_mail_raises_anything_but_malformed(name: str, cuts: list[tuple[float, int, bytes]], kept: float):
    """Bounces with bytes replaced, lost and cut off anywhere are read, or refused as Malformed."""
    mail = MAILS[name]
    for place, length, new in cuts:
        start = int(place * len(mail))
        mail = mail[:start] + new + mail[start + length :]
    read_or_refuse(mail[: max(int(kept * len(mail)), 1)])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([
            b"Content-Type: multipart/report; boundary=B", b"Content-Type: message/delivery-status", b"--B", b"--B--",
            b"", b"Content-Type: message/rfc822", b"Action: failed", b"Status: 5.1.1", b"Diagnostic-Code: smtp; 550",
            b"Content-Transfer-Encoding: base64", b"From: mailer-daemon@x.example", b"Return-Path: <>", b"\xff\xfe:",
            b"Content-Type: message/global-delivery-status", b"Date: ", b" folded", b"Message-ID: <[x]@>", b"QWN0aW9u",
        ]),
        max_size=30,
    )
)  # fmt: skip
def test_no_pile_of_mail_lines_raises_anything_but_malformed(lines: list[bytes]):
    """Headers, parts and boundaries in any order."""
    read_or_refuse(b"\r\n".join(lines))


def read_or_refuse(mail: bytes) -> None:
    """Read, and look at what came out."""
    try:
        report = dsn.read(mail)
    except Malformed:
        return
    assert report is None or (report.error is not None) == (report.fact is Fact.FAILED)
