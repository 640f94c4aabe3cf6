"""The program: its one line, its exit, and what it refuses."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Start the program with arguments; whatever still runs at the end is ended."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        program = [sys.executable, "-m", "channels.sandbox", "--dir", str(tmp_path / "deep" / "er"), *arguments]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(program, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield begin
    for one in started:
        one.kill()
        one.wait()
        for pipe in (one.stdin, one.stdout, one.stderr):
            assert pipe is not None
            pipe.close()


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the facts of the ready line."""
    assert process.stdout is not None
    facts = json.loads(process.stdout.readline())
    assert isinstance(facts, dict)
    return facts


def test_one_ready_line_then_a_clean_exit(start: Any) -> None:
    """The ready line has every fact, what it names is reachable, and SIGTERM ends it with 0 and no further output."""
    process = start()
    facts = ready(process)
    assert {
        "http",
        "smtp_host",
        "smtp_port",
        "ca_file",
        "smtp_user",
        "smtp_password",
        "twilio_account_sid",
        "twilio_auth_token",
        "twilio_base_url",
        "sms_number",
        "whatsapp_number",
        "telegram_token",
        "telegram_base_url",
        "telegram_bot",
    } <= facts.keys()
    assert facts["telegram_base_url"] == f"{facts['http']}/telegram/bot"
    assert Path(facts["ca_file"]).read_text("ascii").startswith("-----BEGIN CERTIFICATE-----")
    with urllib.request.urlopen(f"{facts['http']}/control/summary", timeout=5) as answer:  # noqa: S310 -- loopback
        assert json.load(answer)["sms"]["accepted"] == 0
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


def test_ctrl_c_ends_it_even_with_open_streams(start: Any) -> None:
    """SIGINT ends it with 0 although a page is still listening for changes."""
    process = start()
    facts = ready(process)
    with urllib.request.urlopen(f"{facts['http']}/page/changes", timeout=5) as stream:  # noqa: S310 -- loopback
        stream.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0


def test_it_ends_with_its_parent(start: Any) -> None:
    """With --exit-with-parent the end of standard input ends it."""
    process = start("--exit-with-parent")
    ready(process)
    process.stdin.close()
    assert process.wait(timeout=10) == 0


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",  # noqa: S104 -- what must be refused
        "192.0.2.1",
        "::",
        "example.org",
    ],
)
def test_it_never_listens_elsewhere(start: Any, host: str) -> None:
    """Every host but loopback is refused with status 2 and a reason, before anything listens."""
    process = start("--host", host)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (2, "")
    assert "not a loopback address" in err


def test_a_taken_port_is_named_and_another_one_chosen(start: Any) -> None:
    """Preferred ports are used; the second sandbox says which were taken and still starts."""
    with socket.socket() as one, socket.socket() as two:
        for taken in (one, two):
            taken.bind(("127.0.0.1", 0))
            taken.listen()
        http, smtp = one.getsockname()[1], two.getsockname()[1]
        process = start("--http-port", str(http), "--smtp-port", str(smtp))
        facts = ready(process)
        assert not facts["http"].endswith(f":{http}")
        assert facts["smtp_port"] != smtp
        process.terminate()
        _, err = process.communicate(timeout=10)
    assert f"port {http} is taken" in err
    assert f"port {smtp} is taken" in err


def test_credentials_are_new_at_every_start(start: Any) -> None:
    """No two starts share a secret or a preferred port's neighbour."""
    one, two = ready(start()), ready(start())
    for name in ("smtp_password", "twilio_account_sid", "twilio_auth_token", "telegram_token"):
        assert one[name] != two[name]


@pytest.mark.parametrize("arguments", [("--http-port", "70000"), ("--starts-at", "2026-11-24T09:00:00"), ("--x",)])
def test_wrong_arguments(start: Any, arguments: tuple[str, ...]) -> None:
    """A port out of range, an instant without offset and an unknown option end it with status 2."""
    process = start(*arguments)
    process.communicate(timeout=20)
    assert process.returncode == 2
