"""See how the gateway is doing: figures for the metrics page, readiness, liveness. It changes nothing.

Alive: the event loop turns and, where this process works, its sweeper has come round lately. Ready: it can do its
work. How the whole is doing is neither: that is the age of the oldest due delivery, told by both pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gateway import telemetry
from gateway.domain.model import Lane
from gateway.store import figures
from gateway.store.engine import Connection, StoreAway
from gateway.store.migrate import Standing, standing
from gateway.usecases.runtime import Runtime

Sample = tuple[str, tuple[str, ...], float]
TIMEOUT_S = 3.0  # for all that a page asks of the store
WEDGED_S = 300.0  # a sweeper that has not begun a round for so long hangs: the process must be restarted
LATE_S = {Lane.URGENT: 60.0, Lane.NORMAL: 600.0, Lane.BULK: 3600.0}  # a due delivery that waits longer is worth a look
RECENT = timedelta(hours=24)
CIRCUITS = {"closed": 0.0, "half_open": 1.0, "open": 2.0}


def alive(rt: Runtime) -> bool:
    """Tell whether this process should go on living. That it answers at all shows that its event loop turns."""
    return rt.swept_at is None or rt.clock.monotonic() - rt.swept_at < WEDGED_S


async def metrics(rt: Runtime) -> bytes:
    """Return the metrics page: what this process counted, and what the tables say if they can be read."""
    up = float(await rt.doorbell.ping())
    try:
        async with asyncio.timeout(TIMEOUT_S), rt.db.read() as conn:
            read = await _samples(rt, conn)
    except (StoreAway, TimeoutError):
        return telemetry.page([(telemetry.DATABASE_UP, (), 0.0), (telemetry.DOORBELL_UP, (), up)])
    return telemetry.page([(telemetry.DATABASE_UP, (), 1.0), (telemetry.DOORBELL_UP, (), up), *read])


async def _samples(rt: Runtime, conn: Connection) -> list[Sample]:
    now, cap = rt.clock.now(), telemetry.CAP
    samples: list[Sample] = []
    for lane in Lane:
        since = await figures.oldest_due(conn, lane.value, now=now)
        due = await figures.count_due(conn, lane.value, now=now, cap=cap) if since else 0
        samples.append((telemetry.OLDEST_DUE_S, (lane.value,), _age_s(since, now)))
        samples.append((telemetry.DUE, (lane.value,), float(due)))
    running = await figures.running(conn, cap=cap)
    samples += [(telemetry.IN_FLIGHT, (state,), float(running.get(state, 0))) for state in ("claimed", "sending")]
    samples.append((telemetry.UNCERTAIN, (), float(running.get("uncertain", 0))))
    samples.append((telemetry.HELD, (), float(await figures.held(conn, cap=cap))))
    samples.append((telemetry.CALLBACK_LAG_S, (), _age_s(await figures.oldest_callback(conn, now=now), now)))
    known = await figures.circuits(conn)
    for name, account in rt.accounts.items():
        row = known.get(name, {})
        failed = await figures.failed(conn, name, since=now - RECENT, cap=cap)
        samples.append((telemetry.DEAD_LETTERS, (name,), float(failed)))
        samples.append((telemetry.CIRCUIT, (name,), CIRCUITS.get(row.get("circuit", "closed"), 0.0)))
        samples.append((telemetry.PAUSED, (name,), float(account.facts.paused or row.get("paused", False))))
    return samples


def _age_s(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max((now - since).total_seconds(), 0.0)


async def ages(rt: Runtime, conn: Connection) -> dict[Lane, float]:
    """Return the age in seconds of the oldest due delivery of each lane; 0.0 where none waits."""
    now = rt.clock.now()
    return {lane: _age_s(await figures.oldest_due(conn, lane.value, now=now), now) for lane in Lane}


async def readiness(rt: Runtime) -> Mapping[str, Any]:
    """Tell whether this process can do its work: {"ok", "checks", "oldest_due_s"}.

    A lost doorbell and a backlog are told and do not make it unready: taking the process out would mend neither.
    """
    checks = {"database": "ok", "schema": "ok", "queue": "ok", "backlog": "ok"}
    oldest: dict[str, float] = {}
    try:
        async with asyncio.timeout(TIMEOUT_S):
            checks["schema"] = _SCHEMA[await standing(rt.db)]
            if checks["schema"] == "ok":
                async with rt.db.read() as conn:
                    late = await ages(rt, conn)
                oldest = {lane.value: round(age, 1) for lane, age in late.items()}
                checks["backlog"] = backlog(late) or "ok"
    except (StoreAway, TimeoutError):
        checks |= {"database": "away; requests are answered 503 until it is back", "schema": "not known"}
        checks["backlog"] = "not known"
    if not await rt.doorbell.ping():
        checks["queue"] = "away; deliveries are found by polling, slower"
    ok = checks["database"] == checks["schema"] == "ok"
    return {"ok": ok, "checks": checks, "oldest_due_s": oldest}


_SCHEMA = {
    Standing.CURRENT: "ok",
    Standing.AHEAD: "ok",  # a newer version is being rolled out; migrations only add until the old one is gone
    Standing.BEHIND: "behind this program: run `botengang migrate`",
    Standing.EMPTY: "no tables yet: run `botengang migrate`",
}


def backlog(ages_s: Mapping[Lane, float]) -> str:
    """Return the first lane that is late and what to do, "" if none is."""
    for lane, age in ages_s.items():
        if age > LATE_S[lane]:
            return f"the oldest due delivery of lane {lane.value} has waited {age:.0f} s: are enough workers running?"
    return ""
