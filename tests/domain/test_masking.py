"""How much of an address a clerk sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.masking import hint


@pytest.mark.parametrize(
    ("channel", "address", "shown"),
    [
        ("email", "aylin@example.de", "a…@…de"),
        ("email", "  aylin@example.de ", "a…@…de"),
        ("email", "al@example.de", "…@…de"),  # two letters: one of them would be half the name
        ("email", "aylin@example.versicherung", "a…@…"),  # a telling top-level domain stays hidden
        ("email", "aylin@localhost", "a…@…"),
        ("email", "aylin@[192.0.2.7]", "a…@…"),
        ("email", '"a@b"@example.org', '"…@…org'),
        ("sms", "+4915112345612", "+49 … 12"),
        ("whatsapp", "+4366412345678", "+43 … 78"),
        ("sms", "+4911833", "+…"),
        ("telegram", "987612345", "telegram …345"),
        ("telegram", "12345", "telegram …"),
        ("x-matrix", "!room:house", "x-matrix …use"),
        ("sms", "", "sms …"),
    ],
)
def test_hint_by_shape(channel: str, address: str, shown: str):
    """Art. 5(1)c: a mailbox, a number and an id are each cut in their own way."""
    assert hint(channel, address) == shown


@given(
    address=st.one_of(
        st.emails(),
        st.from_regex(r"\A\+[1-9][0-9]{4,14}\Z"),
        st.from_regex(r"\A-?[0-9]{1,15}\Z"),
        st.text(min_size=1, max_size=40),
    )
)
def test_hint_never_shows_more_than_five_characters(address: str):
    """Whatever the address, most of it stays hidden; a short one stays hidden entirely."""
    shown = hint("", address)
    rest = [one for one in shown if one not in "…@+ "]
    assert len(rest) <= 5
    assert len(rest) <= len(address.strip()) / 2
