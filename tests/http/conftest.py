"""A gateway for HTTP tests: a real Runtime on both databases, approved texts, and clients with keys.

No worker runs here: what is accepted stays in the tables.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy import func, select

from gateway import bootstrap
from gateway.http.app import create_app
from gateway.render.catalogue import read_folder
from gateway.settings import Settings
from gateway.store.engine import Database
from gateway.store.tables import metadata
from gateway.usecases import access, templates
from gateway.usecases.runtime import Runtime
from tests.support.clock import ManualClock

TEMPLATES = Path(__file__).parents[2] / "templates"
APPROVED = ("termin_erinnerung", "termin_hinweis", "dienst_hinweis")
BASE = "https://boten.example"
LINK = {"link": "https://info.mtk.example/n/k3Vq8ZtA"}
RELEASE = {
    "provider": "Example",
    "contract_on": "2026-09-01",
    "notified_on": "2026-09-15",
    "region": "DE",
    "approved_by": "data protection officer",
    "review_by": "2030-01-01",
}
TWILIO = {"account_sid": "AC" + "0" * 32, "auth_token": "token", "sender": "+4915550100000"}
ACCOUNTS: Mapping[str, Any] = {
    "mail": {"adapter": "email_smtp", "release": RELEASE, "host": "127.0.0.1", "sender": "bote@example.org"},
    "sms": {"adapter": "sms_twilio", "release": RELEASE, **TWILIO},
    "memory": {"adapter": "memory", "release": RELEASE},
}
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
CONSENT = {
    "text_version": "dienst-2026-10",
    "text_hash": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf",
    "language": "de",
    "source": "portal",
    "actor": "portal",
    "given_at": "2026-11-02T10:00:00+01:00",
}
MakeClient = Callable[..., Awaitable[httpx.AsyncClient]]


def person(number: int = 1, *, consent: bool = True) -> dict[str, Any]:
    """Return the body of a recipient who can be reached by SMS and e-mail, and consents."""
    addresses = {"sms": f"+49155501{number:05}", "email": f"zaunkoenig.{number}@example.org"}
    points = [
        {"channel": channel, "address": address, "verified_at": "2026-11-01T09:00:00Z", "verified_how": "desk"}
        for channel, address in addresses.items()
    ]
    consents = [CONSENT | {"channel": channel, "purpose": "dienst"} for channel in addresses]
    told: dict[str, Any] = {"preferred_channels": ["sms", "email"], "contact_points": points, "birth_year": 2007}
    return told | ({"consents": consents} if consent else {})


def notification(recipient: str = "P-1", **more: Any) -> dict[str, Any]:
    """Return the body of a notification that fits the approved texts."""
    return {"template": "termin_hinweis", "recipient": {"id": recipient}, "variables": LINK} | more


@pytest.fixture
def public_url() -> str:
    """Return the public address; a test module may replace it."""
    return BASE


@pytest.fixture
def limits() -> Mapping[str, float]:
    """Return settings that a test module may replace."""
    return {"client_per_s": 1000.0}


@pytest.fixture
def settings(db: Database, database_url: str, tmp_path: Path, public_url: str, limits: Mapping[str, Any]) -> Settings:
    """Make settings with accounts for e-mail, SMS and memory, over the database of this test."""
    url = database_url.replace(f"{db.dialect}:", f"{DRIVERS[db.dialect]}:", 1)
    return Settings(
        profile="test", data_dir=tmp_path / "var", database_url=url, accounts=ACCOUNTS, public_url=public_url, **limits
    )


@pytest_asyncio.fixture
async def rt(settings: Settings, clock: ManualClock) -> AsyncIterator[Runtime]:
    """Lend an open Runtime with three approved texts."""
    async with bootstrap.open(settings, clock=clock) as opened:
        known = read_folder(TEMPLATES)
        await templates.push(opened, [known[key] for key in APPROVED], author="author")
        for key in APPROVED:
            await templates.approve(opened, key, approver="approver")
        yield opened


@pytest.fixture
def app(rt: Runtime) -> FastAPI:
    """Build the HTTP program."""
    return create_app(rt)


@pytest_asyncio.fixture
async def make_client(app: FastAPI, rt: Runtime) -> AsyncIterator[MakeClient]:
    """Lend HTTP clients with a key each; name, scopes and test as ``access.create_key`` takes them."""
    async with AsyncExitStack() as stack:

        async def made(name: str = "portal", **given: Any) -> httpx.AsyncClient:
            key = await access.create_key(rt, name, **given)
            sent = {"Authorization": f"Bearer {key}"}
            client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE, headers=sent)
            return await stack.enter_async_context(client)

        yield made


@pytest_asyncio.fixture
async def client(make_client: MakeClient) -> httpx.AsyncClient:
    """Lend a client with a live key and every scope."""
    return await make_client()


async def counts(rt: Runtime) -> dict[str, int]:
    """Return the number of rows of every table, for proving that nothing was stored."""
    async with rt.db.read() as conn:
        return {
            table.name: (await conn.execute(select(func.count()).select_from(table))).scalar_one()
            for table in metadata.sorted_tables
        }


def problem(answer: httpx.Response, status: int, code: str) -> Mapping[str, Any]:
    """Return the problem of an answer, after checking that it is one, and this one."""
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert (answer.status_code, told["status"], told["type"]) == (status, status, f"/problems/{code}"), told
    assert told["title"]
    assert told["detail"]
    return told
