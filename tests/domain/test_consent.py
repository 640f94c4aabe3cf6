"""Which entry of the consent ledger stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.consent import PURPOSES, allows, is_stop, standing
from gateway.domain.model import Consent

AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def entry(row: int, *, given: bool = True, channel: str = "sms", purpose: str = "dienst", hours: int = 0) -> Consent:
    """Return one ledger entry."""
    return Consent(id=row, channel=channel, purpose=purpose, given=given, at=AT + timedelta(hours=hours))


def test_the_purposes_are_those_of_the_law():
    """A-04 names five purposes, each with a line for staff."""
    assert set(PURPOSES) == {"dienst", "info", "bekanntgabe_37_2a", "video", "k2_messenger"}
    assert all(PURPOSES.values())


def test_no_entry_means_no():
    """A-04: an empty ledger permits nothing."""
    assert allows(standing([]), "sms", "dienst") is None


def test_a_given_entry_is_named():
    """A-04: a delivery can name the ledger row that it relies on."""
    assert allows(standing([entry(7)]), "sms", "dienst") == entry(7)


def test_a_withdrawal_ends_it_and_a_new_yes_returns_it():
    """A-07: the last word counts, in both directions."""
    assert allows(standing([entry(1), entry(2, given=False)]), "sms", "dienst") is None
    again = standing([entry(1), entry(2, given=False), entry(3)])
    assert allows(again, "sms", "dienst") == entry(3)


def test_a_withdrawal_with_an_earlier_clock_still_holds():
    """A-07: the ledger's order decides, not the clock of whoever recorded the withdrawal."""
    rows = [entry(1, hours=2), entry(2, given=False, hours=0)]
    assert allows(standing(rows), "sms", "dienst") is None


def test_a_yes_is_for_one_channel_and_one_purpose():
    """A-04, A-20: consent to ``dienst`` by SMS is none to ``info``, and none to WhatsApp."""
    entries = standing([entry(1)])
    assert allows(entries, "sms", "info") is None
    assert allows(entries, "whatsapp", "dienst") is None


ROWS = st.lists(
    st.builds(
        entry,
        st.integers(1, 50),
        given=st.booleans(),
        channel=st.sampled_from(["sms", "email"]),
        purpose=st.sampled_from(["dienst", "info"]),
        hours=st.integers(-9, 9),
    ),
    unique_by=lambda row: row.id,
    max_size=12,
)


@given(rows=ROWS, data=st.data())
def test_the_last_ledger_id_wins_in_any_order(rows: list[Consent], data: st.DataObject):
    """Standing is the highest id of each channel and purpose, however the store returns the rows."""
    entries = standing(data.draw(st.permutations(rows)))
    for channel, purpose in {(row.channel, row.purpose) for row in rows}:
        last = max((row for row in rows if (row.channel, row.purpose) == (channel, purpose)), key=lambda row: row.id)
        assert entries[channel, purpose] == last
        assert allows(entries, channel, purpose) == (last if last.given else None)
    assert len(entries) == len({(row.channel, row.purpose) for row in rows})


@pytest.mark.parametrize(
    ("text", "stop"),
    [
        ("STOPP", True),
        (" Stop! ", True),
        ("abmelden.", True),
        ("Ende", True),
        ("/stop", True),
        ("СТОП", True),
        ("توقف", True),
        ("", False),
        ("Ich komme ohne Stopp", False),  # a sentence may hold the word and mean something else
        ("Endes", False),
        ("Ich kann nicht", False),
    ],
)
def test_one_word_says_stop(text: str, stop: bool):
    """A-07: the word alone is enough, in any case and with any punctuation; a sentence around it is an answer."""
    assert is_stop(text) is stop
