"""Decide whether an account may be used: a circuit that opens on trouble, tries again by itself and returns slowly.

Pure arithmetic on one account's state; who probes, counts and tells is gateway.usecases.health's business. Opens at
once where the provider refuses our credentials, sender or quota; on a failure rate otherwise; never on one error.
Sources: the circuit breaker of M. Nygard, "Release It!"; GOV.UK Notify's provider priorities (10 off in trouble, 10
back after calm), which took the place of a binary swap that flapped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from channels.kit.errors import ChannelError, Misconfigured, Unavailable, Uncertain

WINDOW = timedelta(seconds=60)  # failures and calls are counted for this long, from the first failure on
LEAST_CALLS = 20  # fewer say nothing about a rate
RATE = 0.5  # failed part of the window's calls that opens the circuit
FIRST_WAIT = timedelta(seconds=30)  # from opening to the first probe; afterwards as long again as it has been open
LONGEST_WAIT = timedelta(minutes=15)
CALM = timedelta(minutes=5)  # without trouble: a step of the share comes back, and trouble before it is forgotten
STEP = 10  # per cent of an account's weight, lost in a window with trouble and regained after calm
LEAST_SHARE = 10  # never nothing: what gets no messages can show no success
FULL_SHARE = 100
UNAVAILABLE = "unavailable"  # the code of a circuit that a failure rate has opened
# Failures of one destination, which say nothing about the account.
_PERSONAL = frozenset({"greylisted", "mailbox_full", "not_reachable", "unknown_to_carrier", "country_not_enabled"})


class Circuit(StrEnum):
    """What the last calls say of an account."""

    CLOSED = "closed"  # messages flow
    OPEN = "open"  # messages are kept until a probe succeeds
    HALF_OPEN = "half_open"  # one message at a time may show that all is well again


class Allow(StrEnum):
    """Whether a message may go."""

    YES = "yes"
    PROBE = "probe"  # a single try, by whoever wins it
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One account's health. ``changed_at``: since when circuit, pause and share are as they are."""

    circuit: Circuit = Circuit.CLOSED
    code: str = ""  # why it is open
    opened_at: datetime | None = None  # beginning of this trouble, kept over failed probes and until calm after it
    probe_at: datetime | None = None  # when a single try may be made
    calls: int = 0  # in the window
    failures: int = 0  # in the window
    window_at: datetime  # its start
    share: int = FULL_SHARE  # per cent of the weight, as of ``changed_at``; see ``share``
    paused: bool = False  # by an operator
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """What a group of calls says about the account: as ``after`` takes it."""

    calls: int
    unavailable: int
    misconfigured_code: str = ""


def well(now: datetime) -> State:
    """Return the state of an account nothing is known against."""
    return State(window_at=now, changed_at=now)


def seen(outcomes: Iterable[ChannelError | None]) -> Seen:
    """Sum up the outcomes of calls on one account; None is a submission.

    Refusals are answers: the provider works. A failure that concerns one destination only is an answer, too.
    """
    calls = unavailable = 0
    code = ""
    for error in outcomes:
        calls += 1
        if error is None or error.code in _PERSONAL:
            continue
        if isinstance(error, Misconfigured):
            code = code or error.code
        elif isinstance(error, Unavailable | Uncertain):
            unavailable += 1
    return Seen(calls, unavailable, code)


def says_something(state: State, found: Seen, now: datetime) -> bool:
    """Tell whether ``after`` would change anything: the common case, no failure and none lately, costs no writing."""
    if state.circuit is Circuit.OPEN:
        return found.misconfigured_code not in {"", state.code}
    if found.unavailable or found.misconfigured_code:
        return True
    lately = state.failures > 0 and now < state.window_at + WINDOW
    return found.calls > 0 and (lately or state.circuit is Circuit.HALF_OPEN)


def after(state: State, *, calls: int, unavailable: int, misconfigured_code: str, now: datetime) -> State:
    """Return the state after a group of calls that ended at ``now``.

    unavailable: those of them that failed on the provider's side or were lost.  misconfigured_code: of a call that was
    refused because of our own credentials, sender or quota; "" where none was.
    """
    if state.circuit is Circuit.OPEN:  # calls that were under way when it opened; only a clearer reason counts
        return replace(state, code=misconfigured_code) if misconfigured_code else state
    if misconfigured_code:
        return _opened(state, misconfigured_code, now)
    if state.circuit is Circuit.HALF_OPEN and unavailable:
        return _opened(state, state.code, now)
    if state.circuit is Circuit.HALF_OPEN:
        return _closed(state, now) if calls else state
    return _counted(state, calls, unavailable, now)


def _counted(state: State, calls: int, unavailable: int, now: datetime) -> State:
    """Count calls while the circuit is closed: failures take weight away, and too many of them open it."""
    fresh = now >= state.window_at + WINDOW or not state.failures
    if fresh and not unavailable:
        return state
    counted = replace(
        state,
        calls=calls + (0 if fresh else state.calls),
        failures=unavailable + (0 if fresh else state.failures),
        window_at=now if fresh else state.window_at,
    )
    if counted.calls >= LEAST_CALLS and counted.failures >= RATE * counted.calls:
        return _opened(counted, UNAVAILABLE, now)
    if not fresh:
        return counted
    rested = _rested(counted, now)  # the first failure of a window: less weight for a while, once
    return replace(rested, share=max(rested.share - STEP, LEAST_SHARE), changed_at=now)


def probed(state: State, *, ok: bool, now: datetime) -> State:
    """Return the state after the adapter asked its provider something free: a success lets one message through."""
    if state.circuit is not Circuit.OPEN:
        return state
    if ok:
        return replace(state, circuit=Circuit.HALF_OPEN, probe_at=now, changed_at=now)
    return replace(state, probe_at=now + _wait(state, now))


def trying(state: State, *, now: datetime, patience: timedelta) -> State:
    """Return the state while a single try is under way; after ``patience`` without an answer another may be made."""
    return replace(state, circuit=Circuit.HALF_OPEN, probe_at=now + patience)


def pause(state: State, *, now: datetime) -> State:
    """Return the state after an operator said: keep the messages."""
    return state if state.paused else replace(_rested(state, now), paused=True, changed_at=now)


def resume(state: State, *, now: datetime) -> State:
    """Return the state after an operator said: go on. An open circuit lets one message through at once."""
    if state.circuit is Circuit.CLOSED:
        return replace(_rested(state, now), paused=False, changed_at=now) if state.paused else state
    return replace(state, paused=False, circuit=Circuit.HALF_OPEN, probe_at=now, changed_at=now)


def allows(state: State, now: datetime) -> Allow:
    """Tell whether a message may go over the account now."""
    if state.paused:
        return Allow.NO
    if state.circuit is Circuit.CLOSED:
        return Allow.YES
    return Allow.PROBE if state.probe_at is None or now >= state.probe_at else Allow.NO


def share(state: State, now: datetime) -> int:
    """Return the per cent of its weight that an account has now: a step comes back for each stretch of calm."""
    if state.circuit is not Circuit.CLOSED:
        return state.share
    return min(FULL_SHARE, state.share + STEP * max((now - state.changed_at) // CALM, 0))


def _rested(state: State, now: datetime) -> State:
    """Bring the share up to date, and forget trouble that calm has followed."""
    calm = state.circuit is Circuit.CLOSED and now >= state.changed_at + CALM
    return replace(state, share=share(state, now), opened_at=None if calm else state.opened_at)


def _opened(state: State, code: str, now: datetime) -> State:
    """Open; trouble that returns before calm is the same trouble, so that its waits go on growing."""
    rested = _rested(state, now)
    opened = replace(
        rested, circuit=Circuit.OPEN, code=code, opened_at=rested.opened_at or now,
        calls=0, failures=0, window_at=now, share=LEAST_SHARE, changed_at=now,
    )  # fmt: skip
    return replace(opened, probe_at=now + _wait(opened, now))


def _closed(state: State, now: datetime) -> State:
    return replace(
        state, circuit=Circuit.CLOSED, code="", probe_at=None, calls=0, failures=0, window_at=now, changed_at=now
    )


def _wait(state: State, now: datetime) -> timedelta:
    """Return the time to the next probe: as long again as the trouble has lasted, within bounds."""
    lasted = now - state.opened_at if state.opened_at is not None else timedelta(0)
    return min(max(lasted, FIRST_WAIT), LONGEST_WAIT)
