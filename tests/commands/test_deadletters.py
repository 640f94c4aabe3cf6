"""The operator's side of dead letters: seen with what they mean, counted before it is done, never all by mistake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.stuck import stuck, told
from tests.support.surroundings import logging_put_back, without_settings


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run in a folder of its own, without settings, and leave logging as it was."""
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    yield from logging_put_back()


def test_they_are_listed_requeued_and_closed():
    """Each verb says how many, a dry run changes nothing, and JSON is fit for a pipe."""
    dead, _ = stuck()
    shown = told("deadletters", "list", "--client", "portal")
    assert shown.exit_code == 0, shown.output
    assert dead in shown.stdout
    lines = [json.loads(line) for line in told("deadletters", "list", "--json").stdout.splitlines() if line[0] == "{"]
    assert dead in {one["id"] for one in lines}
    count = len(lines)
    would = told("deadletters", "requeue", "--class", "refused", "--dry-run", "--as", "erle")
    assert f"{count} deliveries of 1 notifications would be sent" in would.stdout
    done = told("deadletters", "requeue", dead, "--as", "erle")
    assert "1 deliveries of 1 notifications are sent" in done.stdout
    again = told("deadletters", "cancel", dead, "--as", "erle")
    assert "1 refused, not_a_dead_letter" in again.stdout


def test_nobody_requeues_everything_by_leaving_out_the_ids():
    """Without ids and without --all nothing happens; an unknown client is a mistake, not an empty list."""
    stuck()
    for verb in ("requeue", "cancel"):
        refused = told("deadletters", verb, "--as", "erle")
        assert (refused.exit_code, "--dry-run" in refused.output) == (2, True)
    assert told("deadletters", "list", "--client", "nobody").exit_code == 2
    assert "are closed" in told("deadletters", "cancel", "--all", "--as", "erle").stdout
