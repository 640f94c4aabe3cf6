"""A channel from a separate package is found by its entry point and passes the same suite."""

from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path

import pytest

from channels.kit.registry import AdapterUnknown, installed, load
from tests.channels.installing import install, run_python, run_suite

SOURCE = Path(__file__).parent / "thirdparty"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Install the package into a folder of its own."""
    install(SOURCE, tmp_path)
    return tmp_path


async def test_it_passes_the_same_suite(package: Path):
    """Every group of the contract holds for an adapter that imports the kit only."""
    test = shutil.copy(SOURCE / "test_jsonpost.py", package)
    printed = await run_suite(Path(test), path=package)
    passed = re.search(r"(\d+) passed", printed)
    assert passed is not None
    assert int(passed[1]) > 60


async def test_it_is_invisible_until_installed_and_found_after(package: Path, monkeypatch: pytest.MonkeyPatch):
    """Before installation the error names the remedy; afterwards its name is listed and loads."""
    with pytest.raises(AdapterUnknown, match="invisible until"):
        load("jsonpost")
    monkeypatch.syspath_prepend(package)
    importlib.invalidate_caches()
    assert "jsonpost" in installed()
    assert load("jsonpost").capabilities.channel == "x-jsonpost"
    with pytest.raises(AdapterUnknown, match="not allowed"):
        load("jsonpost", allowed=["email_smtp"])


async def test_it_needs_nothing_but_the_kit(package: Path):
    """Loading it imports nothing of the gateway and no other adapter."""
    code = (
        "import sys; from channels.kit.registry import load; load('jsonpost');"
        "print(sorted(m for m in sys.modules if m.startswith(('gateway', 'channels.')) and '.kit' not in m))"
    )
    assert await run_python("-c", code, path=package) == (0, "[]\n")
