"""A test's own surroundings: no setting from outside, no logging set-up left behind."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
import structlog

RELEASE = {
    "provider": "stand-in",
    "contract_on": "2026-01-04",
    "notified_on": "2026-01-11",
    "region": "this machine",
    "approved_by": "test",
    "review_by": "2028-01-04",
}


def without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every GATEWAY_ variable away for the length of a test."""
    for name in list(os.environ):
        if name.upper().startswith("GATEWAY_"):
            monkeypatch.delenv(name)


def logging_put_back() -> Iterator[None]:
    """Undo what ``telemetry.configure`` did, so that other tests do not write into a closed stream."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in list(logging.root.manager.loggerDict)}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(levels.get(name, logging.NOTSET))
    structlog.reset_defaults()
