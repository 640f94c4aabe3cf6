"""The metrics page: who may see it, what it tells, what it costs, and that it names nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert

from gateway import telemetry
from gateway.http.metrics import KEPT_S, create_watch
from gateway.store.tables import account_states
from gateway.usecases import upkeep
from gateway.usecases.runtime import Runtime
from tests.http.conftest import BASE, MakeClient, notification, person, problem
from tests.support.clock import ManualClock

TOKEN = "a-token-of-the-operator-0123456789"
Asking = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def asking(app: FastAPI) -> Asking:
    """Return a maker of clients that call from an address of the test's choice."""

    @asynccontextmanager
    async def made(host: str = "127.0.0.1", program: FastAPI = app, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(program, client=(host, 40000))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=named) as client:
            yield client

    return made


def values(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return every sample by name and the values of its labels."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "127.8.8.8"])
async def test_this_machine_may_ask(asking: Asking, host: str):
    """Prometheus on the same machine needs no token."""
    async with asking(host) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("10.1.2.3", {}),
        ("127.0.0.1", {"X_Forwarded_For": "127.0.0.1"}),
        ("127.0.0.1", {"Forwarded": "for=192.0.2.1"}),
        ("127.0.0.1", {"X_Real_IP": "192.0.2.1"}),
        ("127.0.0.1", {"Via": "1.1 proxy"}),
        ("somewhere", {}),
    ],
)
async def test_others_may_not(asking: Asking, host: str, headers: dict[str, str]):
    """Another machine is refused, and so is whoever comes through a proxy on this one."""
    async with asking(host, **headers) as client:
        problem(await client.get("/metrics"), 401, "unauthenticated")


async def test_a_token_opens_from_everywhere_and_is_then_asked_of_everybody(asking: Asking, rt: Runtime):
    """With a token set the address counts no more: a silent proxy on this machine gives nothing away."""
    rt.policy = replace(rt.policy, metrics_token=TOKEN)
    async with asking("10.1.2.3", Authorization=f"Bearer {TOKEN}") as client:
        assert (await client.get("/metrics")).status_code == 200
    for wrong in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": TOKEN}, {"Authorization": "Bearer "}):
        async with asking("127.0.0.1", **wrong) as client:
            answer = await client.get("/metrics")
            problem(answer, 401, "unauthenticated")
            assert TOKEN not in answer.text
    assert TOKEN not in repr(rt.policy)


async def test_it_tells_what_waits(asking: Asking, make_client: MakeClient, clock: ManualClock):
    """An accepted notification that nobody sends shows as the oldest due one of its lane, with its age in seconds."""
    client = await make_client()
    await client.put("/v1/recipients/P-1", json=person())
    before = telemetry.registry.get_sample_value("botengang_accepted_total", {"lane": "normal"}) or 0.0
    await client.post("/v1/notifications", json=notification(), headers={"Idempotency-Key": "k"})
    clock.advance(timedelta(minutes=3))
    async with asking() as prometheus:
        seen = values((await prometheus.get("/metrics")).text)
    assert seen["botengang_oldest_due_seconds", ("normal",)] == 180
    assert seen["botengang_oldest_due_seconds", ("bulk",)] == 0
    assert seen["botengang_due", ("normal",)] == 1
    assert seen["botengang_accepted_total", ("normal",)] == before + 1
    assert seen["botengang_database_up", ()] == seen["botengang_doorbell_up", ()] == 1


async def test_it_tells_how_accounts_are(asking: Asking, rt: Runtime, clock: ManualClock):
    """The circuit and the pause of every configured account, also of those without a row."""
    row = {"name": "mail", "paused": True, "circuit": "open", "calls": 0, "failures": 0, "share": 100}
    async with rt.db.write() as conn:
        await conn.execute(insert(account_states).values(row | dict.fromkeys(("window_at", "changed_at"), clock.now())))
    async with asking() as prometheus:
        seen = values((await prometheus.get("/metrics")).text)
    assert [seen["botengang_circuit", (name,)] for name in ("mail", "sms", "memory")] == [2, 0, 0]
    assert [seen["botengang_account_paused", (name,)] for name in ("mail", "sms")] == [1, 0]


async def test_every_metric_of_the_list_is_on_the_page(asking: Asking, rt: Runtime):
    """Nothing is promised that a scrape does not show; counters with labels show once something was counted."""
    await upkeep.sweep(rt)
    async with asking() as prometheus:
        text = (await prometheus.get("/metrics")).text
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE botengang_")}
    assert {name for name in told if not name.endswith("_created")} == set(telemetry.METRICS)


async def test_asking_often_costs_the_store_nothing(
    asking: Asking, rt: Runtime, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
):
    """One reading serves everybody for five seconds, then there is a new one."""
    readings = 0
    read = rt.db.read

    def counted() -> Any:
        nonlocal readings
        readings += 1
        return read()

    monkeypatch.setattr(rt.db, "read", counted)
    async with asking() as prometheus:
        for _ in range(5):
            await prometheus.get("/metrics")
        clock.advance(KEPT_S)
        await prometheus.get("/metrics")
    assert readings == 2


async def test_without_the_store_the_page_says_so(asking: Asking, rt: Runtime, monkeypatch: pytest.MonkeyPatch):
    """The scrape never fails: it tells that the database is away, and leaves out what it cannot know."""
    await rt.db.close()
    monkeypatch.setattr("gateway.usecases.seeing.TIMEOUT_S", 0.0)  # PostgreSQL would connect again
    async with asking() as prometheus:
        seen = values((await prometheus.get("/metrics")).text)
    assert seen["botengang_database_up", ()] == 0
    assert ("botengang_oldest_due_seconds", ("normal",)) not in seen


async def test_no_label_names_a_person_or_grows_without_bound(asking: Asking, make_client: MakeClient):
    """Addresses, ids and references of a notification are nowhere; a third party's own code becomes ``other``."""
    client = await make_client()
    await client.put("/v1/recipients/P-1", json=person())
    posted = notification(reference="Vorgang-77")
    answer = await client.post("/v1/notifications", json=posted, headers={"Idempotency-Key": "k"})
    async with asking() as prometheus:
        text = (await prometheus.get("/metrics")).text
    for canary in ("zaunkoenig", "+4915550", "P-1", "Vorgang-77", "termin_hinweis", answer.json()["id"]):
        assert canary not in text
    assert [telemetry.class_of(code) for code in ("", None, "refused", "0815_zaunkoenig")] == [
        "",
        "",
        "refused",
        "other",
    ]


async def test_a_worker_has_a_page_of_its_own(asking: Asking, rt: Runtime):
    """Beside the metrics it tells whether it lives and is ready, and serves nothing else."""
    async with asking(program=create_watch(rt)) as client:
        answers = {path: (await client.get(path)).status_code for path in ("/metrics", "/livez", "/readyz", "/docs")}
    assert answers == {"/metrics": 200, "/livez": 200, "/readyz": 200, "/docs": 404}
