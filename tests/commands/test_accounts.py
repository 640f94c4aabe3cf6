"""`botengang accounts`: what an operator sees and says, while the gateway runs, through the tables."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from channels.kit.errors import Misconfigured
from gateway import bootstrap
from gateway.cli import app
from gateway.settings import load
from gateway.store.migrate import migrate
from gateway.usecases.runtime import Runtime
from tests.support.surroundings import RELEASE, logging_put_back, without_settings


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Configure two accounts on a fresh embedded store, and leave logging as it was."""
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("GATEWAY_ACCOUNTS__box__ADAPTER", "memory")
    monkeypatch.setenv("GATEWAY_ACCOUNTS__box__ACCOUNT_PER_DAY", "40")
    monkeypatch.setenv("GATEWAY_ACCOUNTS__other__ADAPTER", "memory")
    monkeypatch.setenv("GATEWAY_ACCOUNTS__other__PAUSED", "true")
    for name, value in RELEASE.items():
        monkeypatch.setenv(f"GATEWAY_ACCOUNTS__box__RELEASE__{name.upper()}", value)
        monkeypatch.setenv(f"GATEWAY_ACCOUNTS__other__RELEASE__{name.upper()}", value)
    yield from logging_put_back()


def told(*arguments: str) -> Result:
    """Run a command in this process; it must succeed."""
    result = CliRunner().invoke(app, ["accounts", *arguments])
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments: str) -> str:
    """Run a command that an operator has to mend: status 2, no traceback, and return what it says."""
    result = CliRunner().invoke(app, ["accounts", *arguments])
    assert (result.exit_code, "Traceback" in result.output) == (2, False), result.output
    return result.stderr


def status() -> dict[str, dict[str, Any]]:
    """Return the status by account."""
    return {one["name"]: one for one in json.loads(told("status", "--json").stdout)}


def within(act: Callable[[Runtime], Awaitable[Any]]) -> Any:
    """Do something in a gateway of its own on the same tables."""

    async def work() -> Any:
        async with bootstrap.open(load()) as rt:
            await migrate(rt.db)
            return await act(rt)

    return asyncio.run(work())


async def _refuse(rt: Runtime) -> None:
    async with rt.db.write() as conn:
        await rt.health.observe(rt, conn, "box", [Misconfigured("x", code="credentials")])


async def _flows(rt: Runtime) -> bool:
    await rt.health.look(rt)
    return rt.health.flows("box")


def test_pause_and_resume_are_heard_by_a_running_gateway():
    """The lock of the embedded gateway is held; the verbs act through the tables, and another process sees it."""
    with bootstrap.embedded_lock(load()):
        told("pause", "box", "--as", "kim")
        assert within(_flows) is False
        assert status()["box"]["paused"] == "operator"
        assert "0 waiting messages" in told("resume", "box").stdout
        assert within(_flows) is True


def test_the_status_shows_trouble_the_settings_and_the_days_limits():
    """A circuit with its reason, a pause by settings, what is used: as a table and as JSON."""
    within(_refuse)
    found = status()
    assert (found["box"]["circuit"], found["box"]["code"], found["box"]["share"]) == ("open", "credentials", 10)
    assert found["box"]["windows"] == [{"kind": "account", "used": 0, "limit": 40}]
    assert (found["other"]["circuit"], found["other"]["paused"]) == ("closed", "settings")
    table = told("status").stdout
    for words in ("rests: credentials", "paused by settings", "account 0 of 40"):
        assert words in table


def test_resuming_an_account_in_trouble_tries_a_single_message():
    """An operator who has mended it need not wait for the next probe, and no avalanche follows."""
    within(_refuse)
    told("resume", "box")
    assert status()["box"]["circuit"] == "half_open"
    assert "tries one: credentials" in told("status").stdout


def test_what_cannot_be_done_is_said_in_a_line():
    """Unknown names show the known ones; a pause by settings is the settings' to take back."""
    assert "known: box, other" in refused("pause", "nobody")
    assert "GATEWAY_ACCOUNTS__other__PAUSED" in refused("resume", "other")
    assert "nothing to install" in refused("install", "box")
