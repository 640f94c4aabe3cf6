"""The set-up is pinned and complete: locks that fit pyproject.toml, and a Makefile that says what is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house import tree

LOCKS = ("requirements.lock", "requirements-dev.lock")
PIN = re.compile(
    r"^([\w.-]+)==([^\s;]+)(?: ; [^\\]+)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def pins(root: Path, *locks: str) -> dict[str, str]:
    """Return name -> version of every pinned package; only entries with hashes count."""
    return {name: version for lock in locks for name, version, _ in PIN.findall(tree.text(root, Path(lock)))}


def unpinned(wanted: list[str], locked: dict[str, str]) -> list[str]:
    """Return the requirements that no pinned version satisfies."""
    asked = [Requirement(text) for text in wanted]
    return [str(one) for one in asked if not _satisfied(one, locked.get(canonicalize_name(one.name)))]


def _satisfied(one: Requirement, version: str | None) -> bool:
    return version is not None and one.specifier.contains(version, prereleases=True)


def _project() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(tree.text(tree.ROOT, Path("pyproject.toml")))


def test_the_locks_satisfy_pyproject():
    """Whoever changes a dependency runs `make lock`; a stale lock fails here and not on a newcomer's machine."""
    project = _project()
    groups = project["dependency-groups"]
    run = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["sandbox"],
        *groups["build"],
    ]
    assert unpinned(run, pins(tree.ROOT, "requirements.lock")) == []
    assert unpinned(groups["dev"], pins(tree.ROOT, *LOCKS)) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes_and_nothing_else_is_in_the_lock(lock: str):
    """What is installed is what was locked, wherever it is fetched from; no address of any index is written down."""
    text = tree.text(tree.ROOT, Path(lock))
    rest = PIN.sub("", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    assert rest.strip() == ""
    assert "://" not in text


def test_no_package_is_pinned_twice():
    """The second lock adds to the first and never contradicts it."""
    assert set(pins(tree.ROOT, LOCKS[0])) & set(pins(tree.ROOT, LOCKS[1])) == set()


def test_a_stale_lock_is_named():
    """A missing package and a version out of range are both seen."""
    assert unpinned(["a>=2", "B_c>=1", "d"], {"a": "1.9", "b-c": "1.0"}) == ["a>=2", "d"]


def make(root: Path, *words: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run make below ``root`` with nothing but ``path`` on the search path."""
    program = shutil.which("make")
    assert program is not None
    environment = {"PATH": str(path), "HOME": str(root)}
    return subprocess.run([program, *words], cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Return a copy of the Makefile's folder with a search path beside it that holds the usual tools, but no Python."""
    shutil.copy(tree.ROOT / "Makefile", tmp_path / "Makefile")
    tree.plant(tmp_path, {"pyproject.toml": "", "requirements.lock": "", "requirements-dev.lock": "", "bin/x": ""})
    for tool in ("sh", "sed", "grep", "cat", "touch", "expand", "rm"):
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def _python(root: Path, script: str) -> None:
    program = root / "bin" / "python3"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


def test_help_lists_every_target(bare: Path):
    """`make` alone tells what there is."""
    listed = set(re.findall(r"^  make (\w+)", make(bare, path=bare / "bin").stdout, re.MULTILINE))
    assert listed == set(re.findall(r"^([a-z]+):", (bare / "Makefile").read_text("utf-8"), re.MULTILINE))


def test_a_machine_without_python_gets_one_clear_line(bare: Path):
    """No traceback: what is missing and what to do."""
    result = make(bare, "setup", path=bare / "bin")
    assert result.returncode != 0
    assert "botengang: no Python 3.11 or newer was found" in result.stderr


def test_an_old_python_is_passed_over(bare: Path):
    """A Python that is too old does not count as one."""
    _python(bare, "exit 1")
    assert "botengang: no Python 3.11 or newer was found" in make(bare, "setup", path=bare / "bin").stderr


def test_a_python_without_ensurepip_is_told_so(bare: Path):
    """Debian ships Python without it; the line names the package to install."""
    _python(bare, 'case "$2" in *ensurepip*) exit 1;; esac; exit 0')
    assert "python3-venv" in make(bare, "setup", path=bare / "bin").stderr


def test_the_demo_prints_nothing_of_its_own(bare: Path):
    """Standard output of `make demo` is the demo's, so that its last line can be read by a program."""
    here = os.path.realpath(bare)
    tree.plant(bare, {".venv/.made": here + "\n", ".venv/.runtime": ""})
    _program(bare / ".venv/bin/python", "echo 1")
    _program(bare / ".venv/bin/botengang", 'echo "$@"')
    result = make(bare, "demo", "ARGS=--once --json", path=bare / "bin")
    assert (result.stdout, result.stderr) == ("demo --once --json\n", "")


def test_a_new_entry_point_is_installed_again(bare: Path):
    """When pyproject.toml is newer than the set-up, the project is installed anew before anything runs."""
    tree.plant(bare, {".venv/.made": os.path.realpath(bare) + "\n", ".venv/.runtime": ""})
    _program(bare / ".venv/bin/python", 'echo 1; echo "$@" >> calls')
    _program(bare / ".venv/bin/botengang", "true")
    os.utime(bare / ".venv/.runtime", (1, 1))
    assert make(bare, "demo", path=bare / "bin").returncode == 0
    assert "--editable ." in (bare / "calls").read_text("utf-8")


def _program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
