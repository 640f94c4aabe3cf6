"""The table of moves and the receipts that walk over it."""

from __future__ import annotations

from itertools import pairwise, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from channels.kit.contract import Fact
from gateway.domain.states import ENDS, MOVES, OPEN, TAKEN, Outcome, State, advance, derive, may

S = State
SAID_DELIVERED = {Fact.DELIVERED, Fact.READ}


def test_the_table_knows_every_state():
    """Every state has a row, and is either open, taken or an end; only delivered is both taken and an end."""
    assert set(MOVES) == set(State)
    assert set(State) == OPEN | TAKEN | ENDS
    assert not OPEN & (TAKEN | ENDS)
    assert {S.DELIVERED} == TAKEN & ENDS


def test_an_end_is_left_only_by_a_late_receipt_or_a_person():
    """No move leads out of an end but to delivered, and from failed to queued; nothing leads out of delivered."""
    for end in ENDS:
        assert {new for new in State if may(end, new)} <= {S.DELIVERED} | ({S.QUEUED} if end is S.FAILED else set())
    assert not MOVES[S.DELIVERED]


def test_no_state_moves_to_itself_and_all_are_reached():
    """A repeated move is no move, and every state but the first can be reached from queued."""
    assert not any(may(state, state) for state in State)
    reached, edge = {S.QUEUED}, {S.QUEUED}
    while edge:
        edge = {new for old in edge for new in MOVES[old]} - reached
        reached |= edge
    assert reached == set(State)


def test_sending_is_entered_only_from_a_claim():
    """Nothing reaches a provider without a claim: the lease and the re-check cannot be walked around."""
    assert [old for old in State if may(old, S.SENDING)] == [S.CLAIMED]
    assert [old for old in State if may(old, S.UNCERTAIN)] == [S.SENDING]


def test_a_call_in_flight_cannot_be_called_off():
    """From sending there is no way to cancelled, skipped or expired: what may have gone out is never denied."""
    assert not {S.CANCELLED, S.SKIPPED, S.EXPIRED} & MOVES[S.SENDING]


@pytest.mark.parametrize(("old", "fact"), list(product(State, Fact)))
def test_every_receipt_in_every_state(old: State, fact: Fact):
    """A receipt moves along the table or not at all, and "delivered" is believed from anywhere (platforms.md 2)."""
    new = advance(old, fact)
    assert new is old or may(old, new)
    if fact in SAID_DELIVERED:
        assert new is S.DELIVERED
    elif old in ENDS | {S.QUEUED, S.CLAIMED}:
        assert new is old


@pytest.mark.parametrize(
    ("old", "fact", "new"),
    [
        (S.SENDING, Fact.SUBMITTED, S.SUBMITTED),
        (S.UNCERTAIN, Fact.SUBMITTED, S.SUBMITTED),
        (S.SUBMITTED, Fact.SUBMITTED, S.SUBMITTED),
        (S.SENDING, Fact.FAILED, S.FAILED),
        (S.UNCERTAIN, Fact.FAILED, S.FAILED),
        (S.SUBMITTED, Fact.FAILED, S.FAILED),
        (S.FAILED, Fact.SUBMITTED, S.FAILED),  # the late "submitted" after the verdict
        (S.DELIVERED, Fact.FAILED, S.DELIVERED),
        (S.CLAIMED, Fact.FAILED, S.CLAIMED),  # speaks of an attempt before this one
    ],
)
def test_receipts_that_move_and_receipts_that_do_not(old: State, fact: Fact, new: State):
    """Receipts move a delivery where a call of ours is open or taken, and only forward."""
    assert advance(old, fact) is new


@given(start=st.sampled_from(State), facts=st.lists(st.sampled_from(Fact), max_size=6), data=st.data())
@settings(max_examples=500)
def test_order_and_repetition_of_receipts_do_not_matter(start: State, facts: list[Fact], data: st.DataObject):
    """With no move of ours between them, the result depends on the set of facts alone, from any state."""
    shuffled = data.draw(st.permutations(facts + facts[:2]))
    assert _after(start, shuffled) is _after(start, facts) is _after(start, sorted(set(facts)))


def test_all_orders_of_all_facts_agree():
    """The same, exhaustively: every order of every set of facts, from every state."""
    for start, size in product(State, range(len(Fact) + 1)):
        for chosen in permutations(Fact, size):
            assert _after(start, chosen) is _after(start, sorted(chosen)), (start, chosen)


def _after(state: State, facts: list[Fact] | tuple[Fact, ...]) -> State:
    """Walk all receipts."""
    for fact in facts:
        state = advance(state, fact)
    return state


class Walk(RuleBasedStateMachine):
    """Any mixture of our own moves and of receipts, as long as one likes."""

    def __init__(self) -> None:
        """Begin where every delivery begins."""
        super().__init__()
        self.state = S.QUEUED
        self.seen = [S.QUEUED]
        self.facts: set[Fact] = set()

    def _go(self, new: State) -> None:
        if new is not self.state:
            assert may(self.state, new)
            self.state = new
            self.seen.append(new)

    @precondition(lambda self: MOVES[self.state])
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        """Make one of our own moves."""
        self._go(data.draw(st.sampled_from(sorted(MOVES[self.state]))))

    @rule(fact=st.sampled_from(Fact))
    def receipt(self, fact: Fact) -> None:
        """Take a receipt, timely or not, twice."""
        self._go(advance(self.state, fact))
        assert advance(self.state, fact) is self.state
        self.facts.add(fact)

    @invariant()
    def delivered_is_for_ever(self) -> None:
        """See that what was reported as delivered stays so."""
        if S.DELIVERED in self.seen or self.facts & SAID_DELIVERED:
            assert self.state is S.DELIVERED

    @invariant()
    def after_an_end_comes_only_the_receipt(self) -> None:
        """See that an end is followed by nothing or by delivered; only what failed may be begun again."""
        for old, new in pairwise(self.seen):
            assert old not in ENDS or new is S.DELIVERED or (old, new) == (S.FAILED, S.QUEUED)

    @invariant()
    def the_outcome_agrees(self) -> None:
        """Ask derive about a notification with this one delivery."""
        expected = "pending" if self.state in {S.QUEUED, S.CLAIMED, S.SENDING} else self.state.value
        assert derive([(self.state, False)]).value == expected


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=200, stateful_step_count=20, deadline=None)
OWN, STANDBY = False, True


@pytest.mark.parametrize(
    ("rows", "outcome"),
    [
        ([], Outcome.SKIPPED),
        ([(S.SKIPPED, OWN), (S.SKIPPED, OWN)], Outcome.SKIPPED),
        ([(S.QUEUED, OWN), (S.QUEUED, STANDBY)], Outcome.PENDING),
        ([(S.SUBMITTED, OWN), (S.QUEUED, STANDBY)], Outcome.SUBMITTED),  # the fall-back only waits
        ([(S.UNCERTAIN, OWN), (S.QUEUED, STANDBY)], Outcome.UNCERTAIN),
        ([(S.DELIVERED, OWN), (S.QUEUED, STANDBY)], Outcome.DELIVERED),
        ([(S.FAILED, OWN), (S.QUEUED, STANDBY)], Outcome.PENDING),  # its turn comes
        ([(S.FAILED, OWN), (S.QUEUED, OWN)], Outcome.PENDING),
        ([(S.FAILED, OWN), (S.SENDING, STANDBY)], Outcome.PENDING),  # no longer waiting, whatever the mark says
        ([(S.FAILED, OWN), (S.SUBMITTED, OWN)], Outcome.SUBMITTED),
        ([(S.FAILED, OWN), (S.SKIPPED, OWN)], Outcome.FAILED),
        ([(S.FAILED, OWN), (S.EXPIRED, OWN)], Outcome.EXPIRED),
        ([(S.FAILED, OWN), (S.CANCELLED, OWN)], Outcome.CANCELLED),
        ([(S.EXPIRED, OWN), (S.CANCELLED, OWN)], Outcome.CANCELLED),
        ([(S.FAILED, OWN), (S.FAILED, OWN)], Outcome.FAILED),
        ([(S.FAILED, OWN), (S.DELIVERED, OWN)], Outcome.DELIVERED),
        ([(S.UNCERTAIN, OWN), (S.SUBMITTED, OWN)], Outcome.UNCERTAIN),
        ([(S.UNCERTAIN, OWN), (S.CLAIMED, OWN)], Outcome.PENDING),
    ],
)
def test_the_outcome_of_a_notification(rows: list[tuple[State, bool]], outcome: Outcome):
    """One line for each rule of derive: what arrived wins, then what is under way, then why it ended."""
    assert derive(rows) is outcome


ROWS = st.lists(st.tuples(st.sampled_from(State), st.booleans()), max_size=4)


@given(rows=ROWS, data=st.data())
def test_the_outcome_does_not_depend_on_the_order_of_rows(rows: list[tuple[State, bool]], data: st.DataObject):
    """The store may return deliveries in any order, and an outcome is final only when nothing can move on."""
    outcome = derive(rows)
    assert derive(data.draw(st.permutations(rows))) is outcome
    if outcome in {Outcome.FAILED, Outcome.EXPIRED, Outcome.CANCELLED, Outcome.SKIPPED}:
        assert {state for state, _ in rows} <= ENDS - {S.DELIVERED}
