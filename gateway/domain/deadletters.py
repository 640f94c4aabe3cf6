"""Dead letters: failed deliveries of notifications that no channel has taken. Which are meant, and which may go again.

Pure rules; finding them is gateway.store.deadletters', acting on them gateway.usecases.deadletters'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.reasons import class_of
from gateway.domain.retrying import AT_LEAST_ONCE

_UNSURE = frozenset({"uncertain", "channel_error"})  # classes of error after which it may have gone out


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which dead letters; None leaves a field open. ``ids``: of deliveries. ``since``, ``until``: when they failed."""

    ids: tuple[str, ...] | None = None
    client: str | None = None  # id of the client
    codes: frozenset[str] | None = None
    account: str | None = None
    channel: str | None = None
    template: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """One failed delivery, with what decides whether it may go once more. ``wanted``: it is among those asked for."""

    id: str
    notification_id: str
    account: str
    lane: str
    code: str
    version: str
    wanted: bool
    dead: bool  # nothing of its notification is open or taken, and nobody has closed it
    expires_at: datetime
    purged: bool


def obstacle(letters: Sequence[Letter], policies: Mapping[str, str], *, now: datetime, twice: bool = False) -> str:
    """Return why the failed deliveries of one notification may not go once more: a code, "" if they may.

    letters: all failed ones of the notification, for the one asked for may be a fall-back of one that has arrived.
    policies: by version.  twice: whoever decides accepts that the person may get it a second time.
    """
    one = letters[0]
    if not one.dead:
        return "not_a_dead_letter"
    if one.expires_at <= now:
        return "expired"
    if one.purged:
        return "values_purged"
    unsure = any(class_of(one.code) in _UNSURE and policies[one.version] != AT_LEAST_ONCE for one in letters)
    return "may_be_twice" if unsure and not twice else ""
