"""Addresses have one canonical form, and nothing is guessed (B-S4, trap 12)."""

from __future__ import annotations

import pytest

from channels.kit.addresses import chat, mailbox, mobile
from channels.kit.errors import AddressInvalid

REFUSED_NUMBERS = [
    ("15123456789", "ambiguous"),
    ("4915123456789", "ambiguous"),
    ("11833", "ambiguous"),
    ("069 1234567", "not_mobile"),
    ("+4969900010", "not_mobile"),
    ("0800 1234567", "not_mobile"),
    ("0900 1234567", "not_mobile"),
    ("0137 1234567", "not_mobile"),
    ("0700 12345678", "not_mobile"),
    ("+1 202 555 0123", "not_mobile"),  # landline or mobile, nobody can tell
    ("+43 664 1234567", "country"),
    ("01511234567", "not_a_number"),  # a digit short
    ("+49 1511 234567 8901", "not_a_number"),
    ("anna", "not_a_number"),
    ("tel:+4915123456789", "not_a_number"),
    ("+49 151 23456789;ext=5", "not_a_number"),
    ("+49\u00a0151 23456789", "not_a_number"),
    ("\u202a+4915123456789\u202c", "not_a_number"),
    ("+49151\n23456789", "not_a_number"),
]


@pytest.mark.parametrize(
    "raw", ["0151 23456789", "+49 151 23456789", "0049-151-23456789", "(0151) 234/567.89", "+49(0)15123456789"]
)
def test_spellings_of_one_number(raw: str):
    """B-S4: the usual German spellings become the same E.164 number."""
    assert mobile(raw, channel="sms").value == "+4915123456789"


@pytest.mark.parametrize(("raw", "reason"), REFUSED_NUMBERS)
def test_refused_numbers(raw: str, reason: str):
    """B-S4: landline, free, premium, shared-cost, foreign and ambiguous numbers are refused, with a word for why."""
    with pytest.raises(AddressInvalid) as caught:
        mobile(raw, channel="sms")
    assert caught.value.reason == reason


def test_other_countries_by_switch():
    """B-S4: another country's mobile numbers are accepted where the operator has said so."""
    assert mobile("+43 664 1234567", channel="sms", countries=(49, 43)).value == "+436641234567"


def test_no_leading_zero_is_cut_off():
    """Trap 12: 0171… is a German number, never +171… somewhere else."""
    assert mobile("0171 3920012", channel="sms").value == "+491713920012"


@pytest.mark.parametrize("raw", ["a@b.de\r\nRCPT TO:<c@d.de>", "a@b.de\x00", "a\x7f@b.de", "\ta@b.de"])
def test_control_characters_in_mailboxes(raw: str):
    """SMTP libraries trim them silently and then write to somebody else: they are refused before."""
    with pytest.raises(AddressInvalid) as caught:
        mailbox(raw, channel="email")
    assert caught.value.reason == "control_character"


def test_mailbox_domain_is_ascii_and_lower_case():
    """The domain has one form, so that one person is suppressed once; the local part is the server's business."""
    assert mailbox("Anna@MÜLLER.de", channel="email").value == "Anna@xn--mller-kva.de"


@pytest.mark.parametrize("raw", ["@anna", "-100123", "0", "007", "1e3", "1_0", " 1", "1 ", "9" * 17, str(2**52)])
def test_chats_are_numbers_of_people(raw: str):
    """Names can be given to somebody else, and groups hold other people (trap 12)."""
    with pytest.raises(AddressInvalid):
        chat(raw, channel="telegram")
    assert chat(str(2**52 - 1), channel="telegram").value == str(2**52 - 1)
