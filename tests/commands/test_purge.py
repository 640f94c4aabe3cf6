"""The operator's purge: a dry run tells what would go, the other deletes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.stuck import stuck, told
from tests.support.surroundings import logging_put_back, without_settings


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run in a folder of its own, keep idempotency keys for next to no time, and leave logging as it was."""
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setenv("GATEWAY_RETAIN_KEYS_DAYS", "0.000000001")
    yield from logging_put_back()


def keys(output: str) -> int:
    """Return what the table says of idempotency keys."""
    found = re.search(r"idempotency_keys\D+(\d+)", output)
    assert found, output
    return int(found[1])


def test_what_is_announced_is_deleted():
    """The settings' periods hold; a second run finds nothing."""
    stuck()
    assert [keys(told("purge", *option).stdout) for option in (["--dry-run"], ["--dry-run"], [], [])] == [2, 2, 2, 0]
