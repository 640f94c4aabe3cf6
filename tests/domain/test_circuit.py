"""The circuit: opens at once or on a rate, never on one error; tries again ever more rarely; closes by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from channels.kit.errors import AddressRefused, ChannelError, Misconfigured, Throttled, Unavailable, Uncertain
from gateway.domain import circuit
from gateway.domain.circuit import CALM, FIRST_WAIT, LONGEST_WAIT, WINDOW, Allow, Circuit, Seen, State, well
from tests.support.clock import START

SECOND = timedelta(seconds=1)


def after(state: State, now: datetime, *, calls: int = 1, failed: int = 0, code: str = "") -> State:
    """Let a group of calls end at ``now``."""
    return circuit.after(state, calls=calls, unavailable=failed, misconfigured_code=code, now=now)


def opened(code: str = "credentials") -> State:
    """Return the state of an account that was refused just now."""
    return after(well(START), START, code=code)


def test_one_error_opens_nothing():
    """A single failure of a single call, and of nineteen, only takes weight away (traps 16)."""
    for calls in (1, 19):
        state = after(well(START), START, calls=calls, failed=calls)
        assert (state.circuit, circuit.share(state, START)) == (Circuit.CLOSED, 90)
        assert circuit.allows(state, START) is Allow.YES


def test_half_of_twenty_calls_within_a_minute_open_it():
    """The rate is over the window, in however many groups; nine of twenty are not enough."""
    state = after(well(START), START, calls=4, failed=2)
    state = after(state, START + 30 * SECOND, calls=15, failed=7)
    assert state.circuit is Circuit.CLOSED
    at = START + 59 * SECOND
    assert after(state, at, calls=1, failed=0).circuit is Circuit.CLOSED
    state = after(state, at, calls=1, failed=1)
    assert (state.circuit, state.code, state.opened_at) == (Circuit.OPEN, "unavailable", at)


def test_failures_of_another_minute_do_not_count():
    """Nineteen failures, and a minute later one more: that is a new window."""
    state = after(well(START), START, calls=19, failed=19)
    state = after(state, START + WINDOW, calls=1, failed=1)
    assert (state.circuit, state.calls, state.failures) == (Circuit.CLOSED, 1, 1)


def test_our_own_mistake_opens_it_at_once_and_a_probe_and_one_message_close_it():
    """Credentials refused: nothing goes until a probe; then one message; its success lets all go, at little weight."""
    state = opened()
    assert (state.circuit, state.code, circuit.allows(state, START)) == (Circuit.OPEN, "credentials", Allow.NO)
    at = START + FIRST_WAIT
    assert circuit.allows(state, at - SECOND) is Allow.NO
    assert circuit.allows(state, at) is Allow.PROBE
    state = circuit.probed(state, ok=True, now=at)
    assert circuit.allows(state, at) is Allow.PROBE
    state = circuit.trying(state, now=at, patience=30 * SECOND)
    assert circuit.allows(state, at + 29 * SECOND) is Allow.NO  # one at a time
    assert circuit.allows(state, at + 30 * SECOND) is Allow.PROBE  # whoever tried has died
    state = after(state, at + SECOND)
    assert (circuit.allows(state, at + SECOND), circuit.share(state, at + SECOND)) == (Allow.YES, 10)


def test_the_share_comes_back_slowly():
    """Ten per cent for every five minutes of calm, up to all of it (as GOV.UK Notify does)."""
    at = START + FIRST_WAIT
    state = after(circuit.trying(opened(), now=at, patience=SECOND), at)
    assert [circuit.share(state, at + steps * CALM) for steps in (0, 1, 2, 8, 9, 99)] == [10, 20, 30, 90, 100, 100]


def test_probes_grow_rare_while_trouble_lasts_and_trouble_soon_after_is_the_same():
    """As long again as it has lasted, from 30 s to 15 min; closing and opening in between changes nothing."""
    state = opened()
    waits = []
    for number in range(9):
        assert state.probe_at is not None
        now = state.probe_at
        if number % 2:
            state = circuit.probed(state, ok=False, now=now)
        else:  # back for an instant
            state = after(after(circuit.trying(state, now=now, patience=SECOND), now), now, code="credentials")
        assert state.probe_at is not None
        waits.append((state.probe_at - now).total_seconds())
    assert waits == [30, 60, 120, 240, 480, 900, 900, 900, 900]
    assert state.opened_at == START


def test_trouble_after_calm_is_new_trouble():
    """Yesterday's opening does not make today's first wait long, nor hand messages over at once."""
    at = START + FIRST_WAIT
    state = after(circuit.trying(opened(), now=at, patience=SECOND), at)
    later = at + timedelta(days=1)
    state = after(after(state, later, failed=1), later + SECOND, code="quota")
    assert (state.opened_at, state.probe_at) == (later + SECOND, later + SECOND + FIRST_WAIT)


def test_an_operators_pause_stands_above_everything():
    """Nothing goes while paused; resuming an open circuit lets one message through, not all."""
    state = circuit.pause(opened(), now=START)
    assert circuit.allows(state, START + timedelta(days=9)) is Allow.NO
    state = circuit.resume(state, now=START + SECOND)
    assert (state.circuit, circuit.allows(state, START + SECOND)) == (Circuit.HALF_OPEN, Allow.PROBE)
    state = circuit.resume(circuit.pause(well(START), now=START), now=START)
    assert circuit.allows(state, START) is Allow.YES


def test_pausing_does_not_take_regained_weight_away():
    """The share goes on from where it was."""
    state = after(well(START), START, failed=1)
    at = START + 2 * CALM
    assert circuit.share(state, at) == 100
    assert circuit.share(circuit.resume(circuit.pause(state, now=at), now=at), at) == 100


OUTCOMES: list[tuple[ChannelError | None, Seen]] = [
    (None, Seen(1, 0)),
    (AddressRefused("30005"), Seen(1, 0)),
    (Throttled("429"), Seen(1, 0)),
    (Unavailable("503"), Seen(1, 1)),
    (Uncertain(), Seen(1, 1)),
    (Misconfigured("20003", code="credentials"), Seen(1, 0, "credentials")),
    (Unavailable("451", code="greylisted"), Seen(1, 0)),
    (Unavailable("452", code="mailbox_full"), Seen(1, 0)),
    (Misconfigured("21408", code="country_not_enabled"), Seen(1, 0)),
]


@pytest.mark.parametrize(("outcome", "expected"), OUTCOMES)
def test_what_an_outcome_says_of_the_account(outcome: ChannelError | None, expected: Seen):
    """Refusals are answers; a full mailbox or one foreign number says nothing against the account."""
    assert circuit.seen([outcome]) == expected


class Life(RuleBasedStateMachine):
    """An account's life: calls that end well or badly, probes, operators, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.state = well(START)
        self.opened_at: datetime | None = None  # the last time, unless an operator has stepped in since

    def become(self, state: State) -> None:
        """Take the new state, noting when it opens."""
        if state.circuit is Circuit.OPEN and self.state.circuit is not Circuit.OPEN:
            assert self.opened_at is None or self.now - self.opened_at >= FIRST_WAIT  # no flapping
            self.opened_at = self.now
        self.state = state

    @rule(seconds=st.sampled_from([0, 1, 5, 29, 30, 60, 299, 300, 900]))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.now += seconds * SECOND

    @rule(calls=st.integers(1, 30), part=st.sampled_from([0.0, 0.1, 0.5, 1.0]), code=st.sampled_from(["", "", "quota"]))
    def call(self, calls: int, part: float, code: str) -> None:
        """Let a group of calls end; only what is allowed is called."""
        allowed = circuit.allows(self.state, self.now)
        if allowed is Allow.NO:
            return
        if allowed is Allow.PROBE:
            calls = 1
            self.become(circuit.trying(self.state, now=self.now, patience=30 * SECOND))
        failed = round(calls * part)
        before = self.state
        found = Seen(calls, failed, code)
        state = after(before, self.now, calls=calls, failed=failed, code=code)
        assert circuit.says_something(before, found, self.now) or state == before  # the shortcut loses nothing
        if before.circuit is Circuit.CLOSED and calls < circuit.LEAST_CALLS and not before.failures and not code:
            assert state.circuit is Circuit.CLOSED  # never on little
        self.become(state)

    @precondition(lambda self: circuit.allows(self.state, self.now) is Allow.PROBE)
    @rule(ok=st.booleans())
    def probe(self, *, ok: bool) -> None:
        """Ask the provider."""
        self.become(circuit.probed(self.state, ok=ok, now=self.now))

    @rule(paused=st.booleans())
    def operate(self, *, paused: bool) -> None:
        """Pause or resume."""
        self.opened_at = None
        self.become((circuit.pause if paused else circuit.resume)(self.state, now=self.now))
        assert self.state.paused is paused

    @invariant()
    def it_can_always_come_back(self) -> None:
        """Whatever happened: left alone, it allows a try within the longest wait, and a success closes it."""
        state = replace(self.state, paused=False)
        later = self.now + LONGEST_WAIT
        if circuit.allows(state, later) is Allow.PROBE:
            state = after(circuit.trying(state, now=later, patience=SECOND), later)
        assert circuit.allows(state, later) is Allow.YES

    @invariant()
    def numbers_stay_within_bounds(self) -> None:
        """Weight is never nothing and never more than all; failures are calls."""
        assert circuit.LEAST_SHARE <= circuit.share(self.state, self.now) <= circuit.FULL_SHARE
        assert 0 <= self.state.failures <= self.state.calls or self.state.circuit is not Circuit.CLOSED
        assert (self.state.circuit is Circuit.CLOSED) == (self.state.probe_at is None)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("kind", ["probe lies", "every second call fails"])
def test_a_day_of_a_shaky_provider_is_no_flapping(kind: str):
    """Where the probe says yes and all messages, or half of them, say no, it opens a handful of times an hour."""
    state, now, openings, number = well(START), START, 0, 0
    while now < START + timedelta(hours=24):
        allowed = circuit.allows(state, now)
        if allowed is Allow.PROBE and state.circuit is Circuit.OPEN:
            state = circuit.probed(state, ok=True, now=now)
        elif allowed is not Allow.NO:
            number += 1
            calls = 25 if allowed is Allow.YES else 1
            failed = calls if kind == "probe lies" else (calls // 2 + 1 if calls > 1 else number % 2)
            state, before = after(state, now, calls=calls, failed=failed), state
            openings += state.circuit is Circuit.OPEN and before.circuit is not Circuit.OPEN
        now += 5 * SECOND
    assert openings <= 6 + 24 * 4 + 1
