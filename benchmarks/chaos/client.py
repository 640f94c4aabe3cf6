"""Be the backend service: post each notification until it is accepted, with the same Idempotency-Key every time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from benchmarks.chaos.programs import ChaosFailed
from benchmarks.chaos.stage import Person

AT_ONCE = 12
AGAIN_S = (0.1, 0.2, 0.4, 0.8, 1.0)
GIVE_UP_S = 90.0
ACCEPTED = 202
LANES = ("normal", "bulk", "normal", "urgent")


@dataclass(slots=True)
class Told:
    """What the gateway told its client: ``ids`` by the number of the notification, and every answer by status."""

    ids: dict[int, str] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    waits_told: int = 0  # refusals for the moment that came with a Retry-After


async def state(api: str, key: str, people: Sequence[dict[str, Any]]) -> None:
    """State all recipients, a thousand at a time. Raises ChaosFailed."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http:
        for start in range(0, len(people), 1000):
            async with http.post(f"{api}/v1/recipients:batch", json=people[start : start + 1000]) as answer:
                results = (await answer.json())["results"] if answer.status < 300 else [{}]
                if any(one.get("status", 500) >= 300 for one in results):
                    raise ChaosFailed(f"the recipients were refused: {(await answer.text())[:500]}")


async def post_all(
    api: str, key: str, people: Sequence[Person], texts: Sequence[str], told: Told, *, seconds: float
) -> None:
    """Post one notification to each person, evenly over ``seconds``, and note in ``told`` what was answered."""
    began = time.monotonic()
    waiting = iter(people)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    async def service(http: aiohttp.ClientSession) -> None:
        for person in waiting:
            await asyncio.sleep(began + seconds * person.number / len(people) - time.monotonic())
            await _post(http, api, person, texts[person.number % len(texts)], told)

    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        await asyncio.gather(*(service(http) for _ in range(AT_ONCE)))


async def _post(http: aiohttp.ClientSession, api: str, person: Person, text: str, told: Told) -> None:
    """Post until it is accepted, or patience ends."""
    sent = json.dumps(
        {
            "template": text,
            "recipient": {"id": person.id},
            "variables": {
                "datum": "15.03.2027", "hinweis": "Das Haus bleibt zu.", "link": "https://info.mtk.example/n/k3Vq8ZtA",
            },
            "reference": person.id,
            "priority": LANES[person.number % len(LANES)],
        }
    )  # fmt: skip
    ends_at = time.monotonic() + GIVE_UP_S
    tries = 0
    while time.monotonic() < ends_at:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with http.post(
                f"{api}/v1/notifications", data=sent, headers={"Idempotency-Key": f"chaos-{person.number}"}
            ) as answer:
                told.answers[str(answer.status)] += 1
                if answer.status == ACCEPTED:
                    told.ids[person.number] = (await answer.json())["id"]
                    return
                told.waits_told += "Retry-After" in answer.headers
                if answer.status < 500 and answer.status != 429:
                    raise ChaosFailed(f"a notification was refused: {answer.status} {(await answer.text())[:300]}")
                tries += 1
                await asyncio.sleep(AGAIN_S[min(tries, len(AGAIN_S)) - 1])
                continue
        told.answers["none"] += 1
        await asyncio.sleep(AGAIN_S[min(tries, len(AGAIN_S) - 1)])
        tries += 1
