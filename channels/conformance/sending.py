"""Groups 1 to 8: secrecy, constructor, encoding, measure, one call per send, the failure matrix, time.

Every fault is played by a stand-in on the wire. What a subclass has to state is in the bench.
"""

from __future__ import annotations

import asyncio
import builtins
import logging
import os
import socket
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.conformance.acts import EXPECTED, STATED_S, Act
from channels.conformance.bench import CANARY, Bench
from channels.kit.contract import Adapter, AdapterOptions, ApprovedTemplate, Button, Measure
from channels.kit.errors import ChannelError, Throttled, Uncertain, Unsupported
from channels.kit.measure import units

HOSTILE = (
    "*fett* _kursiv_ ~durch~ `code` [Link](https://example.org)",
    "<b>fett</b> &amp; <script>alert(1)</script> &#x41; &nbsp;",
    "\u202eumgekehrt\u202c und \u2067\u05e9\u05dc\u05d5\u05dd\u2069",
    "Familie 👩‍👩‍👧‍👦 und 🏳️‍🌈",
    "Straße, Maß, ß",
    "{{ name }} {% if x %} {0} %s $HOME",
    "Zeile eins\nZeile zwei\n\n.\n..\nEnde",
    "From: eins\nSubject: zwei\n\ndrei",
    "=?utf-8?b?w6Q=?= a=b&c=d;e %41%42 +49 + 1",
    "Anführung \" und ' und \\ und \\n",
    "x" * 200 + " lange Zeile",
)
SHORT_S = 0.6  # the deadline of tests that wait for it
PATIENCE_S = 5.0
_ANSWERING = tuple(act for act in Act if act is not Act.ACCEPT)


class Tripwire(dict[str, str]):
    """An environment that reports who reads it."""

    def __getitem__(self, name: str) -> str:
        raise AssertionError(f"the environment was read: {name}")

    def get(self, name: str, default: object = None) -> object:  # type: ignore[override]  # only its call counts
        """Report the look-up."""
        raise AssertionError(f"the environment was read: {name} {default!r}")

    def __contains__(self, name: object) -> bool:
        raise AssertionError(f"the environment was read: {name}")


class SendingCases(Bench):
    """What leaves the house, and what becomes of it."""

    def test_01_settings_are_a_schema_and_refuse_unknown_keys(self) -> None:
        """1: the options are a typed model, and a misspelt setting is refused instead of ignored."""
        schema: Any = self.adapter.Options
        assert issubclass(self.adapter.Options, AdapterOptions)
        assert schema.model_json_schema()["additionalProperties"] is False
        with pytest.raises(ValueError, match="misspelt"):
            schema(**self.options(), misspelt=1)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("act", tuple(Act))
    async def test_01_nothing_shows_secrets_or_people(self, act: Act, caplog: pytest.LogCaptureFixture) -> None:
        """1: whatever happens, no repr, log record, exception or traceback shows a secret, a text or an address."""
        self._needs(act)
        caplog.set_level(logging.DEBUG)
        async with self.playing(act, deadline_s=SHORT_S) as (adapter, standin):
            request = self.request(adapter)
            shown = [repr(adapter), repr(request), str(request), repr(request.__class__)]
            try:
                shown.append(repr(await adapter.send(request)))
            except ChannelError as exc:
                shown += ["".join(traceback.format_exception(exc)), *_everything(exc)]
            options = self.adapter.Options(**standin.options())
            shown += [repr(options), caplog.text, *(str(record.__dict__) for record in caplog.records)]
        for canary in self.canaries(options):
            assert not [one for one in shown if canary in one], "shown by the adapter or its library"

    def test_02_constructor_does_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """2: building an adapter opens no socket and no file, reads no environment, and needs no event loop."""
        options, http = self.adapter.Options(**self.options()), self.http()

        def trip(*_: object, **__: object) -> None:
            raise AssertionError("the constructor did I/O")

        with monkeypatch.context() as patch:
            patch.setattr(os, "environ", Tripwire())
            for owner, name in ((socket, "socket"), (socket, "getaddrinfo"), (builtins, "open")):
                patch.setattr(owner, name, trip)
            assert isinstance(self.made(options, http), Adapter)

    def test_03_encoding_is_pure(self) -> None:
        """3: the same message gives the same call, on any instance, and stays as it was."""
        first, second = self.built(), self.built()
        assert self.request(first) == self.request(first) == self.request(second)
        assert self.said(self.request(first)) == CANARY

    def test_03_what_cannot_be_said_is_refused(self) -> None:
        """3: too many buttons, and approved texts where there are none, are refused by name and not dropped."""
        adapter, most = self.built(), self.capabilities.max_buttons
        many = tuple(Button(str(one), "Ja") for one in range(most + 1))
        with pytest.raises(Unsupported) as caught:
            self.request(adapter, buttons=many)
        assert caught.value.field == "buttons"
        if not self.capabilities.preapproved:
            with pytest.raises(Unsupported):
                self.request(adapter, approved=ApprovedTemplate("HX" + "0" * 32, {"1": "x"}))

    def test_04_any_text_survives_encoding(self) -> None:
        """4: whatever Unicode somebody writes is either refused or said unchanged."""
        adapter = self.built()

        @settings(max_examples=150, deadline=None, database=None, derandomize=True)
        @given(st.text(st.characters(exclude_categories=()), max_size=60))
        def survives(text: str) -> None:
            try:
                request = self.request(adapter, text)
            except Unsupported:
                return
            assert _same_lines(self.said(request)) == _same_lines(text)

        survives()

    @pytest.mark.asyncio
    async def test_04_hostile_text_arrives_unchanged(self) -> None:
        """4: markup, RTL marks, joined emoji, template braces and header look-alikes reach the provider unchanged."""
        async with self.playing(Act.ACCEPT) as (adapter, standin):
            for text in HOSTILE:
                await adapter.send(self.request(adapter, text))
        assert [_same_lines(one) for one in standin.texts] == [_same_lines(one) for one in HOSTILE]

    @pytest.mark.parametrize("character", ["a", "ß", "€", "„", "ş", "😀"])
    def test_05_measure_or_refusal(self, character: str) -> None:
        """5: nothing longer than declared is ever encoded, in any alphabet; what is far shorter always is."""
        adapter, measure, most = self.built(), self.capabilities.measure, self.capabilities.max_units
        longest = _longest(character, measure, most)
        with pytest.raises(Unsupported) as caught:
            self.request(adapter, character * (longest + 1))
        assert caught.value.field == "text"
        for length in (1, longest // 3, longest):
            try:
                request = self.request(adapter, character * length)
            except Unsupported:
                assert length > longest // 2, "refused although it is short"
            else:
                assert units(self.said(request), measure) <= most

    @pytest.mark.asyncio
    async def test_06_one_call_per_send(self) -> None:
        """6: each send is exactly one call to the provider, and each submission has its own id."""
        async with self.playing(Act.ACCEPT) as (adapter, standin):
            taken = await asyncio.gather(*[adapter.send(self.request(adapter)) for _ in range(30)])
            assert standin.sends == len(taken) == 30
        assert self.capabilities.channel == "email" or len({one.provider_id for one in taken}) == 30

    @pytest.mark.asyncio
    @pytest.mark.parametrize("act", _ANSWERING)
    async def test_07_failure_matrix(self, act: Act) -> None:
        """7: each thing a provider can do becomes exactly the class that says what to do next, in one call at most."""
        self._needs(act)
        async with self.playing(act, deadline_s=SHORT_S) as (adapter, standin):
            with pytest.raises(ChannelError) as caught:
                await adapter.send(self.request(adapter))
            assert type(caught.value) in self.expected.get(act, EXPECTED[act])
            assert standin.sends <= 1
        if isinstance(caught.value, Throttled):
            stated = act in (Act.THROTTLE_SECONDS, Act.THROTTLE_DATE)
            assert caught.value.retry_after_s == (STATED_S if stated else None)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("act", [Act.HANG, Act.DRIBBLE])
    async def test_08_deadline_holds(self, act: Act) -> None:
        """8: a provider that hangs or dribbles costs the deadline and no more."""
        self._needs(act)
        loop = asyncio.get_running_loop()
        async with self.playing(act, deadline_s=SHORT_S) as (adapter, _):
            start = loop.time()
            with pytest.raises(Uncertain):
                await adapter.send(self.request(adapter))
            assert SHORT_S * 0.8 < loop.time() - start < SHORT_S + PATIENCE_S / 2

    @pytest.mark.asyncio
    async def test_08_cancels_cleanly(self) -> None:
        """8: a cancelled send ends at once as a cancellation, and the adapter still works."""
        self._needs(Act.HANG)
        async with self.playing(Act.HANG, deadline_s=60.0) as (adapter, standin):
            sending = asyncio.create_task(adapter.send(self.request(adapter)))
            async with asyncio.timeout(PATIENCE_S):
                await standin.reached.wait()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                async with asyncio.timeout(PATIENCE_S):
                    await sending
            standin.play(Act.ACCEPT)
            await adapter.send(self.request(adapter))

    def _needs(self, act: Act) -> None:
        """Skip an act that does not exist on this wire."""
        if act not in self.standin().acts:
            pytest.skip(f"not on this wire: {act}")


def _everything(exc: BaseException) -> Iterator[str]:
    """Yield what hangs on an exception and on those behind it."""
    link: BaseException | None = exc
    while link is not None:
        yield repr(link)
        yield str(link)
        yield str(vars(link))
        link = link.__cause__


def _same_lines(text: str) -> str:
    """Return ``text`` as a mail or a form carries it: one kind of line break, none at the end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def _longest(character: str, measure: Measure, most: int) -> int:
    """Return how often ``character`` fits into ``most`` units."""
    low, high = 0, most * 200
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if units(character * middle, measure) <= most else (low, middle - 1)
    return low
