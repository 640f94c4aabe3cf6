"""Set the stage of one run: a temporary folder, real servers, the providers' stand-ins, settings, people and two texts.

Nothing listens beyond loopback. What a run breaks is not decided here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.chaos.programs import ROOT, ChaosFailed, surroundings
from benchmarks.chaos.scale import EMBEDDED, Scale
from gateway import bootstrap
from gateway.demo.stage import RELEASE
from gateway.domain.content import Content
from gateway.domain.retrying import POLICIES
from gateway.render.catalogue import read_folder
from gateway.settings import Settings, load
from gateway.usecases import access, templates
from tests.support import servers

CLIENT = "chaos"
READY_S = 60.0
MODEL = "dienst_hinweis"  # the text that both policies' texts are made from
CHANNELS = ("sms", "email", "telegram")
ACCOUNTS = {"sms": "sms", "email": "mail", "telegram": "telegram"}
# Clocks go forward and back in Germany at these instants; the run lives through one of them.
CHANGES = {"scaled": datetime(2027, 3, 28, 1, tzinfo=UTC), "embedded": datetime(2027, 10, 31, 1, tzinfo=UTC)}


@dataclass(slots=True, kw_only=True)
class Stage:
    """Where everything is. ``ahead``: how far the gateway's and the stand-ins' clocks are from the machine's."""

    mode: str
    folder: Path
    sandbox: Mapping[str, Any] = field(repr=False)
    env: dict[str, str] = field(repr=False)
    settings: Settings = field(repr=False)
    ahead: timedelta
    api: str
    key: str = field(default="", repr=False)
    redis: servers.RedisServer | None = None
    postgres: servers.PostgresServer | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """An invented recipient of one notification. ``addresses``: by channel, best first."""

    number: int
    addresses: Mapping[str, str] = field(repr=False)

    @property
    def id(self) -> str:
        """The authority-wide id."""
        return f"chaos-{self.number:05d}"


def invent(count: int) -> list[Person]:
    """Return people with an address each, every sixth with a second one; no address belongs to two of them."""
    found = []
    for number in range(count):
        own = {
            "sms": f"+49176{50_000_000 + number}",
            "email": f"person.{number:05d}@post.example",
            "telegram": str(800_000_000 + number),
        }
        first = CHANNELS[number % 3]
        names = [first, "sms" if first == "email" else "email"] if number % 6 in {1, 3} else [first]
        found.append(Person(number, {name: own[name] for name in names}))
    return found


def body(person: Person, at: datetime, purpose: str) -> dict[str, Any]:
    """Return what a backend service states about the person: reachable everywhere, and agreed to it."""
    proof = {"text_version": "2027-01", "text_hash": "sha256:chaos", "language": "de", "source": "desk"}
    given = (at - timedelta(days=30)).isoformat()
    return {
        "id": person.id,
        "language": "de",
        "preferred_channels": list(person.addresses),
        "contact_points": [
            {"channel": name, "address": address, "verified_at": given, "verified_how": "desk"}
            for name, address in person.addresses.items()
        ],
        "consents": [
            {"channel": name, "purpose": purpose, "actor": "desk", "given_at": given, **proof}
            for name in person.addresses
        ],
    }


def texts() -> dict[str, Content]:
    """Return one text for each policy, by policy."""
    model = read_folder(ROOT / "templates")[MODEL]
    return {one: replace(model, key=f"chaos_{one}", policy=one, channels=CHANNELS) for one in POLICIES}


@contextlib.asynccontextmanager
async def sandbox(folder: Path, at: datetime) -> AsyncIterator[Mapping[str, Any]]:
    """Run the providers' stand-ins in a process of their own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "channels.sandbox", "--dir", str(folder), "--exit-with-parent", "--starts-at",
        at.isoformat(), cwd=ROOT, env=surroundings(), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), READY_S)
        if not line:
            raise ChaosFailed("the stand-ins did not start; their own words are above")
        yield json.loads(line)
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


def accounts(ready: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    """Return the accounts' blocks, pointed at the stand-ins; rates are out of the way."""
    common = {"account_per_s": 1000, "recipient_per_s": 1000, "deadline_s": scale.deadline_s, "release": RELEASE}
    return {
        "mail": {"adapter": "email_smtp", "host": ready["smtp_host"], "port": ready["smtp_port"],
                 "ca_file": ready["ca_file"], "username": ready["smtp_user"], "password": ready["smtp_password"],
                 "sender": "hinweis@mtk.example", "sender_name": "Main-Taunus-Kreis", **common},
        "sms": {"adapter": "sms_twilio", "sender": ready["sms_number"], "account_sid": ready["twilio_account_sid"],
                "auth_token": ready["twilio_auth_token"], "base_url": ready["twilio_base_url"], **common},
        "telegram": {"adapter": "telegram_bot", "token": ready["telegram_token"],
                     "webhook_secret": secrets.token_urlsafe(24), "base_url": ready["telegram_base_url"], **common},
    }  # fmt: skip


def settings_env(
    folder: Path, ready: Mapping[str, Any], scale: Scale, ahead: timedelta, *, public_port: int, **more: str
) -> dict[str, str]:
    """Return the settings as the programs' environment."""
    given = {
        "PROFILE": "test",
        "DATA_DIR": str(folder),
        "KEYRING_FILE": str(folder / "keyring.json"),
        "LISTEN": f"127.0.0.1:{servers.free_port()}",
        "PUBLIC_URL": f"http://127.0.0.1:{public_port}",
        "LOG_LEVEL": "INFO",
        "CLIENT_PER_S": "100000",
        "LEASE_S": str(scale.lease_s),
        "UNCERTAIN_S": str(scale.uncertain_s),
        "SWEEP_S": "0.5",
        "CONCURRENCY": "8",
        "CLOCK_OFFSET_S": str(ahead.total_seconds()),
        "ACCOUNTS": json.dumps(accounts(ready, scale)),
    }
    return {f"GATEWAY_{name}": value for name, value in (given | more).items()}


@contextlib.asynccontextmanager
async def opened(mode: str, scale: Scale, *, public_port: int) -> AsyncIterator[Stage]:
    """Lend a stage: servers run, the schema is there, texts are approved, a key is made."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"bg-chaos-{mode}-")))
        # the change comes when four tenths of the messages have been posted, start-up taken into account
        ahead = CHANGES[mode] - timedelta(seconds=scale.post_s * 0.4 + 8) - datetime.now(UTC)  # noqa: TID251 - a clock
        ready = await stack.enter_async_context(sandbox(folder / "sandbox", now() + ahead))
        more: dict[str, str] = {}
        redis = postgres = None
        if mode != EMBEDDED:
            postgres = await _entered(stack, servers.postgres_server())
            redis = await _entered(stack, servers.redis())
            more = {"DATABASE_URL": postgres.url, "REDIS_URL": redis.url}
        env = settings_env(folder, ready, scale, ahead, public_port=public_port, **more)
        with mock.patch.dict(os.environ, surroundings(**env), clear=True):
            settings = load(_env_file=None)
        stage = Stage(
            mode=mode, folder=folder, sandbox=ready, env=surroundings(**env), settings=settings, ahead=ahead,
            api=f"http://{settings.listen}", redis=redis, postgres=postgres,
        )  # fmt: skip
        stage.key = await _furnish(settings)
        yield stage


async def _entered(stack: contextlib.AsyncExitStack, server: contextlib.AbstractContextManager[Any]) -> Any:
    """Start a server beside everything else, and stop it at the end."""
    running = await asyncio.to_thread(server.__enter__)
    stack.push(server)
    return running


async def _furnish(settings: Settings) -> str:
    """Bring the schema, approve the texts, make the key."""
    await bootstrap.prepare(settings)
    async with bootstrap.open(settings) as rt:
        await templates.push(rt, list(texts().values()), author="chaos")
        for key in await templates.drafts(rt):
            await templates.approve(rt, key, approver="another")
        return await access.create_key(rt, CLIENT)


def now() -> datetime:
    """Return the machine's time."""
    return datetime.now(UTC)  # noqa: TID251 - this is where the run's time comes from


def rules(people: Sequence[Person], draw: Any) -> list[dict[str, Any]]:
    """Return what the stand-ins shall do wrong: cut answers, reset, hang, refuse, be busy; each at its own address."""
    hiccups: dict[str, dict[str, Any]] = {
        "email": {"reply": "451 4.3.2 try again", "at": "rcpt"},
        "sms": {"http": 503},
        "telegram": {"http": 502},
    }
    refusals: dict[str, dict[str, Any]] = {
        "email": {"reply": "550 5.1.1 User unknown", "at": "rcpt"},
        "sms": {"status": "undelivered", "code": 30005},
        "telegram": {"http": 403, "description": "Forbidden: bot was blocked by the user"},
    }
    found = []
    for person in people:
        name, address = next(iter(person.addresses.items()))
        lot = draw.random()
        shares = (
            (0.05, {"fault": "cut_after_accept"}), (0.06, {"fault": "reset"}), (0.065, {"fault": "hang"}),
            (0.09, refusals[name]), (0.11, hiccups[name]),
        )  # fmt: skip
        outcome = next((one for share, one in shares if lot < share), None)
        if outcome is not None:
            found.append({"channel": name, "to": address, "outcome": outcome, "times": 1})
    return found
