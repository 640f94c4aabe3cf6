"""A house full of bulk does not hold up an urgent word: real processes, 10,000 rows before it, one second."""

from __future__ import annotations

import json
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest

from benchmarks.chaos import client, stage
from benchmarks.chaos.programs import Cold, Program
from benchmarks.chaos.scale import EMBEDDED, QUICK
from benchmarks.chaos.stage import Person, Stage
from gateway import bootstrap
from gateway.domain.model import Lane
from gateway.usecases import accept, access
from gateway.usecases.shapes import Accepted, Posted, PostedRecipient
from tests.support.servers import free_port
from tests.support.waiting import wait_until

BULK = 10_000
PEOPLE = 200
URGENT = 5
WITHIN_S = 1.0
VALUES = {"datum": "15.03.2027", "hinweis": "Das Haus bleibt zu.", "link": "https://info.mtk.example/n/k3Vq8ZtA"}


@asynccontextmanager
async def running(on: Stage) -> AsyncIterator[None]:
    """Run the gateway's processes on a stage until the block ends."""
    programs: list[Program] = []
    try:
        for verb in ("up",) if on.mode == EMBEDDED else ("serve", "work"):
            log = on.folder / f"{verb}.log"
            programs.append(await Cold().start(verb, env=on.env, folder=on.folder, log=log))
        async with aiohttp.ClientSession() as http:

            async def ready() -> bool:
                try:
                    async with http.get(f"{on.api}/readyz") as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            await wait_until(ready, 60)
        yield
    finally:
        for program in programs:
            program.kill()
            await program.ended


async def fill(on: Stage, people: list[Person], text: str) -> None:
    """Accept ten thousand bulk notifications while nobody works."""
    async with bootstrap.open(on.settings) as rt:
        who = await access.authenticate(rt, on.key)
        everybody = [PostedRecipient(id=one.id) for one in people[:PEOPLE]]
        same: dict[str, Any] = {"template": text, "variables": VALUES, "priority": Lane.BULK, "body": b""}
        items = [
            Posted(idempotency_key=f"bulk-{number}", recipient=everybody[number % PEOPLE], **same)
            for number in range(BULK)
        ]
        done = await accept.accept_batch(rt, who, items)
        assert all(isinstance(one, Accepted) for one in done)


async def seen(http: aiohttp.ClientSession, on: Stage, *, after: int = 0) -> list[dict[str, Any]]:
    """Return the stand-ins' log from a line on."""
    async with http.get(f"{on.sandbox['http']}/control/log?after={after}") as answer:
        found: list[dict[str, Any]] = await answer.json()
        return found


async def latency_s(http: aiohttp.ClientSession, on: Stage, person: Person, text: str) -> float:
    """Post one urgent notification; return the seconds until its provider took it."""
    sent = {"template": text, "recipient": {"id": person.id}, "variables": VALUES, "priority": "urgent"}
    headers = {"Authorization": f"Bearer {on.key}", "Idempotency-Key": person.id, "Content-Type": "application/json"}
    began = stage.now() + on.ahead
    async with http.post(f"{on.api}/v1/notifications", data=json.dumps(sent), headers=headers) as answer:
        assert answer.status == 202
    address = next(iter(person.addresses.values()))

    async def taken() -> datetime | None:
        return next((datetime.fromisoformat(one["at"]) for one in await seen(http, on) if one["to"] == address), None)

    arrived: datetime = await wait_until(taken, 30)
    return max(arrived - began, timedelta(0)).total_seconds()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", ["embedded", "scaled"])
async def test_an_urgent_message_does_not_wait_behind_ten_thousand(mode: str):
    """With 10,000 bulk rows queued and being sent, an urgent one reaches its provider within a second (median of 5)."""
    people = stage.invent(PEOPLE + URGENT)
    text = stage.texts()["at_most_once"]
    async with stage.opened(mode, QUICK, public_port=free_port()) as on, aiohttp.ClientSession() as http:
        at = stage.now() + on.ahead
        async with running(on):
            await client.state(on.api, on.key, [stage.body(one, at, text.purpose) for one in people])
        await fill(on, people, text.key)
        async with running(on):

            async def flowing() -> bool:
                return len(await seen(http, on)) > 50

            await wait_until(flowing, 60)
            found = [await latency_s(http, on, one, text.key) for one in people[PEOPLE:]]
            left = BULK + URGENT - len(await seen(http, on))
    assert left > 0, "the bulk was gone too soon to prove anything"
    assert statistics.median(found) < WITHIN_S, found
