"""Logs: what looks like an address or a secret is taken out of every line, whoever wrote it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from gateway import telemetry
from tests.support.surroundings import logging_put_back

CANARIES = {
    "mailbox": "zaunkoenig.7@post.example.org",
    "number": "+49 155 501-00001",
    "plain number": "+4915550100001",
    "bot token": "/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
    "key": "Bearer bt_live_0123456789abcdef_abcdefghijklmnop",
}
READABLE = ["2026-11-23T09:00:00+00:00", "delivery 0199-aa", "14 of 15 rows", "http://127.0.0.1:8080/livez", "K2 + K1"]


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    """Leave logging as it was."""
    yield from logging_put_back()


@pytest.mark.parametrize("name", CANARIES)
def test_canaries_are_redacted(name: str):
    """Addresses, numbers, tokens and keys, in the middle of a sentence."""
    text = telemetry.redact(f"cannot reach <{CANARIES[name]}> now")
    assert "[redacted]" in text
    for part in CANARIES[name].replace("Bearer ", "").split():
        assert part not in text
    assert text.startswith("cannot reach <")


@pytest.mark.parametrize("text", READABLE)
def test_what_operators_need_stays(text: str):
    """Times, ids, counts and local addresses are not taken for personal data."""
    assert telemetry.redact(text) == text


@pytest.mark.parametrize("as_json", [True, False])
def test_our_own_lines_are_redacted(capsys: pytest.CaptureFixture[str], as_json: bool):
    """Even a line that should never have been written hides its canary."""
    telemetry.configure("INFO", json=as_json)
    telemetry.log().info("sweep.done", note=CANARIES["mailbox"], healed=2)
    line = capsys.readouterr().err
    assert "sweep.done" in line
    assert CANARIES["mailbox"] not in line
    if as_json:
        assert json.loads(line)["healed"] == 2


def test_lines_of_libraries_are_redacted_with_their_tracebacks(capsys: pytest.CaptureFixture[str]):
    """Dependencies quote what they were given: in the message, its arguments and the exception."""
    telemetry.configure("INFO")
    logger = logging.getLogger("somebody.else")
    try:
        int(CANARIES["number"])
    except ValueError:
        logger.exception("failed for %s", CANARIES["mailbox"])
    text = capsys.readouterr().err
    assert "ValueError" in text
    assert not [one for one in CANARIES.values() if one in text]


@pytest.mark.parametrize("name", ["httpx", "telegram.request", "twilio.http_client", "aiosmtplib", "aiosqlite"])
def test_libraries_that_log_whole_requests_are_quiet(capsys: pytest.CaptureFixture[str], name: str):
    """At INFO and DEBUG they write URLs with tokens and bodies: not with us, even at DEBUG."""
    telemetry.configure("DEBUG")
    logging.getLogger(name).info("POST %s", "https://api.example/secret-in-path")
    logging.getLogger(name).debug("body: Guten Tag")
    assert capsys.readouterr().err == ""


def test_nothing_is_logged_to_standard_output(capsys: pytest.CaptureFixture[str]):
    """Standard output belongs to answers: keys, JSON."""
    telemetry.configure("INFO")
    telemetry.log().warning("sweep.failed", error="StoreAway")
    logging.getLogger("x").warning("y")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 2


def test_below_the_level_is_silent(capsys: pytest.CaptureFixture[str]):
    """The operator's level holds for ours and for others."""
    telemetry.configure("ERROR")
    telemetry.log().warning("sweep.failed", error="StoreAway")
    logging.getLogger("x").warning("y")
    assert capsys.readouterr().err == ""
