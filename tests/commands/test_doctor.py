"""`botengang doctor` as an operator calls it: exit status, JSON, and mistakes in the settings as findings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from tests.support.surroundings import logging_put_back, without_settings

NOBODY = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run in a folder of its own, without settings, and leave logging as it was."""
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    yield from logging_put_back()


def test_a_bad_finding_ends_in_status_1(tmp_path: Path):
    """An installation that is not there yet is bad; the table says what to do, and looking made nothing."""
    result = CliRunner().invoke(app, ["doctor", "--nameserver", NOBODY])
    assert result.exit_code == 1
    assert "botengang up" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_json_is_one_object():
    """For a monitoring system: the verdict, and every finding with area, level, what and what to do."""
    result = CliRunner().invoke(app, ["doctor", "--json", "--nameserver", NOBODY])
    told = json.loads(result.stdout)
    assert (result.exit_code, told["ok"]) == (1, False)
    assert {tuple(one) for one in told["findings"]} == {("area", "level", "told", "do")}
    assert {one["level"] for one in told["findings"]} <= {"ok", "warn", "bad"}


def test_without_anything_bad_it_ends_in_status_0(monkeypatch: pytest.MonkeyPatch):
    """A migrated installation with texts and nothing worse than a warning."""
    runner = CliRunner()
    monkeypatch.setenv("GATEWAY_PUBLIC_URL", "https://bote.example.org")
    for line in ("migrate", "templates push", "templates approve --as somebody"):
        assert runner.invoke(app, line.split()).exit_code == 0
    result = runner.invoke(app, ["doctor", "--json", "--nameserver", NOBODY])
    assert result.exit_code == 0, result.stdout
    assert json.loads(result.stdout)["ok"] is True


def test_wrong_settings_are_findings(monkeypatch: pytest.MonkeyPatch):
    """What keeps everything from starting is told in the same form, with the name of the setting."""
    monkeypatch.setenv("GATEWAY_LEASE_S", "1")
    result = CliRunner().invoke(app, ["doctor", "--json"])
    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [one["area"] for one in told["findings"]] == ["settings"]
    assert told["findings"][0]["told"].startswith("GATEWAY_LEASE_S")
