"""The states of a delivery, the one table of moves between them, and the state of a notification derived from them.

``read`` is a fact beside the delivery, not a state (A-23).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from channels.kit.contract import Fact


class State(StrEnum):
    """Where a delivery is."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    SENDING = "sending"
    UNCERTAIN = "uncertain"
    SUBMITTED = "submitted"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class Outcome(StrEnum):
    """Where a notification is, as its client sees it."""

    PENDING = "pending"
    SUBMITTED = "submitted"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


# Ours and the receipts' together. A receipt that says "delivered" is the provider's word that the person has it: it is
# taken from everywhere, ends a retry that still waits (at_least_once), and stands against our own giving up.
MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.CLAIMED, State.CANCELLED, State.EXPIRED, State.SKIPPED, State.DELIVERED}),
    State.CLAIMED: frozenset(
        {
            State.QUEUED,
            State.SENDING,
            State.FAILED,
            State.EXPIRED,
            State.CANCELLED,
            State.SKIPPED,
            State.DELIVERED,
        }
    ),
    State.SENDING: frozenset({State.QUEUED, State.SUBMITTED, State.DELIVERED, State.FAILED, State.UNCERTAIN}),
    State.UNCERTAIN: frozenset({State.QUEUED, State.SUBMITTED, State.DELIVERED, State.FAILED, State.EXPIRED}),
    State.SUBMITTED: frozenset({State.DELIVERED, State.FAILED}),
    State.DELIVERED: frozenset(),
    State.FAILED: frozenset({State.DELIVERED, State.QUEUED}),  # to queued: by a person's decision only, a dead letter
    State.EXPIRED: frozenset({State.DELIVERED}),
    State.CANCELLED: frozenset({State.DELIVERED}),
    State.SKIPPED: frozenset({State.DELIVERED}),
}
ENDS = frozenset({State.DELIVERED, State.FAILED, State.EXPIRED, State.CANCELLED, State.SKIPPED})
OPEN = frozenset({State.QUEUED, State.CLAIMED, State.SENDING, State.UNCERTAIN})
TAKEN = frozenset({State.SUBMITTED, State.DELIVERED})
# Where a receipt may find a delivery and move it. In queued and claimed no call of ours is open, so "submitted" and
# "failed" speak of an attempt that is already answered by the next one: they are kept, and move nothing.
_RECEIPTS: dict[Fact, tuple[State, frozenset[State]]] = {
    Fact.SUBMITTED: (State.SUBMITTED, frozenset({State.SENDING, State.UNCERTAIN})),
    Fact.FAILED: (State.FAILED, frozenset({State.SENDING, State.UNCERTAIN, State.SUBMITTED})),
    Fact.DELIVERED: (State.DELIVERED, frozenset(State)),
    Fact.READ: (State.DELIVERED, frozenset(State)),
}


def may(old: State, new: State) -> bool:
    """Tell whether the table has a move from ``old`` to ``new``."""
    return new in MOVES[old]


def advance(old: State, fact: Fact) -> State:
    """Return the state after a receipt; a repeated or overtaken one changes nothing (platforms.md 2, rank merge).

    For any start the result of several receipts depends on the set of their facts alone, not on order or repetition.
    """
    new, found_in = _RECEIPTS[fact]
    return new if old in found_in else old


def derive(states: Iterable[tuple[State, bool]]) -> Outcome:
    """Return the notification's outcome from (state, standby) of its deliveries; none at all means skipped.

    ``standby`` marks a fall-back that waits for its turn: it counts only when nothing else is open or taken.
    """
    rows = list(states)
    active = {state for state, standby in rows if not (standby and state is State.QUEUED)}
    if State.DELIVERED in active:
        return Outcome.DELIVERED
    if active & {State.QUEUED, State.CLAIMED, State.SENDING}:
        return Outcome.PENDING
    for state in (State.UNCERTAIN, State.SUBMITTED):
        if state in active:
            return Outcome(state.value)
    if any(state is State.QUEUED for state, _ in rows):
        return Outcome.PENDING
    for state in (State.CANCELLED, State.EXPIRED, State.FAILED):
        if state in active:
            return Outcome(state.value)
    return Outcome.SKIPPED
