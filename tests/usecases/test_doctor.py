"""The examination in good and in bad condition, with real adapters and servers, as docs/operations.md shows it."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from rich.console import Console
from sqlalchemy import insert, update

from channels.sandbox.facts import Facts
from channels.sandbox.server import open_sandbox
from gateway import bootstrap
from gateway.commands.doctor import _table
from gateway.render.catalogue import read_folder
from gateway.settings import Settings
from gateway.store.keyring import KeyRing
from gateway.store.migrate import migrate
from gateway.store.tables import account_states, deliveries
from gateway.usecases import accept, recipients, templates
from gateway.usecases.doctor import examine
from gateway.usecases.findings import Finding, Level
from gateway.usecases.runtime import Runtime
from gateway.usecases.shapes import Accepted
from tests.house import tree
from tests.support.names import GOOD, name_server
from tests.support.runtime import CALLER, first, person, posted
from tests.support.surroundings import RELEASE

NOW = datetime.now(UTC)  # noqa: TID251 - the installations that are examined run on the real clock
LASTING = RELEASE | {"review_by": (NOW + timedelta(days=400)).date().isoformat()}
ENDED = RELEASE | {"review_by": (NOW - timedelta(days=3)).date().isoformat()}
PAGES = ("imprint_url", "privacy_url", "accessibility_url", "personal_url", "portal_url")
SECRETS = ("wrong-password", "zaunkoenig", "+4915550100001", "bote@example.org")


def blocks(facts: Facts) -> dict[str, Any]:
    """Return the settings of two accounts on the stand-ins."""
    mail = {
        "adapter": "email_smtp",
        "host": facts.smtp_host,
        "port": facts.smtp_port,
        "ca_file": facts.ca_file,
        "username": facts.smtp_user,
        "password": facts.smtp_password,
        "sender": "bote@example.org",
        "dkim_selector": "s1",
    }
    bot = {"adapter": "telegram_bot", "token": facts.telegram_token, "base_url": facts.telegram_base_url}
    return {"mail": mail | {"release": LASTING}, "bot": bot | {"webhook_secret": "s" * 24, "release": LASTING}}


def settings(folder: Path, accounts: Mapping[str, Any], **given: Any) -> Settings:
    """Return the settings of an installation in this folder."""
    pages = dict.fromkeys(PAGES, "https://www.kreis.example")
    known = {"data_dir": folder, "accounts": accounts, "public_url": "https://bote.example.com"}
    return Settings(**(known | pages | {"metrics_token": "t" * 32} | given), _env_file=None)


@pytest_asyncio.fixture
async def facts(tmp_path: Path) -> AsyncIterator[Facts]:
    """Run the stand-ins for the providers."""
    async with open_sandbox(tmp_path / "sandbox") as found:
        yield found.facts


@asynccontextmanager
async def installed(chosen: Settings) -> AsyncIterator[Runtime]:
    """Lend a Runtime of an installation that has texts and one person."""
    async with bootstrap.open(chosen) as rt:
        await migrate(rt.db)
        known = read_folder(Path(__file__).parents[2] / "templates")
        chosen_texts = [known[key] for key in ("unterlagen_fehlen", "termin_hinweis") if key in known]
        await templates.push(rt, chosen_texts, author="author")
        for one in chosen_texts:
            await templates.approve(rt, one.key, approver="approver")
        await recipients.put_batch(rt, CALLER, [person(channels=("email",))])
        yield rt


async def examined(chosen: Settings, *, records: Any = GOOD) -> list[Finding]:
    """Examine as the command does, with a name server of the test's."""
    async with name_server(records) as server, bootstrap.open_parts(chosen, nameservers=[server]) as parts:
        return await examine(parts)


def masked(text: str) -> list[str]:
    """Return the lines of a table with every figure and every run of spaces alike."""
    return [re.sub(r"\s+", " ", re.sub(r"\d+(\.\d+)*", "#", line)).strip() for line in text.strip().splitlines()]


def printed(findings: list[Finding]) -> str:
    """Print as the command does, on a screen that is wide enough."""
    screen = Console(file=io.StringIO(), width=300)
    screen.print(_table(findings))
    assert isinstance(screen.file, io.StringIO)
    return "\n".join(line.rstrip() for line in screen.file.getvalue().splitlines())


def shown(heading: str) -> str:
    """Return the block below a heading of docs/operations.md."""
    text = tree.text(tree.ROOT, Path("docs/operations.md"))
    found = re.search(rf"^#+ {re.escape(heading)}\n.*?```text\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    assert found is not None, heading
    return found[1]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine answer late: how fast its disk is, is not what is tested here."""
    monkeypatch.setattr("gateway.usecases.doctor.SLOW_S", 30.0)


async def test_good_condition_is_as_the_document_shows_it(tmp_path: Path, facts: Facts):
    """Everything is well, and docs/operations.md shows these lines; where it differs, copy them from here."""
    chosen = settings(tmp_path / "var", blocks(facts))
    async with installed(chosen):
        pass
    findings = await examined(chosen)
    assert [one for one in findings if one.level is not Level.OK] == []
    text = printed(findings)
    assert masked(shown("In good condition")) == masked(text), text


async def _trouble(rt: Runtime) -> None:
    """Leave the tables as a crash, an outage and nobody at work would have left them."""
    ago = NOW - timedelta(hours=2)
    done = [await accept.accept(rt, CALLER, posted()) for _ in range(4)]
    states = ({"due_at": ago}, {"state": "sending", "lease_until": ago}, {"state": "uncertain"}, {"held": True})
    row = {"name": "bot", "paused": False, "circuit": "open", "code": "misconfigured", "calls": 9, "failures": 9}
    async with rt.db.write() as conn:
        for one, values in zip(done, states, strict=True):
            assert isinstance(one, Accepted)
            await conn.execute(update(deliveries).where(deliveries.c.id == first(one)).values(**values))
        times = dict.fromkeys(("window_at", "changed_at"), ago)
        await conn.execute(insert(account_states).values(row | times | {"share": 100}))


async def test_bad_condition_is_as_the_document_shows_it(tmp_path: Path, facts: Facts):
    """Each thing that is wrong is named with what to do, and no secret and no address is."""
    chosen = settings(tmp_path / "var", blocks(facts))
    async with installed(chosen) as rt:
        await _trouble(rt)
    wrong = blocks(facts)
    wrong["mail"] |= {"password": "wrong-password"}
    wrong["bot"] |= {"release": ENDED}
    wrong["sms"] = {"adapter": "sms_twilio", "account_sid": "AC" + "0" * 32}
    (tmp_path / "var" / "keyring.json").unlink()
    KeyRing.create(tmp_path / "var" / "keyring.json")
    records = GOOD | {("example.org", "TXT"): ['"v=spf1 +all"'], ("_dmarc.example.org", "TXT"): ['"v=DMARC1; p=none"']}
    worse = settings(tmp_path / "var", wrong, public_url="http://bote.example.com", metrics_token=None)
    findings = await examined(worse, records=records)
    assert all(one.do for one in findings if one.level is not Level.OK)
    text = printed(findings)
    assert not [secret for secret in SECRETS if secret in text]
    assert masked(shown("In bad condition")) == masked(text), text


async def test_servers_that_are_away_are_named_and_the_rest_is_examined(tmp_path: Path):
    """Neither the database nor Redis answers: both are bad, and the other areas are still looked at."""
    away = {"database_url": "postgresql+asyncpg://u:wrong-password@127.0.0.1:1/b", "redis_url": "redis://127.0.0.1:1/0"}
    findings = await examined(settings(tmp_path, {}, **away))
    levels = {one.area: one.level for one in findings}
    assert (levels["database"], levels["redis"], levels["key ring"]) == (Level.BAD, Level.BAD, Level.BAD)
    assert levels["disk"] is Level.OK
    assert "wrong-password" not in printed(findings)


async def test_a_redis_that_evicts_and_a_schema_that_is_missing(tmp_path: Path, redis_url: str, empty_url: str):
    """A full Redis that evicts rings is bad; a database without tables says which command to run."""
    from redis.asyncio import Redis  # noqa: PLC0415 - only here: to set up the server of the test

    client = Redis.from_url(redis_url)
    await client.config_set("maxmemory", "100mb")
    await client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        findings = await examined(settings(tmp_path, {}, database_url=empty_url, redis_url=redis_url))
    finally:
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("maxmemory", "0")
        await client.aclose()
    wrong = {one.told: one.do for one in findings if one.level is Level.BAD}
    assert wrong["when full it evicts (allkeys-lru), rings and limits too"] == "set maxmemory-policy noeviction"
    assert "botengang migrate" in wrong["it has no tables yet"]


async def test_clocks_that_differ_are_bad(tmp_path: Path, redis_url: str, db_url_postgres: str):
    """Leases are measured by these clocks: more than two seconds between two of them is told for each server."""
    shifted = settings(
        tmp_path, {}, database_url=db_url_postgres, redis_url=redis_url, profile="test",
        clock_start=NOW + timedelta(hours=1),
    )  # fmt: skip
    found = [one for one in await examined(shifted) if one.area == "clocks"]
    assert [one.level for one in found] == [Level.BAD, Level.BAD]
    assert all("s apart" in one.told for one in found)


@pytest.fixture
def db_url_postgres(postgres_migrated: str) -> str:
    """Return the URL of a migrated PostgreSQL database."""
    return postgres_migrated


async def test_it_changes_nothing(tmp_path: Path):
    """Looking at an installation that is not there yet makes no database, no key ring and no folder."""
    findings = await examined(settings(tmp_path / "var", {}))
    assert not (tmp_path / "var").exists()
    assert [one.level for one in findings if one.area in {"database", "key ring"}] == [Level.BAD, Level.BAD]
