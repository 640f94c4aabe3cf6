"""The table of magic recipients in docs/test-keys.md and the outcomes that the program plays are the same."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.usecases.simulation import OUTCOMES, PREFIX

PAGE = Path(__file__).parents[2] / "docs" / "test-keys.md"


def test_every_magic_recipient_is_documented():
    """A magic recipient that the page does not name, or that the program does not play, breaks this."""
    named = set(re.findall(rf"^\| `{PREFIX}([a-z-]+)` \|", PAGE.read_text(), re.MULTILINE))
    assert named == set(OUTCOMES)
