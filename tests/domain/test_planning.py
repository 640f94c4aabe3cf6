"""The plan: one line for every reason, and the order, account and version chosen where there is a choice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from channels.kit.contract import Confidentiality
from gateway.domain.model import Account, Consent, ContactPoint, Plan, Recipient, Skip, Version
from gateway.domain.planning import REASONS, WHOLE_PERSON, drawn, plan

K0, K1, K2, K3, K4 = Confidentiality
AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def yes(row: int, channel: str, purpose: str = "dienst", *, given: bool = True) -> Consent:
    """Return one ledger entry."""
    return Consent(id=row, channel=channel, purpose=purpose, given=given, at=AT)


VERSION = Version("v1", "termin_erinnerung", K1, "dienst", ("email", "sms"), ("de",))
TWIN = Version("t1", "termin_hinweis", K1, "dienst", ("email", "sms"), ("de",))
MAIL, SMS = ContactPoint("c1", "email", verified=True), ContactPoint("c2", "sms", verified=True)
PERSON = Recipient("s1", contact_points=(MAIL, SMS), consents=(yes(1, "email"), yes(2, "sms")))
ACCOUNTS = (Account("post", "email", K2), Account("kurz", "sms", K1))


def planned(
    *,
    version: Version = VERSION,
    twin: Version | None = None,
    recipient: Recipient = PERSON,
    accounts: tuple[Account, ...] = ACCOUNTS,
    wanted: tuple[str, ...] | None = None,
) -> Plan:
    """Plan the usual notification, changed in one place."""
    return plan(version=version, twin=twin, recipient=recipient, accounts=accounts, wanted=wanted)


def channels(found: Plan) -> list[str]:
    """Return the channels of the deliveries in order."""
    return [one.channel for one in found.deliveries]


def test_the_usual_plan_names_everything_it_relies_on():
    """A-04: each delivery names account, contact point, version and the ledger row; nothing is left out."""
    found = planned()
    assert [
        (one.position, one.channel, one.account, one.contact_point, one.version, one.twin, one.consent)
        for one in found.deliveries
    ] == [(0, "email", "post", "c1", "v1", False, 1), (1, "sms", "kurz", "c2", "v1", False, 2)]
    assert found.skipped == ()


K2_VERSION = replace(VERSION, klass=K2)
WITHOUT_SMS = replace(PERSON, contact_points=(MAIL,))
UNVERIFIED = replace(PERSON, contact_points=(MAIL, replace(SMS, verified=False)))
SUPPRESSED = replace(
    PERSON, contact_points=(MAIL, replace(SMS, suppressed=True), ContactPoint("c3", "sms", verified=False))
)
UNRELEASED = (ACCOUNTS[0], replace(ACCOUNTS[1], released=False))
CASES = [
    ("not_in_template", {"version": replace(VERSION, channels=("email",)), "wanted": ("email", "sms")}),
    (
        "not_in_template",
        {"version": replace(VERSION, channels=("email",)), "recipient": replace(PERSON, preferred=("sms",))},
    ),
    ("not_requested", {"wanted": ("email",)}),
    ("no_account", {"accounts": ACCOUNTS[:1]}),
    ("account_not_released", {"accounts": UNRELEASED}),
    ("class_not_allowed", {"version": K2_VERSION}),
    ("class_not_allowed", {"version": K2_VERSION, "twin": replace(TWIN, klass=K2)}),
    ("no_version_for_channel", {"version": K2_VERSION, "twin": replace(TWIN, channels=("email",))}),
    ("no_contact_point", {"recipient": WITHOUT_SMS}),
    ("contact_point_unverified", {"recipient": UNVERIFIED}),
    ("contact_point_suppressed", {"recipient": SUPPRESSED}),
    ("no_consent", {"recipient": replace(PERSON, consents=(yes(1, "email"),))}),
    ("no_consent", {"recipient": replace(PERSON, consents=(yes(1, "email"), yes(2, "sms", "info")))}),
    ("consent_withdrawn", {"recipient": replace(PERSON, consents=(*PERSON.consents, yes(3, "sms", given=False)))}),
]


@pytest.mark.parametrize(("reason", "change"), CASES)
def test_each_rule_leaves_the_channel_out_with_its_reason(reason: str, change: dict[str, object]):
    """A-01, A-04, A-15: one change forbids SMS, for exactly this reason, and e-mail goes on."""
    found = planned(**change)  # type: ignore[arg-type] - a table of keyword arguments
    assert found.skipped == (Skip("sms", reason),)
    assert channels(found) == ["email"]


def test_the_table_above_has_every_reason():
    """A new reason needs a line; ``no_channel`` has a test of its own."""
    assert {reason for reason, _ in CASES} | {"no_channel"} == set(REASONS)


def test_the_first_failing_rule_gives_the_reason():
    """With everything wrong at once, mending one thing after the other walks through the reasons in order."""
    bad = {
        "version": replace(K2_VERSION, channels=("sms",)),
        "recipient": Recipient("s1", contact_points=(MAIL,)),
        "accounts": (),
        "wanted": (),
    }
    steps = [
        {},
        {"wanted": None},
        {"accounts": (replace(ACCOUNTS[1], released=False),)},
        {"accounts": ACCOUNTS},
        {"twin": replace(TWIN, channels=())},
        {"twin": TWIN},
        {"recipient": Recipient("s1", contact_points=(replace(SMS, verified=False),))},
        {"recipient": Recipient("s1", contact_points=(replace(SMS, suppressed=True),))},
        {"recipient": Recipient("s1", contact_points=(SMS,))},
        {"recipient": Recipient("s1", contact_points=(SMS,), consents=(yes(1, "sms", given=False),))},
    ]
    reasons = []
    for step in steps:
        bad |= step
        reasons.append(planned(**bad).skipped[0].reason)  # type: ignore[arg-type] - a table of keyword arguments
    assert reasons == [one for one in REASONS if one not in {"not_in_template", "no_channel"}]


@pytest.mark.parametrize("klass", [K3, K4])
def test_social_and_formal_data_go_nowhere(klass: Confidentiality):
    """A-01: K3 and K4 are never sent, with whatever ceiling and twin."""
    accounts = tuple(replace(one, ceiling=K4) for one in ACCOUNTS)
    found = planned(version=replace(VERSION, klass=klass), twin=TWIN, accounts=accounts)
    assert found.deliveries == ()
    assert {one.reason for one in found.skipped} == {"class_not_allowed"}


def test_k2_goes_as_its_twin_where_the_ceiling_is_k1():
    """A-01: the appointment by e-mail, the neutral notice by SMS, in one plan."""
    found = planned(version=K2_VERSION, twin=TWIN)
    assert [(one.channel, one.version, one.twin) for one in found.deliveries] == [
        ("email", "v1", False),
        ("sms", "t1", True),
    ]


def test_the_purpose_of_the_version_counts_and_not_the_twins():
    """A-04: the twin goes on the consent for what it stands for."""
    found = planned(version=K2_VERSION, twin=replace(TWIN, purpose="info"))
    assert [one.consent for one in found.deliveries] == [1, 2]


def test_a_person_without_any_contact_point_is_reported():
    """A-05: the caller learns that nobody can be reached here, besides the reason of each channel."""
    found = planned(recipient=Recipient("s1"))
    assert found.deliveries == ()
    assert found.skipped == (
        Skip(WHOLE_PERSON, "no_channel"),
        Skip("email", "no_contact_point"),
        Skip("sms", "no_contact_point"),
    )


def test_preference_goes_first_and_the_request_is_no_order():
    """The person's order, then the template's; the order of the request's channels changes nothing."""
    assert channels(planned(recipient=replace(PERSON, preferred=("sms",)))) == ["sms", "email"]
    assert channels(planned(wanted=("sms", "email"))) == ["email", "sms"]


def test_asking_for_nothing_is_not_asking_for_everything():
    """An empty list of channels restricts to none."""
    assert {one.reason for one in planned(wanted=()).skipped} == {"not_requested"}


def test_positions_have_no_gaps():
    """A skipped first channel does not leave the fall-back waiting behind nobody."""
    found = planned(accounts=ACCOUNTS[1:])
    assert [(one.position, one.channel) for one in found.deliveries] == [(0, "sms")]


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [
        ({"ceiling": K1, "weight": 9}, {"ceiling": K2}, "b"),  # carries the version itself: before any twin
        ({"ceiling": K2, "released": False}, {"ceiling": K1}, "b"),
        ({"ceiling": K2, "paused": True, "weight": 9}, {"ceiling": K2}, "b"),
        ({"ceiling": K2, "paused": True}, {"ceiling": K1}, "a"),
        ({"ceiling": K2}, {"ceiling": K2, "weight": 2}, "b"),
        ({"ceiling": K2}, {"ceiling": K4}, "a"),  # more than is needed is no merit
        ({"ceiling": K1, "paused": True}, {"ceiling": K1}, "b"),
    ],
)
def test_the_account_chosen_among_several(first: dict[str, object], second: dict[str, object], chosen: str):
    """Released, then what carries the version, then working, then weight, then name; in any order of the settings."""
    usual = Account("a", "email", K2)
    accounts = (replace(usual, **first), replace(usual, name="b", **second))  # type: ignore[arg-type] - a table
    for order in (accounts, accounts[::-1]):
        assert planned(version=K2_VERSION, twin=TWIN, accounts=order).deliveries[0].account == chosen


MANY = (Account("a", "email", K2, weight=1), Account("b", "email", K2, weight=3), Account("c", "email", K2, weight=4))


@pytest.mark.parametrize(
    ("change", "shares"),
    [
        ({}, {"c": 4, "b": 3, "a": 1}),
        ({"c": {"share": 25}}, {"b": 3, "a": 1, "c": 1}),  # after trouble it gets less than its weight
        ({"c": {"paused": True}}, {"b": 3, "a": 1}),
        ({"a": {"released": False}}, {"c": 4, "b": 3}),
        ({"a": {"ceiling": K1}}, {"c": 4, "b": 3}),  # cannot carry the version itself
        ({one: {"paused": True} for one in "abc"}, {"c": 4, "b": 3, "a": 1}),  # then the messages are kept
    ],
)
def test_several_accounts_share_by_weight(change: dict[str, dict[str, object]], shares: dict[str, int]):
    """Draws spread over [0, 1) meet each account as often as its weight and share say (traps 16, 22)."""
    accounts = tuple(replace(one, **change.get(one.name, {})) for one in MANY)  # type: ignore[arg-type] - a table
    parts = sum(shares.values())
    drawn = [
        plan(version=K2_VERSION, twin=None, recipient=PERSON, accounts=order, wanted=None, draw=(number + 0.5) / parts)
        .deliveries[0]
        .account
        for order in (accounts, accounts[::-1])
        for number in range(parts)
    ]
    assert {name: drawn.count(name) // 2 for name in drawn} == shares
    assert planned(version=K2_VERSION, accounts=accounts).deliveries[0].account == next(iter(shares))


def test_no_draw_is_too_high():
    """The last number below 1 still meets an account, whatever the weights."""
    accounts = tuple(replace(one, weight=weight) for one, weight in zip(MANY, (1, 7, 49), strict=True))
    assert drawn(accounts, 1.0 - 2**-53).name == "a"


def test_where_addresses_belong_to_one_account_there_is_no_draw():
    """B-T3: a chat was opened with one bot; another bot would not reach the person, and lose the address."""
    accounts = tuple(replace(one, bound=True, paused=one.name == "c", share=10) for one in MANY)
    assert {drawn(accounts, tenth / 10).name for tenth in range(10)} == {"c"}


def test_a_paused_account_keeps_its_messages():
    """Misconfigured means: keep the messages. Pausing an account skips nobody."""
    assert channels(planned(accounts=tuple(replace(one, paused=True) for one in ACCOUNTS))) == ["email", "sms"]


def test_the_first_usable_contact_point_is_taken():
    """Unverified and suppressed ones are passed over; among the usable the person's order holds."""
    points = (
        ContactPoint("p1", "email", verified=False),
        ContactPoint("p2", "email", verified=True, suppressed=True),
        ContactPoint("p3", "email", verified=True),
        ContactPoint("p4", "email", verified=True),
    )
    found = planned(recipient=replace(PERSON, contact_points=points))
    assert found.deliveries[0].contact_point == "p3"
