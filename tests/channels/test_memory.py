"""The memory channel fails on demand, so that others can be tested with it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from channels.conformance.bench import KEY, NOW, StillClock
from channels.kit.contract import Format, Message
from channels.kit.errors import AddressRefused, Throttled, Unavailable, Uncertain
from channels.memory import WORDS, Memory, MemoryRequest
from gateway.egress import Http


def memory(**options: object) -> Memory:
    """Return the adapter."""
    return Memory(Memory.Options(**options), http=Http(), clock=StillClock())


def request(adapter: Memory, to: str = "anna") -> MemoryRequest:
    """Return a message."""
    said = Message(looks={Format.TEXT: "Hallo"}, sent_at=NOW)
    return adapter.encode(said, adapter.address_of(to), key=KEY)


async def test_it_keeps_what_it_takes():
    """Messages are kept in order, each with an id of its own."""
    adapter = memory()
    ids = [(await adapter.send(request(adapter, to))).provider_id for to in ("anna", "otto")]
    assert [one.to for one in adapter.taken] == ["anna", "otto"]
    assert len(set(ids)) == 2


async def test_it_fails_next_as_told():
    """Orders are used up one a send; an uncertain one has been taken, as the worst case is."""
    adapter = memory()
    adapter.fail_next(Throttled(retry_after_s=3), None, Uncertain())
    with pytest.raises(Throttled) as caught:
        await adapter.send(request(adapter))
    assert caught.value.retry_after_s == 3
    await adapter.send(request(adapter))
    with pytest.raises(Uncertain):
        await adapter.send(request(adapter))
    await adapter.send(request(adapter))
    assert len(adapter.taken) == 3


async def test_it_fails_by_address():
    """An address can be dead, or its provider down, for as long as the settings say so."""
    adapter = memory(outcomes={"tot": "address_refused", "weg": "unavailable"})
    for to, error in (("tot", AddressRefused), ("weg", Unavailable)):
        for _ in range(2):
            with pytest.raises(error):
                await adapter.send(request(adapter, to))
    assert adapter.taken == []


@pytest.mark.parametrize("word", WORDS)
async def test_every_word_is_a_class(word: str):
    """Each error class of the contract can be ordered by its word."""
    adapter = memory(outcomes={"anna": word})
    with pytest.raises(WORDS[word]) as caught:
        await adapter.send(request(adapter))
    assert caught.value.code == word


def test_an_unknown_word_stops_the_start():
    """A misspelt outcome is refused, with the words that exist."""
    with pytest.raises(ValidationError, match=r"kaput.*address_refused"):
        memory(outcomes={"anna": "kaput"})
