"""Plan one notification: which channels, in which order, over which account, and why not the others.

Pure and deterministic. When a delivery may leave (quiet hours, caps) is not decided here, and everything that is will
be read again just before sending. Sources: A-01, A-04, A-05, A-15, B-W1; house.md, walk step 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.domain.confidentiality import Gate, decide
from gateway.domain.consent import Standing, allows, standing
from gateway.domain.model import Account, ContactPoint, Plan, Planned, Recipient, Skip, Version

# The stable reasons, in the order in which the rules are asked; gateway.domain.reasons explains each.
NOT_IN_TEMPLATE = "not_in_template"
NOT_REQUESTED = "not_requested"
NO_ACCOUNT = "no_account"
ACCOUNT_NOT_RELEASED = "account_not_released"
CLASS_NOT_ALLOWED = "class_not_allowed"
NO_VERSION_FOR_CHANNEL = "no_version_for_channel"
NO_CONTACT_POINT = "no_contact_point"
CONTACT_POINT_UNVERIFIED = "contact_point_unverified"
CONTACT_POINT_SUPPRESSED = "contact_point_suppressed"
NO_CONSENT = "no_consent"
CONSENT_WITHDRAWN = "consent_withdrawn"
NO_CHANNEL = "no_channel"
REASONS = (
    NOT_IN_TEMPLATE,
    NOT_REQUESTED,
    NO_ACCOUNT,
    ACCOUNT_NOT_RELEASED,
    CLASS_NOT_ALLOWED,
    NO_VERSION_FOR_CHANNEL,
    NO_CONTACT_POINT,
    CONTACT_POINT_UNVERIFIED,
    CONTACT_POINT_SUPPRESSED,
    NO_CONSENT,
    CONSENT_WITHDRAWN,
    NO_CHANNEL,
)
WHOLE_PERSON = "-"  # the channel of a skip that is about the person and not about one channel


@dataclass(frozen=True, slots=True)
class _Route:
    """The account to use, and the version that it may carry."""

    account: Account
    version: Version
    twin: bool


def plan(
    *,
    version: Version,
    twin: Version | None,
    recipient: Recipient,
    accounts: Sequence[Account],
    wanted: Sequence[str] | None,
    draw: float = 0.0,
) -> Plan:
    """Return the deliveries in order and a reason for every other channel, each channel exactly once.

    version: the pinned one, whose purpose decides about consent.  twin: its K1 twin, which goes where the class of
    ``version`` is above an account's ceiling.  accounts: all configured ones.  wanted: the request's ``channels``; it
    restricts and is no order, None restricts nothing.  draw: from [0, 1), chooses among several accounts of a channel
    by weight; 0.0 is the heaviest.  Order: the person's preference, then the template's. A person
    without any contact point also gets the skip ``no_channel`` under ``WHOLE_PERSON`` (A-05).
    """
    entries = standing(recipient.consents)
    deliveries: list[Planned] = []
    skipped = [] if recipient.contact_points else [Skip(WHOLE_PERSON, NO_CHANNEL)]
    for channel in _channels(version, recipient, wanted):
        reason = _outside(channel, version, wanted)
        found = reason or _deliver(
            channel,
            len(deliveries),
            version=version,
            twin=twin,
            points=recipient.contact_points,
            accounts=accounts,
            entries=entries,
            draw=draw,
        )
        if isinstance(found, str):
            skipped.append(Skip(channel, found))
        else:
            deliveries.append(found)
    return Plan(tuple(deliveries), tuple(skipped))


def _channels(version: Version, recipient: Recipient, wanted: Sequence[str] | None) -> Iterable[str]:
    """Return every channel to speak about, each once: preferred, then the template's, then asked for in vain."""
    return dict.fromkeys((*recipient.preferred, *version.channels, *sorted(wanted or ())))


def _outside(channel: str, version: Version, wanted: Sequence[str] | None) -> str:
    """Return why nobody needs to look at ``channel`` any further, or ""."""
    if channel not in version.channels:
        return NOT_IN_TEMPLATE
    return NOT_REQUESTED if wanted is not None and channel not in wanted else ""


def _deliver(
    channel: str,
    position: int,
    *,
    version: Version,
    twin: Version | None,
    points: Sequence[ContactPoint],
    accounts: Sequence[Account],
    entries: Standing,
    draw: float,
) -> Planned | str:
    """Return the delivery over ``channel``, or the reason of the first rule that forbids it."""
    route = _route(channel, version, twin, accounts, draw)
    if isinstance(route, str):
        return route
    point = _contact_point(channel, points)
    if isinstance(point, str):
        return point
    consent = allows(entries, channel, version.purpose)
    if consent is None:
        return CONSENT_WITHDRAWN if (channel, version.purpose) in entries else NO_CONSENT
    return Planned(
        position=position,
        channel=channel,
        account=route.account.name,
        contact_point=point.id,
        version=route.version.id,
        twin=route.twin,
        consent=consent.id,
    )


def _route(
    channel: str, version: Version, twin: Version | None, accounts: Sequence[Account], draw: float
) -> _Route | str:
    """Return a released account with what it may carry: the version before its twin, then see ``drawn``.

    A paused account is as good as any other that is alone: its messages are kept until somebody has looked.
    """
    ours = [one for one in accounts if one.channel == channel]
    if not ours:
        return NO_ACCOUNT
    released = [one for one in ours if one.released]
    if not released:
        return ACCOUNT_NOT_RELEASED
    gates = [(decide(version.klass, one.ceiling, twin is not None), one) for one in released]
    allowed = [one for gate, one in gates if gate is Gate.ALLOWED]
    if allowed:
        return _Route(drawn(allowed, draw), version, twin=False)
    fitting = [one for gate, one in gates if gate is Gate.TWIN and _carries(one, twin)]
    if twin is None or not fitting:
        return CLASS_NOT_ALLOWED
    return _Route(drawn(fitting, draw), twin, twin=True) if channel in twin.channels else NO_VERSION_FOR_CHANNEL


def drawn(accounts: Sequence[Account], draw: float) -> Account:
    """Return one of the accounts of a channel, at least one given: by weight and share, a working one if there is any.

    draw: from [0, 1); 0.0 is the heaviest, then the first by name.  Where addresses are good for one account only, the
    heaviest is the person's, whatever its health: another would not reach them.
    """
    if any(one.bound for one in accounts):
        return min(accounts, key=lambda one: (-one.weight, one.name))
    working = [one for one in accounts if not one.paused] or accounts
    ranked = sorted(working, key=lambda one: (-one.weight * one.share, one.name))
    place = draw * sum(one.weight * one.share for one in ranked)
    for one in ranked:
        place -= one.weight * one.share
        if place < 0:
            return one
    return ranked[-1]  # rounding


def _carries(account: Account, twin: Version | None) -> bool:
    """Tell whether the twin itself fits under the ceiling; that it is a twin proves nothing about its class."""
    return twin is not None and decide(twin.klass, account.ceiling, has_twin=False) is Gate.ALLOWED


def _contact_point(channel: str, points: Iterable[ContactPoint]) -> ContactPoint | str:
    """Return the first verified and unsuppressed contact point of ``channel``, or what is missing."""
    ours = [one for one in points if one.channel == channel]
    if not ours:
        return NO_CONTACT_POINT
    verified = [one for one in ours if one.verified]
    if not verified:
        return CONTACT_POINT_UNVERIFIED
    return next((one for one in verified if not one.suppressed), CONTACT_POINT_SUPPRESSED)
