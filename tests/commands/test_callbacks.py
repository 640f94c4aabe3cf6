"""The operator's side of callbacks: endpoints are listed without a secret, and a replay says how much it posts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gateway import bootstrap
from gateway.cli import app
from gateway.settings import load
from gateway.store.migrate import migrate
from gateway.usecases import access, callbacks
from tests.support.surroundings import logging_put_back, without_settings
from tests.usecases.test_posting import happen


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run in a folder of its own, without settings, and leave logging as it was."""
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    yield from logging_put_back()


def told(*arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, ["callbacks", *arguments])


@pytest.fixture
def endpoint() -> dict[str, Any]:
    """Register an endpoint, with three events to replay."""

    async def make() -> dict[str, Any]:
        async with bootstrap.open(load()) as rt:
            await migrate(rt.db)
            caller = await access.authenticate(rt, await access.create_key(rt, "portal"))
            await happen(rt, 3, client=caller.client_id)
            return dict(await callbacks.register(rt, caller, "https://93.184.215.14/botengang", []))

    return asyncio.run(make())


def test_endpoints_are_listed_with_their_client(endpoint: dict[str, Any]):
    """Id, client and URL, and never a secret."""
    result = told("list")
    assert result.exit_code == 0, result.output
    for word in (endpoint["id"], "portal", endpoint["url"], "enabled"):
        assert word in result.stdout
    assert "whsec" not in result.output


@pytest.mark.parametrize(
    ("option", "count"), [(("--after", "1"), 2), (("--since", "2020-01-01"), 3), (("--since", "2100-01-01"), 0)]
)
def test_a_replay_says_how_much_it_posts(endpoint: dict[str, Any], option: tuple[str, str], count: int):
    """From a number or a time on."""
    result = told("replay", endpoint["id"], *option)
    assert (result.exit_code, result.stdout.strip()) == (0, f"{count} events are posted again."), result.output


@pytest.mark.parametrize("arguments", [("x",), ("x", "--after", "1"), ("x", "--after", "1", "--since", "2020-01-01")])
def test_a_wrong_replay_ends_in_one_line(arguments: tuple[str, ...]):
    """No endpoint of this id, or not exactly one of both options: status 2, no traceback."""
    result = told("replay", *arguments)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.output
    assert "Traceback" not in result.output
