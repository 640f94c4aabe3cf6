"""Tally a client's notifications: what was accepted, where it is, and why the rest is not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from channels.kit.contract import Fact
from gateway.domain.errors import NotFound
from gateway.domain.states import State
from gateway.store import keys, tallies
from gateway.usecases.runtime import Runtime

COLUMNS = ("submitted", "delivered", "failed", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts of one moment. ``channels``: deliveries by channel and column; ``open``: nobody can say yet."""

    accepted: int
    outcomes: Mapping[str, int]
    channels: Mapping[str, Mapping[str, int]]
    reasons: Mapping[str, int]
    taken: Mapping[str, int]  # by channel: deliveries that a provider took
    open: int = field(default=0)


async def tally(rt: Runtime, client: str, *, skips_too: bool = True) -> Tally:
    """Count the notifications of a client by name; ``skips_too``: read every plan's skips as well. Raises NotFound."""
    async with rt.db.read() as conn:
        row = await keys.client_by_name(conn, client)
        if row is None:
            raise NotFound("There is no client of this name.")
        outcomes = await tallies.outcomes(conn, row.id)
        cells = await tallies.by_channel(conn, row.id)
        skips = await tallies.skips(conn, row.id) if skips_too else {}
        taken = await tallies.provider_calls(conn, row.id)
    channels: dict[str, dict[str, int]] = {}
    reasons: dict[str, int] = {}
    waiting = outcomes.get("pending", 0) + outcomes.get("uncertain", 0)
    for channel, state, code, count in cells:
        _add(channels.setdefault(channel, dict.fromkeys(COLUMNS, 0)), _column(state), count)
        if code is not None:
            _add(reasons, code, count)
        kind = rt.kinds.get(channel)
        if state == State.SUBMITTED.value and kind is not None and Fact.DELIVERED in kind.receipts:
            waiting += count
    for (channel, reason), count in skips.items():
        _add(channels.setdefault(channel, dict.fromkeys(COLUMNS, 0)), "skipped", count)
        _add(reasons, reason, count)
    channels.pop("-", None)
    return Tally(
        accepted=sum(outcomes.values()),
        outcomes=outcomes,
        channels=channels,
        reasons=dict(sorted(reasons.items(), key=lambda item: -item[1])),
        taken=taken,
        open=waiting,
    )


def _column(state: str) -> str:
    """Sort a state into a column; expired and cancelled ended without a message, like skipped."""
    if state in COLUMNS:
        return state
    return "skipped" if state in {State.EXPIRED.value, State.CANCELLED.value} else "open"


def _add(counts: dict[str, int], name: str, count: int) -> None:
    counts[name] = counts.get(name, 0) + count
