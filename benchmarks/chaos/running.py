"""One run in one mode: set the stage, post while everything breaks, wait until all has ended, audit."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp

from benchmarks.chaos import audit, client, stage, tables
from benchmarks.chaos.breaking import Breaking, settled
from benchmarks.chaos.programs import ChaosFailed, Starter
from benchmarks.chaos.proxy import Proxy
from benchmarks.chaos.report import Result
from benchmarks.chaos.scale import EMBEDDED, Scale
from benchmarks.chaos.stage import Person, Stage
from benchmarks.chaos.watch import Watch
from gateway.store.engine import Database

UP_S = 60.0


async def run(mode: str, scale: Scale, starter: Starter, *, seed: int) -> Result:
    """Run once; return what came of it. Raises ChaosFailed when the run itself could not be carried out."""
    draw = random.Random(f"{seed}-{mode}")
    began = time.monotonic()
    proxy = Proxy(random.Random(draw.random()))
    async with proxy.running(), stage.opened(mode, scale, public_port=proxy.port) as on:
        proxy.api = on.api
        people = stage.invent(scale.messages)
        contents = list(stage.texts().values())
        orders = stage.rules(people, draw)
        await _tell(on, "rules", orders)
        async with _database(on) as db:
            breaking = Breaking(on, scale, starter, Watch(db), db, draw)
            await _introduce(on, breaking, people, contents[0].purpose)
            async with breaking.watch.watching():
                await _storm(on, scale, breaking, people, [one.key for one in contents])
                await settled(breaking, seconds=scale.settle_s, finished=lambda: _finished(db, proxy, breaking.watch))
            rows = await tables.all_rows(db, stage.CLIENT)
            log = await _log(on)
        await breaking.stop()
        policies = {one.number: contents[one.number % len(contents)].policy for one in people}
        findings = audit.audit(people, policies, breaking.told, rows, log)
        silence_s = audit.longest_silence_s(breaking.watch.kills, log, on.ahead)
        cut = sum(one["outcome"].get("fault") == "cut_after_accept" for one in orders)
        breaking.done |= proxy.done | {"provider answers cut after acceptance": cut}
        return Result.of(
            scale, breaking, findings, silence_s=silence_s, seconds=time.monotonic() - began,
            crossed=stage.now() + on.ahead > stage.CHANGES[mode],
        )  # fmt: skip


@contextlib.asynccontextmanager
async def _database(on: Stage) -> AsyncIterator[Database]:
    db = await Database.open(on.settings.database, pool=3)
    try:
        yield db
    finally:
        await db.close()


async def _introduce(on: Stage, breaking: Breaking, people: Sequence[Person], purpose: str) -> None:
    """State the recipients to a gateway that is still whole."""
    verb = "up" if on.mode == EMBEDDED else "serve"
    program = await breaking.starter.start(verb, env=on.env, folder=on.folder, log=on.folder / f"{verb}.log")
    await _answering(on.api)
    at = stage.now() + on.ahead
    await client.state(on.api, on.key, [stage.body(one, at, purpose) for one in people])
    await program.stop()


async def _answering(api: str) -> None:
    """Wait until the HTTP side answers. Raises ChaosFailed."""
    ends_at = time.monotonic() + UP_S
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < ends_at:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with http.get(f"{api}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)
    raise ChaosFailed("the gateway does not start")


async def _storm(on: Stage, scale: Scale, breaking: Breaking, people: Sequence[Person], texts: Sequence[str]) -> None:
    """Post everything while everything breaks."""
    async with asyncio.TaskGroup() as group:
        group.create_task(breaking.run())
        group.create_task(client.post_all(on.api, on.key, people, texts, breaking.told, seconds=scale.post_s))


async def _finished(db: Database, proxy: Proxy, watch: Watch) -> bool:
    """Tell whether nothing is open any more."""
    return not (proxy.waiting or watch.healing or await tables.unended(db, audit.REPORTING))


async def _tell(on: Stage, what: str, orders: object) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{on.sandbox['http']}/control/{what}", json=orders) as answer,
    ):
        if answer.status >= 300:
            raise ChaosFailed(f"the stand-ins refused {what}: {(await answer.text())[:300]}")


async def _log(on: Stage) -> list[Mapping[str, Any]]:
    async with aiohttp.ClientSession() as http, http.get(f"{on.sandbox['http']}/control/log") as answer:
        found: list[Mapping[str, Any]] = await answer.json()
        return found
