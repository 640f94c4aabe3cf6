"""The demonstration as a newcomer runs it: a process of its own, the promised JSON, twice the same, no traces."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_until

CHANNELS = {"email", "sms", "telegram", "whatsapp"}
COLUMNS = {"submitted", "delivered", "failed", "skipped"}
LIMIT_S = 60


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the demonstration in a folder of its own, without any setting from outside."""
    env = {name: value for name, value in os.environ.items() if not name.upper().startswith("GATEWAY_")}
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", *arguments],
        cwd=folder, env=env | {"COLUMNS": "200"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def left_behind(folder: Path) -> list[str]:
    """Return the processes that still run in this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder.resolve():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has ended, or is somebody else's
    return found


def run(folder: Path) -> tuple[dict[str, Any], str]:
    """Run once for sixty people; return the JSON of the last line and what was said beside it."""
    process = start(folder, "--once", "--json", "--people", "60")
    try:
        out, err = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert left_behind(folder) == []
    told: dict[str, Any] = json.loads(out.splitlines()[-1])
    return told, err


@pytest.fixture
def taken() -> Iterator[None]:
    """See to it that port 8080 is taken, by us or by somebody else."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", 8080))
            sock.listen()
        except OSError:
            pass  # somebody else has it: just as well
        yield


@pytest.mark.usefixtures("taken")
def test_it_accounts_for_everyone_the_same_way_twice(tmp_path: Path):
    """Exit 0, the JSON that the issue promises, nobody lost or told twice, a taken port named; again, the same."""
    told, said = run(tmp_path)
    assert set(told) == {"posted", "lost", "duplicates", "seconds", "channels", "reasons"}
    assert (told["posted"], told["lost"], told["duplicates"]) == (60, 0, 0)
    assert 0 < told["seconds"] < LIMIT_S
    assert set(told["channels"]) == CHANNELS
    assert all(set(row) == COLUMNS for row in told["channels"].values())
    assert all(row["submitted"] + row["delivered"] > 0 for row in told["channels"].values())
    assert told["reasons"]
    assert all(isinstance(count, int) and count > 0 for count in told["reasons"].values())
    assert "8080 is taken" in said
    assert "Traceback" not in said
    again, _ = run(tmp_path)
    assert {name: again[name] for name in ("channels", "reasons")} == {
        name: told[name] for name in ("channels", "reasons")
    }


async def test_it_ends_cleanly_when_interrupted(tmp_path: Path):
    """Ctrl-C in the middle: no traceback, nothing left running, the shell's own exit status."""
    process = start(tmp_path, "--people", "2000")
    try:
        await wait_until(lambda: len(left_behind(tmp_path)) > 1 or process.poll() is not None, 30)  # with the stand-ins
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert left_behind(tmp_path) == []
