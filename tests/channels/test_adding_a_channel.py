"""docs/adding-a-channel.md works: its code blocks, taken literally, make a channel that passes the suite."""

from __future__ import annotations

import re
from pathlib import Path

from tests.channels.installing import ROOT, install, run_python, run_suite

PAGE = (ROOT / "docs" / "adding-a-channel.md").read_text("utf-8")
FILE = re.compile(r"^`([\w.]+)`\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
SETTING = re.compile(r"^GATEWAY_ACCOUNTS__(\w+?)__(\w+)=(.*)$", re.MULTILINE)


async def test_the_recipe_makes_a_channel(tmp_path: Path):
    """Writing the three files as printed, installing them and running the suite is all it takes."""
    written, target = tmp_path / "written", tmp_path / "target"
    written.mkdir()
    target.mkdir()
    files = dict(FILE.findall(PAGE))
    assert set(files) == {"botengang_pager.py", "pyproject.toml", "test_pager.py"}
    for name, content in files.items():
        (written / name).write_text(content)
    install(written, target)
    test = target / "test_pager.py"
    test.write_text(files["test_pager.py"])
    printed = await run_suite(test, path=target)
    passed = re.search(r"(\d+) passed", printed)
    assert passed is not None
    assert int(passed[1]) > 40
    await _settings_are_accepted(target)


async def _settings_are_accepted(target: Path) -> None:
    """Build the adapter from the printed account block."""
    settings = {name.lower(): value for account, name, value in SETTING.findall(PAGE) if account == "brigade"}
    adapter = settings.pop("adapter")
    code = (
        f"from channels.kit.registry import load; cls = load({adapter!r});"
        f"print(cls(cls.Options(**{settings!r}), http=None, clock=None).capabilities.channel)"
    )
    assert await run_python("-c", code, path=target) == (0, "x-pager\n")


def test_the_page_names_things_that_exist():
    """Each file that the page sends its reader to is there, with the names it promises."""
    named = re.findall(r"`(channels/[\w/]+\.py)`", PAGE)
    assert len(set(named)) >= 5
    assert [path for path in named if not (ROOT / path).is_file()] == []
    contract = (ROOT / "channels/kit/contract.py").read_text("utf-8")
    for ability in ("Receives", "Probes", "Installs", "Acknowledges"):
        assert f"`{ability}`" in PAGE
        assert f"class {ability}(Protocol)" in contract
