"""The processes as an operator starts them, beside what tests/test_cli.py shows of ``up``: a worker tells how it is."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import wait_until


@contextmanager
def running(folder: Path, *words: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a folder of its own, with these settings only."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")} | settings
    with (folder / "said").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *words], env=env, stdout=out, stderr=out, cwd=folder
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(5)


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def asked(port: int, path: str) -> tuple[int, str]:
    """Return status and body of a page; (0, "") while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=3) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, ""
    except OSError:
        return 0, ""


async def test_a_worker_tells_how_it_is(tmp_path: Path):
    """On GATEWAY_WORK_LISTEN: alive, ready, its sweeps on the metrics page, and nothing else; SIGTERM ends it."""
    port = free_port()
    with running(tmp_path, "migrate") as migrating:
        assert migrating.wait(30) == 0
    with running(tmp_path, "work", GATEWAY_WORK_LISTEN=f"127.0.0.1:{port}") as worker:
        await wait_until(lambda: worker.poll() is not None or asked(port, "/readyz")[0] == 200, 30)
        assert asked(port, "/livez")[0] == 200, (tmp_path / "said").read_text()
        assert 'botengang_sweeps_total{result="done"}' in asked(port, "/metrics")[1]
        assert asked(port, "/v1/notifications")[0] == 404
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(40) == 0
    assert "Traceback" not in (tmp_path / "said").read_text()


async def test_a_worker_listens_nowhere_unasked(tmp_path: Path):
    """A taken port is a reason to end with one line; without the setting no port is taken at all."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        with running(tmp_path, "work", GATEWAY_WORK_LISTEN=place) as worker:
            assert worker.wait(30) == 2
        assert "GATEWAY_WORK_LISTEN" in (tmp_path / "said").read_text()
        with running(tmp_path, "work", GATEWAY_LISTEN=place) as worker:
            await wait_until(
                lambda: worker.poll() is not None or b"gateway.started" in (tmp_path / "said").read_bytes(), 30
            )
            assert worker.poll() is None, (tmp_path / "said").read_text()
