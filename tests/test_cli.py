"""The command line: keys, texts and processes, with one line and status 2 for what an operator can mend."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gateway import bootstrap
from gateway.cli import app
from gateway.settings import load
from gateway.usecases import access
from gateway.usecases.shapes import Caller
from tests.support.surroundings import logging_put_back, without_settings
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run in a folder of its own, without settings, and leave logging as it was."""
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    yield from logging_put_back()


def told(*arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, list(arguments))


def fails(*arguments: str) -> str:
    """Run a command that an operator has to mend: status 2, no traceback, and return what it says."""
    result = told(*arguments)
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return result.stderr


def who(key: str) -> Caller:
    """Ask the store whose key this is."""

    async def ask() -> Caller:
        async with bootstrap.open(load()) as rt:
            return await access.authenticate(rt, key)

    return asyncio.run(ask())


def test_a_key_is_printed_once_and_works():
    """Standard output is the key and nothing else, fit for a shell variable."""
    result = told("keys", "create", "--client", "portal", "--test", "--scopes", "templates:read, notifications:read")
    assert result.exit_code == 0, result.output
    key = result.stdout.strip()
    assert "\n" not in key
    caller = who(key)
    assert (caller.name, caller.test) == ("portal", True)
    assert caller.scopes == {"templates:read", "notifications:read"}


def test_unknown_scopes_are_told():
    """Nothing is made, and the known ones are listed."""
    assert "notifications:write" in fails("keys", "create", "--client", "portal", "--scopes", "everything")


def test_texts_go_from_files_to_drafts_to_approved():
    """Push, refuse the author, approve as somebody else, list; pushing again changes nothing."""
    folder = Path(__file__).parents[1] / "templates"
    mine = Path("mine")
    mine.mkdir()
    for key in ("unterlagen_fehlen", "termin_hinweis"):
        (mine / f"{key}.toml").write_text((folder / f"{key}.toml").read_text())
    assert "unterlagen_fehlen: version 1 draft" in told("templates", "push", "--from", "mine").stdout
    assert "two persons" in fails("templates", "approve", "--as", "files", "unterlagen_fehlen")
    assert "unterlagen_fehlen: version 1 approved" in told("templates", "approve", "--as", "chef").stdout
    listed = told("templates", "list").stdout
    assert "unterlagen_fehlen" in listed
    assert "K1" in listed
    assert "unchanged" in told("templates", "push", "--from", "mine").stdout


def test_a_broken_file_is_named():
    """The file's mistake is told with its place, and nothing is pushed."""
    mine = Path("mine")
    mine.mkdir()
    (mine / "kaputt.toml").write_text('key = "kaputt"\nclass = "K7"\n')
    assert "kaputt" in fails("templates", "push", "--from", "mine")


def test_migrating_twice_is_harmless():
    """The schema is brought up to date, and stays so."""
    for _ in range(2):
        assert "up to date" in told("migrate").stdout


def test_a_key_ring_is_made_once():
    """An existing ring is never overwritten: everything sealed with it would be lost."""
    assert told("keys", "ring").exit_code == 0
    before = Path("var/keyring.json").read_bytes()
    assert "it stays" in fails("keys", "ring")
    assert Path("var/keyring.json").read_bytes() == before


def test_wrong_settings_are_one_line_each(monkeypatch: pytest.MonkeyPatch):
    """Every verb stops with the variables to mend, before it touches anything."""
    monkeypatch.setenv("GATEWAY_LISTEN", "8080")
    monkeypatch.setenv("GATEWAY_LOUDNESS", "11")
    lines = fails("migrate").splitlines()
    assert sorted(one.partition(":")[0] for one in lines) == ["GATEWAY_LISTEN", "GATEWAY_LOUDNESS"]
    assert not Path("var").exists()


def test_an_absent_database_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch):
    """The class, no URL and no password."""
    monkeypatch.setenv("GATEWAY_DATABASE_URL", "postgresql://bote:Geheimnis@127.0.0.1:1/bote")
    lines = fails("migrate").splitlines()
    assert len(lines) == 1
    assert "Geheimnis" not in lines[0]


def test_installing_nothing_is_told():
    """There is no such account."""
    assert "nobody" in fails("accounts", "install", "nobody")


def test_a_taken_port_is_named(monkeypatch: pytest.MonkeyPatch):
    """Somebody listens there already: the message has the address and the setting."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("GATEWAY_LISTEN", listen)
        for verb in ("up", "serve"):
            line = fails(verb)
            assert listen in line
            assert "GATEWAY_LISTEN" in line


def test_a_second_process_on_the_same_folder_is_refused(monkeypatch: pytest.MonkeyPatch):
    """The lock names the folder and the ways out; verbs that only use the tables still work."""
    monkeypatch.setenv("GATEWAY_LISTEN", "127.0.0.1:0")
    with bootstrap.embedded_lock(load()):
        assert "GATEWAY_DATA_DIR" in fails("up")
        assert told("migrate").exit_code == 0


async def test_up_serves_until_it_is_asked_to_stop(tmp_path: Path):
    """One process: migrated, alive and ready over HTTP, and gone with status 0 after SIGTERM, without a traceback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    env["GATEWAY_LISTEN"] = f"127.0.0.1:{port}"
    said = tmp_path / "said"
    process = _started(said, env)
    try:
        await wait_until(lambda: process.poll() is not None or _ready(port), 30)
        assert _ready(port), said.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait(5)
    assert "Traceback" not in said.read_text()
    assert (tmp_path / "var" / "botengang.db").exists()


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _started(said: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    with said.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "gateway", "up"], env=env, stdout=out, stderr=out, cwd=said.parent
        )
