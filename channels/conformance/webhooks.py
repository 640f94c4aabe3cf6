"""Groups 10 to 13: webhooks are verified, decoded purely, honest about the capabilities, and hand on stop words.

For adapters with ``verify`` and ``decode``; others skip. Calls are tapes: recorded, or made by the provider's signer.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.conformance.bench import Bench
from channels.kit.contract import Fact, Inbound, Kind, Receipt, Receives, WebhookRequest
from channels.kit.errors import Forged, Malformed

STOP_WORDS = ("STOP", "Stopp", "stopp!", "ABMELDEN", "Abmelden bitte", "UNSUBSCRIBE", "END", "CANCEL")
_WEIRD: tuple[Any, ...] = (None, [], {}, "", "x", -1, 2**80, 1.5, True, [[]], "\ud800")


@dataclass(frozen=True, slots=True)
class Tape:
    """One authentic call, and what it says."""

    name: str
    hook: WebhookRequest
    says: tuple[Fact | Kind, ...]


class WebhookCases(Bench):
    """What the provider tells us."""

    proof: ClassVar[str] = ""  # the header that carries signature or secret
    covers: ClassVar[frozenset[str]] = frozenset()  # of "body" and "url": what the proof protects
    stranger: ClassVar[dict[str, Any]] = {}  # options with another tenant's secret
    rotated: ClassVar[dict[str, Any]] = {}  # options with a new secret, the old one as previous

    def tapes(self) -> Sequence[Tape]:
        """Return authentic calls that together say everything the capabilities declare."""
        return ()

    def text_hook(self, text: str) -> WebhookRequest:
        """Return the call that brings ``text`` from a person."""
        raise NotImplementedError

    def test_10_authentic_calls_pass(self) -> None:
        """10: every tape verifies, also with the previous secret while it is being changed."""
        for tape in self._receiving():
            self.built().verify(tape.hook)
            self.built(**self.rotated).verify(tape.hook)

    def test_10_forged_calls_do_not(self) -> None:
        """10: no proof, an empty or odd one, one flipped bit in it or what it covers, another's secret: all Forged."""
        adapter, stranger = self.built(), self.built(**self.stranger)
        for tape in self._receiving():
            for forged in self._forged(tape.hook):
                with pytest.raises(Forged):
                    adapter.verify(forged)
            with pytest.raises(Forged):
                stranger.verify(tape.hook)

    def test_10_verify_raises_nothing_but_forged(self) -> None:
        """10: whatever arrives, the answer is yes or Forged, and it quotes nothing."""
        adapter, hook = self.built(), self._receiving()[0].hook

        @settings(max_examples=150, deadline=None, database=None, derandomize=True)
        @given(st.binary(max_size=200), st.text(max_size=40), st.text(max_size=40), st.text(max_size=20))
        def never_breaks(body: bytes, proof: str, kind: str, tail: str) -> None:
            headers = {self.proof: proof, "content-type": kind or hook.headers.get("content-type", "")}
            odd = dataclasses.replace(hook, body=body, headers=headers, url=hook.url + tail)
            with pytest.raises(Forged) as caught:
                adapter.verify(odd)
            assert len(proof) < 4 or proof not in str(caught.value)

        never_breaks()

    def test_11_decode_is_pure(self) -> None:
        """11: the same call decodes to the same events with the same ids, alone or after any other."""
        adapter, tapes = self.built(), self._receiving()
        first = [adapter.decode(tape.hook) for tape in tapes]
        again = [self.built().decode(tape.hook) for tape in reversed(tapes)][::-1]
        assert [_plain(one) for one in again] == [_plain(one) for one in first]
        ids = [(tape.name, event.event_id) for tape, events in zip(tapes, first, strict=True) for event in events]
        assert len({event_id for _, event_id in ids}) == len(ids)
        assert all(event_id for _, event_id in ids)

    def test_11_times_are_utc(self) -> None:
        """11: a stated time is aware and in UTC; an unstated one is None, not invented."""
        for tape in self._receiving():
            for event in self.built().decode(tape.hook):
                assert event.at is None or event.at.utcoffset() == timedelta(0)
                assert event.at is None or event.at.tzinfo is UTC

    def test_11_unknown_fields_change_nothing(self) -> None:
        """11: fields that the provider adds tomorrow do not disturb what is said today."""
        adapter = self.built()
        for tape in self._receiving():
            more = dataclasses.replace(tape.hook, body=_with_more(tape.hook.body))
            assert _plain(adapter.decode(more)) == _plain(adapter.decode(tape.hook))

    def test_11_decode_raises_nothing_but_malformed(self) -> None:
        """11: missing, swapped and absurd values anywhere give events or Malformed, never anything else."""
        adapter = self.built()
        for tape in self._receiving():
            for body in (*_mangled(tape.hook.body), b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 20_000):
                with suppress(Malformed):
                    adapter.decode(dataclasses.replace(tape.hook, body=body))

    def test_12_capabilities_are_honest(self) -> None:
        """12: the tapes say what they should, nothing undeclared ever appears, everything declared has a tape."""
        adapter, said = self.built(), set[Fact | Kind]()
        for tape in self._receiving():
            events = adapter.decode(tape.hook)
            assert tuple(one.fact if isinstance(one, Receipt) else one.kind for one in events) == tape.says, tape.name
            said.update(tape.says)
            for event in events:
                failed = isinstance(event, Receipt) and event.fact is Fact.FAILED
                assert failed == (getattr(event, "error", None) is not None)
                if isinstance(event, Inbound):
                    assert adapter.address_of(event.sender.value) == event.sender
        assert said == {*self.capabilities.receipts, *self.capabilities.inbound}

    @pytest.mark.parametrize("word", STOP_WORDS)
    def test_13_stop_words_reach_the_core(self, word: str) -> None:
        """13: a stop word arrives as STOP, or as the very text, for the core to read."""
        self._receiving()
        (event,) = self.built().decode(self.text_hook(word))
        assert event.kind is Kind.STOP or (event.kind is Kind.TEXT and event.text == word)

    def _receiving(self) -> Sequence[Tape]:
        """Return the tapes; skip where the provider never calls."""
        if not issubclass(self.adapter, Receives):
            pytest.skip("this provider never calls us")
        tapes = self.tapes()
        assert tapes, "an adapter with verify and decode needs tapes"
        return tapes

    def _forged(self, hook: WebhookRequest) -> Iterator[WebhookRequest]:
        """Yield calls that must not pass."""
        proof = hook.headers[self.proof]
        bare = {name: value for name, value in hook.headers.items() if name != self.proof}
        yield dataclasses.replace(hook, headers=bare)
        for odd in ("", " ", "ä", proof[:-1], proof + "A", _flipped(proof)):
            yield dataclasses.replace(hook, headers={**bare, self.proof: odd})
        if "body" in self.covers:
            for place in range(0, len(hook.body), max(1, len(hook.body) // 40)):
                changed = bytearray(hook.body)
                changed[place] ^= 1
                yield dataclasses.replace(hook, body=bytes(changed))
            yield dataclasses.replace(hook, body=hook.body + b"&Neu=1")
        if "url" in self.covers:
            yield dataclasses.replace(hook, url=hook.url + "x")
            yield dataclasses.replace(hook, url=hook.url.replace("gateway", "gatewai"))


def _plain(events: Sequence[Receipt | Inbound]) -> list[dict[str, str]]:
    """Return events as comparable values: two errors of the same class and codes are equal here."""
    fields = [{one.name: getattr(event, one.name) for one in dataclasses.fields(event)} for event in events]
    return [{name: repr(getattr(value, "value", value)) for name, value in one.items()} for one in fields]


def _flipped(text: str) -> str:
    """Return ``text`` with one bit of its middle changed."""
    middle = len(text) // 2
    return text[:middle] + chr(ord(text[middle]) ^ 1) + text[middle + 1 :]


def _with_more(body: bytes) -> bytes:
    """Return a JSON or form body with a field that nobody knows."""
    try:
        content = json.loads(body)
    except ValueError:
        return body + b"&Unbekannt=1"
    for one in content if isinstance(content, list) else [content]:
        one["unbekannt"] = "1"
    return json.dumps(content).encode()


def _mangled(body: bytes) -> Iterator[bytes]:
    """Yield the body with each value in turn left out or replaced by something absurd."""
    try:
        content = json.loads(body)
    except ValueError:
        fields = parse_qsl(body.decode(), keep_blank_values=True)
        for at, (name, _) in enumerate(fields):
            rest = [*fields[:at], *fields[at + 1 :]]
            yield urlencode(rest).encode()
            yield from (urlencode([*rest, (name, odd)]).encode() for odd in ("", "x", "9" * 30, "²", "\0"))
        return
    yield from (json.dumps(one).encode() for one in _variants(content))


def _variants(value: Any) -> Iterator[Any]:
    """Yield copies of a JSON value with one place of it spoiled."""
    yield from _WEIRD
    if isinstance(value, dict):
        for name in value:
            yield {key: one for key, one in value.items() if key != name}
            yield from ({**value, name: one} for one in _variants(value[name]))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from ([*value[:at], one, *value[at + 1 :]] for one in _variants(item))
