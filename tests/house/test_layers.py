"""The layers hold (import-linter), and its contracts cover every package: a new adapter cannot be forgotten in them."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.house import tree

CONTRACTS = {
    contract["id"]: contract
    for contract in tomllib.loads((tree.ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
}


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts of pyproject.toml on the packages below ``root``."""
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def planted(root: Path, additions: dict[str, str]) -> Path:
    """Write a project with every module that the contracts name, empty, and ``additions`` on top."""
    modules = [*CONTRACTS["gateway-layers"]["layers"], *CONTRACTS["channels-layers"]["layers"]]
    gateway = [name.strip() for layer in CONTRACTS["gateway-layers"]["layers"] for name in layer.split("|")]
    channels = [name.strip() for layer in CONTRACTS["channels-layers"]["layers"] for name in layer.split("|")]
    assert len(modules) <= len(gateway) + len(channels)
    empty = {f"gateway/{name}.py": "" for name in gateway} | {f"channels/{name}.py": "" for name in channels}
    packages = {f"{name}/__init__.py": "" for name in tree.PRODUCT}
    rules = {"pyproject.toml": (tree.ROOT / "pyproject.toml").read_text("utf-8")}
    return tree.plant(root, {**empty, **packages, **rules, **additions})


def test_the_layers_hold():
    """Imports point down only, siblings are strangers, adapters know the kit only."""
    result = lint(tree.ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_adapter_is_out_of_reach_of_the_gateway():
    """The contract that forbids importing adapters names each module of channels/ but the kit."""
    names = {path.parts[1].removesuffix(".py") for path, _ in tree.product() if path.parts[0] == "channels"}
    expected = {f"channels.{name}" for name in names - {"kit", "__init__"}}
    assert set(CONTRACTS["adapters-by-entry-point"]["forbidden_modules"]) == expected


def test_the_small_project_itself_is_clean(tmp_path: Path):
    """The planted trees below fail because of what is planted, and for no other reason."""
    assert lint(planted(tmp_path, {})).returncode == 0


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("gateway/domain.py", "import gateway.store"),
        ("gateway/store.py", "def f():\n    import gateway.queue"),
        ("gateway/usecases.py", "import gateway.settings"),
        ("gateway/http.py", "import workers"),
        ("workers/__init__.py", "import gateway.http"),
        ("gateway/bootstrap.py", "import channels.memory"),
        ("channels/memory.py", "import channels.email_smtp"),
        ("channels/sandbox.py", "import gateway.domain"),
        ("channels/kit.py", "import channels.memory"),
        ("gateway/cupboard.py", ""),
        ("channels/fax.py", ""),
    ],
)
def test_a_forbidden_import_or_a_module_on_no_floor_is_refused(tmp_path: Path, path: str, line: str):
    """Upward and sideways imports, lazy ones too, and a module that no contract knows, all fail the check."""
    assert lint(planted(tmp_path, {path: line + "\n"})).returncode != 0
