"""One notification end to end on each channel: HTTP API, worker, real adapters, real protocols, and back by STOPP.

On SQLite with the doorbell inside the process, and on PostgreSQL with a Redis.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from channels.kit.contract import Installs
from channels.sandbox.rules import plain_address
from channels.sandbox.server import Sandbox, open_sandbox
from gateway import bootstrap, processes, telemetry
from gateway.demo import stage
from gateway.demo.people import START
from gateway.egress import Http
from gateway.store.engine import Database
from gateway.store.tables import metadata
from gateway.usecases import access, templates
from gateway.usecases.runtime import Runtime
from tests.support.runtime import catalogue
from tests.support.surroundings import logging_put_back, without_settings
from tests.support.waiting import wait_until
from workers.main import working

TEXT = "unterlagen_fehlen"
LINK = "https://info.mtk.example/n/Zaunkoenig77"
ADDRESSES = {
    "email": "zaunkoenig.77@post.example",
    "sms": "+4917640000077",
    "whatsapp": "+4917640000078",
    "telegram": "700000077",
}
ENDS = {"email": "submitted", "sms": "delivered", "whatsapp": "delivered", "telegram": "submitted"}
CANARIES = (*ADDRESSES.values(), "zaunkoenig", "Zaunkoenig77", "17.05.2027", "Wir brauchen noch etwas", "STOPP")


@dataclass(frozen=True)
class House:
    """A running gateway with its stand-ins."""

    rt: Runtime
    box: Sandbox
    api: httpx.AsyncClient
    key: str

    async def control(self, name: str, body: Any) -> None:
        """Order the stand-ins to do something."""
        answer = await self.api.post(f"{self.box.facts.http}/control/{name}", json=body, headers={"authorization": ""})
        assert answer.status_code == 200, answer.text

    def seen(self, channel: str) -> list[str]:
        """Return the texts that reached this channel's phone."""
        to = plain_address(channel, ADDRESSES[channel])
        found = [one for one in self.box.state.entries(0) if one.channel == channel and one.accepted]
        return [one.provider_id for one in found if plain_address(channel, one.to) == to]


@pytest.fixture
def _surroundings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest, database_url: str
) -> Iterator[None]:
    """Give the settings of one of the two modes, and leave logging as it was."""
    without_settings(monkeypatch)
    monkeypatch.setenv("GATEWAY_DATABASE_URL", database_url)
    if database_url.startswith("postgresql"):
        monkeypatch.setenv("GATEWAY_REDIS_URL", request.getfixturevalue("redis_url"))
        bootstrap.make_ring(tmp_path / "house" / "keyring.json")
    yield from logging_put_back()


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[House]:
    """Run everything: stand-ins, gateway, worker, and a backend service's client with a key."""
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(open_sandbox(folder / "sandbox", starts_at=START))
        sock = processes.bind("127.0.0.1:0")
        listen = f"127.0.0.1:{sock.getsockname()[1]}"
        settings = stage.settings_for(asdict(box.facts), catalogue(), listen, folder / "house")
        rt = await stack.enter_async_context(bootstrap.open(settings))
        await templates.push(rt, [catalogue()[TEXT]], author="files")
        await templates.approve(rt, TEXT, approver="test")
        await stack.enter_async_context(processes.serving(rt, sock))
        await stack.enter_async_context(working(rt, concurrency=4, sweep_s=0.2))
        http = Http()
        stack.push_async_callback(http.close)
        await stage.introduce(http, box.facts.http, {TEXT: catalogue()[TEXT]}, settings.public_url)
        for name, account in rt.accounts.items():
            if isinstance(account.adapter, Installs):
                await account.adapter.install(rt.callback_url(name))
        key = await access.create_key(rt, "portal")
        sent = {"authorization": f"Bearer {key}"}
        api = httpx.AsyncClient(base_url=settings.public_url, headers=sent, trust_env=False, timeout=20)
        yield House(rt, box, await stack.enter_async_context(api), key)


def person(channel: str) -> dict[str, Any]:
    """Return somebody who can be reached on one channel and consents."""
    shown = {"text_version": "1", "text_hash": "sha256:1", "language": "de", "source": "desk", "actor": "desk"}
    consent = shown | {"channel": channel, "purpose": "dienst", "given_at": "2027-01-01T10:00:00Z"}
    point = {"channel": channel, "address": ADDRESSES[channel], "verified_at": "2027-01-01T10:00:00Z"}
    return {"contact_points": [point | {"verified_how": "desk"}], "consents": [consent]}


async def post(house: House, channel: str, key: str) -> dict[str, Any]:
    """Post one notification to the person of a channel, as a backend service does."""
    values = {"frist": "17.05.2027", "link": LINK}
    body = {"template": TEXT, "recipient": {"id": f"T-{channel}"}, "variables": values}
    answer = await house.api.post("/v1/notifications", json=body, headers={"idempotency-key": f"{channel}-{key}"})
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def look(house: House, ident: str) -> dict[str, Any]:
    """Read a notification over the API."""
    told: dict[str, Any] = (await house.api.get(f"/v1/notifications/{ident}")).json()
    return told


async def errand(house: House, channel: str) -> None:
    """Put, post, wait for the end, and look at both sides: our timeline and the phone."""
    put = await house.api.put(f"/v1/recipients/T-{channel}", json=person(channel))
    assert put.status_code in {200, 201}, put.text
    done = await post(house, channel, "1")
    assert [one["channel"] for one in done["deliveries"]] == [channel]

    async def ended() -> bool:
        return bool((await look(house, done["id"]))["state"] == ENDS[channel])

    await wait_until(ended, 20)
    told = await look(house, done["id"])
    events = [one["event"] for one in told["timeline"]]
    assert (events[0], events[-1]) == ("accepted", ENDS[channel])
    assert [one["verdict"] for one in told["deliveries"][0]["attempts"]] == ["submitted"]
    assert len(house.seen(channel)) == 1
    again = await post(house, channel, "1")
    assert again["id"] == done["id"]


async def stop(house: House, channel: str) -> None:
    """Answer STOPP on the phone (in a mail: press unsubscribe); the next one is skipped, and no phone rings."""
    said = {"button": "unsubscribe"} if channel == "email" else {"text": "Stopp!"}
    await house.control("reply", {"channel": channel, "to": ADDRESSES[channel]} | said)

    async def stopped() -> bool:
        told = (await house.api.get(f"/v1/recipients/T-{channel}")).json()
        return not told["consents"][0]["given"]

    await wait_until(stopped, 20)
    later = await post(house, channel, "2")
    assert later["state"] == "skipped"
    assert {one["channel"]: one["reason"] for one in later["skipped"]}[channel] == "contact_point_suppressed"
    assert len(house.seen(channel)) == 1


def disguises(text: str) -> list[bytes]:
    """Return every plain way in which a text could have got into bytes."""
    raw = text.encode()
    return [raw, raw.hex().encode(), raw.lower(), text.encode("utf-16-le"), base64.b64encode(raw)[:-4]]


async def dump(db: Database) -> bytes:
    """Read every column of every row of every table."""
    parts: list[bytes] = []
    async with db.read() as conn:
        for table in metadata.sorted_tables:
            if table.name == "template_versions":
                continue  # our own public texts
            for row in await conn.execute(sa.select(table)):
                parts += [value if isinstance(value, bytes) else repr(value).encode() for value in row]
    return b"\n".join(parts)


@pytest.mark.usefixtures("_surroundings")
async def test_one_errand_on_each_channel_and_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Accepted, sent once, reported, stopped by the person; nothing in clear in the tables or the log (A-07, A-17)."""
    telemetry.configure("DEBUG")
    async with opened(tmp_path) as house:
        for channel in ADDRESSES:
            await errand(house, channel)
        for channel in ADDRESSES:
            await stop(house, channel)
        told = (await dump(house.rt.db)).replace(b"contact.stopped", b"")  # an event's name, not what was written
        secrets = [house.key.split("_")[3], house.box.facts.twilio_auth_token, house.box.facts.telegram_token]
    assert b"T-sms" in told  # the dump does hold the rows
    leaks = [text for text in (*CANARIES, *secrets) for form in disguises(text) if form in told]
    assert leaks == []
    captured = capfd.readouterr()
    said = captured.out + captured.err
    assert "deliveries.recorded" in said  # the log was listened to
    assert [text for text in (*CANARIES, *secrets, house.box.facts.smtp_password) if text in said] == []
