"""A gateway for HTTP tests: a real Runtime on both databases, approved texts, a key, and a client that speaks HTTP to it.

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

from channels.email_smtp import EmailSmtp
from channels.kit.contract import Adapter, Confidentiality
from channels.memory import Memory
from channels.sms_twilio import SmsTwilio
from channels.telegram_bot import TelegramBot
from channels.whatsapp_twilio import WhatsappTwilio
from gateway.domain.model import Account
from gateway.egress import Http
from gateway.http.app import create_app
from gateway.queue.jobs import ArqDoorbell, embedded_pool
from gateway.queue.limits import LocalBuckets
from gateway.render.catalogue import read_folder
from gateway.render.render import Letterhead, Renderer
from gateway.store.engine import Database
from gateway.store.tables import metadata
from gateway.store.vault import Vault
from gateway.usecases import access, templates
from gateway.usecases.accept import open_group
from gateway.usecases.runtime import Ids, OpenAccount, Policy, Runtime
from tests.support.clock import ManualClock

TEMPLATES = Path(__file__).parents[2] / "templates"
APPROVED = ("termin_erinnerung", "termin_hinweis", "dienst_hinweis")
BASE = "https://boten.example"
LINK = {"link": "https://info.mtk.example/n/k3Vq8ZtA"}
INSTALLED: tuple[type[Adapter], ...] = (EmailSmtp, SmsTwilio, TelegramBot, WhatsappTwilio, Memory)
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


def _adapters(http: Http, clock: ManualClock) -> dict[str, Adapter]:
    twilio = {"account_sid": "AC" + "0" * 32, "auth_token": "token", "sender": "+4915550100000"}
    options: dict[str, tuple[type[Any], dict[str, Any]]] = {
        "mail": (EmailSmtp, {"host": "127.0.0.1", "sender": "bote@example.org"}),
        "sms": (SmsTwilio, twilio),
        "memory": (Memory, {}),
    }
    return {name: kind(kind.Options(**given), http=http, clock=clock) for name, (kind, given) in options.items()}


def _account(name: str, adapter: Adapter) -> OpenAccount:
    return OpenAccount(facts=Account(name, adapter.capabilities.channel, Confidentiality.K2), adapter=adapter)


@pytest.fixture
def policy() -> Policy:
    """The part of the settings that verbs act on; a test module may replace it."""
    return Policy(public_url=BASE, portal_url=f"{BASE}/portal", client_per_s=1000.0)


@pytest_asyncio.fixture
async def rt(db: Database, vault: Vault, clock: ManualClock, policy: Policy) -> AsyncIterator[Runtime]:
    """An open Runtime with accounts for e-mail, SMS and memory, and three approved texts."""
    async with AsyncExitStack() as stack:
        http, ids = Http(), Ids(clock)
        stack.push_async_callback(http.close)
        adapters = _adapters(http, clock)
        for adapter in adapters.values():
            stack.push_async_callback(adapter.close)
        doorbell = ArqDoorbell(embedded_pool(), new_id=ids.new)
        stack.push_async_callback(doorbell.close)
        opened = Runtime(
            db=db,
            vault=vault,
            doorbell=doorbell,
            buckets=LocalBuckets(clock),
            renderer=Renderer(Letterhead("Kreis", BASE, BASE, BASE, BASE)),
            clock=clock,
            ids=ids,
            dice=lambda: 0.5,
            policy=policy,
            accounts={name: _account(name, adapter) for name, adapter in adapters.items()},
            kinds={kind.capabilities.channel: kind.capabilities for kind in INSTALLED},
        )
        opened.group = open_group(opened)
        stack.push_async_callback(opened.group.close)
        known = read_folder(TEMPLATES)
        await templates.push(opened, [known[key] for key in APPROVED], author="author")
        for key in APPROVED:
            await templates.approve(opened, key, approver="approver")
        yield opened


@pytest.fixture
def app(rt: Runtime) -> FastAPI:
    """The HTTP program."""
    return create_app(rt)


@pytest_asyncio.fixture
async def make_client(app: FastAPI, rt: Runtime) -> AsyncIterator[MakeClient]:
    """Make HTTP clients with a key each: ``await make_client("portal", scopes=[…], test=True)``."""
    async with AsyncExitStack() as stack:

        async def made(name: str = "portal", **given: Any) -> httpx.AsyncClient:
            key = await access.create_key(rt, name, **given)
            sent = {"Authorization": f"Bearer {key}"}
            client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE, headers=sent)
            return await stack.enter_async_context(client)

        yield made


@pytest_asyncio.fixture
async def client(make_client: MakeClient) -> httpx.AsyncClient:
    """A client with a live key and every scope."""
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
