"""What is remembered: bounded, grouped by person, with sums that outlive the messages."""

from __future__ import annotations

import pytest

from channels.sandbox import state as module
from channels.sandbox.clock import Clock
from channels.sandbox.state import State

NUMBER = "+4915735990001"


@pytest.fixture
def state() -> State:
    """Return an empty memory."""
    return State(Clock())


def test_equal_addresses_are_one_person(state: State) -> None:
    """SMS and WhatsApp of one number belong together, in every spelling; another number is somebody else."""
    state.record("sms", NUMBER)
    state.record("whatsapp", NUMBER)
    state.record("sms", "+4915735990002")
    assert [list(one.phones) for one in state.people.values()] == [["sms", "whatsapp"], ["sms"]]


def test_declared_people_take_their_phones_over(state: State) -> None:
    """Declaring a person moves what already arrived; nobody is left without a phone."""
    entry = state.record("sms", NUMBER)
    state.record("email", "A@Post.example")
    person = state.declare("Telefon 0001", {"sms": NUMBER, "email": "a@post.example", "telegram": "7"}, "ar")
    assert list(state.people.values()) == [person]
    assert list(person.phones["sms"].items) == [entry]
    assert len(person.phones["email"].items) == 1
    assert state.owner("telegram", "7") is person
    assert (person.name, person.language) == ("Telefon 0001", "ar")


def test_every_change_has_a_revision(state: State) -> None:
    """A message, a new status and an answer each move the person to the end with a higher revision."""
    first = state.record("sms", NUMBER)
    state.record("sms", "+4915735990002")
    for change in (
        lambda: state.changed(first, status="delivered"),
        lambda: state.reply("sms", NUMBER, "Ja"),
        lambda: state.notice("sms", NUMBER, "Danke"),
    ):
        before = state.revision
        change()
        newest = next(reversed(state.people.values()))
        assert (newest.revision, newest is state.owner("sms", NUMBER)) == (before + 1, True)


def test_old_messages_go_and_the_sums_stay(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest messages are kept, on the phones too; numbers go on and nothing is miscounted."""
    monkeypatch.setattr(module, "KEPT_MESSAGES", 10)
    state.reply("sms", NUMBER, "Ja")
    for one in range(25):
        state.record("sms", NUMBER, text=str(one))
    assert [one.n for one in state.entries(0)] == list(range(16, 26))
    assert [one.n for one in state.entries(20)] == list(range(21, 26))
    assert len(state.phone("sms", NUMBER).items) == 11
    assert (state.entry(15), state.entry(26)) == (None, None)
    kept = state.entry(16)
    assert kept is not None
    assert kept.text == "15"
    assert (state.counts["sms"].accepted, state.counts["sms"].per_recipient[NUMBER]) == (25, 25)


def test_large_mails_count_by_their_bytes(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes that are kept have a limit of their own."""
    monkeypatch.setattr(module, "KEPT_BYTES", 50_000)
    for _ in range(20):
        state.record("email", "a@post.example", raw=b"x" * 10_000)
    assert len(state.log) == 4


def test_people_are_bounded(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """The person who heard nothing for the longest time goes first, and can come back as a new one."""
    monkeypatch.setattr(module, "KEPT_PEOPLE", 3)
    for one in range(5):
        state.record("sms", f"+491573599{one:04}")
    assert [one.name for one in state.people.values()] == [f"+491573599{one:04}" for one in (2, 3, 4)]
    assert len(state.phone("sms", "+4915735990000").items) == 0


def test_recipients_are_counted_up_to_a_limit(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit recipients are no longer told apart, and the summary says so."""
    monkeypatch.setattr(module, "COUNTED_ADDRESSES", 3)
    for one in range(5):
        state.record("sms", f"+491573599{one:04}", key=f"k{one}")
    told = state.counts["sms"].as_json()
    assert (told["accepted"], told["recipients"], told["capped"]) == (5, 3, True)


def test_reprs_hold_no_personal_data(state: State) -> None:
    """Neither address, name nor text is in what a traceback would show."""
    entry = state.record("email", "geheim@post.example", text="geheim", raw=b"geheim")
    person = state.declare("geheim", {"email": "geheim@post.example"}, "")
    state.reply("email", "geheim@post.example", "geheim")
    assert "geheim" not in repr((entry, person, person.phones, list(person.phones["email"].items), state.counts))
