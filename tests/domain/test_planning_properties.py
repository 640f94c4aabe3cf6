"""What holds for every plan, whatever the person, the template and the accounts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import permutations, product
from random import Random
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from channels.kit.contract import Confidentiality
from gateway.domain.model import Account, Consent, ContactPoint, Plan, Recipient, Version
from gateway.domain.planning import REASONS, WHOLE_PERSON, plan

CHANNELS = ("email", "sms", "telegram", "whatsapp")
AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
K1, K2 = Confidentiality.K1, Confidentiality.K2
Row = TypeVar("Row")


@dataclass(frozen=True)
class Case:
    """One call of the planner."""

    version: Version
    twin: Version | None
    recipient: Recipient
    accounts: tuple[Account, ...]
    wanted: tuple[str, ...] | None

    def plan(self) -> Plan:
        """Plan it."""
        return plan(
            version=self.version,
            twin=self.twin,
            recipient=self.recipient,
            accounts=self.accounts,
            wanted=self.wanted,
        )


def tuples(rows: Iterable[Row], *, most: int) -> list[tuple[Row, ...]]:
    """Return every tuple of up to ``most`` rows, short ones first so that failures shrink to them."""
    kept = list(rows)
    return [one for size in range(most + 1) for one in product(kept, repeat=size)]


def pick(pool: Iterable[Row]) -> st.SearchStrategy[Row]:
    """Draw one of a prepared pool: few draws for each case make thousands of cases a matter of seconds."""
    rows = list(pool)
    return st.integers(0, len(rows) - 1).map(rows.__getitem__)


# What occurs twice is drawn twice as often: a plan in which everything is forbidden shows little.
YES = (True, True, True, False)
ACCOUNTS = pick(tuples(product((*Confidentiality, K1, K1, K1, K2), (True, True, False), (False, True), (1, 2)), most=2))
POINTS = pick(tuples(product(YES, (False, False, False, True)), most=2))
ENTRIES = pick(tuples(product(("dienst", "info"), YES), most=3))
ORDERS = pick(one for size in range(len(CHANNELS), -1, -1) for one in permutations(CHANNELS, size))
PREFERRED = pick(tuples((*CHANNELS, "letter"), most=3))  # repetitions included
WANTED = st.none() | pick(tuples((*CHANNELS, "pager", "fax"), most=3))
KLASS = pick((K1, K2, K2, K2, *Confidentiality))
PURPOSE = pick(("dienst", "info"))
TWIN = pick((None, K1, K1, K1, *Confidentiality))


def accounts_of(channel: str, rows: Iterable[tuple[Confidentiality, bool, bool, int]]) -> list[Account]:
    """Return the accounts of one channel, the later name first."""
    named = [
        Account(f"{channel}-{number}", channel, ceiling, released, paused, weight)
        for number, (ceiling, released, paused, weight) in enumerate(rows)
    ]
    return named[::-1]


def points_of(channel: str, rows: Iterable[tuple[bool, bool]]) -> list[ContactPoint]:
    """Return the contact points of one channel."""
    return [ContactPoint(f"{channel}-{number}", channel, *row) for number, row in enumerate(rows)]


def entries_of(channel: str, rows: Iterable[tuple[str, bool]]) -> list[Consent]:
    """Return the ledger entries of one channel, with ids that interleave with the other channels' and run backwards."""
    first = CHANNELS.index(channel) + 1
    return [
        Consent(first + len(CHANNELS) * number, channel, purpose, given, AT)
        for number, (purpose, given) in enumerate(rows)
    ][::-1]


@st.composite
def drawn(draw: st.DrawFn) -> Case:
    """Draw a case: four channels with their accounts, contact points and ledger, a template, a twin, two wishes."""
    accounts: list[Account] = []
    points: list[ContactPoint] = []
    entries: list[Consent] = []
    for channel in CHANNELS:
        accounts += accounts_of(channel, draw(ACCOUNTS))
        points += points_of(channel, draw(POINTS))
        entries += entries_of(channel, draw(ENTRIES))
    version = Version("version", "key", draw(KLASS), draw(PURPOSE), draw(ORDERS), ("de",))
    klass = draw(TWIN)
    return Case(
        version,
        klass if klass is None else replace(version, id="twin", klass=klass, channels=draw(ORDERS)),
        Recipient("subject", "de", None, draw(PREFERRED), tuple(points), tuple(entries)),
        tuple(accounts),
        draw(WANTED),
    )


cases = drawn()
many = settings(max_examples=2_000, deadline=None)
more = settings(max_examples=600, deadline=None)
enough = settings(max_examples=400, deadline=None)


@given(cases)
@many
def test_nothing_above_the_ceiling_is_ever_planned(case: Case):
    """A-01, A-15: what is planned fits under its account's ceiling, is K2 at most, and the account is released."""
    for one in case.plan().deliveries:
        carried = case.twin if one.twin else case.version
        account = next(account for account in case.accounts if account.name == one.account)
        assert carried is not None
        assert one.version == carried.id
        assert carried.klass <= min(account.ceiling, K2)
        assert case.version.klass <= K2
        assert one.channel in carried.channels
        assert account.channel == one.channel
        assert account.released


@given(cases)
@more
def test_nobody_is_written_to_without_a_standing_yes(case: Case):
    """A-04, B-W1: each delivery names the last ledger row for its channel and purpose, and that row says yes."""
    for one in case.plan().deliveries:
        rows = [
            row for row in case.recipient.consents if (row.channel, row.purpose) == (one.channel, case.version.purpose)
        ]
        last = max(rows, key=lambda row: row.id)
        assert last.given
        assert one.consent == last.id


@given(cases)
@more
def test_only_verified_and_unsuppressed_contact_points_are_used(case: Case):
    """A-06, A-07: an unverified address gets nothing but its verification, a suppressed one nothing at all."""
    points_by_id = {point.id: point for point in case.recipient.contact_points}
    for one in case.plan().deliveries:
        point = points_by_id[one.contact_point]
        assert point.channel == one.channel
        assert point.verified
        assert not point.suppressed


@given(cases)
@enough
def test_every_channel_is_planned_or_explained_exactly_once(case: Case):
    """A-05: no channel of the template, the preference or the request is passed over in silence, none appears twice."""
    found = case.plan()
    spoken = [one.channel for one in (*found.deliveries, *found.skipped)]
    asked = {*case.version.channels, *case.recipient.preferred, *(case.wanted or ())}
    nobody = set() if case.recipient.contact_points else {WHOLE_PERSON}
    assert len(spoken) == len(set(spoken))
    assert set(spoken) == asked | nobody
    assert {one.reason for one in found.skipped} <= set(REASONS)
    allowed = set(case.version.channels) & (set(CHANNELS) if case.wanted is None else set(case.wanted))
    assert {one.channel for one in found.deliveries} <= allowed


@given(cases)
@enough
def test_the_order_is_the_persons_then_the_templates(case: Case):
    """The first wish goes first; what was not wished for follows in the template's order; positions count from 0."""
    found = case.plan().deliveries
    chosen = [one.channel for one in found]
    order = [*case.recipient.preferred, *case.version.channels]
    assert chosen == sorted(chosen, key=order.index)
    assert [one.position for one in found] == list(range(len(found)))


@given(cases, st.integers(0, 99))
@enough
def test_the_same_facts_give_the_same_plan(case: Case, seed: int):
    """The order of settings, ledger rows and requested channels, and repetition among them, changes nothing."""
    dice = Random(seed)  # noqa: S311 - shuffles test rows

    def mixed(rows: tuple[Row, ...]) -> tuple[Row, ...]:
        return tuple(dice.sample(rows, len(rows)))

    other = replace(
        case,
        accounts=mixed(case.accounts),
        recipient=replace(case.recipient, consents=mixed(case.recipient.consents)),
        wanted=None if case.wanted is None else mixed(case.wanted + case.wanted),
    )
    assert case.plan() == case.plan() == other.plan()


@given(cases)
@enough
def test_whatever_may_be_written_is_written(case: Case):
    """The plan is no stricter than the rules: a channel with account, class, address and consent is planned."""
    found = {one.channel for one in case.plan().deliveries}
    for name in case.version.channels:
        assert (name in found) is _permitted(case, name)


def _permitted(case: Case, name: str) -> bool:
    """Say the rules once more, without order and reasons."""
    ceilings = [one.ceiling for one in case.accounts if one.channel == name and one.released]
    top = max(ceilings, default=-1)
    direct = case.version.klass <= min(top, K2)
    by_twin = (
        case.version.klass == K2
        and case.twin is not None
        and name in case.twin.channels
        and top >= max(K1, case.twin.klass)
    )
    reachable = any(
        one.channel == name and one.verified and not one.suppressed for one in case.recipient.contact_points
    )
    rows = {
        row.id: row for row in case.recipient.consents if (row.channel, row.purpose) == (name, case.version.purpose)
    }
    agreed = bool(rows) and rows[max(rows)].given
    return (direct or by_twin) and reachable and agreed and (case.wanted is None or name in case.wanted)
