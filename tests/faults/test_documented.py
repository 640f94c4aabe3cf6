"""docs/reliability.md names every fault point, and the command says what it needs where it has no checkout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.commands import bench
from gateway.usecases.faults import POINTS
from tests.house import tree


def test_every_fault_point_is_explained():
    """Whoever reads a run's story finds each place in the table, in the order of the walk."""
    text = tree.text(tree.ROOT, Path("docs/reliability.md")).partition("## Fault points")[2]
    assert tuple(re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE)) == POINTS


def test_without_a_checkout_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The installed package has no benchmarks: one line and the exit status of a misuse, no traceback."""
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    done = CliRunner().invoke(app, ["bench", "chaos", "--quick"])
    assert done.exit_code == 2
    assert "checkout" in done.output
