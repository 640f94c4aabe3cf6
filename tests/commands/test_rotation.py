"""`botengang keys rotate` and `keys outstanding`: a new key, every row under it, and the count that says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from gateway import bootstrap
from gateway.cli import app
from gateway.settings import load
from gateway.store.keyring import KeyRing
from gateway.store.migrate import migrate
from gateway.store.tables import audit
from tests.support.seeds import person, seed
from tests.support.surroundings import logging_put_back, without_settings


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run in a folder of its own, without settings, and leave logging as it was."""
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    yield from logging_put_back()


async def _seeded() -> None:
    async with bootstrap.open(load()) as rt:
        await migrate(rt.db)
        async with rt.db.write() as conn:
            for number in range(3):
                await seed(conn, rt.vault, person(number))


async def _audited() -> list[str]:
    async with bootstrap.open(load()) as rt, rt.db.read() as conn:
        return list((await conn.execute(select(audit.c.verb).order_by(audit.c.id))).scalars())


def test_new_keys_are_added_first_and_rows_follow(tmp_path: Path):
    """--only-add leaves the rows and they are counted as outstanding; without it all are renewed, and it is audited."""
    asyncio.run(_seeded())
    runner = CliRunner()
    assert runner.invoke(app, ["keys", "outstanding"]).exit_code == 0
    added = runner.invoke(app, ["keys", "rotate", "--new", "--new-index", "--only-add"])
    assert added.exit_code == 0, added.output
    keys = KeyRing.load(tmp_path / "var" / "keyring.json").keys
    assert (keys.sealing_active, keys.index_active) == (2, 2)
    left = runner.invoke(app, ["keys", "outstanding"])
    assert left.exit_code == 1
    assert "subjects: 3" in left.stdout
    assert runner.invoke(app, ["keys", "rotate"]).exit_code == 0
    left = runner.invoke(app, ["keys", "outstanding"])
    assert left.exit_code == 0, left.stdout
    assert "subjects: 0" in left.stdout
    assert asyncio.run(_audited()) == ["keys.added", "keys.rotated"]
