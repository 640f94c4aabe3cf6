"""Post events to clients' endpoints: number, claim, sign, post, record; again and again until they are taken.

No transaction is open during a post. What waits for one endpoint never delays another: each is served by a task of its
own, and one that fails rests alone. Endpoints are gateway.usecases.callbacks'.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec

from channels.kit.errors import HttpFailure
from channels.kit.http import retry_after_s
from gateway import telemetry
from gateway.domain.callbacks import next_post, rest_s
from gateway.store import callbacks
from gateway.store import events as stored
from gateway.usecases import events
from gateway.usecases.callbacks import signing
from gateway.usecases.runtime import Runtime

AT_ONCE = 8  # posts to one endpoint
ENDPOINTS = 24  # served at once by one process
LEASE = timedelta(seconds=60)  # a post takes ten seconds at most
_OK = range(200, 300)
log = telemetry.log()


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of one post: the answer's status (0: none came), and how long the receiver wants to be left alone."""

    event_id: int
    tries: int
    queued_at: datetime
    status: int
    wish_s: float | None

    @property
    def taken(self) -> bool:
        """Tell whether the receiver has it."""
        return self.status in _OK


@dataclass(slots=True)
class _Rest:
    """An endpoint that has failed lately, as this process knows it."""

    failures: int = 0
    until: float = 0.0  # of the monotonic clock


class Postman:
    """Serves every endpoint that something is due to; one for a process."""

    def __init__(self, rt: Runtime) -> None:
        """Start with nobody resting."""
        self._rt = rt
        self._rests: dict[str, _Rest] = {}
        self._running: dict[str, asyncio.Task[int]] = {}
        self._places = asyncio.Semaphore(ENDPOINTS)

    async def run(self, *, pause_s: float, stop: asyncio.Event) -> None:
        """Look for work every ``pause_s`` until ``stop``; what is being posted then is finished."""
        try:
            while not stop.is_set():
                try:
                    await self._begin(stop)
                except Exception as exc:  # noqa: BLE001 - an absent store is waited for; the class only, a text may quote
                    log.warning("callbacks.failed", error=type(exc).__name__)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause_s)
        finally:
            await self._end()

    async def _begin(self, stop: asyncio.Event) -> None:
        for ident in await self._due():
            if ident not in self._running:
                task = asyncio.create_task(self._serve(ident, stop=stop))
                self._running[ident] = task
                task.add_done_callback(partial(self._ended, ident))

    def _ended(self, ident: str, task: asyncio.Task[int]) -> None:
        del self._running[ident]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("callbacks.failed", error=type(error).__name__)

    async def _end(self) -> None:
        tasks = list(self._running.values())
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for task in tasks:
                task.cancel()

    async def round(self) -> int:
        """Post everything that is due once, new events too; return how many posts were made."""
        made = await asyncio.gather(*(self._serve(ident) for ident in await self._due()))
        return sum(made)

    async def _due(self) -> list[str]:
        """Return the endpoints to serve now."""
        rt = self._rt
        await events.number_new(rt)
        async with rt.db.read() as conn:
            waiting = await callbacks.due_endpoints(conn, now=rt.clock.now())
        passed = rt.clock.monotonic()
        return [ident for ident in waiting if self._rests.get(ident, _Rest()).until <= passed]

    async def _serve(self, ident: str, *, stop: asyncio.Event | None = None) -> int:
        """Post to one endpoint until nothing is due, it fails, or we stop; one that failed before gets a single try."""
        made = 0
        while stop is None or not stop.is_set():
            async with self._places:
                done = await post(self._rt, ident, limit=1 if ident in self._rests else AT_ONCE)
            made += len(done)
            if not self._judge(ident, done):
                break
        return made

    def _judge(self, ident: str, done: Sequence[Posted]) -> bool:
        """Note how an endpoint is; tell whether to go on with it."""
        failed = [one for one in done if not one.taken]
        if failed:
            rest = self._rests.setdefault(ident, _Rest())
            rest.failures += 1
            wish_s = max((one.wish_s or 0.0 for one in failed), default=0.0)
            pause_s = rest_s(rest.failures, wish_s=wish_s, jitter=self._rt.dice())
            rest.until = self._rt.clock.monotonic() + pause_s
        elif done:
            self._rests.pop(ident, None)
        return bool(done) and not failed


async def post_due(rt: Runtime) -> int:
    """Post everything that is due once, new events too; return how many posts were made."""
    return await Postman(rt).round()


async def post(rt: Runtime, ident: str, *, limit: int) -> list[Posted]:
    """Claim what is due to one endpoint, at most ``limit``, post it all at once, and record what came."""
    now = rt.clock.now()
    lease = now + LEASE
    async with rt.db.write() as conn:
        claimed = await callbacks.claim(conn, ident, now=now, lease_until=lease, limit=limit)
    if not claimed:
        return []
    async with rt.db.read() as conn:
        endpoint = await callbacks.endpoint(conn, ident)
        rows = await stored.by_ids(conn, [one["event_id"] for one in claimed])
        people = await events.recipients(conn, rows)
    if endpoint is None:
        return []  # deleted meanwhile, and its posts with it
    told = {row["id"]: events.told(row, people) for row in rows}
    keys = signing(rt, endpoint)
    known = [one for one in claimed if one["event_id"] in told]
    done = await asyncio.gather(*(_one(rt, endpoint["url"], keys, one, told[one["event_id"]]) for one in known))
    await _record(rt, endpoint, done, lease)
    return list(done)


async def _one(
    rt: Runtime, url: str, keys: Sequence[str], claimed: Mapping[str, Any], event: Mapping[str, Any]
) -> Posted:
    """Make exactly one post. Nothing but an outcome leaves this function, cancellation aside."""
    status, wish_s = 0, None
    now = rt.clock.now()
    try:
        answer = await rt.courier.post(url, msgspec.json.encode(event), ident=event["id"], at=now, secrets=keys)
        status, wish_s = answer.status, retry_after_s(answer.headers, now=now)
    except HttpFailure:
        pass
    return Posted(claimed["event_id"], claimed["tries"] + 1, claimed["queued_at"], status, wish_s)


async def _record(rt: Runtime, endpoint: Mapping[str, Any], done: Sequence[Posted], lease: datetime) -> None:
    now = rt.clock.now()
    rows = [_outcome(rt, one, now) for one in done]
    gone = any(one.status == HTTPStatus.GONE for one in done)
    async with rt.db.write() as conn:
        await callbacks.endpoint(conn, endpoint["id"], lock=True)  # first, as everybody does who changes its posts
        await callbacks.finish(conn, endpoint["id"], rows, lease=lease, now=now)
        if gone:
            await callbacks.change_endpoint(conn, endpoint["id"], disabled_at=now)
            await callbacks.give_up(conn, endpoint["id"], now=now)
    given_up = sum(row["state"] == callbacks.GIVEN_UP for row in rows)
    if gone or given_up:
        log.warning("callbacks.abandoned", endpoint=endpoint["id"], count=given_up, disabled=gone)


def _outcome(rt: Runtime, one: Posted, now: datetime) -> dict[str, Any]:
    """Return what a post's row becomes: done, due again, or given up after three days."""
    row = {"event_id": one.event_id, "status": one.status, "state": callbacks.DONE, "due_at": None}
    if one.taken:
        return row
    due = next_post(one.tries, now=now, queued_at=one.queued_at, wish_s=one.wish_s, jitter=rt.dice())
    return row | {"state": callbacks.QUEUED if due else callbacks.GIVEN_UP, "due_at": due}
