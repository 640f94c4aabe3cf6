"""The operator's emergency brake: withdraw, see what is held, let it go on or cancel it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.stuck import stuck, told
from tests.support.surroundings import logging_put_back, without_settings

WITHDRAW = ("templates", "withdraw", "unterlagen_fehlen", "--as", "erle", "--reason", "Falsche Frist")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run in a folder of its own, without settings, and leave logging as it was."""
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    yield from logging_put_back()


def test_a_text_is_stopped_and_its_messages_are_cancelled():
    """Each verb tells how many; withdrawing twice and releasing to nothing end with a sentence and status 2."""
    stuck()
    done = told(*WITHDRAW)
    assert done.exit_code == 0, done.output
    assert "unterlagen_fehlen/1 withdrawn" in done.stdout
    assert "unterlagen_fehlen/1" in told("templates", "held").stdout
    assert told(*WITHDRAW).exit_code == 2
    refused = told("templates", "release", "unterlagen_fehlen", "--as", "erle")
    assert (refused.exit_code, "no such version" in refused.output) == (2, True)
    assert "held deliveries cancelled" in told("templates", "cancel-held", "unterlagen_fehlen", "--as", "erle").stdout
    assert "unterlagen_fehlen" not in told("templates", "held").stdout
